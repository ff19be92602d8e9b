"""Host plugins for vmops in Python.

    import vmops_plugin as vmops

    class MyHost(vmops.Host):
        def open(self, setup): ...

    vmops.main(MyHost)

The protocol is described in docs/plugin-protocol.md; names here are those of its methods, `machine.setState` being
`machine_set_state`.
"""

from .console import Console, ConsolePath
from .errors import (
    AlreadyExists,
    Busy,
    Cancelled,
    Conflict,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    InvalidState,
    NotFound,
    PluginError,
    ResourceExhausted,
    Unauthorized,
    Unavailable,
    Unimplemented,
)
from .host import Host
from .logs import log
from .model import (
    ERROR,
    OFF,
    PAUSED,
    RUNNING,
    SAVED,
    TRANSITIONAL,
    Checksum,
    ConfigFile,
    CPUInfo,
    DiskInfo,
    DiskSpec,
    HostIdentity,
    HostInfo,
    Image,
    ImageRequest,
    InterfaceSpec,
    MachineEntry,
    MachineSpec,
    MachineStatus,
    Setup,
    VolumeConnection,
    to_json,
)
from .program import main
from .request import Request

__version__ = "1.0"

__all__ = [
    "AlreadyExists", "Busy", "Cancelled", "Checksum", "ConfigFile", "Conflict", "Console", "ConsolePath", "CPUInfo",
    "DeadlineExceeded", "DiskInfo", "DiskSpec", "ERROR", "Host", "HostIdentity", "HostInfo", "Image", "ImageRequest",
    "InterfaceSpec", "Internal", "InvalidArgument", "InvalidState", "MachineEntry", "MachineSpec", "MachineStatus",
    "NotFound", "OFF", "PAUSED", "PluginError", "RUNNING", "Request", "ResourceExhausted", "SAVED", "Setup",
    "TRANSITIONAL", "Unauthorized", "Unavailable", "Unimplemented", "VolumeConnection", "log", "main", "to_json",
]  # fmt: skip
