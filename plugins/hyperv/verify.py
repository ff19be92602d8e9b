#!/usr/bin/env python3
"""Tries on a real Hyper-V host what could not be tried where this plugin was written, and prints a report.

    python verify.py [--directory C:\\VMs] [--destination HOST] [--only 7 --only 12] [--json FILE] [--list]

Run it on the Hyper-V host, as an account that may manage Hyper-V. It makes machines and directories named
vmops-verify-… below DIRECTORY, and removes them. It touches no other machine. The numbers are those of README.md.
With --runner model it tries itself on the modelled host, anywhere.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
import uuid

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "python")]

from vmops_plugin.errors import PluginError  # noqa: E402
from vmops_plugin.model import (ConfigFile, DiskSpec, Image, InterfaceSpec, MachineSpec, Setup)  # noqa: E402
from vmops_plugin.request import Request  # noqa: E402

from vmops_hyperv import iso, paths, vhd  # noqa: E402
from vmops_hyperv.errors import HyperVError, INVALID_STATE  # noqa: E402
from vmops_hyperv.host import HyperVHost  # noqa: E402
from vmops_hyperv.pipe import BUSY, PipeError  # noqa: E402
from vmops_hyperv.steps import VM, Cmdlet, File, Invoke, Script  # noqa: E402

WORKER = "/vmops/instances"
MIB = 1 << 20
CHECKS = []


class Skip(Exception):
    pass


def check(number, title):
    def add(function):
        CHECKS.append((number, title, function))
        return function
    return add


def expect(condition, what, seen=None):
    if not condition:
        raise AssertionError(what + ("" if seen is None else "; seen: %r" % (seen,)))


class Bench:
    def __init__(self, arguments, runner=None, opener=None):
        self.arguments = arguments
        self.host = HyperVHost({
            "instances_directory": arguments.directory, "runner": arguments.runner, "powershell": arguments.powershell,
            "console_role": arguments.console_role, "switch": arguments.switch, "poll_seconds": "2",
        }, runner, opener)
        self.events = []
        self.host._send_event = self.events.append
        self.state = tempfile.mkdtemp(prefix="vmops-verify-")
        self.host.setup = Setup(host="verify", instances_directory=WORKER, state_directory=self.state)
        self.identity = self.host.open(self.host.setup)
        self.host.events_subscribe(self.request())
        self.made = []
        self.notes = []

    @property
    def is_model(self):
        return self.arguments.runner == "model"

    def request(self, seconds=300):
        return Request("verify", deadline_ms=seconds * 1000)

    def note(self, text):
        self.notes.append(text)

    def run(self, step):
        return self.host.runner.run(step, self.request())

    def spec(self, generation=1, disks=True, interfaces=(), iso_drive=False, memory=512, startup=None):
        id = str(uuid.uuid4())
        name = "vmops-verify-" + id[:8]
        directory = "%s/%s" % (WORKER, name)
        found = []
        if disks:
            path = directory + "/root.vhdx"
            self.host.disk_create(self.request(), path, "vhdx", "blank", None, 64 * MIB)
            found.append(DiskSpec(path=path, format="vhdx", bus="ide"))
        if iso_drive:
            path = directory + "/configdrive.iso"
            self.host.config_drive_build(self.request(), path, [ConfigFile("openstack/latest/meta_data.json", b"{}")])
            found.append(DiskSpec(path=path, role="configDrive", media="cdrom", format="iso", bus="ide", controller=1))
        self.made.append((id, directory))
        return MachineSpec(uuid=id, name=name, directory=directory, memory_mb=memory, startup_memory_mb=startup or memory,
                           vcpus=1, disks=found, interfaces=list(interfaces),
                           metadata={"hw_machine_type": "hyperv-gen%d" % generation})

    def machine(self, **more):
        spec = self.spec(**more)
        self.host.machine_create(self.request(), spec)
        return spec

    def seen(self, spec):
        return self.host.look(self.request(), spec.uuid)

    def go(self, spec, *states):
        for state in states:
            reached = self.host.machine_set_state(self.request(), spec.uuid, state)
            expect(reached == state, "the state %s" % state, reached)

    def event(self, spec, type, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for each in list(self.events):
                if each["uuid"] == spec.uuid and each["type"] == type:
                    return each
            time.sleep(0.05)
        raise AssertionError("no event %s within %d s; seen: %s" % (
            type, seconds, [each["type"] for each in self.events if each["uuid"] == spec.uuid]))

    def clean(self):
        for id, directory in reversed(self.made):
            for work in (lambda: self.host.machine_delete(self.request(), id),
                         lambda: self.host.instance_remove_files(self.request(), directory)):
                try:
                    work()
                except PluginError as error:
                    self.note("not removed: %s: %s" % (directory, error))
        self.made = []


@check(1, "PowerShell runs the bridge, and the Hyper-V module loads")
def bridge(bench):
    if bench.is_model:
        raise Skip("the model has no PowerShell")
    from vmops_hyperv.runner.powershell import Process, command
    for executable in (bench.arguments.powershell, "pwsh.exe"):
        try:
            process = Process(command(executable))
        except HyperVError as error:
            expect(executable != bench.arguments.powershell, "it starts", error.message)
            bench.note("%s: %s" % (executable, error.message))
            continue
        bench.note("%s: %s" % (executable, process.about.get("result") or process.about))
        expect("result" in process.about, "the module Hyper-V is there", process.about)
        process.kill()


@check(2, "texts arrive as they were, nested answers whole")
def echo(bench):
    for text in ("'; Remove-VM * #", '"$(Get-Process)"', "`n$env:PATH", "\u00e4\u20ac\U0001f600", "a\u2028b", "\x01\x1f\t\r\n",
                 "", "2026-11-21T14:00:00Z", "/Date(0)/", "x" * 200000):
        answer = bench.run(Script("echo", text=text, number=1 << 40, flag=True, texts=["a"], many=["a", "b"]))
        given = answer["given"]
        expect(given["text"] == text, "the text", given["text"][:100])
        expect((given["number"], given["flag"]) == (1 << 40, True), "number and flag", given)
        expect((list(given["texts"]), list(given["many"])) == (["a"], ["a", "b"]), "lists", given)
        if "nested" in answer:
            expect(answer["nested"]["a"]["b"]["c"]["d"]["e"] == [text], "six levels", answer["nested"])


@check(3, "rights are recognised")
def probe(bench):
    bench.note(bench.run(Script("probe")))
    bench.host.host_probe(bench.request())


@check(4, "the host's figures are plausible, its id is one")
def figures(bench):
    info = bench.host.host_info(bench.request())
    bench.note(info)
    expect(info.vcpus > 0 and info.memory_mb > 512 and info.disk_gb > 0, "figures", info)
    expect(info.hypervisor_version >= 6000, "a version", info.hypervisor_version)
    expect(paths.UUID.match(bench.identity.id) and set(bench.identity.id) - set("0-f"), "an id", bench.identity.id)


@check(5, "the inventory lists machines, foreign ones without a uuid")
def inventory(bench):
    spec = bench.machine(disks=False)
    entries = list(bench.host.machine_list(bench.request()))
    mine = [each for each in entries if each.uuid == spec.uuid]
    expect([each.name for each in mine] == [spec.name], "the machine once", mine)
    id = bench.seen(spec).id
    bench.run(Cmdlet("Set-VM", {"VM": VM(id), "Notes": "somebody else's"}))
    entries = list(bench.host.machine_list(bench.request()))
    expect([each.uuid for each in entries if each.name == spec.name] == [None], "without the mark it is foreign")
    bench.run(Cmdlet("Set-VM", {"VM": VM(id), "Notes": spec.uuid}))


@check(6, "the headers of disks are read as Hyper-V writes them")
def headers(bench):
    for format in ("vhdx", "vhd"):
        path = "%s/vmops-verify-headers/a.%s" % (WORKER, format)
        bench.made.append((str(uuid.uuid4()), WORKER + "/vmops-verify-headers"))
        info = bench.host.disk_create(bench.request(), path, format, "blank", None, 64 * MIB)
        header = bench.host.cache().header(bench.host.map.to_host(path))
        expect(header.virtual_size == info.virtual_size == 64 * MIB, "the size", header.virtual_size)
        expect(header.kind == "dynamic" and header.block_size == vhd.DEFAULT_BLOCK[format], "kind and block size",
               (header.kind, header.block_size))
        expect(vhd.usable_size(1 << 40, header) < 1 << 40, "the arithmetic")
        bench.note("%s: block %s, sector %s, log %s, metadata %s" % (
            format, header.block_size, header.sector_size, header.log_length, header.metadata_length))


@check(7, "disks: layers, larger layers, copies, growing, refusals")
def disks(bench):
    root = WORKER + "/vmops-verify-disks"
    bench.made.append((str(uuid.uuid4()), root))
    host, request = bench.host, bench.request
    for format in ("vhdx", "vhd"):
        base = host.disk_create(request(), "%s/base.%s" % (root, format), format, "blank", None, 64 * MIB)
        image = Image(reference="base", path=base.path, format=format, virtual_size=base.virtual_size)
        layer = host.disk_create(request(), "%s/layer.%s" % (root, format), format, "overlay", image, None)
        expect(layer.backing_file is not None and layer.virtual_size == 64 * MIB, "a layer", layer)
        large = host.disk_create(request(), "%s/large.%s" % (root, format), format, "overlay", image, 128 * MIB)
        expect(large.virtual_size == 128 * MIB, "a larger layer", large)
        host.disk_resize(request(), layer.path, 256 * MIB)
        expect(host.disk_info(request(), layer.path).virtual_size == 256 * MIB, "a layer that has grown")
        expect(host.disk_info(request(), base.path).virtual_size == 64 * MIB, "the image as it was")
        copy = host.disk_create(request(), "%s/copy.%s" % (root, format), format, "copy", image, 128 * MIB)
        expect(copy.backing_file is None and copy.virtual_size == 128 * MIB, "a copy", copy)
        other = "vhd" if format == "vhdx" else "vhdx"
        turned = host.disk_create(request(), "%s/turned-%s.%s" % (root, format, other), other, "copy", image, None)
        expect((turned.format, turned.virtual_size) == (other, 64 * MIB), "another format", turned)
        for code, work in (("already_exists", lambda: host.disk_create(request(), base.path, format, "blank", None, 64 * MIB)),
                           ("invalid_argument", lambda: host.disk_resize(request(), base.path, 32 * MIB)),
                           ("not_found", lambda: host.disk_info(request(), root + "/none." + format))):
            refused(code, work)


def refused(code, work):
    try:
        work()
    except (PluginError, HyperVError) as error:
        expect(error.code == code, "the error " + code, "%s: %s" % (error.code, error))
        return error
    raise AssertionError("the error %s did not come" % code)


@check(8, "a machine is defined as ordered: addresses, memory, serial port, notes; what New-VM adds is gone")
def definition(bench):
    nic = InterfaceSpec(id=str(uuid.uuid4()), mac="fa:16:3e:00:00:01")
    for startup in (512, 255):
        try:
            spec = bench.machine(interfaces=[nic], iso_drive=True, startup=startup)
        except PluginError as error:
            if "switch" in str(error):
                raise Skip("there is no external switch: name one with --switch")
            raise
        machine = bench.seen(spec)
        expect([each.address for each in machine.drives] == [("ide", 0, 0), ("ide", 1, 0)], "the drives",
               [each.address for each in machine.drives])
        expect([each["name"] for each in machine.adapters] == [nic.id], "the adapter alone", machine.adapters)
        expect(machine.adapters[0]["mac"].upper() == "FA163E000001", "its address", machine.adapters)
        expect(machine.com_port == "\\\\.\\pipe\\%s_rw" % spec.uuid, "the serial port", machine.com_port)
        expect(machine.maximum_mb == 512, "the memory", machine.maximum_mb)
        expect(machine.mark.complete and machine.mark.uuid == spec.uuid, "the notes", machine.notes)
        bench.host.machine_create(bench.request(), spec)
        spec.memory_mb = spec.startup_memory_mb = 1024
        refused("already_exists", lambda: bench.host.machine_create(bench.request(), spec))


@check(9, "generation 2: everything on SCSI, starts from the first disk, secure boot off")
def generation2(bench):
    spec = bench.machine(generation=2, iso_drive=True)
    machine = bench.seen(spec)
    expect(machine.generation == 2, "the generation", machine.generation)
    expect(sorted((each.address, each.media) for each in machine.drives) == [
        (("scsi", 0, 0), "disk"), (("scsi", 0, 1), "cdrom")], "the drives", [each.address for each in machine.drives])
    expect(bool(machine.com_port), "it has a serial port", machine.com_port)
    bench.go(spec, "running", "off")


@check(10, "the states, and again; what was saved is discarded on the way to off")
def state(bench):
    spec = bench.machine()
    bench.go(spec, "off", "running", "running", "paused", "paused", "running", "saved", "saved", "running", "paused", "off",
             "running", "saved", "off", "off")


@check(11, "requests that do not fit the state return 32775")
def invalid(bench):
    spec = bench.machine()
    id = bench.seen(spec).id
    for state, number in (("off", 9), ("off", 6), ("off", 11), ("off", 3), ("saved", 3), ("saved", 9)):
        if state == "saved":
            bench.go(spec, "running", "saved")
        answer = bench.run(Invoke("Msvm_ComputerSystem", "RequestStateChange", VM(id), {"RequestedState": number}))
        bench.note("%s, request %d: %s" % (state, number, answer.get("value")))
        expect(answer.get("value") == INVALID_STATE, "32775 for %d while %s" % (number, state), answer)
        if state == "saved":
            bench.go(spec, "off")
    refused("invalid_state", lambda: bench.go(spec, "paused"))


@check(12, "a reset keeps it running, with the same console")
def reset(bench):
    spec = bench.machine()
    refused("invalid_state", lambda: bench.host.machine_reset(bench.request(), spec.uuid))
    bench.go(spec, "running")
    expect(bench.host.machine_reset(bench.request(), spec.uuid) == "running", "it runs")
    time.sleep(0.2 if bench.is_model else 3)
    types = [each["type"] for each in bench.events if each["uuid"] == spec.uuid]
    expect(types == ["started"], "no event for a reset that was asked for", types)


@check(13, "a guest without services does not take a shutdown for done")
def shutdown(bench):
    spec = bench.machine()
    bench.go(spec, "running")
    answer = bench.host.machine_request_shutdown(bench.request(), spec.uuid, "verify")
    bench.note(answer)
    expect(answer in ("unsupported", "not_ready") or bench.is_model, "unsupported or not_ready", answer)


@check(14, "the pipe: there after the start, one reader, gone after the stop, there again")
def pipe(bench):
    spec = bench.machine()
    name = bench.seen(spec).com_port
    bench.go(spec, "running")
    end = time.monotonic() + 10
    while True:
        try:
            endpoint = bench.host.opener.open(name)
            break
        except PipeError as error:
            expect(time.monotonic() < end, "it can be opened", error)
            time.sleep(0.1)
    try:
        try:
            bench.host.opener.open(name).release()
            raise AssertionError("a second reader was let in")
        except PipeError as error:
            expect(error.kind == BUSY, "busy for a second reader", error.kind)
        bench.note("first bytes: %r" % endpoint.read(2.0)[:80])
        bench.go(spec, "off")
        broken = None
        for _ in range(50):
            try:
                endpoint.read(0.2)
            except PipeError as error:
                broken = error.kind
                break
        expect(broken == "broken", "it breaks when the machine stops", broken)
    finally:
        endpoint.release()
    bench.go(spec, "running")


@check(15, "the console stream: open before the start, over stops and starts, ends as stopped")
def console(bench):
    spec = bench.machine()
    stream = bench.host.console_open(bench.request(), spec.uuid, None)
    bench.go(spec, "running")
    end = time.monotonic() + 15
    while time.monotonic() < end and not bench.host.console_figures(spec.uuid).get("console_bytes_in"):
        time.sleep(0.1)
    figures = bench.host.console_figures(spec.uuid)
    bench.note(figures)
    expect(figures["console_state"] == "attached", "connected", figures)
    bench.note("%d bytes of boot text; a BIOS without a boot loader prints none" % stream.offset)
    bench.go(spec, "off")
    end = time.monotonic() + 10
    while time.monotonic() < end and bench.host.console_figures(spec.uuid)["console_state"] != "closed":
        time.sleep(0.1)
    expect(bench.host.console_figures(spec.uuid)["console_state"] == "closed", "the reader has ended")


@check(16, "typing on the console arrives")
def typing(bench):
    spec = bench.machine()
    bench.host.console_open(bench.request(), spec.uuid, None)
    bench.go(spec, "running")
    end = time.monotonic() + 15
    while True:
        try:
            bench.host.console_write(bench.request(), spec.uuid, b"\r")
            return
        except PluginError as error:
            expect(time.monotonic() < end, "it can be typed", error)
            time.sleep(0.2)


@check(17, "changes from outside are reported, each once, within three seconds")
def events(bench):
    spec = bench.machine()
    id = bench.seen(spec).id
    begin = time.monotonic()
    bench.run(Invoke("Msvm_ComputerSystem", "RequestStateChange", VM(id), {"RequestedState": 2}))
    bench.event(spec, "started")
    bench.note("started after %.1f s, events by %s" % (
        time.monotonic() - begin, "Hyper-V" if bench.host._is_watched else "polling"))
    expect(bench.host._is_watched, "Hyper-V's events can be subscribed to")
    bench.run(Invoke("Msvm_ComputerSystem", "RequestStateChange", VM(id), {"RequestedState": 3}))
    expect(bench.event(spec, "stopped")["reason"] == "guest", "the reason")
    bench.run(Cmdlet("Remove-VM", {"VM": VM(id), "Force": True}))
    bench.event(spec, "removed")
    types = [each["type"] for each in bench.events if each["uuid"] == spec.uuid]
    expect(types == ["started", "stopped", "removed"], "each once", types)


@check(18, "the uptime goes back to 0 at a reset (that is how a guest's reboot is seen)")
def uptime(bench):
    spec = bench.machine()
    bench.go(spec, "running")
    time.sleep(0.3 if bench.is_model else 5)
    before = bench.seen(spec).uptime_ms
    bench.host.machine_reset(bench.request(), spec.uuid)
    after = bench.seen(spec).uptime_ms
    bench.note("before %d ms, after %d ms" % (before, after))
    expect(after < before, "a smaller uptime", (before, after))


@check(19, "disks are attached and detached while it runs")
def hot_disk(bench):
    spec = bench.machine()
    bench.go(spec, "running")
    path = spec.directory + "/volume.vhdx"
    bench.host.disk_create(bench.request(), path, "vhdx", "blank", None, 64 * MIB)
    volume = DiskSpec(path=path, role="volume", format="vhdx", bus="scsi", unit=5)
    for _ in range(2):
        bench.host.machine_attach_disk(bench.request(), spec.uuid, volume)
    expect(("scsi", 0, 5) in [each.address for each in bench.seen(spec).drives], "at SCSI 0:5")
    for _ in range(2):
        bench.host.machine_detach_disk(bench.request(), spec.uuid, path)
    expect(len(bench.seen(spec).drives) == 1, "gone")


@check(20, "adapters are attached and detached while generation 2 runs, and put on switches")
def hot_interface(bench):
    spec = bench.machine(generation=2)
    nic = InterfaceSpec(id=str(uuid.uuid4()), mac="fa:16:3e:00:00:02")
    bench.go(spec, "running")
    try:
        bench.host.machine_attach_interface(bench.request(), spec.uuid, nic)
    except PluginError as error:
        if "switch" in str(error):
            raise Skip("there is no external switch: name one with --switch")
        raise
    bench.host.network_unplug(bench.request(), spec.uuid, nic)
    expect(not bench.seen(spec).adapters[0]["switch"], "unplugged", bench.seen(spec).adapters)
    bench.host.network_plug(bench.request(), spec.uuid, nic)
    expect(bench.seen(spec).adapters[0]["switch"], "plugged", bench.seen(spec).adapters)
    bench.host.machine_detach_interface(bench.request(), spec.uuid, nic.id)
    expect(not bench.seen(spec).adapters, "gone")


@check(21, "the root disk is exported while it runs, and when it is off; no checkpoint stays")
def export(bench):
    spec = bench.spec(disks=False)
    base = bench.host.disk_create(bench.request(), spec.directory + "/base.vhdx", "vhdx", "blank", None, 64 * MIB)
    image = Image(reference="base", path=base.path, format="vhdx", virtual_size=base.virtual_size)
    bench.host.disk_create(bench.request(), spec.directory + "/root.vhdx", "vhdx", "overlay", image, None)
    spec.disks = [DiskSpec(path=spec.directory + "/root.vhdx", format="vhdx", bus="ide")]
    bench.host.machine_create(bench.request(), spec)
    for number, (state, format) in enumerate((("off", "vhdx"), ("running", "vhdx"), ("running", "vhd"), ("paused", "vhdx"))):
        bench.go(spec, state)
        info = bench.host.machine_export_root_disk(
            bench.request(), spec.uuid, "%s/export%d.%s" % (spec.directory, number, format), format)
        expect((info.format, info.backing_file, info.virtual_size) == (format, None, 64 * MIB), "the copy", info)
        end = time.monotonic() + 60
        while bench.seen(spec).checkpoints or "avhd" in bench.seen(spec).root.path.lower():
            expect(time.monotonic() < end, "the checkpoint has been merged", bench.seen(spec).root.path)
            time.sleep(0.5)


@check(22, "metering and figures")
def metering(bench):
    spec = bench.spec()
    spec.enable_metrics = True
    bench.host.machine_create(bench.request(), spec)
    bench.go(spec, "running")
    figures = bench.host.machine_diagnostics(bench.request(), spec.uuid)
    bench.note(figures)
    expect("average_memory_mb" in figures and "uptime_ms" in figures, "figures", figures)


@check(23, "a job is ended")
def jobs(bench):
    spec = bench.machine(memory=4096)
    bench.go(spec, "running")
    id = bench.seen(spec).id
    answer = bench.run(Invoke("Msvm_ComputerSystem", "RequestStateChange", VM(id), {"RequestedState": 6}))
    bench.note(bench.run(Script("jobs", vm=VM(id))))
    bench.host.machine_cancel_jobs(bench.request(), spec.uuid)
    if answer.get("job"):
        job = bench.run(Script("job", cim_class=answer["job"]["class"], id=answer["job"]["id"]))
        bench.note("the job afterwards: %s" % job)
        expect(not job["found"] or job["state"] not in (2, 3, 4, 5, 6), "it has ended", job)


@check(24, "errors of Hyper-V are the ones of the table")
def table(bench):
    spec = bench.machine()
    id = bench.seen(spec).id
    root = bench.host.map.to_host(spec.directory) + "\\"
    refused("not_found", lambda: bench.run(Cmdlet("Set-VM", {"VM": VM(str(uuid.uuid4())), "Notes": "x"})))
    refused("not_found", lambda: bench.run(Script("machine", vm=VM(str(uuid.uuid4())))))
    refused("not_found", lambda: bench.run(Cmdlet("Get-VHD", {"Path": root + "none.vhdx"}, result=("Size",))))
    refused("already_exists", lambda: bench.run(Cmdlet(
        "New-VHD", {"Path": root + "root.vhdx", "SizeBytes": 64 * MIB, "Dynamic": True})))
    refused("not_found", lambda: bench.run(Cmdlet("Add-VMHardDiskDrive", {
        "VM": VM(id), "ControllerType": "SCSI", "ControllerNumber": 0, "ControllerLocation": 9, "Path": root + "none.vhdx"})))
    bench.go(spec, "running")
    refused("busy", lambda: bench.run(File("remove", root + "root.vhdx")))
    refused("invalid_state", lambda: bench.run(Cmdlet("Set-VMComPort", {"VM": VM(id), "Number": 1, "Path": "\\\\.\\pipe\\x"})))


@check(25, "deleting a machine that runs keeps its disks; deleting again is success")
def deleting(bench):
    spec = bench.machine()
    bench.go(spec, "running")
    for _ in range(2):
        bench.host.machine_delete(bench.request(), spec.uuid)
    expect(bench.host.disk_info(bench.request(), spec.directory + "/root.vhdx").virtual_size == 64 * MIB, "the disk")
    bench.host.instance_remove_files(bench.request(), spec.directory)
    expect(not bench.host.runner.files.exists(bench.host.map.to_host(spec.directory)), "the directory is gone")


@check(26, "the config drive is readable: label and files")
def config_drive(bench):
    image = iso.build([("openstack/latest/meta_data.json", b"{}"), ("openstack/latest/user_data", b"x" * 5000)])
    path = os.path.join(bench.state if bench.is_model else tempfile.gettempdir(), "vmops-verify.iso")
    with open(path, "wb") as file:
        file.write(image)
    bench.note("look at it by hand: Mount-DiskImage %s; label config-2, openstack/latest/user_data has 5000 bytes" % path)


@check(27, "PowerShell may be killed; the next request has a new one")
def killed(bench):
    if bench.is_model:
        raise Skip("the model has no PowerShell")
    for process in list(bench.host.runner._all):
        process._child.kill()
    bench.host.host_info(bench.request())
    end = time.monotonic() + 30
    while not bench.host._is_watched:
        expect(time.monotonic() < end, "events are subscribed to again")
        time.sleep(0.2)


@check(28, "sixteen machines at once")
def parallel(bench):
    specs = [bench.spec(disks=False, memory=32) for _ in range(16)]
    problems = []

    def make(spec):
        try:
            bench.host.machine_create(bench.request(), spec)
        except Exception as error:
            problems.append(error)

    begin = time.monotonic()
    threads = [threading.Thread(target=make, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.note("%.1f s" % (time.monotonic() - begin))
    expect(not problems, "all of them", problems)


@check(29, "live migration: compared, moved with its storage, and cancelled")
def migration(bench):
    if not bench.arguments.destination:
        raise Skip("name a host with --destination; both have to allow live migration, and have the same directories")
    spec = bench.machine(memory=2048)
    bench.go(spec, "running")
    offer = {"host": bench.arguments.destination, "directory": bench.host.map.to_host(spec.directory),
             "root": bench.host.map.host_root, "share": "", "copy_storage": True}
    ticket = {"hyperv": offer}
    bench.host.migrate_check_outgoing(bench.request(), spec.uuid, ticket)
    request = bench.request()
    threading.Timer(1.0, request.cancel).start()
    try:
        bench.host.migrate_start(request, spec.uuid, ticket)
        bench.note("it was quicker than the cancelling")
    except PluginError as error:
        expect(error.code == "cancelled", "cancelled", error.code)
        expect(bench.seen(spec).state == "running", "it runs here")
        told = []
        request = Request("verify", progress=told.append)
        bench.host.migrate_start(request, spec.uuid, ticket)
        bench.note(told[-5:])
    expect(bench.seen(spec) is None, "it is gone here")
    bench.note("remove it by hand at %s: %s" % (bench.arguments.destination, spec.name))


def run(arguments, runner=None, opener=None, out=sys.stdout):
    """The results, [{"number", "title", "result", "detail", "notes"}]."""
    bench = Bench(arguments, runner, opener)
    print("vmops-hyperv on %s, Hyper-V %d" % (bench.identity.name, bench.identity.hypervisor_version), file=out)
    results = []
    for number, title, function in CHECKS:
        if arguments.only and number not in arguments.only:
            continue
        bench.notes, detail = [], ""
        try:
            function(bench)
            result = "passed"
        except Skip as reason:
            result, detail = "skipped", str(reason)
        except Exception as error:
            result, detail = "failed", str(error) or type(error).__name__
            if not isinstance(error, (AssertionError, PluginError, HyperVError)):
                detail += "\n" + traceback.format_exc(limit=-3)
        bench.clean()
        results.append({"number": number, "title": title, "result": result, "detail": detail,
                        "notes": [str(each) for each in bench.notes]})
        print("%2d %-7s %s%s" % (number, result, title, ": " + detail if detail else ""), file=out)
        for each in bench.notes:
            print("           %s" % (each,), file=out)
        out.flush()
    bench.host.close()
    shutil.rmtree(bench.state, ignore_errors=True)
    counts = {name: sum(1 for each in results if each["result"] == name) for name in ("passed", "failed", "skipped")}
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts, file=out)
    return results


def parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--directory", default="C:\\VMs", help="the instances' directory on this host")
    parser.add_argument("--powershell", default="powershell.exe")
    parser.add_argument("--switch", default="", help="the virtual switch to use; else the first external one")
    parser.add_argument("--console-role", default="client", choices=("client", "server"))
    parser.add_argument("--destination", help="another Hyper-V host, for live migration")
    parser.add_argument("--only", type=int, action="append", help="only this check; may be repeated")
    parser.add_argument("--runner", default="powershell", choices=("powershell", "model"))
    parser.add_argument("--json", help="write the results there too")
    parser.add_argument("--list", action="store_true", help="say what is checked, and do nothing")
    return parser


def is_possible(arguments, out):
    """Whether this is where Hyper-V can be; else it says so."""
    if arguments.runner == "model" or os.name == "nt":
        return True
    out.write("This is for the Hyper-V host itself, on Windows; --runner model tries the modelled one.\n")
    return False


def main(words=None):
    arguments = parser().parse_args(words)
    if arguments.list:
        for number, title, _ in CHECKS:
            print("%2d %s" % (number, title))
        return 0
    if not is_possible(arguments, sys.stderr):
        return 2
    results = run(arguments)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return 1 if any(each["result"] == "failed" for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
