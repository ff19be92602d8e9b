"""A machine's definition: read, checked, given its addresses, and the notes that mark it as ours."""

import hashlib
import json

from . import paths
from .errors import HyperVError

MIB = 1 << 20
SCSI_SLOTS = 64

#: The extension decides what a disk is attached as (VM operations, section 6.7).
DISK_EXTENSIONS = frozenset(("vhd", "vhdx", "avhd", "avhdx"))
DVD_EXTENSIONS = frozenset(("iso",))


def _integer(value, field, low, high):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise HyperVError("invalid_argument", "%s is not a number from %d to %d" % (field, low, high),
                          {"field": field})
    return value


def _object(value, field):
    if not isinstance(value, dict):
        raise HyperVError("invalid_argument", "%s is not an object" % field, {"field": field})
    return value


class Disk:
    """A drive: its path on the Hyper-V host, and where it sits."""

    def __init__(self, role, media, path, bus, controller, unit, identifier=None):
        self.role, self.media, self.path = role, media, path
        self.bus, self.controller, self.unit, self.identifier = bus, controller, unit, identifier

    @property
    def address(self):
        return (self.bus, self.controller, self.unit)


class Interface:
    def __init__(self, id, mac, type="bridge", bridge=None):
        self.id, self.mac, self.type, self.bridge = id, mac, type, bridge


def read_disk(value, map, field="disk"):
    value = _object(value, field)
    role, media = value.get("role", "volume"), value.get("media", "disk")
    if role not in ("root", "ephemeral", "configDrive", "volume"):
        raise HyperVError("invalid_argument", "a disk of an unknown role", {"field": field + ".role"})
    path = map.place(value.get("path"), value.get("format") if media == "disk" else None, field + ".path")
    extension = paths.extension(path)
    if media == "cdrom" or extension in DVD_EXTENSIONS:
        if extension not in DVD_EXTENSIONS:
            raise HyperVError("invalid_argument", "a DVD drive takes iso, not " + (extension or "a file without an "
                              "extension"), {"field": field + ".path"})
        media = "cdrom"
    elif extension not in DISK_EXTENSIONS:
        raise HyperVError("invalid_argument", "Hyper-V takes vhd and vhdx, not " + (extension or "a file without an "
                          "extension"), {"field": field + ".path"})
    bus = value.get("bus", "scsi")
    if bus not in ("ide", "scsi", "virtio"):
        raise HyperVError("invalid_argument", "a disk on an unknown bus", {"field": field + ".bus"})
    controller = _integer(value.get("controller", 0), field + ".controller", 0, 3)
    unit = _integer(value.get("unit", 0), field + ".unit", 0, 255)
    return Disk(role, media, path, bus, controller, unit, value.get("identifier"))


def read_interface(value, field="interface"):
    value = _object(value, field)
    bridge = value.get("bridge")
    if bridge is not None and (not isinstance(bridge, str) or not 0 < len(bridge) <= 128
                               or any(ord(c) < 32 or c in "*?[]`" for c in bridge)):
        raise HyperVError("invalid_argument", "not the name of a switch", {"field": field + ".bridge"})
    type = value.get("type", "bridge")
    if not isinstance(type, str) or len(type) > 128:
        raise HyperVError("invalid_argument", "not a type of interface", {"field": field + ".type"})
    return Interface(paths.check_identifier(value.get("id"), field + ".id"),
                     paths.check_mac(value.get("mac"), field + ".mac"), type, bridge)


