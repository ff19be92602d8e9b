"""What the parts of the host share: the connection, which machines are ours, their consoles and events."""

from __future__ import annotations

import os
import threading
import time
import xml.etree.ElementTree as ET
from typing import Any, Dict, Iterable, Optional, Set

import vmops_plugin as vmops
from vmops_plugin.images import ImageFolder

import libvirt

from . import disks, xml
from .console import MachineConsole
from .failures import translated, translating
from .lifecycle import Tracker
from .link import Link
from .places import console_directory
from .states import state_of


class LibvirtBase(vmops.Host):
    """A connection with one libvirt. `passing` are machines that are arriving, or leave and are not finished; the
    latter are in `leaving` too, and as long as they run they are here."""

    # Life

    def open(self, setup: vmops.Setup) -> vmops.HostIdentity:
        self.options = setup.options
        self.lock = threading.Lock()
        self.tracker = Tracker()
        self.consoles: Dict[str, MachineConsole] = {}
        self.passing: Set[str] = set()
        self.leaving: Set[str] = set()
        self.starts = os.path.join(setup.state_directory, "starts")
        os.makedirs(self.starts, exist_ok=True)
        self.console_directory = console_directory(setup.state_directory)
        images = setup.options.get("images_directory") or os.path.join(setup.state_directory, "images")
        self.images = ImageFolder(images, disks.FORMATS)
        uri = setup.options.get("uri") or os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system")
        self.link = Link(uri, self._on_lifecycle, self._on_reboot, self._on_again)
        with translating():
            connection = self.link.get()
            self._read_platform(connection)
            version = connection.getVersion()
            identity = vmops.HostIdentity(
                self._host_id(connection),
                connection.getHostname(),
                connection.getType(),
                version // 1000000 * 1000 + version // 1000 % 1000,
            )
            for domain in connection.listAllDomains():
                self._adopt(domain)
        threading.Thread(target=self._finish_starts, name="starts", daemon=True).start()
        return identity

    def _finish_starts(self) -> None:
        """Machines that were held for their console when this plugin was killed go on."""
        for uuid in os.listdir(self.starts):
            try:
                domain = self._domain(uuid)
                # libvirt may still be at what it was asked for last.
                for _ in range(300):
                    time.sleep(0.1)
                    if state_of(domain) != vmops.TRANSITIONAL:
                        break
                if domain.isActive() and state_of(domain) == vmops.PAUSED:
                    self.tracker.expect_start(uuid, "started")
                    self._console(uuid).connect(5)
                    domain.resume()
            except (vmops.PluginError, libvirt.libvirtError) as error:
                vmops.log.warning("a start is not finished: %s", error, extra={"uuid": uuid})
            self._start_is_over(uuid)

    def _start_begins(self, uuid: str) -> None:
        with open(os.path.join(self.starts, uuid), "wb"):
            pass

    def _start_is_over(self, uuid: str) -> None:
        try:
            os.unlink(os.path.join(self.starts, uuid))
        except FileNotFoundError:
            # Somebody else has finished it.
            pass

    def _read_platform(self, connection: libvirt.virConnect) -> None:
        is_qemu = connection.getType().upper() == "QEMU"
        self.platform = xml.Platform(
            domain_type="test" if connection.getType() == "TEST" else "qemu",
            machine_type=self.options.get("machine_type", "pc"),
            network=self.options.get("network"),
            has_consoles=is_qemu,
        )
        guests = ET.fromstring(connection.getCapabilities()).findall("guest")
        for guest in guests:
            architecture = guest.find("arch")
            if guest.findtext("os_type") != "hvm" or architecture is None:
                continue
            if is_qemu and architecture.get("name") != os.uname().machine:
                continue
            self.platform.architecture = architecture.get("name") or "x86_64"
            self.platform.emulator = architecture.findtext("emulator") if is_qemu else None
            if is_qemu and any(each.get("type") == "kvm" for each in architecture.findall("domain")):
                self.platform.domain_type = "kvm"
            break
        if not is_qemu:
            self.platform.machine_type = ""
            self.missing_flags = (
                "console.output", "console.input", "console.preboot", "machine.checkpoint", "machine.hotplug.nic",
                "machine.hotplug.disk", "machine.reset", "machine.cancelJobs", "migrate.live",
                "migrate.live.cancel",
            )  # fmt: skip

    @staticmethod
    def _host_id(connection: libvirt.virConnect) -> str:
        found = ET.fromstring(connection.getCapabilities()).findtext("host/uuid")
        return found or f"{connection.getType()}:{connection.getHostname()}"

    def close(self) -> None:
        with self.lock:
            consoles = list(self.consoles.values())
        for console in consoles:
            console.close()
        self.link.close()

    # What is ours

    def _adopt(self, domain: libvirt.virDomain) -> Optional[xml.Mark]:
        root = xml.parse(domain.XMLDesc(0))
        mark = xml.mark_of(root)
        if mark is None:
            return None
        uuid = domain.UUIDString()
        state = state_of(domain)
        self.tracker.know(uuid, mark.incarnation, state)
        path = xml.console_path(root)
        if path is not None and domain.isActive():
            self._console(uuid, path).connect(0.5)
        return mark

    def _console(self, uuid: str, path: Optional[str] = None) -> MachineConsole:
        with self.lock:
            console = self.consoles.get(uuid)
            if console is None:
                console = MachineConsole(path or self._console_path(uuid), self.console_buffer)
                self.consoles[uuid] = console
            return console

    def _console_path(self, uuid: str) -> str:
        return os.path.join(self.console_directory, uuid)

    def _domain(self, uuid: str) -> libvirt.virDomain:
        """One of ours; raises NotFound, also for those of others."""
        try:
            domain = self.link.get().lookupByUUIDString(uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                raise vmops.NotFound(f"there is no machine {uuid}") from None
            raise translated(error) from None
        if self.tracker.incarnation(uuid) is None and self._adopt(domain) is None:
            raise vmops.NotFound(f"the machine {uuid} is not ours")
        return domain

    # Events

    def events_subscribe(self, request: vmops.Request) -> None:
        self.link.get()

    def _tell(self, uuid: str, incarnation: int, happenings: Iterable[Any]) -> None:
        for type, reason in happenings:
            self.emit(uuid, type, reason=reason, incarnation=incarnation)

    def _on_lifecycle(self, domain: libvirt.virDomain, event: int, detail: int) -> None:
        uuid = domain.UUIDString()
        incarnation = self.tracker.incarnation(uuid)
        happenings = self.tracker.lifecycle(uuid, event, detail)
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            with self.lock:
                console = self.consoles.get(uuid)
            if console is not None:
                is_migrated = detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED
                console.stopped("migrated" if is_migrated else "stopped")
        if incarnation is not None:
            self._tell(uuid, incarnation, happenings)
        if any(type == "removed" for type, _ in happenings):
            self._forget(uuid)

    def _on_reboot(self, domain: libvirt.virDomain) -> None:
        uuid = domain.UUIDString()
        incarnation = self.tracker.incarnation(uuid)
        if incarnation is not None:
            self._tell(uuid, incarnation, self.tracker.rebooted(uuid))

    def _on_again(self, connection: libvirt.virConnect) -> None:
        present = {}
        for domain in connection.listAllDomains():
            mark = xml.mark_of(xml.parse(domain.XMLDesc(0)))
            if mark is not None:
                present[domain.UUIDString()] = (mark.incarnation, state_of(domain))
        for uuid, incarnation, happening in self.tracker.resynchronize(present):
            self._tell(uuid, incarnation, [happening])

    def _forget(self, uuid: str) -> None:
        self.tracker.forget(uuid)
        with self.lock:
            console = self.consoles.pop(uuid, None)
        if console is not None:
            console.stopped("stopped")

    @staticmethod
    def _abort(domain: libvirt.virDomain) -> None:
        try:
            domain.abortJob()
        except libvirt.libvirtError:
            # There was none, or it cannot be stopped any more.
            pass
