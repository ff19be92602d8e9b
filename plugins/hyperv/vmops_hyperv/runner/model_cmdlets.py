"""The cmdlets and scripts of the modelled host, each as Hyper-V's does it as far as the plugin can tell."""

import uuid as uuids

from .. import errors, paths, spec, states, vhd
from ..errors import HyperVError


IDLE = (states.DISABLED, states.OFFLINE)


def run(model, step):
    """One cmdlet; with a source, once for each object that comes from there."""
    parameters = dict(step.parameters)
    if step.source is not None:
        given = [_TABLE[step.source.name](model, dict(step.source.parameters))]
        objects = [each for each in given[0] if each is not None]
        if not objects:
            raise HyperVError("not_found", "there is no such device")
        items = []
        for each in objects:
            items += _TABLE[step.name](model, dict(parameters, input=each)) or []
    else:
        items = _TABLE[step.name](model, parameters) or []
    chosen = [{name: item.get(name) for name in step.result} for item in items] if step.result else []
    return dict(chosen[0] if chosen else {}, items=chosen)


def _vm(model, parameters):
    return model.machine(parameters["VM"].id)


def _idle(machine, what):
    if machine["state"] not in IDLE:
        raise errors.record_error({"id": "InvalidState,", "category": "InvalidOperation",
                                   "message": "the virtual machine is not in a state for it"}, what)


def new_vm(model, p):
    generation = p["Generation"]
    machine = {
        "id": str(uuids.uuid4()), "name": p["Name"], "notes": "", "state": states.DISABLED, "generation": generation,
        "path": paths.join(p["Path"], p["Name"]), "startup": p["MemoryStartupBytes"], "dynamic": False,
        "minimum": None, "maximum": None, "processors": 1, "compatible": False, "com": {}, "metering": False,
        "planned": False, "firmware": {}, "scsi": 1, "boots": 0, "booted_at": None, "checkpoints": [],
        "start_action": "StartIfRunning", "stop_action": "Save", "checkpoint_type": "Production", "job": None,
        "adapters": [{"name": "Network Adapter", "mac": "", "switch": ""}],
        "drives": [],
    }
    if generation == 1:
        machine["drives"].append({"bus": "ide", "controller": 1, "unit": 0, "path": None, "media": "cdrom"})
    model.save(machine)
    return [{"Id": machine["id"]}]


def set_vm(model, p):
    machine = _vm(model, p)
    for key, name in (("Notes", "notes"), ("AutomaticStartAction", "start_action"),
                      ("AutomaticStopAction", "stop_action"), ("CheckpointType", "checkpoint_type")):
        if key in p:
            machine[name] = p[key]
    model.save(machine)


def set_memory(model, p):
    machine = _vm(model, p)
    _idle(machine, "Set-VMMemory")
    if p["StartupBytes"] % (2 << 20):
        raise HyperVError("invalid_argument", "the memory is not a multiple of 2 MB")
    machine["dynamic"], machine["startup"] = p["DynamicMemoryEnabled"], p["StartupBytes"]
    machine["minimum"], machine["maximum"] = p.get("MinimumBytes"), p.get("MaximumBytes")
    model.save(machine)


def set_processor(model, p):
    machine = _vm(model, p)
    _idle(machine, "Set-VMProcessor")
    machine["processors"], machine["compatible"] = p["Count"], p["CompatibilityForMigrationEnabled"]
    model.save(machine)


def set_firmware(model, p):
    machine = _vm(model, p)
    if machine["generation"] != 2:
        raise HyperVError("invalid_argument", "generation 1 has no firmware to set")
    machine["firmware"].update({"secure_boot": p["EnableSecureBoot"]})
    model.save(machine)


def set_com_port(model, p):
    machine = _vm(model, p)
    _idle(machine, "Set-VMComPort")
    machine["com"][str(p["Number"])] = p["Path"]
    model.save(machine)


def enable_metering(model, p):
    machine = _vm(model, p)
    machine["metering"] = True
    model.save(machine)


def add_scsi(model, p):
    machine = _vm(model, p)
    _idle(machine, "Add-VMScsiController")
    if machine["scsi"] >= 4:
        raise HyperVError("resource_exhausted", "there are four SCSI controllers")
    machine["scsi"] += 1
    model.save(machine)


