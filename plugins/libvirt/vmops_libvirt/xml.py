"""Domains as libvirt's XML. Everything is put into elements and attributes by the library; no text is composed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any, Dict, Optional

import vmops_plugin as vmops

#: A domain with an element of this namespace in its metadata is ours.
NAMESPACE = "https://vmops.dev/libvirt/1"
ET.register_namespace("vmops", NAMESPACE)

_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass
class Mark:
    """What a domain of ours carries: the definition it was made from, and the number of that definition."""

    incarnation: int
    spec: Dict[str, Any]


@dataclass
class Platform:
    """What domains of this host have in common."""

    domain_type: str = "qemu"
    architecture: str = "x86_64"
    machine_type: str = "pc"
    emulator: Optional[str] = None
    #: Instead of what a machine's interface asks for: `user` for daemons without rights.
    network: Optional[str] = None
    has_consoles: bool = True


def _add(parent: ET.Element, tag: str, text: Optional[str] = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def text_of(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def domain_xml(spec: vmops.MachineSpec, mark: Mark, platform: Platform, console: str) -> str:
    root = ET.Element("domain", {"type": platform.domain_type})
    _add(root, "name", spec.name)
    _add(root, "uuid", spec.uuid)
    metadata = _add(root, "metadata")
    ours = ET.SubElement(metadata, f"{{{NAMESPACE}}}machine", {"incarnation": str(mark.incarnation)})
    ours.text = json.dumps(mark.spec, sort_keys=True)
    _add(root, "memory", str(spec.memory_mb), unit="MiB")
    _add(root, "currentMemory", str(min(spec.startup_memory_mb, spec.memory_mb)), unit="MiB")
    _add(root, "vcpu", str(spec.vcpus))
    system = _add(root, "os")
    kind = _add(system, "type", "hvm", arch=platform.architecture)
    if platform.machine_type:
        kind.set("machine", platform.machine_type)
    _add(system, "boot", dev="hd")
    features = _add(root, "features")
    _add(features, "acpi")
    _add(features, "apic")
    if platform.domain_type == "kvm":
        _add_cpu(root, spec)
    _add(root, "clock", offset="utc")
    for what, reaction in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "preserve")):
        _add(root, what, reaction)
    devices = _add(root, "devices")
    if platform.emulator:
        _add(devices, "emulator", platform.emulator)
    if any(disk.bus == "scsi" for disk in spec.disks):
        for number in sorted({disk.controller for disk in spec.disks if disk.bus == "scsi"}):
            _add(devices, "controller", type="scsi", index=str(number), model="virtio-scsi")
    for disk in spec.disks:
        devices.append(disk_element(disk))
    for interface in spec.interfaces:
        devices.append(interface_element(interface, platform))
    if platform.has_consoles:
        serial = _add(devices, "serial", type="unix")
        _add(serial, "source", mode="bind", path=console)
        _add(serial, "target", port="0")
    _add(_add(devices, "video"), "model", type="none")
    _add(devices, "memballoon", model="virtio")
    return text_of(root)


def _add_cpu(root: ET.Element, spec: vmops.MachineSpec) -> None:
    """With limited features a guest can move to every host of its architecture."""
    if spec.limit_cpu_features:
        cpu = _add(root, "cpu", mode="custom", match="exact")
        _add(cpu, "model", "qemu64", fallback="allow")
    else:
        _add(root, "cpu", mode="host-model")


def _target(disk: vmops.DiskSpec) -> str:
    letter = "abcdefghijklmnopqrstuvwxyz"
    prefix, place = {
        "ide": ("hd", disk.controller * 2 + disk.unit),
        "scsi": ("sd", disk.controller * 7 + disk.unit),
        "virtio": ("vd", disk.unit),
    }[disk.bus]
    if not 0 <= place < len(letter):
        raise vmops.InvalidArgument(f"there is no unit {disk.unit} on the {disk.bus} bus", field="disks")
    return prefix + letter[place]


def _is_block(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def disk_element(disk: vmops.DiskSpec) -> ET.Element:
    is_block = _is_block(disk.path)
    is_drive = disk.media == "cdrom"
    if is_drive and disk.bus == "virtio":
        raise vmops.InvalidArgument("a drive for discs is not on the virtio bus", field="disks")
    element = ET.Element("disk", {"type": "block" if is_block else "file", "device": disk.media})
    driver = {"name": "qemu", "type": "raw" if is_drive else disk.format}
    if not is_drive:
        driver["discard"] = "unmap"
    _add(element, "driver", **driver)
    _add(element, "source", **{"dev" if is_block else "file": disk.path})
    _add(element, "target", dev=_target(disk), bus=disk.bus)
    if is_drive:
        _add(element, "readonly")
    if disk.identifier:
        _add(element, "serial", re.sub(r"[^A-Za-z0-9_.+ -]", "", disk.identifier)[:36])
    if disk.bus == "ide":
        place = {"controller": str(disk.controller), "bus": "0", "target": "0", "unit": str(disk.unit)}
        if place["controller"] in ("0", "1"):
            # libvirt has one IDE controller with two buses.
            place = {"controller": "0", "bus": str(disk.controller), "target": "0", "unit": str(disk.unit)}
        _add(element, "address", type="drive", **place)
    elif disk.bus == "scsi":
        _add(
            element, "address", type="drive", controller=str(disk.controller), bus="0", target="0", unit=str(disk.unit)
        )
    return element


def alias_of(id: str) -> str:
    """The name of an interface among the devices; libvirt wants the prefix."""
    return "ua-" + (id if _ALIAS.fullmatch(id) else hashlib.sha256(id.encode()).hexdigest()[:40])


def interface_element(interface: vmops.InterfaceSpec, platform: Platform) -> ET.Element:
    kind = platform.network or interface.type
    if kind == "user":
        element = ET.Element("interface", {"type": "user"})
    elif kind == "network":
        element = ET.Element("interface", {"type": "network"})
        _add(element, "source", network=interface.bridge or "default")
    elif kind in ("bridge", "ovs"):
        if not interface.bridge:
            raise vmops.InvalidArgument("the interface names no bridge", field="interface.bridge")
        element = ET.Element("interface", {"type": "bridge"})
        _add(element, "source", bridge=interface.bridge)
        if kind == "ovs":
            port = _add(element, "virtualport", type="openvswitch")
            _add(port, "parameters", interfaceid=interface.id)
    else:
        raise vmops.InvalidArgument(f"interfaces of the type {kind} are not known here", field="interface.type")
    _add(element, "mac", address=interface.mac)
    if interface.device and kind != "user":
        _add(element, "target", dev=interface.device)
    _add(element, "model", type="virtio")
    if kind != "user":
        _add(element, "link", state="up" if interface.active else "down")
    _add(element, "alias", name=alias_of(interface.id))
    return element


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)


def mark_of(root: ET.Element) -> Optional[Mark]:
    ours = root.find(f"metadata/{{{NAMESPACE}}}machine")
    if ours is None:
        return None
    try:
        return Mark(int(ours.get("incarnation", "1")), json.loads(ours.text or "{}"))
    except ValueError:
        return None


def console_path(root: ET.Element) -> Optional[str]:
    for serial in root.findall("devices/serial"):
        if serial.get("type") == "unix":
            source = serial.find("source")
            if source is not None:
                return source.get("path")
    return None


def find_disk(root: ET.Element, path: str) -> Optional[ET.Element]:
    for disk in root.findall("devices/disk"):
        source = disk.find("source")
        if source is not None and path in (source.get("file"), source.get("dev")):
            return disk
    return None


def find_interface(root: ET.Element, id: str) -> Optional[ET.Element]:
    wanted = alias_of(id)
    for interface in root.findall("devices/interface"):
        alias = interface.find("alias")
        if alias is not None and alias.get("name") == wanted:
            return interface
    return None


def target_of(disk: ET.Element) -> str:
    target = disk.find("target")
    return (target.get("dev") if target is not None else None) or ""


def file_element(path: str, format: str) -> str:
    """The destination of a copy, as `blockCopy` takes it."""
    element = ET.Element("disk", {"type": "file"})
    _add(element, "source", file=path)
    _add(element, "driver", type=format)
    return text_of(element)


def set_console_path(root: ET.Element, path: str) -> None:
    """Of the serial line, and of the console that libvirt shows as its twin."""
    for tag in ("devices/serial", "devices/console"):
        for each in root.findall(tag):
            source = each.find("source")
            if each.get("type") == "unix" and source is not None:
                source.set("path", path)
