"""Live migration: the source's libvirt talks with the destination's, the plugins carry what both have to know."""

from __future__ import annotations

import threading
from typing import Any, Dict

import vmops_plugin as vmops

import libvirt

from . import xml
from .base import LibvirtBase
from .failures import translated, translating
from .states import state_of

_KIND = "vmops-libvirt/1"


class Migration(LibvirtBase):
    """The part of the host that migrates. Nothing waits at the destination: its libvirt makes the machine when the
    source's asks it to."""

    def _settled(self, uuid: str) -> None:
        self.passing.discard(uuid)
        self.leaving.discard(uuid)

    def migrate_check_incoming(
        self, request: vmops.Request, spec: vmops.MachineSpec, copy_storage: bool, destination: str
    ) -> Dict[str, Any]:
        if copy_storage:
            raise vmops.Unimplemented("disks are not copied: they have to be shared")
        with translating():
            connection = self.link.get()
            try:
                connection.lookupByUUIDString(spec.uuid)
                raise vmops.AlreadyExists(f"the machine {spec.uuid} is here")
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
            default = f"qemu+ssh://{destination or connection.getHostname()}/system"
            ticket: Dict[str, Any] = {
                "kind": _KIND,
                "uri": self.options.get("migration_uri", default),
                "console": self._console_path(spec.uuid),
                "domain_type": self.platform.domain_type,
                "architecture": self.platform.architecture,
            }
            if self.options.get("migration_data_uri"):
                ticket["data_uri"] = self.options["migration_data_uri"]
            return ticket

    def migrate_check_outgoing(self, request: vmops.Request, uuid: str, ticket: Dict[str, Any]) -> Dict[str, Any]:
        with translating():
            domain = self._domain(uuid)
            self._check(ticket)
            state = state_of(domain)
            if state != vmops.RUNNING:
                raise vmops.InvalidState(f"machine {uuid} is {state}", state=state)
            incarnation = self.tracker.incarnation(uuid) or 1
        return {**ticket, "incarnation": incarnation}

    def _check(self, ticket: Dict[str, Any]) -> None:
        if ticket.get("kind") != _KIND:
            raise vmops.InvalidArgument("the other host is none of libvirt", field="ticket")
        for name in ("domain_type", "architecture"):
            if ticket.get(name) != getattr(self.platform, name):
                raise vmops.InvalidArgument(f"the other host's {name} is another one", field="ticket")
        for name in ("uri", "console"):
            if not isinstance(ticket.get(name), str):
                raise vmops.InvalidArgument(f"the ticket has no {name}", field="ticket")

    def migrate_prepare_incoming(
        self, request: vmops.Request, spec: vmops.MachineSpec, ticket: Dict[str, Any]
    ) -> Dict[str, Any]:
        self.passing.add(spec.uuid)
        incarnation = ticket.get("incarnation")
        self.tracker.know(spec.uuid, incarnation if isinstance(incarnation, int) else 1, vmops.OFF)
        # It is dialled until it is there, which is before it runs.
        self._console(spec.uuid).connect(0)
        return ticket

    def migrate_start(self, request: vmops.Request, uuid: str, ticket: Dict[str, Any]) -> None:
        self._check(ticket)
        domain = self._domain(uuid)
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_PERSIST_DEST
        parameters: Dict[str, Any] = {}
        with translating():
            for name, which in (
                (libvirt.VIR_MIGRATE_PARAM_DEST_XML, libvirt.VIR_DOMAIN_XML_MIGRATABLE),
                (libvirt.VIR_MIGRATE_PARAM_PERSIST_XML, libvirt.VIR_DOMAIN_XML_INACTIVE),
            ):
                root = xml.parse(domain.XMLDesc(which | libvirt.VIR_DOMAIN_XML_SECURE))
                xml.set_console_path(root, ticket["console"])
                parameters[name] = xml.text_of(root)
        if ticket.get("data_uri"):
            parameters[libvirt.VIR_MIGRATE_PARAM_URI] = str(ticket["data_uri"])
        if self.options.get("migration_unsafe", "").lower() in ("1", "yes", "true"):
            flags |= libvirt.VIR_MIGRATE_UNSAFE
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(request, domain, ended), daemon=True)
        request.on_stop(lambda: self._abort(domain))
        request.progress(phase="setup", transferred_bytes=0, remaining_bytes=0)
        self.leaving.add(uuid)
        self.passing.add(uuid)
        watcher.start()
        try:
            self._move(domain, ticket["uri"], parameters, flags)
        except libvirt.libvirtError as error:
            self._settled(uuid)
            request.check()
            raise translated(error) from None
        finally:
            ended.set()
            watcher.join()
        request.progress(phase="completed", transferred_bytes=self._total(domain), remaining_bytes=0)

    def _move(self, domain: libvirt.virDomain, uri: str, parameters: Dict[str, Any], flags: int) -> None:
        """Between the two daemons, or, with the option `migration_mode = direct`, led from here: for daemons that
        cannot reach one another."""
        if self.options.get("migration_mode") != "direct":
            domain.migrateToURI3(uri, parameters, flags)
            return
        destination = libvirt.open(uri)
        try:
            domain.migrate3(destination, parameters, flags & ~libvirt.VIR_MIGRATE_PEER2PEER)
        finally:
            destination.close()

    @staticmethod
    def _total(domain: libvirt.virDomain) -> int:
        try:
            return int(domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED).get("data_processed", 0))
        except libvirt.libvirtError:
            return 0

    @staticmethod
    def _watch(request: vmops.Request, domain: libvirt.virDomain, ended: threading.Event) -> None:
        while not ended.wait(0.1):
            try:
                figures = domain.jobStats()
                is_paused = domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED
            except libvirt.libvirtError:
                continue
            if figures.get("type", 0) != libvirt.VIR_DOMAIN_JOB_NONE:
                request.progress(
                    phase="switchover" if is_paused else "precopy",
                    transferred_bytes=figures.get("data_processed", 0),
                    remaining_bytes=figures.get("data_remaining", 0),
                )

    def migrate_finish_incoming(self, request: vmops.Request, uuid: str) -> None:
        self._settled(uuid)
        with translating():
            self._domain(uuid)

    def migrate_abandon_incoming(self, request: vmops.Request, uuid: str) -> None:
        """libvirt leaves nothing of a migration that failed; what has arrived whole is a machine, and stays."""
        try:
            with translating():
                self.link.get().lookupByUUIDString(uuid)
        except vmops.NotFound:
            self._forget(uuid)
        self._settled(uuid)

    def migrate_finish_outgoing(self, request: vmops.Request, uuid: str) -> None:
        try:
            domain = self._domain(uuid)
        except vmops.NotFound:
            self._settled(uuid)
            return
        with translating():
            if domain.isActive():
                raise vmops.InvalidState(f"machine {uuid} runs here", state=state_of(domain))
        # It is gone from here, not removed: nobody is told so.
        self._forget(uuid)
        with translating():
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
        self._settled(uuid)

    def migrate_take_back(self, request: vmops.Request, uuid: str) -> None:
        """Its memory went to the destination: here it can only boot from its disk, which a person has asked for."""
        self._settled(uuid)
        self.machine_set_state(request, uuid, vmops.RUNNING)
