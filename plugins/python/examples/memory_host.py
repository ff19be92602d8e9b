"""A complete host without a hypervisor: its guests are threads that print numbered lines.

Everything outlives the process in the state directory: a plugin that is started again has its machines, goes on with
their numbers, and has kept what they printed. While it is down its machines stand still.

A guest prints `boot N of NAME`, `line 1` to `line N` (`sim.boot_lines` in the metadata, 3), `login:`, and then
`sim.lines_per_second` (5; 0 = silence). What is typed is echoed; commands: `lines N`, `echo TEXT`, `poweroff`,
`reboot`, `crash`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from typing import Any, Dict, Iterable, List, Optional

import vmops_plugin as vmops
from vmops_plugin.images import ImageFolder
from vmops_plugin.iso import build_config_drive

_KEPT = 1 << 20
_LIVE = (vmops.RUNNING, vmops.PAUSED)
_LINE = re.compile(rb"^(line|boot) (\d+)", re.MULTILINE)


def _store(path: str, value: Any) -> None:
    """Whole or not at all, and there after a power failure."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def _number(text: Any, default: float) -> float:
    try:
        number = float(text) if text is not None else default
    except ValueError:
        number = -1
    if not 0 <= number <= 1e6:
        raise vmops.InvalidArgument(f"{text!r} is not a number from 0 on", field="spec.metadata")
    return number


class Printer:
    """What a machine printed: the newest bytes in memory, and in files of 1 MiB named by their first offset."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        offsets = self._offsets()
        begin = offsets[0] if offsets else 0
        self.console = vmops.Console(capacity=_KEPT, offset=begin)
        for offset in offsets:
            with open(self._path(offset), "rb") as file:
                self.console.write(file.read())
        self._file = open(self._path(offsets[-1] if offsets else 0), "ab")

    def _path(self, offset: int) -> str:
        return os.path.join(self.directory, f"{offset:020d}")

    def _offsets(self) -> List[int]:
        return sorted(int(name) for name in os.listdir(self.directory) if name.isdigit())

    def last_line(self) -> Optional[int]:
        """The number of the last line since the last boot, as far as that is kept."""
        marks = _LINE.findall(self.console.kept)
        return (int(marks[-1][1]) if marks[-1][0] == b"line" else 0) if marks else None

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        self.console.write(data)
        if self._file.tell() >= _KEPT:
            self._file.close()
            for old in self._offsets()[:-1]:
                os.unlink(self._path(old))
            self._file = open(self._path(self.console.offset), "ab")

    def close(self) -> None:
        self._file.close()


class Machine:
    """One machine and its guest's thread. `lock` guards everything; the thread waits on it between two lines."""

    def __init__(self, host: "MemoryHost", record: Dict[str, Any]) -> None:
        self.host = host
        self.record = record
        self.lock = threading.Condition(threading.RLock())
        self.typed = bytearray()
        self.asked_to_stop = False
        self.is_gone = False
        self.printer = Printer(os.path.join(host.machines_directory, record["uuid"]))
        last = self.printer.last_line()
        if last is not None:
            # The record is not written for each line, and the process may have been killed.
            record["lines"] = last
        metadata = record["spec"].get("metadata", {})
        rate = _number(metadata.get("sim.lines_per_second"), 5)
        self.pause = 1 / rate if rate > 0 else 0.0
        self.boot_lines = int(_number(metadata.get("sim.boot_lines"), 3))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def uuid(self) -> str:
        return str(self.record["uuid"])

    @property
    def state(self) -> str:
        return str(self.record["state"])

    def save(self) -> None:
        _store(self.host.path_of(self.uuid), self.record)

    def tell(self, type: str, reason: Optional[str] = None) -> None:
        self.host.emit(self.uuid, type, reason=reason, incarnation=self.record["incarnation"])

    def change(self, state: str, event: str, reason: Optional[str] = None, before: Iterable[str] = ()) -> None:
        """First on disk, then told: what was told holds after a crash. The guest may have been faster: `before`
        are the states that it may have."""
        with self.lock:
            if before and self.state not in before:
                raise vmops.InvalidState(f"machine {self.uuid} is {self.state}", state=self.state)
            self.record["state"] = state
            self.save()
            self.lock.notify_all()
            self.tell(event, reason)
            if state not in _LIVE:
                self.typed.clear()
                self.printer.console.end("stopped")

    def boot(self) -> None:
        self.record.update(boots=self.record["boots"] + 1, lines=0)
        self.asked_to_stop = False
        self.typed.clear()
        self.printer.write(f"boot {self.record['boots']} of {self.record['name']}\n".encode())
        self.print_lines(self.boot_lines)
        self.printer.write(b"login: \n")

    def print_lines(self, count: int) -> None:
        first = self.record["lines"] + 1
        self.record["lines"] += count
        for begin in range(first, first + count, 1000):
            end = min(begin + 1000, first + count)
            self.printer.write("".join(f"line {number}\n" for number in range(begin, end)).encode())

    def type(self, data: bytes) -> None:
        with self.lock:
            self.typed += data[: 4096 - len(self.typed)]
            self.lock.notify_all()

    def _run(self) -> None:
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self._has_work() or self.is_gone, self.pause or None)
                if self.is_gone:
                    return
                if self.state != vmops.RUNNING:
                    self.lock.wait_for(lambda: self.state == vmops.RUNNING or self.is_gone)
                elif self.asked_to_stop:
                    self.asked_to_stop = False
                    self.printer.write(b"power off\n")
                    self.change(vmops.OFF, "stopped", "guest")
                elif b"\n" in self.typed:
                    line, _, rest = bytes(self.typed).partition(b"\n")
                    self.typed[:] = rest
                    self._obey(line.rstrip(b"\r"))
                elif self.pause:
                    self.print_lines(1)

    def _has_work(self) -> bool:
        return self.state == vmops.RUNNING and (self.asked_to_stop or b"\n" in self.typed)

    def _obey(self, line: bytes) -> None:
        self.printer.write(line + b"\n")
        word, _, rest = line.decode("utf-8", "replace").partition(" ")
        if word == "lines" and rest.isdigit():
            self.print_lines(min(int(rest), 1_000_000))
        elif word == "echo":
            self.printer.write(rest.encode() + b"\n")
        elif word == "poweroff":
            self.asked_to_stop = True
        elif word == "reboot":
            self.boot()
            self.save()
            self.tell("rebooted")
        elif word == "crash":
            self.printer.write(b"panic\n")
            self.change(vmops.ERROR, "crashed")
        elif word:
            self.printer.write(b"unknown: " + word.encode() + b"\n")

    def end(self) -> None:
        with self.lock:
            self.is_gone = True
            self.lock.notify_all()
        self.thread.join()
        self.printer.close()