class Spec:
    """What `machine.create` and the migration methods get as `spec`."""

    def __init__(self, value, map, generation=1):
        value = _object(value, "spec")
        self.uuid = paths.check_uuid(value.get("uuid"), "spec.uuid")
        self.name = paths.check_name(value.get("name"), "spec.name")
        self.directory = map.to_host(value.get("directory"), "spec.directory")
        self.memory_mb = _integer(value.get("memory_mb"), "spec.memory_mb", 1, 1 << 26)
        self.startup_mb = _integer(value.get("startup_memory_mb", self.memory_mb), "spec.startup_memory_mb", 1, 1 << 26)
        self.vcpus = _integer(value.get("vcpus"), "spec.vcpus", 1, 2048)
        self.limit_cpu_features = bool(value.get("limit_cpu_features", False))
        self.enable_metrics = bool(value.get("enable_metrics", False))
        self.metadata = _object(value.get("metadata") or {}, "spec.metadata")
        self.generation = read_generation(self.metadata, generation)
        disks = [] if value.get("disks") is None else value["disks"]
        interfaces = [] if value.get("interfaces") is None else value["interfaces"]
        if not isinstance(disks, list) or not isinstance(interfaces, list):
            raise HyperVError("invalid_argument", "disks and interfaces are lists", {"field": "spec"})
        self.disks = [read_disk(disk, map, "spec.disks") for disk in disks]
        self.interfaces = [read_interface(each, "spec.interfaces") for each in interfaces]
        if self.startup_mb > self.memory_mb:
            raise HyperVError("invalid_argument", "more memory at the start than at most",
                              {"field": "spec.startup_memory_mb"})
        if len({each.id for each in self.interfaces}) < len(self.interfaces):
            raise HyperVError("invalid_argument", "two interfaces of one id", {"field": "spec.interfaces"})
        self.fingerprint = hashlib.sha256(
            json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]
        place(self.disks, self.generation)

    @property
    def is_memory_dynamic(self):
        return self.startup_mb < self.memory_mb

    @property
    def memory_bytes(self):
        """All of it. Hyper-V wants an even number of MiB; the guest gets no less than was ordered."""
        return (self.memory_mb + self.memory_mb % 2) * MIB

    @property
    def startup_bytes(self):
        """With dynamic memory what the guest starts with, rounded down to an even number of MiB."""
        return (self.startup_mb // 2 * 2 or 2) * MIB if self.is_memory_dynamic else self.memory_bytes


def read_generation(metadata, default):
    """1 has a BIOS and IDE, 2 has UEFI and SCSI only. An image property names it, as compute nodes know it."""
    wanted = metadata.get("hw_machine_type") or metadata.get("hyperv_generation") or default
    known = {"1": 1, "2": 2, "hyperv-gen1": 1, "hyperv-gen2": 2}
    if str(wanted) not in known:
        raise HyperVError("invalid_argument", "not a generation of machines: %s" % wanted, {"field": "spec.metadata"})
    return known[str(wanted)]


def place(disks, generation):
    """Gives each disk the address it is attached at (VM operations, section 6.6).

    Generation 1 keeps IDE and SCSI addresses as the worker chose them; the order behind those is root or boot volume
    at IDE 0:0, the first ephemeral disk at IDE 0:1, the config drive at IDE 1:0, all else on SCSI. Disks that come
    without such an address (`virtio`) are placed by the same rule. Generation 2 has no IDE: everything goes to SCSI
    controller 0, boot disk first, the worker's own SCSI addresses kept where they are free.
    """
    if generation == 2:
        for disk in disks:
            if paths.extension(disk.path) in ("vhd", "avhd"):
                raise HyperVError("invalid_argument", "generation 2 takes vhdx, not vhd", {"field": "spec.disks"})
    taken = set()

    def free_scsi():
        for unit in range(SCSI_SLOTS):
            if ("scsi", 0, unit) not in taken:
                return ("scsi", 0, unit)
        raise HyperVError("resource_exhausted", "all %d SCSI slots are taken" % SCSI_SLOTS, {"field": "spec.disks"})

    def take(disk, address):
        if address in taken:
            raise HyperVError("invalid_argument", "two disks at %s %d:%d" % address, {"field": "spec.disks"})
        taken.add(address)
        disk.bus, disk.controller, disk.unit = address

    def check(disk):
        limit = 2 if disk.bus == "ide" else SCSI_SLOTS
        controllers = 2 if disk.bus == "ide" else 4
        if disk.unit >= limit or disk.controller >= controllers:
            raise HyperVError("invalid_argument", "there is no %s %d:%d" % disk.address, {"field": "spec.disks"})

    ide = [] if generation == 2 else [disk for disk in disks if disk.bus == "ide"]
    scsi = [disk for disk in disks if disk.bus == "scsi"]
    rest = [disk for disk in disks if disk not in ide and disk not in scsi]
    for disk in ide:
        check(disk)
        take(disk, disk.address)
    if generation == 2:
        # The boot disk has to come first, whatever asked for that slot.
        order = {"root": 0, "ephemeral": 1, "volume": 2, "configDrive": 3}
        for disk in sorted(rest, key=lambda disk: (order[disk.role], disk.controller, disk.unit)):
            if disk.role == "root":
                take(disk, free_scsi())
    for disk in scsi:
        check(disk)
        if generation == 2 and disk.address in taken:
            take(disk, free_scsi())
        else:
            take(disk, disk.address)
    wishes = {"root": ("ide", 0, 0), "ephemeral": ("ide", 0, 1), "configDrive": ("ide", 1, 0)}
    for disk in rest:
        if generation == 2 and disk.role == "root":
            continue
        wish = wishes.get(disk.role) if generation == 1 else None
        take(disk, wish if wish and wish not in taken else free_scsi())


# The notes: what Hyper-V keeps with the machine, and the only sign that it is ours.

class Mark:
    """The first line is the uuid, as the compute driver for Hyper-V writes it; the others are this plugin's."""

    def __init__(self, uuid, incarnation=1, fingerprint="", complete=True):
        self.uuid, self.incarnation = uuid, incarnation
        self.fingerprint, self.complete = fingerprint, complete

    def text(self):
        return "\n".join([self.uuid, "vmops incarnation %d" % self.incarnation,
                          "vmops definition %s" % self.fingerprint,
                          "vmops state %s" % ("complete" if self.complete else "building")])


def read_mark(notes):
    """The mark in a machine's notes, or `None` for a foreign machine. Absent and odd notes are no error."""
    if isinstance(notes, list):
        notes = "\n".join(str(line) for line in notes if line)
    if not isinstance(notes, str):
        return None
    lines = [line.strip() for line in notes.replace("\r", "\n").split("\n") if line.strip()]
    if not lines:
        return None
    text = lines[0].strip("{}").lower()
    if len(text) == 32 and all(c in "0123456789abcdef" for c in text):
        text = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    if not paths.UUID.match(text):
        return None
    mark = Mark(text)
    for line in lines[1:]:
        words = line.split()
        if len(words) == 3 and words[0] == "vmops":
            if words[1] == "incarnation" and words[2].isdigit() and len(words[2]) < 19:
                mark.incarnation = int(words[2])
            elif words[1] == "definition":
                mark.fingerprint = words[2]
            elif words[1] == "state":
                mark.complete = words[2] == "complete"
    return mark