def _add_drive(model, machine, bus, controller, unit, path, media):
    if bus == "ide" and (machine["generation"] == 2 or controller > 1 or unit > 1):
        raise HyperVError("not_found", "there is no such controller or location")
    if bus == "scsi" and (controller >= machine["scsi"] or unit > 63):
        raise HyperVError("not_found", "there is no such controller or location")
    if bus == "ide":
        _idle(machine, "Add-VMHardDiskDrive")
    if any((each["bus"], each["controller"], each["unit"]) == (bus, controller, unit) for each in machine["drives"]):
        raise HyperVError("already_exists", "the location is taken")
    if path is not None:
        if not model.files.exists(path):
            raise HyperVError("not_found", "there is no file %s (0x80070002)" % path)
        if machine["generation"] == 2 and paths.extension(path) in ("vhd", "avhd"):
            raise HyperVError("invalid_argument", "generation 2 takes VHDX only")
    machine["drives"].append({"bus": bus, "controller": controller, "unit": unit, "path": path, "media": media})
    model.save(machine)


def add_disk(model, p):
    machine = _vm(model, p)
    _add_drive(model, machine, p["ControllerType"].lower(), p["ControllerNumber"], p["ControllerLocation"], p["Path"],
               "disk")


def add_dvd(model, p):
    machine = _vm(model, p)
    bus = "ide" if machine["generation"] == 1 else "scsi"
    _add_drive(model, machine, bus, p["ControllerNumber"], p["ControllerLocation"], p["Path"], "cdrom")


def _get_drive(media):
    def get(model, p):
        machine = _vm(model, p)
        bus = p.get("ControllerType")
        return [(machine["id"], each) for each in machine["drives"] if each["media"] == media
                and each["controller"] == p["ControllerNumber"] and each["unit"] == p["ControllerLocation"]
                and (bus is None or each["bus"] == bus.lower())]
    return get


def remove_drive(model, p):
    id, drive = p["input"]
    machine = model.machine(id)
    if drive["bus"] == "ide":
        _idle(machine, "Remove-VMHardDiskDrive")
    machine["drives"].remove(drive)
    model.save(machine)


def add_adapter(model, p):
    machine = _vm(model, p)
    if machine["generation"] == 1:
        _idle(machine, "Add-VMNetworkAdapter")
    switch = p.get("SwitchName", "")
    if switch and switch not in [name for name, _ in model.settings.switches]:
        raise HyperVError("not_found", "there is no virtual switch " + switch)
    machine["adapters"].append({"name": p["Name"], "mac": p["StaticMacAddress"], "switch": switch})
    model.save(machine)


def get_adapter(model, p):
    machine = _vm(model, p)
    return [(machine["id"], each) for each in machine["adapters"] if each["name"] == p["Name"]]


def remove_adapter(model, p):
    id, adapter = p["input"]
    machine = model.machine(id)
    if machine["generation"] == 1:
        _idle(machine, "Remove-VMNetworkAdapter")
    machine["adapters"].remove(adapter)
    model.save(machine)


def connect_adapter(model, p):
    id, adapter = p["input"]
    machine = model.machine(id)
    for each in machine["adapters"]:
        if each == adapter:
            each["switch"] = p.get("SwitchName", "")
    model.save(machine)


def get_switch(model, p):
    return [{"Name": name, "SwitchType": kind} for name, kind in model.settings.switches]


def remove_vm(model, p):
    machine = _vm(model, p)
    _idle(machine, "Remove-VM")
    for checkpoint in machine["checkpoints"]:
        _merge_checkpoint(model, machine, checkpoint)
    model.forget(machine)
    if machine["com"].get("1"):
        model.pipes.remove(machine["com"]["1"])


def remove_saved_state(model, p):
    machine = _vm(model, p)
    if machine["state"] != states.OFFLINE:
        raise errors.record_error({"id": "InvalidState,", "message": "there is no saved state"}, "Remove-VMSavedState")
    model.set_state(machine, states.DISABLED)


