"""Reads the params of requests; whatever is wrong is an InvalidArgument that names the member."""

from __future__ import annotations

import base64
import binascii
import os
import posixpath
import re
from typing import Any, Dict, Iterable, List, Optional

from .errors import InvalidArgument
from .model import (
    Checksum,
    ConfigFile,
    DiskSpec,
    Image,
    ImageRequest,
    InterfaceSpec,
    MachineSpec,
    Setup,
    VolumeConnection,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_LONGEST = 4096


class Params:
    """One JSON object of a request. `null` means the same as not there; unknown members are ignored."""

    def __init__(self, members: Any, setup: Setup, remote_files: bool = False, where: str = "") -> None:
        if not isinstance(members, dict):
            raise InvalidArgument(f"{where or 'params'} must be an object", field=where or "params")
        self._members: Dict[str, Any] = members
        self._setup = setup
        self._remote_files = remote_files
        self._where = where

    def _field(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def _take(self, name: str, kind: Any, what: str, default: Any, required: bool) -> Any:
        value = self._members.get(name)
        if value is None:
            if required:
                raise InvalidArgument(f"{self._field(name)} is missing", field=self._field(name))
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidArgument(f"{self._field(name)} must be {what}", field=self._field(name))
        return value

    def wrong(self, name: str, why: str) -> InvalidArgument:
        return InvalidArgument(f"{self._field(name)} {why}", field=self._field(name))

    def has(self, name: str) -> bool:
        return self._members.get(name) is not None

    def text(self, name: str, longest: int = _LONGEST) -> str:
        value = self.optional_text(name, longest)
        if value is None:
            raise self.wrong(name, "is missing")
        return value

    def optional_text(self, name: str, longest: int = _LONGEST) -> Optional[str]:
        value: Optional[str] = self._take(name, str, "a string", None, False)
        if value is not None and len(value.encode("utf-8", "replace")) > longest:
            raise self.wrong(name, f"is longer than {longest} bytes")
        if value is not None and "\0" in value:
            raise self.wrong(name, "has a null character")
        return value

    def choice(self, name: str, choices: Iterable[str], default: Optional[str] = None) -> str:
        value = self.optional_text(name) or default
        if value is None:
            raise self.wrong(name, "is missing")
        if value not in choices:
            raise self.wrong(name, f"must be one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: Optional[int] = None, minimum: int = 0) -> int:
        value = self._take(name, int, "an integer", default, default is None)
        if value < minimum:
            raise self.wrong(name, f"must be at least {minimum}")
        return int(value)

    def optional_integer(self, name: str, minimum: int = 0) -> Optional[int]:
        return self.integer(name, minimum=minimum) if self.has(name) else None

    def boolean(self, name: str, default: bool = False) -> bool:
        return bool(self._take(name, bool, "true or false", default, False))

    def mapping(self, name: str) -> Dict[str, Any]:
        return dict(self._take(name, dict, "an object", {}, False))

    def object(self, name: str) -> "Params":
        members = self._take(name, dict, "an object", None, True)
        return Params(members, self._setup, self._remote_files, self._field(name))

    def objects(self, name: str) -> List["Params"]:
        values = self._take(name, list, "a list", [], False)
        return [
            Params(each, self._setup, self._remote_files, f"{self._field(name)}[{index}]")
            for index, each in enumerate(values)
        ]

    def data(self, name: str) -> bytes:
        text = self._take(name, str, "base64", None, True)
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self.wrong(name, "is not base64") from None

    def uuid(self, name: str = "uuid") -> str:
        value = self.text(name)
        if not _UUID.fullmatch(value):
            raise self.wrong(name, "is not a UUID in small letters")
        return value

    def machine_name(self, name: str = "name") -> str:
        value = self.text(name)
        if not _NAME.fullmatch(value):
            raise self.wrong(name, "is not a name for a machine")
        return value

    def path(self, name: str) -> str:
        """An absolute path, as it is."""
        value = self.text(name)
        if not value.startswith("/"):
            raise self.wrong(name, "is not an absolute path")
        return value

    def path_below(self, name: str, itself: bool = False) -> str:
        """A path below the instances directory, also when links are followed."""
        value = self.path(name)
        pairs = [(posixpath.normpath(value), posixpath.normpath(self._setup.instances_directory))]
        if not self._remote_files:
            pairs.append((os.path.realpath(value), os.path.realpath(self._setup.instances_directory)))
        for path, root in pairs:
            if not path.startswith(root.rstrip("/") + "/"):
                raise self.wrong(name, "is not below the instances directory")
        if ".." in value.split("/"):
            raise self.wrong(name, "has '..' in it")
        return value

    def disk(self, below: bool) -> DiskSpec:
        role = self.choice("role", ("root", "ephemeral", "configDrive", "volume"), "root")
        path = self.path_below("path") if below and role != "volume" else self.path("path")
        return DiskSpec(
            path=path,
            role=role,
            media=self.choice("media", ("disk", "cdrom"), "disk"),
            format=self.optional_text("format", 64) or "raw",
            bus=self.choice("bus", ("ide", "scsi", "virtio"), "virtio"),
            controller=self.integer("controller", 0),
            unit=self.integer("unit", 0),
            identifier=self.optional_text("identifier", 128),
        )

    def interface(self) -> InterfaceSpec:
        mac = self.text("mac")
        if not _MAC.fullmatch(mac):
            raise self.wrong("mac", "is not a MAC address")
        return InterfaceSpec(
            id=self.text("id", 128),
            mac=mac.lower(),
            type=self.optional_text("type", 128) or "bridge",
            bridge=self.optional_text("bridge", 128),
            device=self.optional_text("device", 128),
            active=self.boolean("active", True),
        )

    def machine(self) -> MachineSpec:
        memory = self.integer("memory_mb", minimum=1)
        return MachineSpec(
            uuid=self.uuid(),
            name=self.machine_name(),
            directory=self.path_below("directory"),
            memory_mb=memory,
            startup_memory_mb=self.integer("startup_memory_mb", memory, minimum=1),
            vcpus=self.integer("vcpus", minimum=1),
            limit_cpu_features=self.boolean("limit_cpu_features"),
            enable_metrics=self.boolean("enable_metrics"),
            disks=[each.disk(below=True) for each in self.objects("disks")],
            interfaces=[each.interface() for each in self.objects("interfaces")],
            metadata=self.mapping("metadata"),
        )

    def image(self) -> Image:
        return Image(
            reference=self.text("reference"),
            path=self.path("path"),
            format=self.text("format", 64),
            virtual_size=self.integer("virtual_size"),
        )

    def image_request(self) -> ImageRequest:
        checksums = [Checksum(each.text("algorithm"), each.text("value")) for each in self.objects("checksums")]
        return ImageRequest(
            reference=self.text("reference"),
            location=self.optional_text("location"),
            checksums=checksums,
            format=self.optional_text("format", 64),
            size=self.optional_integer("size"),
            user=self.optional_text("user"),
        )

    def config_files(self, name: str) -> List[ConfigFile]:
        files = []
        for each in self.objects(name):
            path = each.text("path").lstrip("/")
            if not path or any(part in ("", ".", "..") for part in path.split("/")):
                raise each.wrong("path", "is not a path within the drive")
            files.append(ConfigFile(path, each.data("base64")))
        return files

    def volume(self) -> VolumeConnection:
        return VolumeConnection(
            volume_id=self.text("volume_id", 128),
            type=self.text("type", 128),
            data=self.mapping("data"),
            mount_device=self.optional_text("mount_device"),
            is_boot=self.boolean("is_boot"),
        )
