"""Plans for machines: define, remove, change the state, export (landscape, section D.3)."""

from .. import paths, states
from ..errors import HyperVError
from ..spec import Mark
from ..steps import VM, Cmdlet, File, Invoke, Script
from . import devices

ROLE_ORDER = {"root": 0, "ephemeral": 1, "volume": 2, "configDrive": 3}
EXPORT_CHECKPOINT = "vmops-export"


def console_pipe(uuid):
    """The pipe of the first serial port: read and write, hence its ending."""
    return "\\\\.\\pipe\\%s_rw" % uuid


def clashes(spec, machines, instances_root):
    """Which present machines stand in the way of a definition.

    Answers `None` when the same machine is there already, else the ids of what an interrupted definition left behind.
    """
    leftovers = []
    for machine in machines:
        if machine.uuid == spec.uuid:
            if not machine.mark.complete:
                leftovers.append(machine.id)
            elif machine.mark.fingerprint == spec.fingerprint and machine.name == spec.name:
                return None
            else:
                raise HyperVError("already_exists", "machine %s is defined already, otherwise" % spec.uuid)
        elif machine.name.lower() == spec.name.lower():
            if machine.is_ours:
                raise HyperVError("already_exists", "another machine has the name " + spec.name)
            # Between New-VM and the notes a machine has no mark; its place tells that it was ours to be.
            place = (machine.path or "").lower() + "\\"
            if not machine.has_notes and machine.state == states.OFF and place.startswith(spec.directory.lower() + "\\"):
                leftovers.append(machine.id)
            else:
                raise HyperVError("conflict", "a machine of somebody else has the name " + spec.name)
    return leftovers


def create(spec, machines, incarnation, switch, instances_root, secure_boot=False, stop_action="Save"):
    """Defines the machine: off, its devices attached, its first serial port on the console pipe.

    The order is that of VM operations, section 6.6. The mark says `building` until the last step, so that a definition
    that was cut short is known for one, and is made anew.
    """
    leftovers = clashes(spec, machines, instances_root)
    if leftovers is None:
        return []
    new = VM(VM.NEW)
    mark = Mark(spec.uuid, incarnation, spec.fingerprint, complete=False)
    # New-VM makes a directory of the machine's name below the path it is given.
    place = paths.parent(spec.directory) if paths.same(paths.base(spec.directory), spec.name) else spec.directory
    plan = [Cmdlet("Remove-VM", {"VM": VM(each), "Force": True}) for each in leftovers]
    plan += [
        File("makeDirectory", spec.directory),
        Cmdlet("New-VM", {
            "Name": spec.name, "Generation": spec.generation, "MemoryStartupBytes": spec.startup_bytes,
            "NoVHD": True, "Path": place,
        }, result=("Id",), bind=True).options(undo=[Cmdlet("Remove-VM", {"VM": new, "Force": True})]),
        Cmdlet("Set-VM", {
            "VM": new, "Notes": mark.text(), "AutomaticStartAction": "Nothing", "AutomaticStopAction": stop_action,
            "CheckpointType": "Production",
        }),
        memory(new, spec),
        Cmdlet("Set-VMProcessor", {
            "VM": new, "Count": spec.vcpus, "Reserve": 0, "Maximum": 100,
            "CompatibilityForMigrationEnabled": spec.limit_cpu_features,
        }),
    ]
    if spec.generation == 2:
        plan.append(Cmdlet("Set-VMFirmware", {"VM": new, "EnableSecureBoot": "On" if secure_boot else "Off"}))
    # New-VM adds an adapter, and to generation 1 a DVD drive, that nobody asked for.
    plan.append(Script("stripDevices", vm=new))
    ordered = sorted(enumerate(spec.disks), key=lambda pair: (ROLE_ORDER[pair[1].role], pair[0]))
    for number in range(1, 1 + max([disk.controller for disk in spec.disks if disk.bus == "scsi"] or [0])):
        plan.append(Cmdlet("Add-VMScsiController", {"VM": new}))
    plan += [devices.add_drive(new, disk, spec.generation) for _, disk in ordered]
    first = next((disk for _, disk in ordered if disk.media == "disk"), None)
    if spec.generation == 2 and first is not None:
        plan.append(Script("bootFrom", vm=new, controller=first.controller, unit=first.unit))
    plan.append(Cmdlet("Set-VMComPort", {"VM": new, "Number": 1, "Path": console_pipe(spec.uuid)}))
    plan += [devices.add_adapter(new, each, switch(each)) for each in spec.interfaces]
    if spec.enable_metrics:
        plan.append(Cmdlet("Enable-VMResourceMetering", {"VM": new}))
    mark.complete = True
    plan.append(Cmdlet("Set-VM", {"VM": new, "Notes": mark.text()}))
    return plan


def memory(vm, spec):
    """Fixed, or from the start-up size to all of it (VM operations, section 6.6); Hyper-V then leaves virtual NUMA."""
    if not spec.is_memory_dynamic:
        return Cmdlet("Set-VMMemory", {
            "VM": vm, "DynamicMemoryEnabled": False, "StartupBytes": spec.memory_bytes})
    return Cmdlet("Set-VMMemory", {
        "VM": vm, "DynamicMemoryEnabled": True, "StartupBytes": spec.startup_bytes,
        "MinimumBytes": spec.startup_bytes, "MaximumBytes": spec.memory_bytes,
    })


