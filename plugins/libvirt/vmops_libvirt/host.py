"""A hypervisor host of libvirt: each primitive of the protocol by libvirt's API."""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ET
from typing import Any, Callable, Dict, Iterable, List, Optional

import vmops_plugin as vmops
from vmops_plugin.iso import build_config_drive

import libvirt

from . import disks, xml
from .copying import copy_running_disk
from .failures import translating
from .migration import Migration
from .places import store
from .states import has_saved_memory, state_of

_LIVE_AND_LATER = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
#: Undefining takes along what libvirt keeps beside the definition; a driver may know only some of it.
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM,
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE,
    0,
)


class LibvirtHost(Migration):
    """Options: `uri` (default qemu:///system), `network` (`user`: without rights on the host's network),
    `machine_type` (pc), `images_directory`, `migration_uri`, `migration_data_uri`, `migration_unsafe`."""

    plugin_name = "vmops-libvirt"
    disk_formats = disks.FORMATS
    volume_types = ("file", "block")
    network_types = ("bridge", "ovs", "network")
    flags = ("disk.cow", "disk.resizeDifferencing", "console.preboot", "migrate.live.cancel")

    # Host

    def host_info(self, request: vmops.Request) -> vmops.HostInfo:
        with translating():
            connection = self.link.get()
            model, memory_mb, cpus, _, _, sockets, cores, threads = connection.getInfo()
            used_mb = memory_mb - connection.getFreeMemory() // (1 << 20)
            version = connection.getVersion()
            cpu = ET.fromstring(connection.getCapabilities()).find("host/cpu")
            features = [each.get("name") or "" for each in (cpu.findall("feature") if cpu is not None else [])]
            disk = shutil.disk_usage(self.setup.instances_directory)
            return vmops.HostInfo(
                cpus, memory_mb, max(0, used_mb), disk.total >> 30, disk.used >> 30, connection.getType(),
                version // 1000000 * 1000 + version // 1000 % 1000, connection.getHostname(),
                vmops.CPUInfo(
                    model, (cpu.findtext("model") if cpu is not None else None) or "",
                    (cpu.findtext("vendor") if cpu is not None else None) or "", sockets, cores, threads, features,
                ),
            )  # fmt: skip

    def host_probe(self, request: vmops.Request) -> None:
        with translating():
            self.link.get().getLibVersion()

    # Machines

    def machine_list(self, request: vmops.Request) -> Iterable[vmops.MachineEntry]:
        entries = []
        with translating():
            for domain in self.link.get().listAllDomains():
                try:
                    uuid = domain.UUIDString()
                    if uuid in self.passing and not (uuid in self.leaving and domain.isActive()):
                        continue
                    incarnation = self.tracker.incarnation(uuid)
                    if incarnation is None:
                        mark = self._adopt(domain)
                        incarnation = mark.incarnation if mark else None
                    ours = uuid if incarnation is not None else None
                    entries.append(vmops.MachineEntry(domain.name(), state_of(domain), ours, incarnation))
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                        raise
        return entries

    def machine_get(self, request: vmops.Request, uuid: str) -> vmops.MachineStatus:
        with translating():
            domain = self._domain(uuid)
            _, most, memory, cpus, cpu_time = domain.info()
            is_active = bool(domain.isActive())
            if uuid in self.passing and not is_active:
                # It has left; its definition is kept until the worker knows that it runs there.
                raise vmops.NotFound(f"the machine {uuid} has left")
            return vmops.MachineStatus(
                uuid, domain.name(), state_of(domain), self.tracker.incarnation(uuid) or 1,
                max_memory_kb=most, memory_kb=memory if is_active else 0, cpu_count=cpus,
                cpu_time_ns=cpu_time if is_active else None, has_console=self.platform.has_consoles,
            )  # fmt: skip

    def machine_create(self, request: vmops.Request, spec: vmops.MachineSpec) -> None:
        wanted = vmops.to_json(spec)
        with translating():
            connection = self.link.get()
            for find, value in ((connection.lookupByUUIDString, spec.uuid), (connection.lookupByName, spec.name)):
                try:
                    present = find(value)
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                        raise
                    continue
                mark = xml.mark_of(xml.parse(present.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
                if mark is None:
                    raise vmops.Conflict(f"the machine {value} is there and not ours")
                if present.UUIDString() == spec.uuid and mark.spec == wanted:
                    self.tracker.know(spec.uuid, mark.incarnation, state_of(present))
                    return
                raise vmops.AlreadyExists(f"another machine is called {value}")
            mark = xml.Mark(self._next_incarnation(), wanted)
            text = xml.domain_xml(spec, mark, self.platform, self._console_path(spec.uuid))
            self.tracker.know(spec.uuid, mark.incarnation, vmops.OFF)
            try:
                connection.defineXML(text)
            except libvirt.libvirtError:
                self.tracker.forget(spec.uuid)
                raise

    def _next_incarnation(self) -> int:
        path = os.path.join(self.setup.state_directory, "incarnation")
        with self.lock:
            number = 1
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    number = int(file.read()) + 1
            store(path, str(number))
            return number

    def machine_delete(self, request: vmops.Request, uuid: str) -> None:
        try:
            domain = self._domain(uuid)
        except vmops.NotFound:
            return
        with translating():
            if domain.isActive():
                domain.destroy()
            for flags in _UNDEFINE:
                try:
                    domain.undefineFlags(flags)
                    return
                except libvirt.libvirtError as error:
                    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                        return
                    known = (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)
                    if flags == 0 or error.get_error_code() not in known:
                        raise

    def _run(self, uuid: str, happening: str) -> None:
        """Held before its first instruction until its console is read, so that none of its first words is lost."""
        domain = self._domain(uuid)
        if not self.platform.has_consoles:
            with translating():
                domain.create()
            return
        console = self._console(uuid)
        self._start_begins(uuid)
        self.tracker.expect_start(uuid, happening)
        try:
            with translating():
                domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
                if not console.connect(5):
                    vmops.log.warning("the console does not answer", extra={"uuid": uuid})
                self._resume(domain)
        except vmops.PluginError:
            self.tracker.expect_nothing(uuid)
            raise
        finally:
            self._start_is_over(uuid)

    @staticmethod
    def _resume(domain: libvirt.virDomain) -> None:
        try:
            domain.resume()
        except libvirt.libvirtError:
            # Somebody else was faster.
            if state_of(domain) != vmops.RUNNING:
                raise

    def machine_set_state(self, request: vmops.Request, uuid: str, state: str) -> str:
        """What libvirt is at, perhaps for a plugin that was killed, is waited for."""
        while self.machine_get(request, uuid).state == vmops.TRANSITIONAL:
            request.wait(0.1)
        reached = super().machine_set_state(request, uuid, state)
        self.tracker.settle(uuid, reached)
        return reached

    def machine_start(self, request: vmops.Request, uuid: str) -> None:
        self._run(uuid, "started")

    def machine_restore(self, request: vmops.Request, uuid: str) -> None:
        self._run(uuid, "resumed")

    def machine_stop(self, request: vmops.Request, uuid: str) -> None:
        domain = self._domain(uuid)
        with translating():
            if domain.isActive():
                try:
                    domain.destroy()
                except libvirt.libvirtError as error:
                    # It has ended by itself in the meantime.
                    if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                        raise
            elif has_saved_memory(domain):
                domain.managedSaveRemove(0)
                incarnation = self.tracker.incarnation(uuid)
                if incarnation is not None:
                    self.tracker.forget(uuid)
                    self.tracker.know(uuid, incarnation, vmops.OFF)
                    self.emit(uuid, "stopped", reason="requested", incarnation=incarnation)

    def machine_pause(self, request: vmops.Request, uuid: str) -> None:
        with translating():
            self._domain(uuid).suspend()

    def machine_resume(self, request: vmops.Request, uuid: str) -> None:
        with translating():
            self._resume(self._domain(uuid))

    def machine_save(self, request: vmops.Request, uuid: str) -> None:
        domain = self._domain(uuid)
        self.tracker.expect_save(uuid)
        request.on_stop(lambda: self._abort(domain))
        try:
            with translating():
                domain.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING if self.platform.has_consoles else 0)
        except vmops.PluginError:
            self.tracker.expect_nothing(uuid)
            raise

    def machine_reset(self, request: vmops.Request, uuid: str) -> str:
        domain = self._domain(uuid)
        if not domain.isActive():
            raise vmops.InvalidState(f"machine {uuid} is off", state=state_of(domain))
        self.tracker.expect_reset(uuid)
        try:
            with translating():
                domain.reset(0)
                return state_of(domain)
        except vmops.PluginError:
            self.tracker.expect_nothing(uuid)
            raise

    def machine_request_shutdown(self, request: vmops.Request, uuid: str, reason: str) -> str:
        with translating():
            domain = self._domain(uuid)
            state = state_of(domain)
            if state != vmops.RUNNING:
                raise vmops.InvalidState(f"machine {uuid} is {state}", state=state)
            try:
                domain.shutdown()
            except libvirt.libvirtError as error:
                unsupported = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)
                if error.get_error_code() not in unsupported:
                    raise
                return "unsupported"
            return "accepted"

    def machine_cancel_jobs(self, request: vmops.Request, uuid: str) -> None:
        self._abort(self._domain(uuid))

    def machine_diagnostics(self, request: vmops.Request, uuid: str) -> Dict[str, Any]:
        with translating():
            domain = self._domain(uuid)
            try:
                figures: Dict[str, Any] = self.link.get().domainListGetStats([domain])[0][1]
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                    raise
                state, most, memory, cpus, cpu_time = domain.info()
                figures = {"state.state": state, "balloon.maximum": most, "balloon.current": memory}
                figures.update({"vcpu.current": cpus, "cpu.time": cpu_time})
            return {name: value for name, value in figures.items() if isinstance(value, (int, float, str))}

    def machine_export_root_disk(
        self, request: vmops.Request, uuid: str, path: str, format: str
    ) -> vmops.DiskInfo:
        with translating():
            domain = self._domain(uuid)
            root = xml.parse(domain.XMLDesc(0))
            mark = xml.mark_of(root)
            chosen = [each for each in (mark.spec.get("disks", []) if mark else []) if each.get("role") == "root"]
            if not chosen:
                raise vmops.NotFound(f"machine {uuid} has no root disk")
            if format not in disks.FORMATS:
                raise vmops.InvalidArgument(f"disks of the format {format} are not known here", field="format")
            source = chosen[0]["path"]
            disk = xml.find_disk(root, source)
            if domain.isActive() and disk is not None:
                copy_running_disk(request, domain, xml.target_of(disk), path, format)
            else:
                disks.flatten(request, source, chosen[0]["format"], path, format)
        return disks.info(request, path)

    # Images and disks

    def image_get(self, request: vmops.Request, image: vmops.ImageRequest) -> vmops.Image:
        return self.images.get(request, image)

    def disk_create(
        self,
        request: vmops.Request,
        path: str,
        format: str,
        source: str,
        image: Optional[vmops.Image],
        virtual_size: Optional[int],
    ) -> vmops.DiskInfo:
        return disks.create(request, path, format, source, image, virtual_size)

    def disk_info(self, request: vmops.Request, path: str) -> vmops.DiskInfo:
        return disks.info(request, path)

    def disk_resize(self, request: vmops.Request, path: str, virtual_size: int) -> None:
        disks.resize(request, path, virtual_size)

    def config_drive_build(self, request: vmops.Request, path: str, files: List[vmops.ConfigFile]) -> None:
        build_config_drive(request, path, files)

    # Devices

    @staticmethod
    def _affected(domain: libvirt.virDomain) -> int:
        return int(_LIVE_AND_LATER if domain.isActive() else libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def machine_attach_disk(self, request: vmops.Request, uuid: str, disk: vmops.DiskSpec) -> None:
        with translating():
            domain = self._domain(uuid)
            if xml.find_disk(xml.parse(domain.XMLDesc(0)), disk.path) is None:
                domain.attachDeviceFlags(xml.text_of(xml.disk_element(disk)), self._affected(domain))

    def machine_detach_disk(self, request: vmops.Request, uuid: str, path: str) -> None:
        self._detach(request, uuid, lambda root: xml.find_disk(root, path))

    def machine_attach_interface(self, request: vmops.Request, uuid: str, interface: vmops.InterfaceSpec) -> None:
        with translating():
            domain = self._domain(uuid)
            if xml.find_interface(xml.parse(domain.XMLDesc(0)), interface.id) is None:
                element = xml.interface_element(interface, self.platform)
                domain.attachDeviceFlags(xml.text_of(element), self._affected(domain))

    def machine_detach_interface(self, request: vmops.Request, uuid: str, id: str) -> None:
        self._detach(request, uuid, lambda root: xml.find_interface(root, id))

    def _detach(self, request: vmops.Request, uuid: str, find: Callable[[ET.Element], Optional[ET.Element]]) -> None:
        """From the definition at once; from the running machine when the guest lets it go, for which it is asked
        again every five seconds."""
        with translating():
            domain = self._domain(uuid)
            stored = find(xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)))
            if stored is not None:
                domain.detachDeviceFlags(xml.text_of(stored), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
            step = 0
            while domain.isActive():
                present = find(xml.parse(domain.XMLDesc(0)))
                if present is None:
                    return
                if step % 50 == 0:
                    try:
                        domain.detachDeviceFlags(xml.text_of(present), libvirt.VIR_DOMAIN_AFFECT_LIVE)
                    except libvirt.libvirtError as error:
                        gone = (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_FAILED)
                        if error.get_error_code() not in gone:
                            raise
                step += 1
                request.wait(0.1)

    def volume_connect(self, request: vmops.Request, volume: vmops.VolumeConnection) -> str:
        path = volume.data.get("device_path") or volume.data.get("path")
        if volume.type not in self.volume_types or not isinstance(path, str) or not os.path.exists(path):
            raise vmops.NotFound(f"the volume {volume.volume_id} is not on this host")
        return path

    def volume_disconnect(self, request: vmops.Request, volume: vmops.VolumeConnection) -> None:
        """Files and devices are there without us."""

    # Consoles

    def console_open(self, request: vmops.Request, uuid: str, offset: Optional[int]) -> vmops.Console:
        with translating():
            self._domain(uuid)
        return self._console(uuid).console

    def console_write(self, request: vmops.Request, uuid: str, data: bytes) -> None:
        with translating():
            domain = self._domain(uuid)
            if not domain.isActive():
                raise vmops.InvalidState(f"machine {uuid} is off", state=state_of(domain))
        self._console(uuid).write(data)
