"""What needs no daemon: definitions, and what is made of libvirt's events."""

import os
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(os.path.dirname(HERE)), "python")]

import vmops_plugin as vmops  # noqa: E402
from vmops_libvirt import xml  # noqa: E402
from vmops_libvirt.lifecycle import Tracker  # noqa: E402

import libvirt  # noqa: E402

UUID = "8b6f0000-0000-4000-8000-000000000001"
NASTY = "/i/a'\"><disk>&amp;\u00e9/root"


def spec(**changes):
    members = {"uuid": UUID, "name": "one", "directory": "/i/a", "memory_mb": 64, "startup_memory_mb": 32, "vcpus": 2}
    members.update(changes)
    return vmops.MachineSpec(**members)


def definition(machine, **platform):
    mark = xml.Mark(3, vmops.to_json(machine))
    return xml.parse(xml.domain_xml(machine, mark, xml.Platform(**platform), "/s/console"))


class DefinitionTests(unittest.TestCase):
    def test_a_definition_carries_its_mark_and_gives_it_back(self):
        machine = spec(disks=[vmops.DiskSpec(NASTY, format="qcow2")], metadata={"note": "]]>&<x/>"})
        root = definition(machine)
        mark = xml.mark_of(root)
        self.assertEqual((mark.incarnation, mark.spec), (3, vmops.to_json(machine)))
        figures = [root.findtext(name) for name in ("memory", "currentMemory", "vcpu")]
        self.assertEqual(figures, ["64", "32", "2"])
        self.assertEqual(xml.console_path(root), "/s/console")

    def test_text_from_outside_stays_text(self):
        root = definition(spec(disks=[vmops.DiskSpec(NASTY)]))
        self.assertEqual([disk.find("source").get("file") for disk in root.findall("devices/disk")], [NASTY])
        self.assertIsNotNone(xml.find_disk(root, NASTY))

    def test_others_have_no_mark(self):
        for text in ("<domain/>", "<domain><metadata><x xmlns='urn:other'/></metadata></domain>"):
            self.assertIsNone(xml.mark_of(xml.parse(text)))

    def test_disks_have_the_place_they_are_given(self):
        places = [
            (vmops.DiskSpec("/a", bus="virtio", unit=2), "vdc", None),
            (vmops.DiskSpec("/a", bus="ide", controller=1, unit=1), "hdd", ("0", "1", "1")),
            (vmops.DiskSpec("/a", bus="scsi", controller=0, unit=4), "sde", ("0", "0", "4")),
        ]
        for disk, target, address in places:
            element = xml.disk_element(disk)
            self.assertEqual(xml.target_of(element), target)
            found = element.find("address")
            if address is not None:
                self.assertEqual((found.get("controller"), found.get("bus"), found.get("unit")), address)
        with self.assertRaises(vmops.InvalidArgument):
            xml.disk_element(vmops.DiskSpec("/a", media="cdrom", bus="virtio"))

    def test_interfaces_are_found_by_their_id(self):
        ids = ("a-1", "with/slash")
        cards = [vmops.InterfaceSpec(id, "fa:16:3e:00:00:01", bridge="br0", active=False) for id in ids]
        root = definition(spec(interfaces=cards))
        for id in ids:
            self.assertEqual(xml.find_interface(root, id).find("link").get("state"), "down")
        self.assertIsNone(xml.find_interface(root, "a-2"))

    def test_only_kvm_is_told_which_processor(self):
        self.assertIsNone(definition(spec()).find("cpu"))
        self.assertEqual(definition(spec(), domain_type="kvm").find("cpu").get("mode"), "host-model")
        limited = definition(spec(limit_cpu_features=True), domain_type="kvm")
        self.assertEqual(limited.findtext("cpu/model"), "qemu64")


STARTED, SUSPENDED, RESUMED, STOPPED, SHUTDOWN, UNDEFINED = (
    getattr(libvirt, "VIR_DOMAIN_EVENT_" + name)
    for name in ("STARTED", "SUSPENDED", "RESUMED", "STOPPED", "SHUTDOWN", "UNDEFINED")
)


