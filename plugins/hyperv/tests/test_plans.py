"""Golden plans: for each operation and state the exact steps. `GOLDEN=write` writes them anew, for a reader to judge."""

import os
import unittest

from support import HERE, UUID, VM_ID, disk, machine, nic, read, spec_json

from vmops_hyperv import states
from vmops_hyperv.errors import HyperVError
from vmops_hyperv.planner import devices, disks, machines, migration
from vmops_hyperv.spec import Mark, read_disk, read_interface
from support import MAP

GIB = 1 << 30
SWITCHES = [("Private", "Private"), ("External", "External"), ("Other", "External")]
STATES = {"off": 3, "running": 2, "paused": 9, "saved": 6, "error": 32781, "transitional": 32770}
ROOT = {"bus": "ide", "controller": 0, "unit": 0, "path": "C:\\VMs\\instance-00000001\\root.vhdx", "media": "disk"}
VOLUME = {"bus": "scsi", "controller": 0, "unit": 3, "path": "C:\\VMs\\instance-00000001\\vol.vhdx", "media": "disk"}
ISO = {"bus": "ide", "controller": 1, "unit": 0, "path": "C:\\VMs\\instance-00000001\\configdrive.iso", "media": "cdrom"}
OFFER = {"host": "hyperv2", "directory": "C:\\VMs\\instance-00000001", "root": "C:\\VMs", "share": "",
         "copy_storage": True, "authentication": "Kerberos"}
SETTINGS = {"name": "hyperv1", "version": "10.0.17763", "migration_enabled": True, "any_network": True,
            "authentication": "Kerberos"}


def plan(function):
    try:
        steps = function()
    except HyperVError as error:
        state = error.details.get("state")
        return ["error %s%s" % (error.code, " state=" + state if state else "")]
    return [step.describe() for step in steps] or ["nothing"]


def create(present=(), generation=1, **changes):
    choose = lambda interface: devices.choose_switch(interface, SWITCHES, "")
    return lambda: machines.create(read(spec_json(**changes), generation), list(present), 7, choose, "C:\\VMs")


def full(**changes):
    value = dict(disks=[
        disk("configDrive", "configdrive.iso", "ide", 1, 0), disk("volume", "vol.vhdx", "scsi", 1, 2),
        disk("ephemeral", "eph0.vhdx", "ide", 0, 1), disk("root", "root.vhdx", "ide", 0, 0),
    ], interfaces=[nic(), nic(id="second", mac="fa:16:3e:00:00:02", bridge=None)], enable_metrics=True,
        limit_cpu_features=True, memory_mb=1000, startup_memory_mb=333)
    value.update(changes)
    return value


FINGERPRINT = read(spec_json()).fingerprint
EXPORT = "C:\\VMs\\export\\snap.vhdx"
CHAIN = [ROOT["path"], "C:\\VMs\\_base\\cirros.vhdx"]
IMAGE = {"format": "vhdx", "virtual_size": GIB}
VHD_IMAGE = {"format": "vhd", "virtual_size": GIB}


