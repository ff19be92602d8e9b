import itertools
import unittest

from support import MAP, UUID, disk, machine, nic, read, spec_json

from vmops_hyperv.errors import HyperVError
from vmops_hyperv.observed import Machine
from vmops_hyperv.planner import machines
from vmops_hyperv.spec import Mark, place, read_disk, read_mark
from vmops_hyperv.steps import VM


def addresses(disks, generation=1):
    read_disks = [read_disk(each, MAP) for each in disks]
    place(read_disks, generation)
    return [each.address for each in read_disks]


class AddressTests(unittest.TestCase):
    """VM operations, section 6.6."""

    def test_the_addresses_of_the_worker_are_kept_in_generation_1(self):
        disks = [disk("root", "root.vhdx", "ide", 0, 0), disk("ephemeral", "eph0.vhdx", "ide", 0, 1),
                 disk("ephemeral", "eph1.vhdx", "scsi", 0, 0), disk("volume", "vol.vhdx", "scsi", 0, 7),
                 disk("configDrive", "configdrive.iso", "ide", 1, 0)]
        self.assertEqual(addresses(disks), [("ide", 0, 0), ("ide", 0, 1), ("scsi", 0, 0), ("scsi", 0, 7),
                                            ("ide", 1, 0)])

    def test_without_addresses_the_order_is_that_of_the_seed(self):
        for has_root, ephemerals, volumes in itertools.product((True, False), (0, 1, 2), (0, 1, 3)):
            disks = [disk("root", "root.vhdx", "virtio")] if has_root else []
            disks += [disk("ephemeral", "eph%d.vhdx" % n, "virtio", 0, n) for n in range(ephemerals)]
            disks += [disk("volume", "vol%d.vhdx" % n, "virtio", 0, n) for n in range(volumes)]
            disks += [disk("configDrive", "configdrive.iso", "virtio")]
            expected = [("ide", 0, 0)] if has_root else []
            expected += [("ide", 0, 1)][:ephemerals] + [("scsi", 0, 0)][:max(0, ephemerals - 1)]
            first = max(0, ephemerals - 1)
            expected += [("scsi", 0, first + n) for n in range(volumes)]
            expected += [("ide", 1, 0)]
            self.assertEqual(addresses(disks), expected, (has_root, ephemerals, volumes))

    def test_generation_2_has_everything_on_scsi_and_the_root_disk_first(self):
        disks = [disk("volume", "vol.vhdx", "scsi", 0, 0), disk("root", "root.vhdx", "ide", 0, 0),
                 disk("ephemeral", "eph0.vhdx", "ide", 0, 1), disk("configDrive", "configdrive.iso", "ide", 1, 0)]
        result = addresses(disks, 2)
        self.assertEqual(result[1], ("scsi", 0, 0))
        self.assertEqual(len(set(result)), 4)
        self.assertTrue(all(each[0] == "scsi" for each in result))

    def test_generation_2_refuses_vhd(self):
        with self.assertRaises(HyperVError):
            addresses([disk("root", "root.vhd", "ide")], 2)

    def test_two_disks_at_one_address_are_refused(self):
        with self.assertRaises(HyperVError):
            addresses([disk("root", "root.vhdx", "ide"), disk("volume", "vol.vhdx", "ide")])

    def test_addresses_that_do_not_exist_are_refused(self):
        for bus, controller, unit in (("ide", 2, 0), ("ide", 0, 2), ("scsi", 0, 64)):
            with self.assertRaises(HyperVError):
                addresses([disk("volume", "v.vhdx", bus, controller, unit)])

    def test_there_are_64_slots(self):
        disks = [disk("volume", "v%d.vhdx" % n, "virtio", 0, 0) for n in range(65)]
        self.assertEqual(addresses(disks[:64])[-1], ("scsi", 0, 63))
        with self.assertRaises(HyperVError) as caught:
            addresses(disks)
        self.assertEqual(caught.exception.code, "resource_exhausted")

    def test_the_ending_decides_whether_it_is_a_dvd(self):
        self.assertEqual(read_disk(disk("configDrive", "configdrive.ISO", format="iso"), MAP).media, "cdrom")
        for file, format in (("root.qcow2", "qcow2"), ("root", "raw"), ("root.img", "raw")):
            with self.assertRaises(HyperVError):
                read_disk(disk("root", file, format=format), MAP)


