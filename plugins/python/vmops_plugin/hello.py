"""The handshake (plugin protocol, section 3)."""

from __future__ import annotations

from typing import Any, Dict, List

from .errors import InvalidArgument
from .frames import DEFAULT_MAX_FRAME
from .host import Host
from .methods import capability_flags
from .model import HostIdentity, Setup, to_json

PROTOCOL = "vmops-plugin"
VERSIONS: List[int] = [1]
#: The exit status when there is no common version.
NO_COMMON_VERSION = 76


def setup_from(message: Dict[str, Any]) -> Setup:
    """Of the worker's hello, or of a one-shot document."""

    def text(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise InvalidArgument(f"{name} must be a string", field=name)
        return value

    options = message.get("options") or {}
    worker = message.get("worker") or {}
    if not isinstance(options, dict) or not isinstance(worker, dict):
        raise InvalidArgument("options and worker must be objects", field="options")
    return Setup(
        host=text(message.get("host"), "host"),
        instances_directory=text(message.get("instances_directory"), "instances_directory"),
        state_directory=text(message.get("state_directory"), "state_directory"),
        options={str(name): text(value, f"options.{name}") for name, value in options.items()},
        worker_name=str(worker.get("name", "")),
        worker_version=str(worker.get("version", "")),
    )


def hello(host: Host, identity: HostIdentity) -> Dict[str, Any]:
    """What a plugin says of itself, but for what belongs to one connection."""
    return {
        "protocol": PROTOCOL,
        "versions": VERSIONS,
        "plugin": {"name": host.plugin_name, "version": host.plugin_version},
        "host": to_json(identity),
        "capabilities": {
            "flags": capability_flags(host),
            "disk_formats": list(host.disk_formats),
            "volume_types": list(host.volume_types),
            "network_types": list(host.network_types),
        },
        "limits": {
            "max_frame": DEFAULT_MAX_FRAME,
            "max_parallel": host.max_parallel,
            "console_buffer": host.console_buffer,
        },
        "remote_files": host.remote_files,
    }