def cases():
    yield "create", {
        "smallest": create(),
        "everything, generation 1": create(**full()),
        "everything, generation 2": create(generation=2, **full()),
        "the same is there": create([machine(fingerprint=FINGERPRINT)]),
        "another one is there under the uuid": create([machine(fingerprint="other")]),
        "one was begun": create([machine(complete=False, fingerprint=FINGERPRINT)]),
        "one was begun and has no mark": create([machine(uuid=None)]),
        "a foreign one has the name": create([machine(uuid=None, path="D:\\Elsewhere")]),
        "a foreign one runs at our place": create([machine(2, uuid=None)]),
        "another one of ours has the name": create([machine(uuid=UUID[:-1] + "9")]),
        "strangers do not matter": create([machine(uuid=None, name="accounting", path="D:\\A")]),
    }
    yield "delete", {name: (lambda n=number: machines.delete(machine(n), UUID)) for name, number in STATES.items()}
    yield "delete-missing", {"missing": lambda: machines.delete(None, UUID)}
    for target in ("running", "off", "paused", "saved"):
        yield "set-state-" + target, {
            name: (lambda n=number, t=target: machines.change_state(machine(n), t)) for name, number in STATES.items()}
    yield "reset", {name: (lambda n=number: machines.reset(machine(n))) for name, number in STATES.items()}
    yield "shutdown", {
        name: (lambda n=number: machines.request_shutdown(machine(n), "going down")) for name, number in STATES.items()}
    exports = {name: (lambda n=number: machines.export_root_disk(machine(n, drives=[ROOT]), CHAIN, EXPORT, "vhdx", EXPORT + ".work"))
               for name, number in STATES.items()}
    exports["running, to another format"] = lambda: machines.export_root_disk(
        machine(2, drives=[ROOT]), CHAIN[:1], EXPORT[:-1], "vhd", EXPORT + ".work")
    exports["off, three files"] = lambda: machines.export_root_disk(
        machine(3), ["C:\\a.avhdx", "C:\\b.vhdx", "C:\\c.vhdx"], EXPORT, "vhdx", EXPORT + ".work")
    exports["to a format that is none"] = lambda: machines.export_root_disk(
        machine(3), CHAIN, "C:\\VMs\\x.qcow2", "qcow2", "C:\\VMs\\w")
    yield "export", exports
    path = "C:\\VMs\\instance-00000001\\root."
    yield "disk-create", {
        "blank vhdx": lambda: disks.create(path + "vhdx", "vhdx", "blank", size=GIB),
        "blank vhd": lambda: disks.create(path + "vhd", "vhd", "blank", size=GIB + 1),
        "overlay as large as the image": lambda: disks.create(path + "vhdx", "vhdx", "overlay", IMAGE, GIB, "C:\\i.vhdx"),
        "overlay without a size": lambda: disks.create(path + "vhdx", "vhdx", "overlay", IMAGE, None, "C:\\i.vhdx"),
        "larger overlay": lambda: disks.create(path + "vhdx", "vhdx", "overlay", IMAGE, 2 * GIB, "C:\\i.vhdx"),
        "smaller overlay": lambda: disks.create(path + "vhdx", "vhdx", "overlay", IMAGE, GIB - 512 * 8, "C:\\i.vhdx"),
        "overlay of another format": lambda: disks.create(path + "vhd", "vhd", "overlay", IMAGE, None, "C:\\i.vhdx"),
        "vhd overlay": lambda: disks.create(path + "vhd", "vhd", "overlay", VHD_IMAGE, GIB, "C:\\i.vhd"),
        "larger vhd overlay": lambda: disks.create(path + "vhd", "vhd", "overlay", VHD_IMAGE, 2 * GIB, "C:\\i.vhd"),
        "larger vhd overlay, image is there": lambda: disks.create(
            path + "vhd", "vhd", "overlay", VHD_IMAGE, 2 * GIB, "C:\\i.vhd", True),
        "copy": lambda: disks.create(path + "vhdx", "vhdx", "copy", IMAGE, None, "C:\\i.vhdx"),
        "larger copy": lambda: disks.create(path + "vhdx", "vhdx", "copy", IMAGE, 3 * GIB, "C:\\i.vhdx"),
        "smaller copy": lambda: disks.create(path + "vhdx", "vhdx", "copy", IMAGE, GIB // 2, "C:\\i.vhdx"),
        "copy in another format": lambda: disks.create(path + "vhdx", "vhdx", "copy", VHD_IMAGE, 2 * GIB, "C:\\i.vhd"),
        "a format that is none": lambda: disks.create(path + "qcow2", "qcow2", "blank", size=GIB),
        "too large for the volume": lambda: disks.create(path + "vhdx", "vhdx", "blank", size=8 * GIB, limit=4 * GIB),
    }
    info = {"format": "vhdx", "virtual_size": GIB, "backing_file": None}
    yield "disk-resize", {
        "same": lambda: disks.resize("C:\\a.vhdx", info, GIB),
        "larger": lambda: disks.resize("C:\\a.vhdx", info, 2 * GIB),
        "smaller": lambda: disks.resize("C:\\a.vhdx", info, GIB // 2),
        "differencing vhdx": lambda: disks.resize("C:\\a.vhdx", dict(info, backing_file="C:\\p.vhdx"), 2 * GIB),
        "differencing vhd": lambda: disks.resize(
            "C:\\a.vhd", dict(info, format="vhd", backing_file="C:\\p.vhd"), 2 * GIB),
    }

    def attach(number, bus="scsi", unit=5, file="new.vhdx", **more):
        return lambda: devices.attach_disk(machine(number, drives=[ROOT, VOLUME], **more),
                                           read_disk(disk("volume", file, bus, 0, unit), MAP))

    yield "attach-disk", dict(
        {name: attach(number) for name, number in STATES.items()},
        **{"attached": attach(2, file="vol.vhdx"), "taken": attach(2, unit=3), "IDE while it runs": attach(2, "ide", 1),
           "IDE while it is off": attach(3, "ide", 1), "generation 2 finds a place": attach(2, "ide", 0, generation=2),
           "without an address": attach(2, "virtio", 3), "DVD": attach(3, "ide", 1, "x.iso"),
           "DVD on SCSI in generation 1": attach(3, "scsi", 1, "x.iso")})
    yield "detach-disk", dict(
        {name: (lambda n=number: devices.detach_disk(machine(n, drives=[ROOT, VOLUME, ISO]), VOLUME["path"]))
         for name, number in STATES.items()},
        **{"missing": lambda: devices.detach_disk(machine(2), VOLUME["path"]),
           "IDE while it runs": lambda: devices.detach_disk(machine(2, drives=[ROOT]), ROOT["path"]),
           "DVD while it is off": lambda: devices.detach_disk(machine(3, drives=[ISO]), ISO["path"])})
    adapter = {"name": "a1", "mac": "FA163E000001", "switch": "External"}
    interface = read_interface(nic(id="a1"))
    yield "attach-interface", dict(
        {name + ", generation 2": (lambda n=number: devices.attach_interface(machine(n, generation=2), interface, "External"))
         for name, number in STATES.items()},
        **{"running, generation 1": lambda: devices.attach_interface(machine(2), interface, "External"),
           "off, generation 1": lambda: devices.attach_interface(machine(3), interface, "External"),
           "attached": lambda: devices.attach_interface(machine(2, adapters=[adapter]), interface, "External"),
           "attached with another address": lambda: devices.attach_interface(
               machine(2, adapters=[dict(adapter, mac="FFFFFFFFFFFF")]), interface, "External")})
    yield "detach-interface", {
        "off": lambda: devices.detach_interface(machine(3, adapters=[adapter]), "a1"),
        "running, generation 1": lambda: devices.detach_interface(machine(2, adapters=[adapter]), "a1"),
        "running, generation 2": lambda: devices.detach_interface(machine(2, adapters=[adapter], generation=2), "a1"),
        "missing": lambda: devices.detach_interface(machine(2), "a1"),
    }
    yield "network", {
        "plug": lambda: devices.plug(machine(2, adapters=[dict(adapter, switch="")]), "a1", "External"),
        "plug what is plugged": lambda: devices.plug(machine(2, adapters=[adapter]), "a1", "external"),
        "plug elsewhere": lambda: devices.plug(machine(2, adapters=[adapter]), "a1", "Private"),
        "unplug": lambda: devices.unplug(machine(2, adapters=[adapter]), "a1"),
        "unplug what is unplugged": lambda: devices.unplug(machine(2, adapters=[dict(adapter, switch="")]), "a1"),
        "unplug of a missing machine": lambda: devices.unplug(None, "a1"),
    }
    incoming = read(spec_json())
    moving = dict(drives=[ROOT, VOLUME, ISO])
    yield "migration", dict(
        {"start, " + name: (lambda n=number: migration.start(machine(n, **moving), OFFER))
         for name, number in STATES.items()},
        **{"start on shared storage": lambda: migration.start(machine(2, **moving), dict(OFFER, copy_storage=False)),
           "start through a share": lambda: migration.start(machine(2, **moving), dict(OFFER, share="vms$")),
           "start, a config drive would change its place": lambda: migration.start(
               machine(2, **moving), dict(OFFER, directory="D:\\VMs\\instance-00000001", root="D:\\VMs")),
           "start, to another directory": lambda: migration.start(
               machine(2, drives=[ROOT]), dict(OFFER, directory="D:\\VMs\\instance-00000001", root="D:\\VMs")),
           "check": lambda: migration.check_outgoing(machine(2, **moving), SETTINGS, OFFER),
           "check, off": lambda: migration.check_outgoing(machine(3), SETTINGS, OFFER),
           "check, to itself": lambda: migration.check_outgoing(machine(2), SETTINGS, dict(OFFER, host="HYPERV1")),
           "check, migration is off": lambda: migration.check_outgoing(machine(2), dict(SETTINGS, migration_enabled=False), OFFER),
           "check, no network": lambda: migration.check_outgoing(machine(2), dict(SETTINGS, any_network=False, networks=[]), OFFER),
           "check, other authentication": lambda: migration.check_outgoing(machine(2), SETTINGS, dict(OFFER, authentication="CredSSP")),
           "prepare": lambda: migration.prepare_incoming(incoming, [], "C:\\VMs\\_vmops\\x.json", b"{}"),
           "prepare, it is here": lambda: migration.prepare_incoming(incoming, [machine()], "C:\\x\\y", b"{}"),
           "prepare, name taken by a foreign one": lambda: migration.prepare_incoming(incoming, [machine(uuid=None)], "C:\\x\\y", b"{}"),
           "abandon": lambda: migration.abandon(UUID, "C:\\VMs\\instance-00000001", "C:\\VMs\\_vmops\\x.json", None),
           "abandon on shared storage": lambda: migration.abandon(UUID, None, "C:\\VMs\\_vmops\\x.json", None),
           "abandon what has arrived": lambda: migration.abandon(UUID, None, "C:\\VMs\\_vmops\\x.json", machine(2))})


class PlanTests(unittest.TestCase):
    maxDiff = None

    def test_plans_are_the_golden_ones(self):
        seen = set()
        for name, each in cases():
            seen.add(name + ".txt")
            text = ""
            for title, function in each.items():
                text += "## %s\n%s\n\n" % (title, "\n".join(plan(function)))
            path = os.path.join(HERE, "golden", name + ".txt")
            if os.environ.get("GOLDEN") == "write":
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            with open(path, encoding="utf-8") as file:
                with self.subTest(name):
                    self.assertEqual(text, file.read())
        self.assertEqual(seen, set(os.listdir(os.path.join(HERE, "golden"))))

    def test_every_state_has_an_answer_for_every_target(self):
        for state in ("off", "running", "paused", "saved", "error"):
            self.assertIn(state, states.TRANSITIONS)

    def test_the_mark_says_building_until_the_last_step(self):
        steps = create(**full())()
        notes = [step.parameters["Notes"] for step in steps if getattr(step, "name", "") == "Set-VM"]
        self.assertEqual(["building" in each for each in notes], [True, False])
        self.assertEqual(notes[-1], Mark(UUID, 7, read(spec_json(**full())).fingerprint).text())
        self.assertIs(steps[-1].parameters["Notes"], notes[-1])

    def test_switches(self):
        choose = lambda bridge, configured: devices.choose_switch(read_interface(nic(bridge=bridge)), SWITCHES, configured)
        self.assertEqual(choose("private", ""), "Private")
        self.assertEqual(choose(None, "Other"), "Other")
        self.assertEqual(choose("br-int", ""), "External")
        with self.assertRaises(HyperVError):
            choose(None, "Gone")
        with self.assertRaises(HyperVError):
            devices.choose_switch(read_interface(nic(bridge=None)), [("Private", "Private")], "")

    def test_the_ticket_of_another_host_is_looked_at(self):
        good = {"hyperv": dict(OFFER)}
        self.assertEqual(migration.read_offer(good)["host"], "hyperv2")
        for changes in ({"host": "a b"}, {"host": "-x"}, {"host": None}, {"directory": "..\\x"}, {"root": None},
                        {"share": "a\\b"}, {"directory": "D:\\con\\x"}):
            with self.assertRaises(HyperVError, msg=changes):
                migration.read_offer({"hyperv": dict(OFFER, **changes)})
        with self.assertRaises(HyperVError):
            migration.read_offer({})

    def test_plans_name_machines_by_id_alone(self):
        steps = machines.delete(machine(2), UUID)
        self.assertIn(VM_ID, steps[0].text())
        self.assertNotIn("instance-00000001", "".join(step.text() for step in steps))


if __name__ == "__main__":
    unittest.main()