def checkpoint(model, p):
    """What the machine writes from now on goes to differencing disks."""
    machine = _vm(model, p)
    if machine["state"] not in (states.ENABLED, states.DISABLED, states.OFFLINE, states.QUIESCE):
        raise HyperVError("invalid_state", "the machine is busy", {"state": states.state_of(machine["state"])})
    files = []
    for drive in machine["drives"]:
        if drive["media"] == "disk" and drive["path"]:
            disk = model.files.disk(drive["path"])
            new = "%s_%s.a%s" % (drive["path"].rsplit(".", 1)[0], str(uuids.uuid4()).upper(), disk["format"])
            model.files.put_disk(new, disk["format"], "differencing", disk["size"], parent=drive["path"])
            files.append([drive["path"], new])
            drive["path"] = new
    machine["checkpoints"].append({"name": p["SnapshotName"], "files": files})
    model.save(machine)


def _merge_checkpoint(model, machine, checkpoint):
    for old, new in checkpoint["files"]:
        for drive in machine["drives"]:
            if drive["path"] == new:
                drive["path"] = old
        model.files.drop(new)


def remove_checkpoint(model, p):
    machine = _vm(model, p)
    found = [each for each in machine["checkpoints"] if each["name"] == p["Name"]]
    if not found:
        raise HyperVError("not_found", "there is no checkpoint " + p["Name"])
    for each in found:
        _merge_checkpoint(model, machine, each)
        machine["checkpoints"].remove(each)
    model.save(machine)


# Disks

def new_vhd(model, p):
    path = p["Path"]
    format = paths.extension(path)
    if model.files.exists(path):
        raise HyperVError("already_exists", "%s exists (0x80070050)" % path)
    if format not in vhd.MAXIMUM:
        raise HyperVError("invalid_argument", "a disk needs the ending .vhd or .vhdx")
    model.files.need_directory(path)
    if "ParentPath" in p:
        parent = model.files.disk(p["ParentPath"])
        if parent["format"] != format:
            raise HyperVError("invalid_argument", "a differencing disk has its parent's format")
        model.files.put_disk(path, format, "differencing", parent["size"], parent=p["ParentPath"])
        return
    size = p["SizeBytes"]
    if size % 512 or not vhd.MINIMUM[format] <= size <= vhd.MAXIMUM[format]:
        raise HyperVError("invalid_argument", "%d bytes are no size for a %s" % (size, format))
    model.files.put_disk(path, format, "dynamic", size)


def get_vhd(model, p):
    disk = model.files.disk(p["Path"])
    return [{"Path": disk["path"], "VhdFormat": disk["format"].upper(), "VhdType": disk["type"].capitalize(),
             "Size": disk["size"], "FileSize": 4 << 20, "ParentPath": disk["parent"] or ""}]


def resize_vhd(model, p):
    disk = model.files.disk(p["Path"])
    model.files._free(p["Path"]) if disk["format"] == "vhd" else None
    if disk["format"] == "vhd" and disk["type"] == "differencing":
        raise HyperVError("unimplemented", "a differencing VHD cannot be resized (0x80070032)")
    if p["SizeBytes"] < disk["size"]:
        raise HyperVError("invalid_argument", "the disk would lose data")
    disk["size"] = p["SizeBytes"]
    model.files.set_disk(p["Path"], disk)


def convert_vhd(model, p):
    disk = model.files.disk(p["Path"])
    if model.files.exists(p["DestinationPath"]):
        raise HyperVError("already_exists", "%s exists (0x80070050)" % p["DestinationPath"])
    model.files.need_directory(p["DestinationPath"])
    model.files.put_disk(p["DestinationPath"], paths.extension(p["DestinationPath"]), p["VHDType"].lower(),
                         disk["size"])


def set_vhd(model, p):
    disk = model.files.disk(p["Path"])
    model.files.disk(p["ParentPath"])
    if disk["type"] != "differencing":
        raise HyperVError("invalid_argument", "not a differencing disk")
    disk["parent"] = p["ParentPath"]
    model.files.set_disk(p["Path"], disk)


def merge_vhd(model, p):
    disk = model.files.disk(p["Path"])
    if not paths.same(disk["parent"], p["DestinationPath"]):
        raise HyperVError("invalid_argument", "the destination is not the disk's parent")
    parent = model.files.disk(p["DestinationPath"])
    parent["size"] = disk["size"]
    model.files.set_disk(p["DestinationPath"], parent)
    model.files.drop(p["Path"])


