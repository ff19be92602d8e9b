"""What requests and answers are made of (plugin protocol, section 7). Sizes are bytes unless a name says otherwise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

OFF = "off"
RUNNING = "running"
PAUSED = "paused"
SAVED = "saved"
ERROR = "error"
TRANSITIONAL = "transitional"


def to_json(value: Any) -> Any:
    """Dataclasses as objects; members that are None are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = ((each.name, getattr(value, each.name)) for each in dataclasses.fields(value))
        return {name: to_json(member) for name, member in members if member is not None}
    if isinstance(value, Mapping):
        return {str(name): to_json(member) for name, member in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(each) for each in value]
    return value


@dataclass
class Setup:
    """What the worker says in the beginning (section 3)."""

    host: str
    instances_directory: str
    state_directory: str
    options: Dict[str, str] = field(default_factory=dict)
    worker_name: str = ""
    worker_version: str = ""


@dataclass
class HostIdentity:
    """Which hypervisor host this is. `id` must be the same after each restart."""

    id: str
    name: str
    hypervisor_type: str
    hypervisor_version: int


@dataclass
class CPUInfo:
    architecture: str
    model: str = ""
    vendor: str = ""
    sockets: int = 1
    cores: int = 1
    threads: int = 1
    features: List[str] = field(default_factory=list)


@dataclass
class HostInfo:
    vcpus: int
    memory_mb: int
    memory_used_mb: int
    disk_gb: int
    disk_used_gb: int
    hypervisor_type: str
    hypervisor_version: int
    hypervisor_hostname: str
    cpu: CPUInfo
    vm_mode: str = "hvm"


@dataclass
class DiskSpec:
    """A disk of a machine. `identifier` is a volume's id, for those that were attached."""

    path: str
    role: str = "root"
    media: str = "disk"
    format: str = "raw"
    bus: str = "virtio"
    controller: int = 0
    unit: int = 0
    identifier: Optional[str] = None


@dataclass
class InterfaceSpec:
    id: str
    mac: str
    type: str = "bridge"
    bridge: Optional[str] = None
    device: Optional[str] = None
    active: bool = True


@dataclass
class MachineSpec:
    uuid: str
    name: str
    directory: str
    memory_mb: int
    startup_memory_mb: int
    vcpus: int
    limit_cpu_features: bool = False
    enable_metrics: bool = False
    disks: List[DiskSpec] = field(default_factory=list)
    interfaces: List[InterfaceSpec] = field(default_factory=list)
    metadata: Dict[str, Any] = field(default_factory=dict)


@dataclass
class MachineEntry:
    """A line of the inventory. Without `uuid` it is foreign: listed, never touched."""

    name: str
    state: str
    uuid: Optional[str] = None
    incarnation: Optional[int] = None


@dataclass
class MachineStatus:
    """One machine; figures only where they are true."""

    uuid: str
    name: str
    state: str
    incarnation: int = 1
    max_memory_kb: Optional[int] = None
    memory_kb: Optional[int] = None
    cpu_count: Optional[int] = None
    cpu_time_ns: Optional[int] = None
    has_console: bool = False


@dataclass
class Checksum:
    algorithm: str
    value: str


@dataclass
class ImageRequest:
    """An image by name or URL, and what the client knows of it: each must be right."""

    reference: str
    location: Optional[str] = None
    checksums: List[Checksum] = field(default_factory=list)
    format: Optional[str] = None
    size: Optional[int] = None
    user: Optional[str] = None


@dataclass
class Image:
    reference: str
    path: str
    format: str
    virtual_size: int


@dataclass
class DiskInfo:
    path: str
    format: str
    virtual_size: int
    actual_size: int
    backing_file: Optional[str] = None


@dataclass
class ConfigFile:
    """A file of a config drive. Its content is secret: not for logs, not for messages."""

    path: str
    content: bytes = field(repr=False)


@dataclass
class VolumeConnection:
    """How to reach a volume. `data` is secret: not for logs, not for messages."""

    volume_id: str
    type: str
    data: Dict[str, Any] = field(repr=False)
    mount_device: Optional[str] = None
    is_boot: bool = False