class TrackerTests(unittest.TestCase):
    def setUp(self):
        self.now = 100.0
        self.tracker = Tracker(lambda: self.now)
        self.tracker.know(UUID, 1, vmops.OFF)

    def told(self, *events):
        return [each for event in events for each in self.tracker.lifecycle(UUID, *event)]

    def test_a_start_that_is_held_for_the_console_is_one_event(self):
        self.tracker.expect_start(UUID, "started")
        self.assertEqual(self.told((STARTED, 0), (SUSPENDED, 0), (RESUMED, 0)), [("started", None)])
        self.assertEqual(self.told((SUSPENDED, 0), (RESUMED, 0)), [("paused", None), ("resumed", None)])

    def test_somebody_elses_start_is_told_as_well(self):
        self.assertEqual(self.told((STARTED, 0)), [("started", None)])

    def test_saving_does_not_look_like_pausing(self):
        self.told((STARTED, 0))
        self.tracker.expect_save(UUID)
        saved = libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED
        self.assertEqual(self.told((SUSPENDED, 0), (STOPPED, saved)), [("saved", None)])
        restored = libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED
        self.assertEqual(self.told((STARTED, restored)), [("resumed", None)])

    def test_a_late_event_of_a_resume_is_not_taken_for_a_failed_save(self):
        self.told((STARTED, 0), (SUSPENDED, 0))
        self.tracker.expect_save(UUID)
        saved = (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED)
        self.assertEqual(self.told((RESUMED, 0), (SUSPENDED, 0), saved), [("resumed", None), ("saved", None)])

    def test_a_change_is_over_when_its_events_have_come(self):
        self.tracker.expect_start(UUID, "started")
        over = threading.Event()
        waiting = threading.Thread(target=lambda: (self.tracker.settle(UUID, vmops.RUNNING, 60), over.set()))
        waiting.start()
        self.told((STARTED, 0), (SUSPENDED, 0))
        self.assertFalse(over.is_set())
        self.told((RESUMED, 0))
        waiting.join(60)
        self.assertTrue(over.is_set())

    def test_who_ended_it(self):
        shutdown = libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN
        for events, reason in (
            (((SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_GUEST), (STOPPED, shutdown)), "guest"),
            (((SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST), (STOPPED, shutdown)), "host"),
            (((STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED),), "requested"),
            (((STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED),), "crashed"),
        ):
            self.told((STARTED, 0))
            self.assertEqual(self.told(*events), [("stopped", reason)])

    def test_a_reset_and_its_echoes_are_no_reboot(self):
        self.told((STARTED, 0))
        self.tracker.expect_reset(UUID)
        self.assertEqual(self.tracker.rebooted(UUID) + self.tracker.rebooted(UUID), [])
        self.now += 10
        self.assertEqual(self.tracker.rebooted(UUID), [("rebooted", None)])
        self.now += 0.5
        self.assertEqual(self.tracker.rebooted(UUID), [])

    def test_a_move_is_told_on_either_side(self):
        self.told((STARTED, 0))
        suspended = (SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED)
        stopped = (STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED)
        self.assertEqual(self.told(suspended, stopped), [("migrated-out", None)])
        arriving = ((STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_MIGRATED), (SUSPENDED, 0), (RESUMED, 1))
        self.assertEqual(self.told(*arriving), [("migrated-in", None)])

    def test_machines_of_others_are_not_told(self):
        self.assertEqual(self.tracker.lifecycle("other", STARTED, 0), [])
        self.tracker.forget(UUID)
        self.assertEqual(self.told((UNDEFINED, 0)), [])

    def test_what_happened_without_events_is_found(self):
        other = UUID[:-1] + "2"
        self.told((STARTED, 0))
        self.tracker.know(other, 2, vmops.OFF)
        told = self.tracker.resynchronize({UUID: (1, vmops.OFF)})
        self.assertEqual(told, [(other, 2, ("removed", None)), (UUID, 1, ("stopped", "host"))])


if __name__ == "__main__":
    unittest.main()