class NotesTests(unittest.TestCase):
    def test_the_first_note_is_the_uuid(self):
        text = Mark(UUID, 5, "abc").text()
        self.assertEqual(text.split("\n")[0], UUID)
        mark = read_mark(text)
        self.assertEqual((mark.uuid, mark.incarnation, mark.fingerprint, mark.complete), (UUID, 5, "abc", True))

    def test_notes_of_the_compute_driver_are_ours_too(self):
        for notes in (UUID, UUID.upper(), "{%s}" % UUID, UUID.replace("-", ""), [UUID, "more"], "\r\n%s\r\n" % UUID):
            self.assertEqual(read_mark(notes).uuid, UUID, notes)

    def test_absent_empty_and_other_notes_are_foreign(self):
        for notes in (None, "", [], [None], ["", ""], "the accounting machine", "x" + UUID, 5, {}, UUID[:-1]):
            self.assertIsNone(read_mark(notes), notes)

    def test_odd_lines_of_ours_do_no_harm(self):
        mark = read_mark(UUID + "\nvmops incarnation x\nvmops\nvmops state building\nvmops incarnation " + "9" * 40)
        self.assertEqual((mark.incarnation, mark.complete), (1, False))


class MemoryTests(unittest.TestCase):
    def parameters(self, **changes):
        return machines.memory(VM("x"), read(spec_json(**changes))).parameters

    def test_fixed_memory(self):
        self.assertEqual(self.parameters(memory_mb=512, startup_memory_mb=512),
                         {"VM": VM("x"), "DynamicMemoryEnabled": False, "StartupBytes": 512 << 20})

    def test_dynamic_memory_starts_with_an_even_number_of_mib_and_ends_with_all_of_it(self):
        for memory, ratio, even in ((1000, 3, 332), (1024, 2, 512), (1024, 1.5, 682), (64, 10, 6)):
            startup = int(memory / ratio)
            found = self.parameters(memory_mb=memory, startup_memory_mb=startup)
            self.assertEqual((found["DynamicMemoryEnabled"], found["StartupBytes"], found["MinimumBytes"],
                              found["MaximumBytes"]), (True, even << 20, even << 20, memory << 20))

    def test_odd_sizes_are_never_cut(self):
        self.assertEqual(self.parameters(memory_mb=513, startup_memory_mb=513)["StartupBytes"], 514 << 20)


class SpecTests(unittest.TestCase):
    def test_nonsense_is_refused(self):
        for changes in (
            {"uuid": UUID.upper()}, {"uuid": None}, {"name": "a/b"}, {"directory": "/etc"}, {"memory_mb": 0},
            {"memory_mb": "512"}, {"memory_mb": True}, {"startup_memory_mb": 1024}, {"vcpus": 0}, {"disks": {}},
            {"interfaces": [nic(), nic()]}, {"interfaces": [nic(id="../x")]}, {"interfaces": [nic(mac="x")]},
            {"interfaces": [nic(bridge="a*")]}, {"metadata": {"hw_machine_type": "pc"}},
            {"disks": [disk("root", "../../x.vhdx")]}, {"disks": [disk("swap", "x.vhdx")]},
        ):
            with self.assertRaises(HyperVError, msg=changes) as caught:
                read(spec_json(**changes))
            self.assertEqual(caught.exception.code, "invalid_argument")

    def test_the_same_definition_has_the_same_fingerprint(self):
        self.assertEqual(read(spec_json()).fingerprint, read(spec_json()).fingerprint)
        self.assertNotEqual(read(spec_json()).fingerprint, read(spec_json(vcpus=3)).fingerprint)

    def test_the_generation_is_an_image_property(self):
        self.assertEqual(read(spec_json()).generation, 1)
        self.assertEqual(read(spec_json(metadata={"hw_machine_type": "hyperv-gen2"})).generation, 2)
        self.assertEqual(read(spec_json(), 2).generation, 2)


class ObservedTests(unittest.TestCase):
    def test_a_record_with_nothing_but_the_least(self):
        found = Machine({"id": "A-B", "notes": None})
        self.assertEqual((found.id, found.state, found.uuid, found.drives, found.root), ("a-b", "transitional", None, [], None))

    def test_the_root_disk_is_at_the_first_address(self):
        drives = [{"bus": "SCSI", "controller": 0, "unit": 0, "path": "b", "media": "disk"},
                  {"bus": "IDE", "controller": 0, "unit": 0, "path": "a", "media": "disk"}]
        self.assertEqual(machine(drives=drives).root.path, "a")
        self.assertEqual(machine(drives=drives, generation=2).root.path, "b")


if __name__ == "__main__":
    unittest.main()