def delete(machine, uuid):
    """The machine goes, whatever it does, its disk files stay. A missing one leaves only planned machines to remove."""
    if machine is None:
        return [Script("removePlanned", uuid=uuid)]
    vm = VM(machine.id)
    plan = [Script("cancelJobs", vm=vm).options(tolerate=("not_found", "internal", "timeout"))]
    if machine.state not in (states.OFF, states.SAVED):
        plan.append(request(machine.id, states.REQUEST_DISABLE).options(tolerate=("invalid_state",)))
    plan += [
        Cmdlet("Remove-VM", {"VM": vm, "Force": True}).options(tolerate=("not_found",)),
        Script("removePlanned", uuid=uuid),
    ]
    return plan


def request(id, number):
    return Invoke("Msvm_ComputerSystem", "RequestStateChange", VM(id), {"RequestedState": number})


def change_state(machine, target):
    """What to ask for to get from the state that was read to the target; nothing when it is there.

    A machine between two states is neither: the caller reads again until it is somewhere.
    """
    if machine.state == target:
        return []
    if target not in states.TRANSITIONS.get(machine.state, ()):
        raise HyperVError("invalid_state", "machine %s is %s" % (machine.uuid, machine.state),
                          {"state": machine.state})
    if machine.state == states.SAVED and target == states.OFF:
        # Turning a saved machine off is an invalid request: what goes is the saved state.
        return [Cmdlet("Remove-VMSavedState", {"VM": VM(machine.id)})]
    return [request(machine.id, states.REQUESTS[target])]


def reset(machine):
    if machine.state != states.RUNNING:
        raise HyperVError("invalid_state", "machine %s is %s" % (machine.uuid, machine.state),
                          {"state": machine.state})
    return [request(machine.id, states.REQUEST_RESET)]


def request_shutdown(machine, reason):
    if machine.state != states.RUNNING:
        raise HyperVError("invalid_state", "machine %s is %s" % (machine.uuid, machine.state),
                          {"state": machine.state})
    return [Invoke("Msvm_ShutdownComponent", "InitiateShutdown", VM(machine.id),
                   {"Force": False, "Reason": reason[:256] or "requested"})]


def export_root_disk(machine, chain, target, format, work):
    """A copy of the root disk without a parent (VM operations, section 10.1).

    `chain` is the root disk's file and its parents, newest first, as they are before the plan. A checkpoint redirects
    what the guest writes meanwhile; the copies are linked to each other and merged; the checkpoint goes in any case.
    """
    if format not in ("vhd", "vhdx"):
        raise HyperVError("invalid_argument", "Hyper-V exports vhd and vhdx, not " + format, {"field": "format"})
    if paths.extension(target) != format:
        raise HyperVError("invalid_argument", "the file of a %s has to end in .%s" % (format, format),
                          {"field": "path"})
    if machine.state not in (states.OFF, states.RUNNING, states.PAUSED, states.SAVED):
        raise HyperVError("invalid_state", "machine %s is %s" % (machine.uuid, machine.state),
                          {"state": machine.state})
    vm = VM(machine.id)
    plan = [
        Cmdlet("Remove-VMSnapshot", {"VM": vm, "Name": name}) for name in machine.checkpoints
        if name == EXPORT_CHECKPOINT
    ]
    plan += [File("removeTree", work), File("makeDirectory", work)]
    if machine.state != states.OFF:
        plan.append(Cmdlet("Checkpoint-VM", {"VM": vm, "SnapshotName": EXPORT_CHECKPOINT}))
    copies = [paths.join(work, "%d.%s" % (number, copied_extension(each))) for number, each in enumerate(chain)]
    for path, copy in zip(chain, copies):
        plan.append(File("copy", path, copy))
    for child, parent in zip(copies, copies[1:]):
        plan.append(Cmdlet("Set-VHD", {"Path": child, "ParentPath": parent, "IgnoreIdMismatch": True}))
    for child, parent in zip(copies, copies[1:]):
        # From the newest on: each is merged into its parent, which is the newest then.
        plan.append(Cmdlet("Merge-VHD", {"Path": child, "DestinationPath": parent, "Force": True}))
    if copied_extension(chain[-1]) == format:
        plan.append(File("move", copies[-1], target))
    else:
        converted = paths.join(work, "converted." + format)
        plan.append(Cmdlet("Convert-VHD", {"Path": copies[-1], "DestinationPath": converted, "VHDType": "Dynamic"}))
        plan.append(File("move", converted, target))
    if machine.state != states.OFF:
        plan.append(Cmdlet("Remove-VMSnapshot", {"VM": vm, "Name": EXPORT_CHECKPOINT})
                    .options(always=True, tolerate=("not_found",)))
    plan.append(File("removeTree", work).options(always=True))
    return plan


def copied_extension(path):
    """A checkpoint's file is a plain one to all but its machine."""
    return {"avhd": "vhd", "avhdx": "vhdx"}.get(paths.extension(path), paths.extension(path))