class MemoryHost(vmops.Host):
    plugin_name = "memory"
    disk_formats = ("raw",)
    volume_types = ("file",)
    network_types = ("bridge",)
    flags = ("console.resumable", "console.preboot")

    # Life

    def open(self, setup: vmops.Setup) -> vmops.HostIdentity:
        self.lock = threading.Lock()
        self.machines: Dict[str, Machine] = {}
        self.machines_directory = os.path.join(setup.state_directory, "machines")
        images = setup.options.get("images_directory") or os.path.join(setup.state_directory, "images")
        self.images = ImageFolder(images)
        os.makedirs(self.machines_directory, exist_ok=True)
        for name in sorted(os.listdir(self.machines_directory)):
            if name.endswith(".json"):
                with open(os.path.join(self.machines_directory, name), encoding="utf-8") as file:
                    record = json.load(file)
                self.machines[record["uuid"]] = Machine(self, record)
        for name in os.listdir(self.machines_directory):
            # Of a deletion that was interrupted.
            if "." not in name and name not in self.machines:
                shutil.rmtree(os.path.join(self.machines_directory, name))
        return vmops.HostIdentity(f"memory:{setup.state_directory}", setup.host, "memory", 1000)

    def close(self) -> None:
        for machine in list(self.machines.values()):
            machine.end()
            machine.save()

    def path_of(self, uuid: str) -> str:
        return os.path.join(self.machines_directory, uuid + ".json")

    def machine(self, uuid: str) -> Machine:
        with self.lock:
            if uuid not in self.machines:
                raise vmops.NotFound(f"there is no machine {uuid}")
            return self.machines[uuid]

    # Host

    def host_info(self, request: vmops.Request) -> vmops.HostInfo:
        used = sum(each.record["spec"]["memory_mb"] for each in list(self.machines.values()) if each.state in _LIVE)
        disk = shutil.disk_usage(self.setup.state_directory)
        gigabyte = 1 << 30
        cpu = vmops.CPUInfo(architecture="x86_64", model="memory", vendor="vmops", cores=8)
        return vmops.HostInfo(
            8, 16384, used, disk.total // gigabyte, disk.used // gigabyte, "memory", 1000, self.setup.host, cpu
        )

    def events_subscribe(self, request: vmops.Request) -> None:
        pass

    # Machines

    def machine_list(self, request: vmops.Request) -> Iterable[vmops.MachineEntry]:
        with self.lock:
            machines = list(self.machines.values())
        return [
            vmops.MachineEntry(each.record["name"], each.state, each.uuid, each.record["incarnation"])
            for each in machines
        ]

    def machine_get(self, request: vmops.Request, uuid: str) -> vmops.MachineStatus:
        machine = self.machine(uuid)
        spec = machine.record["spec"]
        return vmops.MachineStatus(
            uuid,
            machine.record["name"],
            machine.state,
            machine.record["incarnation"],
            max_memory_kb=spec["memory_mb"] * 1024,
            memory_kb=spec["memory_mb"] * 1024 if machine.state in _LIVE else 0,
            cpu_count=spec["vcpus"],
            has_console=True,
        )

    def machine_create(self, request: vmops.Request, spec: vmops.MachineSpec) -> None:
        wanted = vmops.to_json(spec)
        with self.lock:
            known = self.machines.get(spec.uuid)
            if known is not None:
                if known.record["defined"] != wanted:
                    raise vmops.AlreadyExists(f"another machine has the uuid {spec.uuid}")
                return
            if any(each.record["name"] == spec.name for each in self.machines.values()):
                raise vmops.AlreadyExists(f"another machine has the name {spec.name}")
            for name in ("sim.lines_per_second", "sim.boot_lines"):
                _number(spec.metadata.get(name), 0)
            record = {
                "uuid": spec.uuid, "name": spec.name, "state": vmops.OFF, "incarnation": self._next_incarnation(),
                "boots": 0, "lines": 0, "defined": wanted, "spec": vmops.to_json(spec),
            }  # fmt: skip
            _store(self.path_of(spec.uuid), record)
            self.machines[spec.uuid] = Machine(self, record)

    def _next_incarnation(self) -> int:
        path = os.path.join(self.setup.state_directory, "incarnation")
        number = 1
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                number = int(json.load(file)) + 1
        _store(path, number)
        return number

    def machine_delete(self, request: vmops.Request, uuid: str) -> None:
        with self.lock:
            machine = self.machines.get(uuid)
        if machine is None:
            return
        if machine.state != vmops.OFF:
            machine.change(vmops.OFF, "stopped", "requested")
        machine.end()
        machine.printer.console.end("stopped")
        os.unlink(self.path_of(uuid))
        shutil.rmtree(machine.printer.directory)
        with self.lock:
            del self.machines[uuid]
        machine.tell("removed")

    def machine_start(self, request: vmops.Request, uuid: str) -> None:
        machine = self.machine(uuid)
        with machine.lock:
            for disk in machine.record["spec"]["disks"]:
                if not os.path.exists(disk["path"]):
                    raise vmops.NotFound(f"there is no disk {disk['path']}")
            machine.boot()
            machine.change(vmops.RUNNING, "started")

    def machine_stop(self, request: vmops.Request, uuid: str) -> None:
        machine = self.machine(uuid)
        with machine.lock:
            if machine.state != vmops.OFF:
                machine.change(vmops.OFF, "stopped", "requested")

    def machine_pause(self, request: vmops.Request, uuid: str) -> None:
        self.machine(uuid).change(vmops.PAUSED, "paused", before=(vmops.RUNNING,))

    def machine_resume(self, request: vmops.Request, uuid: str) -> None:
        self.machine(uuid).change(vmops.RUNNING, "resumed", before=(vmops.PAUSED,))

    def machine_save(self, request: vmops.Request, uuid: str) -> None:
        self.machine(uuid).change(vmops.SAVED, "saved", before=(vmops.RUNNING,))

    def machine_restore(self, request: vmops.Request, uuid: str) -> None:
        self.machine(uuid).change(vmops.RUNNING, "resumed", before=(vmops.SAVED,))

    def machine_reset(self, request: vmops.Request, uuid: str) -> str:
        machine = self.machine(uuid)
        with machine.lock:
            if machine.state not in _LIVE:
                raise vmops.InvalidState(f"machine {uuid} is {machine.state}", state=machine.state)
            machine.boot()
            machine.save()
            return machine.state

    def machine_request_shutdown(self, request: vmops.Request, uuid: str, reason: str) -> str:
        machine = self.machine(uuid)
        with machine.lock:
            if machine.state != vmops.RUNNING:
                raise vmops.InvalidState(f"machine {uuid} is {machine.state}", state=machine.state)
            machine.asked_to_stop = True
            machine.lock.notify_all()
        return "accepted"

    def machine_cancel_jobs(self, request: vmops.Request, uuid: str) -> None:
        self.machine(uuid)

    def machine_diagnostics(self, request: vmops.Request, uuid: str) -> Dict[str, Any]:
        machine = self.machine(uuid)
        return {"boots": machine.record["boots"], "lines": machine.record["lines"]}

    def machine_export_root_disk(
        self, request: vmops.Request, uuid: str, path: str, format: str
    ) -> vmops.DiskInfo:
        machine = self.machine(uuid)
        with machine.lock:
            roots = [each["path"] for each in machine.record["spec"]["disks"] if each["role"] == "root"]
            if not roots:
                raise vmops.NotFound(f"machine {uuid} has no root disk")
            if format != "raw":
                raise vmops.Unimplemented(f"disks are raw here, not {format}")
            self._copy(request, roots[0], path)
        return self.disk_info(request, path)

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
        if format != "raw" or source == "overlay":
            raise vmops.Unimplemented("disks are raw here, and copies")
        if os.path.exists(path):
            raise vmops.AlreadyExists(f"there is a disk {path}")
        if image is not None and virtual_size is not None and virtual_size < image.virtual_size:
            raise vmops.InvalidArgument("the image is larger than that", field="virtual_size")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._copy(request, image.path if image is not None else None, path, virtual_size)
        return self.disk_info(request, path)

    def _copy(self, request: vmops.Request, source: Optional[str], path: str, size: Optional[int] = None) -> None:
        part = path + ".part"
        try:
            with open(part, "wb") as out:
                if source is not None:
                    with open(source, "rb") as file:
                        for piece in iter(lambda: file.read(1 << 20), b""):
                            request.check()
                            out.write(piece)
                if size is not None:
                    out.truncate(size)
            os.replace(part, path)
        except FileNotFoundError:
            raise vmops.NotFound(f"there is no {source}") from None
        finally:
            if os.path.exists(part):
                os.unlink(part)

    def disk_info(self, request: vmops.Request, path: str) -> vmops.DiskInfo:
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise vmops.NotFound(f"there is no disk {path}") from None
        return vmops.DiskInfo(path, "raw", status.st_size, status.st_blocks * 512)

    def disk_resize(self, request: vmops.Request, path: str, virtual_size: int) -> None:
        if virtual_size < self.disk_info(request, path).virtual_size:
            raise vmops.InvalidArgument("a disk is not made smaller", field="virtual_size")
        os.truncate(path, virtual_size)

    def config_drive_build(self, request: vmops.Request, path: str, files: List[vmops.ConfigFile]) -> None:
        build_config_drive(request, path, files)

    # Devices

    def _change_list(self, uuid: str, list_name: str, key: str, value: str, new: Optional[Dict[str, Any]]) -> None:
        machine = self.machine(uuid)
        with machine.lock:
            spec = machine.record["spec"]
            rest = [each for each in spec[list_name] if each[key] != value]
            spec[list_name] = rest + ([new] if new is not None else [])
            machine.save()

    def machine_attach_disk(self, request: vmops.Request, uuid: str, disk: vmops.DiskSpec) -> None:
        self._change_list(uuid, "disks", "path", disk.path, vmops.to_json(disk))

    def machine_detach_disk(self, request: vmops.Request, uuid: str, path: str) -> None:
        self._change_list(uuid, "disks", "path", path, None)

    def machine_attach_interface(self, request: vmops.Request, uuid: str, interface: vmops.InterfaceSpec) -> None:
        self._change_list(uuid, "interfaces", "id", interface.id, vmops.to_json(interface))

    def machine_detach_interface(self, request: vmops.Request, uuid: str, id: str) -> None:
        self._change_list(uuid, "interfaces", "id", id, None)

    def volume_connect(self, request: vmops.Request, volume: vmops.VolumeConnection) -> str:
        path = volume.data.get("device_path") or volume.data.get("path")
        if volume.type != "file" or not isinstance(path, str) or not os.path.exists(path):
            raise vmops.NotFound(f"the volume {volume.volume_id} is no file of this host")
        return path

    def volume_disconnect(self, request: vmops.Request, volume: vmops.VolumeConnection) -> None:
        pass

    # Consoles

    def console_open(self, request: vmops.Request, uuid: str, offset: Optional[int]) -> vmops.Console:
        return self.machine(uuid).printer.console

    def console_write(self, request: vmops.Request, uuid: str, data: bytes) -> None:
        machine = self.machine(uuid)
        if machine.state not in _LIVE:
            raise vmops.InvalidState(f"machine {uuid} is {machine.state}", state=machine.state)
        machine.type(data)


if __name__ == "__main__":
    vmops.main(MemoryHost)
