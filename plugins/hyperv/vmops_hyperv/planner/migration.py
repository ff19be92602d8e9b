"""Plans for live migration (landscape, section D.6)."""

import re

from .. import paths, states
from ..errors import HyperVError
from ..steps import VM, Cmdlet, File, Moves, Script

#: What the two plugins tell each other, within the worker's ticket.
TICKET = "hyperv"
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?\Z")


def check_host_settings(settings):
    """Whether this host takes part in live migration at all."""
    if not settings.get("migration_enabled"):
        raise HyperVError("unavailable", "live migration is not enabled on this Hyper-V host", retryable=False)
    if not settings.get("any_network") and not settings.get("networks"):
        raise HyperVError("unavailable", "this Hyper-V host has no network for live migration", retryable=False)


def offer(settings, spec, copy_storage, instances_root, share):
    """What the destination adds to the ticket: who it is, and where the machine's files go."""
    check_host_settings(settings)
    return {
        "host": settings["name"],
        "version": settings["version"],
        "authentication": settings.get("authentication"),
        "directory": spec.directory,
        "root": instances_root,
        "share": share,
        "copy_storage": bool(copy_storage),
    }


def read_offer(ticket):
    offer = ticket.get(TICKET)
    if not isinstance(offer, dict) or not isinstance(offer.get("host"), str) or not HOST.match(offer["host"]):
        raise HyperVError("invalid_argument", "the destination is no Hyper-V host of this plugin", {"field": "ticket"})
    # It comes from another machine: its paths are looked at like everybody's.
    for field in ("directory", "root"):
        if not isinstance(offer.get(field), str):
            raise HyperVError("invalid_argument", "the ticket has no %s" % field, {"field": "ticket"})
        paths.check_windows_root(offer[field], "ticket." + field)
    share = offer.get("share") or ""
    if not isinstance(share, str) or not re.match(r"[A-Za-z0-9._$-]{0,80}\Z", share):
        raise HyperVError("invalid_argument", "the ticket has no proper share", {"field": "ticket"})
    return offer


def check_movable(machine):
    if machine.state not in (states.RUNNING, states.PAUSED):
        raise HyperVError("invalid_state", "machine %s is %s" % (machine.uuid, machine.state),
                          {"state": machine.state})


def check_images(machine, offer):
    """What is in a DVD drive keeps its path in the machine's configuration, so it has to be the same at both hosts."""
    for drive in machine.drives:
        if drive.media == "cdrom" and drive.path and offer["copy_storage"] \
                and not paths.same(drive.path, paths.join(offer["directory"], paths.base(drive.path))):
            raise HyperVError("invalid_argument", "a machine with a config drive moves only between hosts with the same "
                              "instances_directory", {"field": "ticket"})


def move_parameters(machine, offer):
    """Where everything goes: each disk by name, so that parents in the image cache stay where they are."""
    parameters = {"VM": VM(machine.id), "DestinationHost": offer["host"]}
    if offer["copy_storage"]:
        parameters["IncludeStorage"] = True
        parameters["VirtualMachinePath"] = offer["directory"]
        parameters["SnapshotFilePath"] = offer["directory"]
        parameters["SmartPagingFilePath"] = offer["directory"]
        parameters["VHDs"] = Moves(
            (each.path, paths.join(offer["directory"], paths.base(each.path)))
            for each in machine.drives if each.media == "disk" and each.path)
    return parameters


def check_outgoing(machine, settings, offer):
    """Hyper-V's own comparison; what does not fit is in the result's `incompatibilities`."""
    check_host_settings(settings)
    check_movable(machine)
    check_images(machine, offer)
    if offer["host"].lower() == settings["name"].lower():
        raise HyperVError("invalid_argument", "the destination is this host itself", {"field": "ticket"})
    if offer.get("authentication") and settings.get("authentication") \
            and offer["authentication"] != settings["authentication"]:
        raise HyperVError("unavailable", "the hosts authenticate live migration in different ways: %s and %s" % (
            settings["authentication"], offer["authentication"]), retryable=False)
    return [Cmdlet("Compare-VM", move_parameters(machine, offer), result=("Incompatibilities",))]


def prepare_incoming(spec, machines, record, content):
    """Room for the machine: nothing of its name here, no earlier plan of it, its directory, and a note of it all."""
    for machine in machines:
        if machine.uuid == spec.uuid:
            raise HyperVError("already_exists", "machine %s is here already" % spec.uuid)
        if machine.name.lower() == spec.name.lower():
            raise HyperVError("already_exists" if machine.is_ours else "conflict",
                              "another machine has the name " + spec.name)
    return [
        Script("removePlanned", uuid=spec.uuid),
        File("makeDirectory", spec.directory),
        File("makeDirectory", paths.parent(record)),
        File("write", record, content=content),
    ]


def unc(host, share, root, path):
    """A file of another host: through the share of its instances directory, or the administrative share of a drive."""
    if share:
        return "\\\\%s\\%s%s" % (host, share, path[len(root):] if path.lower().startswith(root.lower()) else path[2:])
    if path.startswith("\\\\"):
        return path
    return "\\\\%s\\%s$%s" % (host, path[0], path[2:])


def start(machine, offer):
    """What Hyper-V does not take along is copied first: images in DVD drives."""
    check_movable(machine)
    check_images(machine, offer)
    plan = []
    if offer["copy_storage"]:
        for drive in machine.drives:
            if drive.media == "cdrom" and drive.path:
                target = paths.join(offer["directory"], paths.base(drive.path))
                plan.append(File("copyOver", drive.path,
                                 unc(offer["host"], offer.get("share"), offer["root"], target)))
    plan.append(Cmdlet("Move-VM", move_parameters(machine, offer)))
    return plan


def abandon(uuid, directory, record, machine):
    """What was prepared goes; a machine that has arrived nevertheless is not ours to take away."""
    if machine is not None:
        raise HyperVError("invalid_state", "machine %s has arrived" % uuid, {"state": machine.state})
    plan = [Script("removePlanned", uuid=uuid)]
    if directory:
        plan.append(File("removeTree", directory))
    return plan + [File("remove", record)]