# Moving

def _peer(model, name):
    """The settings of another host of the world; its plugin wrote them down."""
    return model.world.get(name.split(".")[0].lower(), "host", "settings")


def compare(model, p):
    machine = _vm(model, p)
    problems = []
    peer = _peer(model, p["DestinationHost"])
    if peer is None:
        raise HyperVError("unavailable", "the host %s cannot be reached (0x800706BA)" % p["DestinationHost"])
    for adapter in machine["adapters"]:
        if adapter["switch"] and adapter["switch"] not in peer["switches"]:
            problems.append("could not find Ethernet switch '%s'" % adapter["switch"])
    return [{"Incompatibilities": problems}]


def move(model, p, request):
    """Takes its time, as a job that can be ended; then the machine is there, and here no more."""
    with model.world.change():
        machine = _vm(model, p)
        problems = compare(model, p)[0]["Incompatibilities"]
        if problems:
            raise HyperVError("invalid_argument", "; ".join(problems))
        if machine["state"] not in (states.ENABLED, states.QUIESCE):
            raise HyperVError("invalid_state", "it does not run")
        before = machine["state"]
        job = model.start_job(machine, model.settings.move_seconds, "move")
    while True:
        with model.world.change():
            record = model.world.get(model.host, "job", job["id"])
            if record["state"] != errors.JOB_RUNNING:
                raise HyperVError("cancelled", "the migration was ended")
            if model.clock() >= record["due"]:
                record["state"] = errors.JOB_COMPLETED
                model.world.put(model.host, "job", job["id"], record)
                _arrive(model, machine["id"], before, p)
                return {}
        request.wait(0.01)


def _arrive(model, id, state, p):
    machine = model.machine(id)
    target = p["DestinationHost"].split(".")[0].lower()
    if p.get("IncludeStorage"):
        moves = {source.lower(): to for source, to in p["VHDs"].pairs}
        for drive in machine["drives"]:
            if drive["path"] and drive["path"].lower() in moves:
                disk = model.files.disk(drive["path"])
                to = moves[drive["path"].lower()]
                model.world.put(target, "file", to.lower(), dict(disk, path=to))
                model.files.drop(drive["path"])
                drive["path"] = to
        machine["path"] = p["VirtualMachinePath"]
    machine["job"], machine["state"] = None, state
    model.world.put(target, "machine", machine["id"], machine)
    model.forget(machine)
    name = machine["com"].get("1")
    if name:
        model.pipes.remove(name)
    model.world.remove(target, "planned", machine["id"])
    for watcher in list(model._watchers):
        watcher({"id": machine["id"], "enabled_state": states.DISABLED, "gone": True})


_TABLE = {
    "New-VM": new_vm, "Set-VM": set_vm, "Set-VMMemory": set_memory, "Set-VMProcessor": set_processor,
    "Set-VMFirmware": set_firmware, "Set-VMComPort": set_com_port, "Enable-VMResourceMetering": enable_metering,
    "Add-VMScsiController": add_scsi, "Add-VMHardDiskDrive": add_disk, "Add-VMDvdDrive": add_dvd,
    "Get-VMHardDiskDrive": _get_drive("disk"), "Get-VMDvdDrive": _get_drive("cdrom"),
    "Remove-VMHardDiskDrive": remove_drive, "Remove-VMDvdDrive": remove_drive,
    "Add-VMNetworkAdapter": add_adapter, "Get-VMNetworkAdapter": get_adapter,
    "Remove-VMNetworkAdapter": remove_adapter, "Connect-VMNetworkAdapter": connect_adapter,
    "Disconnect-VMNetworkAdapter": connect_adapter, "Get-VMSwitch": get_switch, "Remove-VM": remove_vm,
    "Remove-VMSavedState": remove_saved_state, "Checkpoint-VM": checkpoint, "Remove-VMSnapshot": remove_checkpoint,
    "New-VHD": new_vhd, "Get-VHD": get_vhd, "Resize-VHD": resize_vhd, "Convert-VHD": convert_vhd, "Set-VHD": set_vhd,
    "Merge-VHD": merge_vhd, "Compare-VM": compare,
}


