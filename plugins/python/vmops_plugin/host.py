"""The class that a plugin derives from."""

from __future__ import annotations

from typing import Any, Callable, ClassVar, Dict, Iterable, List, Optional, Sequence, Union

from . import model
from .console import Console, ConsolePath
from .errors import InvalidState, Unimplemented
from .model import (
    ConfigFile,
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
)
from .request import Request

Ticket = Dict[str, Any]


class Host:
    """One hypervisor host. Override what yours can do; everything else answers `unimplemented`.

    The capabilities are derived from what is overridden; `flags` adds those that no method shows. Methods are called
    from several threads at a time, up to `max_parallel`. For one machine the worker sends one request at a time, but
    for reads: `machine_get`, `machine_diagnostics`, the console's, `machine_cancel_jobs`. Each may come again when the
    worker is not sure of the answer, so reaching what is there already is success.
    """

    #: What the worker's log calls this plugin.
    plugin_name: ClassVar[str] = "vmops-plugin"
    plugin_version: ClassVar[str] = "1.0"
    disk_formats: Sequence[str] = ("raw",)
    volume_types: Sequence[str] = ()
    network_types: Sequence[str] = ()
    #: Such as `disk.cow`, `disk.resizeDifferencing`, `console.resumable`, `console.preboot`, `console.exclusive`,
    #: `migrate.live.storage`, `migrate.live.cancel`, `migrate.live.paused`, `host.events`.
    flags: Iterable[str] = ()
    #: Flags that are not true although the methods are there, as where the hypervisor is too old.
    missing_flags: Iterable[str] = ()
    max_parallel: int = 8
    #: Bytes that are kept of a console while the worker gives no credit; the capacity for new Consoles.
    console_buffer: int = 262144
    remote_files: bool = False

    setup: Setup
    _send_event: Optional[Callable[[Dict[str, Any]], None]] = None

    # Life

    def open(self, setup: Setup) -> HostIdentity:
        """Called once, first. Every other method may rely on what it did."""
        raise NotImplementedError

    def close(self) -> None:
        """The connection ends; machines go on. At most two seconds."""

    def emit(self, uuid: str, type: str, *, reason: Optional[str] = None, incarnation: int = 1) -> None:
        """Reports that something happened to a machine, whoever asked for it. Never blocks."""
        send = self._send_event
        if send is not None:
            event: Dict[str, Any] = {"uuid": uuid, "incarnation": incarnation, "type": type}
            if reason is not None:
                event["reason"] = reason
            send(event)

    # Host

    def host_info(self, request: Request) -> HostInfo:
        raise Unimplemented()

    def host_probe(self, request: Request) -> None:
        """Raises Unauthorized or Unavailable when operations cannot succeed."""

    def events_subscribe(self, request: Request) -> None:
        """From now on `emit` reaches the worker. Overriding it (or the flag `host.events`) promises events."""

    # Machines

    def machine_list(self, request: Request) -> Iterable[MachineEntry]:
        """All of them, in any order; the pages are made by the caller."""
        raise Unimplemented()

    def machine_get(self, request: Request, uuid: str) -> MachineStatus:
        raise Unimplemented()

    def machine_create(self, request: Request, spec: MachineSpec) -> None:
        raise Unimplemented()

    def machine_delete(self, request: Request, uuid: str) -> None:
        raise Unimplemented()

    def machine_set_state(self, request: Request, uuid: str, state: str) -> str:
        """Gets to a state by way of the six methods that follow; override those, or this one."""
        now = self.machine_get(request, uuid).state
        if now == state:
            return state
        step = {
            (model.OFF, model.RUNNING): self.machine_start,
            (model.PAUSED, model.RUNNING): self.machine_resume,
            (model.SAVED, model.RUNNING): self.machine_restore,
            (model.RUNNING, model.PAUSED): self.machine_pause,
            (model.RUNNING, model.SAVED): self.machine_save,
        }.get((now, state))
        if state == model.OFF:
            step = self.machine_stop
        if step is None:
            raise InvalidState(f"a machine that is {now} does not become {state}", state=now)
        step(request, uuid)
        return state

    def machine_start(self, request: Request, uuid: str) -> None:
        """From off to running."""
        raise Unimplemented()

    def machine_stop(self, request: Request, uuid: str) -> None:
        """From every state to off, at once; the guest is not asked. What was saved is forgotten."""
        raise Unimplemented()

    def machine_pause(self, request: Request, uuid: str) -> None:
        raise Unimplemented()

    def machine_resume(self, request: Request, uuid: str) -> None:
        """From paused to running."""
        raise Unimplemented()

    def machine_save(self, request: Request, uuid: str) -> None:
        """The memory to disk, and off."""
        raise Unimplemented()

    def machine_restore(self, request: Request, uuid: str) -> None:
        """From saved to running, going on where it was."""
        raise Unimplemented()

    def machine_reset(self, request: Request, uuid: str) -> str:
        """Like the button; gives the state."""
        raise Unimplemented()

    def machine_request_shutdown(self, request: Request, uuid: str, reason: str) -> str:
        """Asks the guest and does not wait: `accepted`, `not_ready` or `unsupported`."""
        raise Unimplemented()

    def machine_cancel_jobs(self, request: Request, uuid: str) -> None:
        raise Unimplemented()

    def machine_diagnostics(self, request: Request, uuid: str) -> Dict[str, Any]:
        raise Unimplemented()

    def machine_export_root_disk(self, request: Request, uuid: str, path: str, format: str) -> DiskInfo:
        raise Unimplemented()

    def instance_remove_files(self, request: Request, directory: str) -> None:
        """Only for plugins with `remote_files`."""
        raise Unimplemented()

    # Images and disks

    def image_get(self, request: Request, image: ImageRequest) -> Image:
        raise Unimplemented()

    def disk_create(
        self,
        request: Request,
        path: str,
        format: str,
        source: str,
        image: Optional[Image],
        virtual_size: Optional[int],
    ) -> DiskInfo:
        """`source` is `blank` (no image), `overlay` or `copy`. On failure no file is left."""
        raise Unimplemented()

    def disk_info(self, request: Request, path: str) -> DiskInfo:
        raise Unimplemented()

    def disk_resize(self, request: Request, path: str, virtual_size: int) -> None:
        raise Unimplemented()

    def config_drive_build(self, request: Request, path: str, files: List[ConfigFile]) -> None:
        raise Unimplemented()

    # Devices

    def machine_attach_disk(self, request: Request, uuid: str, disk: DiskSpec) -> None:
        raise Unimplemented()

    def machine_detach_disk(self, request: Request, uuid: str, path: str) -> None:
        raise Unimplemented()

    def volume_connect(self, request: Request, volume: VolumeConnection) -> str:
        """The path of the device or file."""
        raise Unimplemented()

    def volume_disconnect(self, request: Request, volume: VolumeConnection) -> None:
        raise Unimplemented()

    def machine_attach_interface(self, request: Request, uuid: str, interface: InterfaceSpec) -> None:
        raise Unimplemented()

    def machine_detach_interface(self, request: Request, uuid: str, id: str) -> None:
        raise Unimplemented()

    def network_plug(self, request: Request, uuid: str, interface: InterfaceSpec) -> None:
        """The host's side of an interface. Nothing to do is success."""

    def network_unplug(self, request: Request, uuid: str, interface: InterfaceSpec) -> None:
        """As `network_plug`."""

    # Consoles

    def console_open(self, request: Request, uuid: str, offset: Optional[int]) -> Union[Console, ConsolePath]:
        """What the machine prints. Without the flag `console.resumable`, `offset` may be ignored."""
        raise Unimplemented()

    def console_closed(self, uuid: str, console: Console) -> None:
        """The worker reads this Console no longer. Those who opened something for it let it go here."""

    def console_write(self, request: Request, uuid: str, data: bytes) -> None:
        raise Unimplemented()

    # Live migration

    def migrate_check_incoming(
        self, request: Request, spec: MachineSpec, copy_storage: bool, destination: str
    ) -> Ticket:
        raise Unimplemented()

    def migrate_check_outgoing(self, request: Request, uuid: str, ticket: Ticket) -> Ticket:
        raise Unimplemented()

    def migrate_prepare_incoming(self, request: Request, spec: MachineSpec, ticket: Ticket) -> Ticket:
        raise Unimplemented()

    def migrate_start(self, request: Request, uuid: str, ticket: Ticket) -> None:
        """Tells `request.progress(phase=…, transferred_bytes=…, remaining_bytes=…)` while it goes on."""
        raise Unimplemented()

    def migrate_finish_incoming(self, request: Request, uuid: str) -> None:
        raise Unimplemented()

    def migrate_abandon_incoming(self, request: Request, uuid: str) -> None:
        raise Unimplemented()

    def migrate_finish_outgoing(self, request: Request, uuid: str) -> None:
        raise Unimplemented()

    def migrate_take_back(self, request: Request, uuid: str) -> None:
        raise Unimplemented()
