"""Plans for drives and network adapters."""

from .. import states
from ..errors import HyperVError
from ..steps import VM, Cmdlet

MAY_CHANGE = (states.OFF, states.RUNNING)


def add_drive(vm, disk, generation):
    """A drive with its file in it, at the address that the definition gave it."""
    if disk.media == "cdrom":
        if generation == 1 and disk.bus != "ide":
            raise HyperVError("invalid_argument", "generation 1 has DVD drives on IDE only", {"field": "disk.bus"})
        return Cmdlet("Add-VMDvdDrive", {
            "VM": vm, "ControllerNumber": disk.controller, "ControllerLocation": disk.unit, "Path": disk.path})
    return Cmdlet("Add-VMHardDiskDrive", {
        "VM": vm, "ControllerType": disk.bus.upper(), "ControllerNumber": disk.controller,
        "ControllerLocation": disk.unit, "Path": disk.path,
    })


def check_state(machine, what):
    if machine.state not in MAY_CHANGE:
        raise HyperVError("invalid_state", "%s: machine %s is %s" % (what, machine.uuid, machine.state),
                          {"state": machine.state})


def attach_disk(machine, disk):
    """What is attached stays; a running machine takes disks on SCSI only."""
    if machine.drive_of(disk.path):
        return []
    check_state(machine, "attaching a disk")
    if machine.generation == 2 or disk.bus == "virtio":
        disk.bus, disk.controller = "scsi", 0
        used = {each.address for each in machine.drives}
        if disk.address in used:
            disk.unit = next((unit for unit in range(64) if ("scsi", 0, unit) not in used), None)
            if disk.unit is None:
                raise HyperVError("resource_exhausted", "all 64 SCSI slots are taken")
    if machine.state == states.RUNNING and disk.bus != "scsi":
        raise HyperVError("invalid_state", "a running machine takes disks on SCSI only", {"state": machine.state})
    if any(each.address == disk.address for each in machine.drives):
        raise HyperVError("already_exists", "there is a drive at %s %d:%d" % disk.address)
    return [add_drive(VM(machine.id), disk, machine.generation)]


def detach_disk(machine, path):
    """What is not there needs no detaching."""
    drive = machine.drive_of(path)
    if drive is None:
        return []
    check_state(machine, "detaching a disk")
    if machine.state == states.RUNNING and drive.bus != "scsi":
        raise HyperVError("invalid_state", "a running machine gives up disks on SCSI only", {"state": machine.state})
    noun = "VMDvdDrive" if drive.media == "cdrom" else "VMHardDiskDrive"
    parameters = {"VM": VM(machine.id), "ControllerNumber": drive.controller, "ControllerLocation": drive.unit}
    if drive.media != "cdrom":
        parameters["ControllerType"] = drive.bus.upper()
    return [Cmdlet("Remove-" + noun, source=Cmdlet("Get-" + noun, parameters)).options(tolerate=("not_found",))]


def choose_switch(interface, switches, configured):
    """The switch that an interface goes to: the one of its bridge's name, the configured one, the first external one
    (VM operations, section 3.1). `switches` is [(name, type)]."""
    names = {name.lower(): name for name, _ in switches}
    if interface.bridge and interface.bridge.lower() in names:
        return names[interface.bridge.lower()]
    if configured:
        if configured.lower() not in names:
            raise HyperVError("unavailable", "there is no virtual switch " + configured, retryable=False)
        return names[configured.lower()]
    external = [name for name, kind in switches if kind == "External"]
    if external:
        return external[0]
    raise HyperVError("unavailable", "there is no external virtual switch", retryable=False)


def add_adapter(vm, interface, switch):
    parameters = {"VM": vm, "Name": interface.id, "StaticMacAddress": interface.mac}
    if switch is not None:
        parameters["SwitchName"] = switch
    return Cmdlet("Add-VMNetworkAdapter", parameters)


def attach_interface(machine, interface, switch):
    """Generation 1 takes adapters only when it is off (VM operations, section 10.4)."""
    present = machine.adapter_of(interface.id)
    if present is not None:
        if (present.get("mac") or "").upper() != interface.mac:
            raise HyperVError("already_exists", "interface %s is there with another address" % interface.id)
        return []
    check_hot(machine, "attaching an interface")
    return [add_adapter(VM(machine.id), interface, switch)]


def detach_interface(machine, id):
    if machine.adapter_of(id) is None:
        return []
    check_hot(machine, "detaching an interface")
    return [Cmdlet("Remove-VMNetworkAdapter", source=adapter(machine, id)).options(tolerate=("not_found",))]


def check_hot(machine, what):
    check_state(machine, what)
    if machine.state == states.RUNNING and machine.generation == 1:
        raise HyperVError("invalid_state", "%s: a machine of generation 1 has to be off" % what,
                          {"state": machine.state})


def adapter(machine, id):
    return Cmdlet("Get-VMNetworkAdapter", {"VM": VM(machine.id), "Name": id})


def plug(machine, id, switch):
    """Connects the adapter's port to the switch; a port that is there already is moved to it."""
    present = machine.adapter_of(id)
    if present is None or (present.get("switch") or "").lower() == switch.lower():
        return []
    return [Cmdlet("Connect-VMNetworkAdapter", {"SwitchName": switch}, source=adapter(machine, id))]


def unplug(machine, id):
    present = machine.adapter_of(id) if machine else None
    if present is None or not present.get("switch"):
        return []
    return [Cmdlet("Disconnect-VMNetworkAdapter", source=adapter(machine, id)).options(tolerate=("not_found",))]