# The scripts of the bridge

def _record(machine):
    return {"id": machine["id"], "name": machine["name"], "notes": machine["notes"].split("\n"),
            "enabled_state": machine["state"], "path": machine["path"], "generation": machine["generation"]}


def _uptime(model, machine):
    booted = machine.get("booted_at")
    return int((model.clock() - booted) * 1000) if booted is not None else 0


def inventory(model, p):
    return {"machines": [dict(_record(each), uptime_ms=_uptime(model, each)) for each in model.machines()
                         if not each["planned"]]}


def machine(model, p):
    found = _vm(model, {"VM": p["vm"]})
    on = found["state"] not in IDLE
    maximum = found["maximum"] if found["dynamic"] else found["startup"]
    return dict(_record(found), uptime_ms=_uptime(model, found), memory_mb=found["startup"] >> 20 if on else 0,
                maximum_mb=maximum >> 20, processors=found["processors"], metering=found["metering"],
                com_port=found["com"].get("1"), drives=found["drives"], adapters=found["adapters"],
                checkpoints=[each["name"] for each in found["checkpoints"]])


def host_info(model, p):
    s = model.settings
    model.world.put(model.host, "host", "settings", {"switches": [name for name, _ in s.switches]})
    used = sum(each["startup"] >> 20 for each in model.machines() if each["state"] not in IDLE)
    return {"id": s.id, "name": s.name, "version": s.version, "memory_mb": s.memory_mb, "memory_used_mb": 4096 + used,
            "disk_bytes": 4 << 40, "disk_free_bytes": 3 << 40, "processor": "Modelled CPU", "manufacturer": "GenuineIntel",
            "architecture": 9, "sockets": s.sockets, "cores": s.cores, "threads": s.threads,
            "migration_enabled": s.migration_enabled, "authentication": s.authentication, "any_network": s.any_network,
            "networks": list(s.networks)}


def probe(model, p):
    return {"member": model.settings.member, "service": model.settings.service, "visible": model.settings.member,
            "user": "NODE\\vmops"}


def cancel_jobs(model, p):
    jobs = model.jobs_of(_vm(model, {"VM": p["vm"]}))
    for each in jobs:
        model.end_job(each["id"])
    return {"count": len(jobs)}


def strip(model, p):
    found = _vm(model, {"VM": p["vm"]})
    found["adapters"] = []
    found["drives"] = [each for each in found["drives"] if each["media"] != "cdrom"]
    model.save(found)
    return {}


def boot_from(model, p):
    found = _vm(model, {"VM": p["vm"]})
    found["firmware"]["first"] = [p["controller"], p["unit"]]
    model.save(found)
    return {}


def remove_planned(model, p):
    count = 0
    for each in model.machines():
        mark = spec.read_mark(each["notes"])
        if each["planned"] and mark and mark.uuid == p["uuid"]:
            model.forget(each)
            count += 1
    return {"count": count}


def diagnostics(model, p):
    found = _vm(model, {"VM": p["vm"]})
    figures = {"state": states.state_of(found["state"]), "uptime_ms": _uptime(model, found), "cpu_usage_percent": 3,
               "memory_assigned_bytes": found["startup"] if found["state"] not in IDLE else 0, "version": "9.0"}
    if found["metering"]:
        figures["average_cpu_mhz"] = 120
        figures["average_memory_mb"] = found["startup"] >> 20
    return figures


_SCRIPTS = {
    "inventory": inventory, "machine": machine, "hostInfo": host_info, "probe": probe,
    "job": lambda model, p: model.job(p["id"]), "endJob": lambda model, p: model.end_job(p["id"]),
    "jobs": lambda model, p: {"jobs": [model.job(each["id"]) for each in model.jobs_of(_vm(model, {"VM": p["vm"]}))]},
    "cancelJobs": cancel_jobs, "stripDevices": strip, "bootFrom": boot_from, "removePlanned": remove_planned,
    "diagnostics": diagnostics, "echo": lambda model, p: {"given": dict(p)},
}


def script(model, name, values):
    return _SCRIPTS[name](model, values)
