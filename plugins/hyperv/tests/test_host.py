"""The whole host on a modelled Hyper-V, in this process; time goes on when somebody waits."""

import base64
import unittest

from support import MAP, UUID, WORKER, Bench, Request, disk, nic, spec_json

from vmops_plugin.errors import (AlreadyExists, Busy, Cancelled, Conflict, DeadlineExceeded, InvalidArgument, InvalidState,
                                 NotFound, PluginError, ResourceExhausted, Unauthorized, Unavailable)
from vmops_plugin.model import ConfigFile, Image, ImageRequest, InterfaceSpec
from vmops_plugin.params import Params

from vmops_hyperv.runner.model import Fault, Settings
from vmops_hyperv.runner.world import World

GIB = 1 << 30


class HostTest(unittest.TestCase):
    settings = None
    options = None

    def setUp(self):
        self.bench = Bench(self.settings and Settings(**self.settings), options=self.options)
        self.addCleanup(self.bench.close)
        self.host, self.model = self.bench.host, self.bench.model
        self.bench.subscribe()

    def request(self, **more):
        return self.bench.request(**more)

    def state(self, uuid=UUID):
        return self.host.machine_get(self.request(), uuid).state

    def go(self, *states):
        return [self.host.machine_set_state(self.request(), UUID, state) for state in states]

    def ids(self):
        return {each["name"]: each for each in self.model.machines()}

    def foreign(self, **more):
        machine = dict({
            "id": "ffffffff-0000-0000-0000-000000000001", "name": "accounting", "notes": "do not touch", "state": 2,
            "generation": 1, "path": "D:\\A", "startup": 1 << 30, "dynamic": False, "maximum": None, "processors": 1,
            "com": {}, "metering": False, "planned": False, "drives": [], "adapters": [], "checkpoints": [], "job": None,
            "booted_at": 0, "firmware": {}, "scsi": 1}, **more)
        self.model.save(machine)


class LifecycleTests(HostTest):
    def test_a_machine_is_what_was_ordered(self):
        self.bench.create(spec_json(
            disks=[disk("root", "root.vhdx", "ide"), disk("ephemeral", "eph0.vhdx", "ide", 0, 1),
                   disk("configDrive", "configdrive.iso", "ide", 1, 0), disk("volume", "vol.vhdx", "scsi", 0, 4)],
            interfaces=[nic()], memory_mb=1000, startup_memory_mb=333, enable_metrics=True, limit_cpu_features=True))
        machine = self.ids()["instance-00000001"]
        self.assertEqual([(each["bus"], each["controller"], each["unit"], each["path"].rsplit("\\", 1)[1])
                          for each in machine["drives"]],
                         [("ide", 0, 0, "root.vhdx"), ("ide", 0, 1, "eph0.vhdx"), ("scsi", 0, 4, "vol.vhdx"),
                          ("ide", 1, 0, "configdrive.iso")])
        self.assertEqual(machine["adapters"], [
            {"name": nic()["id"], "mac": "FA163E000001", "switch": "External"}])
        self.assertEqual((machine["dynamic"], machine["startup"], machine["minimum"], machine["maximum"]),
                         (True, 332 << 20, 332 << 20, 1000 << 20))
        self.assertEqual((machine["metering"], machine["compatible"], machine["start_action"]), (True, True, "Nothing"))
        self.assertEqual(machine["com"], {"1": "\\\\.\\pipe\\%s_rw" % UUID})
        self.assertEqual(machine["path"], "C:\\VMs\\instance-00000001")
        status = self.host.machine_get(self.request(), UUID)
        self.assertEqual((status.state, status.max_memory_kb, status.cpu_count, status.has_console),
                         ("off", 1000 << 10, 2, True))

    def test_generation_2(self):
        self.bench.create(spec_json(
            metadata={"hw_machine_type": "hyperv-gen2"},
            disks=[disk("root", "root.vhdx", "virtio"), disk("configDrive", "configdrive.iso", "virtio")]))
        machine = self.ids()["instance-00000001"]
        self.assertEqual([(each["bus"], each["unit"], each["media"]) for each in machine["drives"]],
                         [("scsi", 0, "disk"), ("scsi", 1, "cdrom")])
        self.assertEqual(machine["firmware"], {"secure_boot": "Off", "first": [0, 0]})
        self.assertEqual(self.go("running"), ["running"])

    def test_the_states(self):
        self.bench.create()
        self.assertEqual(self.go("off", "running", "running", "paused", "paused", "running", "saved", "saved", "running",
                                 "saved", "off", "running", "paused", "off"),
                         ["off", "running", "running", "paused", "paused", "running", "saved", "saved", "running",
                          "saved", "off", "running", "paused", "off"])
        self.assertEqual(self.bench.events, [
            ("started",), ("paused",), ("resumed",), ("saved",), ("resumed",), ("saved",), ("stopped", "requested"),
            ("started",), ("paused",), ("stopped", "requested")])

    def test_changes_that_cannot_be_say_the_state(self):
        self.bench.create()
        for before, targets in (((), ("paused", "saved")), (("running", "paused"), ("saved",)),
                                (("running", "saved"), ("paused",))):
            self.go("off", *before)
            now = self.state()
            for target in targets:
                with self.assertRaises(InvalidState) as caught:
                    self.go(target)
                self.assertEqual(caught.exception.details["state"], now)

    def test_invalid_state_is_success_when_the_state_is_there(self):
        """Landscape, section D.4: somebody else was quicker."""
        self.bench.create()
        original = self.model._invoke

        def quicker(step, fault):
            original(step, fault)
            self.bench.clock.now += 1
            self.model.settle()
            return {"found": True, "value": 32775}

        self.model._invoke = quicker
        self.assertEqual(self.go("running"), ["running"])

    def test_invalid_state_is_an_error_when_it_is_not(self):
        self.bench.create()
        self.model.faults.append(Fault("Msvm_ComputerSystem", value=32775))
        with self.assertRaises(InvalidState) as caught:
            self.go("running")
        self.assertEqual(caught.exception.details["state"], "off")

    def test_the_guest_stops_by_itself(self):
        self.bench.create()
        self.go("running")
        self.assertEqual(self.host.machine_request_shutdown(self.request(), UUID, "bye"), "not_ready")
        self.bench.clock.now += 1
        self.assertEqual(self.host.machine_request_shutdown(self.request(), UUID, "bye"), "accepted")
        self.assertEqual(self.host.machine_request_shutdown(self.request(), UUID, "bye"), "accepted")
        self.bench.clock.now += 1
        self.assertEqual(self.state(), "off")
        self.assertEqual(self.bench.events[-1], ("stopped", "guest"))
        with self.assertRaises(InvalidState):
            self.host.machine_request_shutdown(self.request(), UUID, "bye")

    def test_answers_to_a_shutdown(self):
        self.bench.create()
        self.go("running")
        self.bench.clock.now += 1
        for value, answer in ((0, "accepted"), (4096, "accepted"), (32780, "not_ready"), (32781, "not_ready"),
                              (32782, "accepted"), (32775, "not_ready"), (32770, "unsupported")):
            self.model.faults.append(Fault("Msvm_ShutdownComponent", value=value))
            self.assertEqual(self.host.machine_request_shutdown(self.request(), UUID, "x"), answer, value)
        self.model.settings.has_shutdown_component = False
        self.assertEqual(self.host.machine_request_shutdown(self.request(), UUID, "x"), "unsupported")

    def test_a_reset_keeps_it_running_and_is_no_event(self):
        self.bench.create()
        with self.assertRaises(InvalidState) as caught:
            self.host.machine_reset(self.request(), UUID)
        self.assertEqual(caught.exception.details["state"], "off")
        self.go("running")
        self.assertEqual(self.host.machine_reset(self.request(), UUID), "running")
        self.assertEqual(self.ids()["instance-00000001"]["boots"], 2)
        self.assertEqual(self.bench.events, [("started",)])

    def test_errors_of_requests_reach_the_caller(self):
        self.bench.create()
        for value, kind in ((32769, Unauthorized), (32774, Busy), (32778, ResourceExhausted)):
            self.model.faults.append(Fault("Msvm_ComputerSystem", value=value))
            with self.assertRaises(kind):
                self.go("running")
        self.model.faults.append(Fault("Msvm_ComputerSystem", job=10, ))
        with self.assertRaises(PluginError):
            self.go("running")
        self.assertEqual(self.state(), "off")
        self.assertEqual(self.bench.events, [])

    def test_a_start_without_its_disk_fails_and_says_so(self):
        self.bench.create()
        self.model.files.drop("C:\\VMs\\instance-00000001\\root.vhdx")
        with self.assertRaises(NotFound):
            self.go("running")
        self.assertEqual(self.state(), "off")

    def test_a_machine_on_its_way_is_waited_for(self):
        self.bench.create()
        machine = self.ids()["instance-00000001"]
        self.model.settings.job_seconds = 1.0
        self.model._request(machine, 2, None)
        self.assertEqual(self.state(), "transitional")
        self.assertEqual(self.go("paused"), ["paused"])

    def test_late_and_cancelled_requests_end_their_job(self):
        self.bench.create()
        self.model.settings.job_seconds = 60.0
        with self.assertRaises(DeadlineExceeded):
            self.host.machine_set_state(self.request(deadline=2.0), UUID, "running")
        with self.assertRaises(Cancelled):
            self.host.machine_set_state(self.request(cancel_after=3), UUID, "running")
        self.assertEqual(self.state(), "off")

    def test_jobs_can_be_cancelled_from_outside(self):
        self.bench.create()
        machine = self.ids()["instance-00000001"]
        self.model.settings.job_seconds = 60.0
        self.model._request(machine, 2, None)
        self.host.machine_cancel_jobs(self.request(), UUID)
        self.assertEqual(self.state(), "off")

    def test_critical_machines_are_in_error_and_may_be_tried(self):
        self.bench.create()
        self.go("running")
        self.model.set_state(self.ids()["instance-00000001"], 32781)
        self.assertEqual(self.state(), "error")
        self.assertEqual(self.bench.events[-1], ("crashed",))


class DefinitionTests(HostTest):
    def test_the_same_again_is_success_and_another_is_refused(self):
        self.bench.create()
        before = self.host.machine_get(self.request(), UUID).incarnation
        self.bench.create()
        self.assertEqual(self.host.machine_get(self.request(), UUID).incarnation, before)
        with self.assertRaises(AlreadyExists):
            self.bench.create(spec_json(memory_mb=1024, startup_memory_mb=1024))
        with self.assertRaises(AlreadyExists):
            self.bench.create(spec_json(uuid=UUID[:-1] + "2"))

    def test_a_later_definition_has_a_larger_incarnation(self):
        self.bench.create()
        before = self.host.machine_get(self.request(), UUID).incarnation
        self.host.machine_delete(self.request(), UUID)
        self.bench.create()
        self.assertGreater(self.host.machine_get(self.request(), UUID).incarnation, before)

    def test_a_failure_at_any_step_leaves_nothing_and_the_next_try_succeeds(self):
        value = spec_json(interfaces=[nic()], enable_metrics=True,
                          disks=[disk("root", "root.vhdx", "ide"), disk("configDrive", "configdrive.iso", "ide", 1, 0)])
        self.bench.create(value)
        steps = [text for text in self.model.log if text.split()[0] in (
            "New-VM", "Set-VM", "Set-VMMemory", "Set-VMProcessor", "Add-VMHardDiskDrive", "Add-VMDvdDrive", "Set-VMComPort",
            "Add-VMNetworkAdapter", "Enable-VMResourceMetering") or "stripDevices" in text]
        self.assertGreater(len(steps), 9)
        self.host.machine_delete(self.request(), UUID)
        seen = {}
        for text in steps:
            start = text.split(" -")[0] if "script" not in text else "script stripDevices"
            seen[start] = seen.get(start, 0) + 1
            self.model.faults[:] = [Fault(start, seen[start], error="resource_exhausted")]
            with self.assertRaises(ResourceExhausted, msg=text):
                self.bench.create(value)
            self.assertEqual(self.model.machines(), [], text)
        self.model.faults.clear()
        self.bench.create(value)
        self.assertEqual(self.go("running"), ["running"])

    def test_killed_after_any_step_the_next_try_succeeds(self):
        """As if the plugin had been killed: nothing undoes anything."""
        value = spec_json(interfaces=[nic()])
        number = 0
        while True:
            number += 1
            counted = {"left": number}
            original = self.model.run

            def run(step, request):
                if counted["left"] == 0:
                    raise SystemExit
                counted["left"] -= 1
                return original(step, request)

            self.model.run = run
            self.host.executor._undo, undo = (lambda *_: None), self.host.executor._undo
            killed = False
            try:
                self.bench.create(value)
            except SystemExit:
                killed = True
            self.model.run, self.host.executor._undo = original, undo
            self.bench.create(value)
            self.assertEqual(len(self.model.machines()), 1)
            self.assertEqual(self.state(), "off")
            self.host.machine_delete(self.request(), UUID)
            if not killed:
                break
        self.assertGreater(number, 10)

    def test_an_unfinished_machine_is_not_listed(self):
        self.bench.create()
        machine = self.ids()["instance-00000001"]
        machine["notes"] = machine["notes"].replace("complete", "building")
        self.model.save(machine)
        self.assertEqual(list(self.host.machine_list(self.request())), [])
        with self.assertRaises(NotFound):
            self.state()
        self.host.machine_delete(self.request(), UUID)
        self.assertEqual(self.model.machines(), [])

    def test_deleting(self):
        for states in ((), ("running",), ("running", "paused"), ("running", "saved")):
            self.bench.create()
            self.go(*states)
            self.bench.events.clear()
            for _ in range(2):
                self.host.machine_delete(self.request(), UUID)
            with self.assertRaises(NotFound):
                self.state()
            self.assertTrue(self.model.files.exists("C:\\VMs\\instance-00000001\\root.vhdx"))
            expected = [("stopped", "requested")] if states and states[-1] != "saved" else []
            self.assertEqual(self.bench.events, expected + [("removed",)], states)

    def test_deleting_goes_on_when_jobs_hang(self):
        self.bench.create()
        self.go("running")
        self.model.settings.save_seconds = 1000.0
        self.model._request(self.ids()["instance-00000001"], 6, None)
        self.host.machine_delete(self.request(), UUID)
        self.assertEqual(self.model.machines(), [])

    def test_foreign_machines_are_listed_and_never_touched(self):
        self.foreign()
        entries = list(self.host.machine_list(self.request()))
        self.assertEqual([(each.name, each.uuid, each.state) for each in entries], [("accounting", None, "running")])
        with self.assertRaises(Conflict):
            self.bench.create(spec_json("accounting"))
        self.host.machine_delete(self.request(), UUID)
        self.assertIn("accounting", self.ids())

    def test_absent_notes_and_machines_that_vanish_do_no_harm(self):
        self.foreign(notes="")
        self.bench.create()
        self.assertEqual(len(list(self.host.machine_list(self.request()))), 2)
        self.model.forget(self.ids()["instance-00000001"])
        with self.assertRaises(NotFound):
            self.state()
        self.assertEqual(self.bench.events, [("removed",)])

    def test_unknown_machines_are_not_found(self):
        for call in (lambda: self.state(), lambda: self.go("running"),
                     lambda: self.host.machine_reset(self.request(), UUID),
                     lambda: self.host.machine_request_shutdown(self.request(), UUID, ""),
                     lambda: self.host.console_open(self.request(), UUID, None),
                     lambda: self.host.machine_diagnostics(self.request(), UUID),
                     lambda: self.host.machine_detach_disk(self.request(), UUID, WORKER + "/a/b.vhdx")):
            with self.assertRaises(NotFound):
                call()

    def test_machines_are_found_again_by_another_plugin(self):
        self.bench.create()
        self.go("running")
        other = Bench(world=self.model.world)
        self.addCleanup(other.close)
        self.assertEqual(other.host.machine_get(other.request(), UUID).state, "running")


class DiskTests(HostTest):
    def create(self, path, format="vhdx", source="blank", image=None, size=None):
        return self.host.disk_create(self.request(), WORKER + "/" + path, format, source, image, size)

    def image(self, reference="cirros"):
        return self.host.image_get(self.request(), ImageRequest(reference))

    def test_blank_disks(self):
        info = self.create("a/root.vhdx", size=16 << 20)
        self.assertEqual((info.path, info.format, info.virtual_size), (WORKER + "/a/root.vhdx", "vhdx", 16 << 20))
        with self.assertRaises(AlreadyExists):
            self.create("a/root.vhdx", size=16 << 20)
        for _ in range(2):
            self.host.disk_resize(self.request(), WORKER + "/a/root.vhdx", 32 << 20)
        self.assertEqual(self.host.disk_info(self.request(), WORKER + "/a/root.vhdx").virtual_size, 32 << 20)
        with self.assertRaises(InvalidArgument):
            self.host.disk_resize(self.request(), WORKER + "/a/root.vhdx", 8 << 20)

    def test_names_that_say_nothing_of_the_format(self):
        self.assertEqual(self.create("a/extra.disk", size=16 << 20).path, WORKER + "/a/extra.disk")
        self.assertEqual(self.host.disk_info(self.request(), WORKER + "/a/extra.disk").format, "vhdx")
        value = spec_json(disks=[dict(disk("root", "extra.disk", "virtio", name="a"), format="vhdx")])
        self.bench.create(value)
        self.host.machine_detach_disk(self.request(), UUID, WORKER + "/a/extra.disk")
        self.assertEqual(self.ids()["instance-00000001"]["drives"], [])

    def test_layers_over_images(self):
        image = self.image()
        self.assertEqual((image.path, image.virtual_size), (WORKER + "/_base/cirros.vhdx", 64 << 20))
        info = self.create("a/root.vhdx", source="overlay", image=image, size=1 << 30)
        self.assertEqual((info.virtual_size, info.backing_file), (1 << 30, image.path))
        self.assertEqual(self.host.disk_info(self.request(), image.path).virtual_size, 64 << 20)

    def test_layers_over_a_vhd_lie_on_a_larger_copy_in_the_cache(self):
        image = self.image("cirros-vhd")
        info = self.create("a/root.vhd", "vhd", "overlay", image, 1 << 30)
        self.assertEqual((info.virtual_size, info.backing_file), (1 << 30, WORKER + "/_base/cirros-vhd_1.vhd"))
        self.model.log.clear()
        self.create("b/root.vhd", "vhd", "overlay", image, 1 << 30)
        self.assertFalse([text for text in self.model.log if "copy" in text])

    def test_two_who_want_the_same_larger_copy_at_once_get_one(self):
        import threading
        image, problems = self.image("cirros-vhd"), []

        def make(name):
            try:
                self.create(name + "/root.vhd", "vhd", "overlay", image, 1 << 30)
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=make, args=("m%d" % number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(problems, [])
        self.assertEqual(len([text for text in self.model.log if text.startswith("file copy")]), 1)

    def test_copies(self):
        info = self.create("a/root.vhdx", source="copy", image=self.image(), size=1 << 30)
        self.assertEqual((info.virtual_size, info.backing_file), (1 << 30, None))
        info = self.create("b/root.vhdx", source="copy", image=self.image("cirros-vhd"))
        self.assertEqual((info.format, info.virtual_size), ("vhdx", 64 << 20))

    def test_a_disk_smaller_than_its_image_is_refused_with_both_sizes(self):
        with self.assertRaises(InvalidArgument) as caught:
            self.create("a/root.vhdx", source="overlay", image=self.image(), size=32 << 20)
        self.assertEqual((caught.exception.details["virtual_size"], caught.exception.details["image_size"]),
                         (32 << 20, 64 << 20))

    def test_a_failure_leaves_no_file(self):
        for start, source, reference, format in (
                ("New-VHD", "blank", None, "vhdx"), ("Resize-VHD", "overlay", "cirros", "vhdx"),
                ("Resize-VHD", "copy", "cirros", "vhdx"), ("Resize-VHD", "overlay", "cirros-vhd", "vhd"),
                ("New-VHD", "overlay", "cirros-vhd", "vhd")):
            self.model.faults[:] = [Fault(start, error="resource_exhausted")]
            with self.assertRaises(ResourceExhausted):
                self.create("a/root." + format, format, source, self.image(reference) if reference else None, 1 << 30)
            self.assertFalse(self.model.files.exists("C:\\VMs\\a\\root." + format))
            self.assertFalse([name for name, _ in self.model.world.all(self.model.host, "file") if ".part" in name])

    def test_differencing_vhds_grow_by_becoming_disks_of_their_own(self):
        self.create("a/root.vhd", "vhd", "overlay", self.image("cirros-vhd"))
        self.host.disk_resize(self.request(), WORKER + "/a/root.vhd", 1 << 30)
        info = self.host.disk_info(self.request(), WORKER + "/a/root.vhd")
        self.assertEqual((info.virtual_size, info.backing_file), (1 << 30, None))
        self.assertEqual(self.image("cirros-vhd").virtual_size, 64 << 20)

    def test_paths_outside_are_refused(self):
        for path in ("/etc/passwd", WORKER + "/../x.vhdx", WORKER + "/con/x.vhdx"):
            with self.assertRaises(InvalidArgument):
                self.host.disk_create(self.request(), path, "vhdx", "blank", None, GIB)
            with self.assertRaises(InvalidArgument):
                self.host.disk_info(self.request(), path)

    def test_the_directory_of_an_instance_is_made_and_no_other(self):
        self.create("fresh/root.vhdx", size=16 << 20)
        with self.assertRaises(NotFound):
            self.create("fresh/deeper/root.vhdx", size=16 << 20)
        self.assertFalse(self.model.files.exists("C:\\VMs\\fresh\\deeper"))

    def test_images(self):
        with self.assertRaises(NotFound):
            self.image("no-such-image")
        with self.assertRaises(InvalidArgument):
            self.image("../../etc")
        with self.assertRaises(InvalidArgument):
            self.host.image_get(self.request(), ImageRequest("cirros", format="qcow2"))

    def test_config_drives(self):
        path = WORKER + "/a/configdrive.iso"
        for content in (b"one", b"two"):
            self.host.config_drive_build(self.request(), path, [ConfigFile("openstack/latest/meta_data.json", content)])
        record = self.model.files._get("C:\\VMs\\a\\configdrive.iso")
        self.assertIn(b"two", base64.b64decode(record["base64"]))

    def test_the_files_of_an_instance_are_removed_and_the_cache_is_not(self):
        self.create("a/root.vhdx", size=16 << 20)
        for _ in range(2):
            self.host.instance_remove_files(self.request(), WORKER + "/a")
        self.assertFalse(self.model.files.exists("C:\\VMs\\a\\root.vhdx"))
        with self.assertRaises(InvalidArgument):
            self.host.instance_remove_files(self.request(), WORKER + "/_base")


class DeviceTests(HostTest):
    def test_disks_come_and_go_while_it_runs(self):
        self.bench.create()
        self.go("running")
        self.model.files.put_disk("C:\\VMs\\v\\vol.vhdx", "vhdx", "dynamic", GIB)
        volume = Params(disk("volume", "vol.vhdx", "scsi", 0, 0, name="v"), self.host.setup, True).disk(below=False)
        for _ in range(2):
            self.host.machine_attach_disk(self.request(), UUID, volume)
        self.assertEqual(len(self.ids()["instance-00000001"]["drives"]), 2)
        for _ in range(2):
            self.host.machine_detach_disk(self.request(), UUID, volume.path)
        self.assertEqual(len(self.ids()["instance-00000001"]["drives"]), 1)
        volume.path = WORKER + "/v/none.vhdx"
        with self.assertRaises(NotFound):
            self.host.machine_attach_disk(self.request(), UUID, volume)

    def test_interfaces(self):
        self.bench.create()
        interface = InterfaceSpec(id="nic-2", mac="fa:16:3e:00:00:02", bridge="Private")
        for _ in range(2):
            self.host.machine_attach_interface(self.request(), UUID, interface)
        self.assertEqual(self.ids()["instance-00000001"]["adapters"],
                         [{"name": "nic-2", "mac": "FA163E000002", "switch": "Private"}])
        self.host.network_unplug(self.request(), UUID, interface)
        self.assertEqual(self.ids()["instance-00000001"]["adapters"][0]["switch"], "")
        for _ in range(2):
            self.host.network_plug(self.request(), UUID, interface)
        self.assertEqual(self.ids()["instance-00000001"]["adapters"][0]["switch"], "Private")
        self.go("running")
        with self.assertRaises(InvalidState):
            self.host.machine_detach_interface(self.request(), UUID, "nic-2")
        self.go("off")
        for _ in range(2):
            self.host.machine_detach_interface(self.request(), UUID, "nic-2")
        self.assertEqual(self.ids()["instance-00000001"]["adapters"], [])

    def test_plugging_what_is_not_there_yet_is_success(self):
        self.host.network_plug(self.request(), UUID, InterfaceSpec(id="x", mac="fa:16:3e:00:00:02"))
        self.host.network_unplug(self.request(), UUID, InterfaceSpec(id="x", mac="fa:16:3e:00:00:02"))


class ExportTests(HostTest):
    def export(self, name="snap.vhdx", format="vhdx"):
        return self.host.machine_export_root_disk(self.request(), UUID, WORKER + "/export/" + name, format)

    def machine_on_image(self):
        image = self.host.image_get(self.request(), ImageRequest("cirros"))
        self.host.disk_create(self.request(), WORKER + "/instance-00000001/root.vhdx", "vhdx", "overlay", image, GIB)
        self.bench.create()

    def leftovers(self):
        names = [name for name, _ in self.model.world.all(self.model.host, "file")]
        return [name for name in names if ".work" in name or "avhdx" in name]

    def test_in_every_state_it_is_a_disk_without_a_parent_and_the_state_stays(self):
        self.machine_on_image()
        for number, states in enumerate(((), ("running",), ("paused",), ("running", "saved"))):
            self.go(*states)
            before = self.state()
            info = self.export("snap%d.vhdx" % number)
            self.assertEqual((info.virtual_size, info.backing_file, info.format), (GIB, None, "vhdx"))
            self.assertEqual(self.state(), before)
            self.assertEqual(self.leftovers(), [])
            self.assertEqual(self.ids()["instance-00000001"]["checkpoints"], [])
            self.assertEqual(self.ids()["instance-00000001"]["drives"][0]["path"],
                             "C:\\VMs\\instance-00000001\\root.vhdx")

    def test_to_another_format(self):
        self.machine_on_image()
        self.assertEqual(self.export("s.vhd", "vhd").format, "vhd")
        with self.assertRaises(InvalidArgument):
            self.export("s.qcow2", "qcow2")

    def test_a_failure_removes_the_checkpoint_and_the_copies(self):
        self.machine_on_image()
        self.go("running")
        for step in ("Checkpoint-VM", "file copy", "Set-VHD", "Merge-VHD", "Convert-VHD"):
            self.model.faults[:] = [Fault(step, error="resource_exhausted")]
            with self.assertRaises(ResourceExhausted):
                self.export("s.vhd", "vhd")
            self.assertEqual(self.leftovers(), [], step)
            self.assertEqual(self.ids()["instance-00000001"]["checkpoints"], [])
            self.assertFalse(self.model.files.exists("C:\\VMs\\export\\s.vhd"))

    def test_what_a_killed_export_left_behind_is_cleared(self):
        self.machine_on_image()
        self.go("running")
        from vmops_hyperv.steps import VM, Cmdlet
        id = self.ids()["instance-00000001"]["id"]
        self.model.run(Cmdlet("Checkpoint-VM", {"VM": VM(id), "SnapshotName": "vmops-export"}), self.request())
        self.assertEqual(self.export().backing_file, None)
        self.assertEqual(self.ids()["instance-00000001"]["checkpoints"], [])
        self.assertEqual(self.leftovers(), [])


class RightsTests(HostTest):
    def test_without_rights(self):
        self.host.host_probe(self.request())
        self.model.settings.member = False
        with self.assertRaises(Unauthorized):
            self.host.host_probe(self.request())

    def test_without_the_service(self):
        self.model.settings.service = "Stopped"
        with self.assertRaises(Unavailable):
            self.host.host_probe(self.request())

    def test_what_the_host_is(self):
        info = self.host.host_info(self.request())
        self.assertEqual((info.vcpus, info.hypervisor_version, info.hypervisor_type, info.cpu.architecture),
                         (32, 10000, "hyperv", "x86_64"))
        self.assertEqual(info.cpu.sockets * info.cpu.cores * info.cpu.threads, info.vcpus)
        self.assertEqual(self.host.identity.id, self.model.settings.id)

    def test_a_host_may_have_an_identity_of_its_own(self):
        bench = Bench(options={"host_id": UUID})
        self.addCleanup(bench.close)
        self.assertEqual(bench.host.identity.id, UUID)

    def test_unknown_options_are_told(self):
        with self.assertLogs("vmops_plugin.hyperv", "WARNING") as logs:
            Bench(options={"swicth": "External"}).close()
        self.assertIn("swicth", logs.output[0])

    def test_options_that_make_no_sense_are_refused(self):
        for options in ({"generation": "3"}, {"processes": "x"}, {"instances_directory": "VMs"}, {"runner": "magic"},
                        {"host_id": "x"}):
            with self.assertRaises(InvalidArgument):
                Bench(options=options)


class MigrationTests(unittest.TestCase):
    def setUp(self):
        world = World()
        self.source = Bench(Settings(name="hv1", move_seconds=0.05), world, ticking=True, host="hv1")
        self.target = Bench(Settings(name="hv2", move_seconds=0.05), world, ticking=True, host="hv2")
        for each in (self.source, self.target):
            self.addCleanup(each.close)
            each.subscribe()
            each.host.host_info(Request())

    def move(self, copy_storage=True, request=None, **changes):
        value = spec_json(interfaces=[nic()], **changes)
        spec = self.source.create(value)
        self.source.host.machine_set_state(Request(), UUID, "running")
        ticket = self.target.host.migrate_check_incoming(Request(), spec, copy_storage, "hv2")
        ticket = self.source.host.migrate_check_outgoing(Request(), UUID, ticket)
        ticket = self.target.host.migrate_prepare_incoming(Request(), spec, ticket)
        request = request or Request()
        self.source.host.migrate_start(request, UUID, ticket)
        return spec, request

    def test_with_its_storage(self):
        spec, request = self.move(disks=[disk("root", "root.vhdx", "ide"), disk("configDrive", "configdrive.iso", "ide", 1, 0)])
        self.target.host.migrate_finish_incoming(Request(), UUID)
        self.source.host.migrate_finish_outgoing(Request(), UUID)
        self.assertEqual(self.target.host.machine_get(Request(), UUID).state, "running")
        with self.assertRaises(NotFound):
            self.source.host.machine_get(Request(), UUID)
        for file in ("root.vhdx", "configdrive.iso"):
            self.assertTrue(self.target.model.files.exists("C:\\VMs\\instance-00000001\\" + file))
        self.assertFalse(self.source.model.files.exists("C:\\VMs\\instance-00000001\\root.vhdx"))
        self.assertEqual(self.source.events, [("started",), ("migrated-out",)])
        phases = [each["phase"] for each in request.told]
        self.assertEqual((phases[0], phases[-1]), ("setup", "completed"))
        self.assertFalse(self.target.model.files.exists("C:\\VMs\\_vmops\\%s.json" % UUID))
        with self.assertRaises(NotFound):
            self.source.host.migrate_take_back(Request(), UUID)

    def test_cancelled_it_goes_on_here(self):
        self.source.model.settings.move_seconds = 60.0
        with self.assertRaises(Cancelled):
            self.move(request=Request(cancel_after=0))
        self.target.host.migrate_abandon_incoming(Request(), UUID)
        self.assertEqual(self.source.host.machine_get(Request(), UUID).state, "running")
        self.assertFalse(self.target.model.files.exists("C:\\VMs\\instance-00000001"))
        self.assertEqual(self.source.events, [("started",)])

    def test_a_failure_leaves_it_here(self):
        self.source.model.faults.append(Fault("Move-VM", error="unavailable"))
        with self.assertRaises(Unavailable):
            self.move()
        self.assertEqual(self.source.host.machine_get(Request(), UUID).state, "running")

    def test_giving_up_does_not_touch_shared_files(self):
        spec = self.source.create(spec_json())
        self.source.host.machine_set_state(Request(), UUID, "running")
        ticket = self.target.host.migrate_check_incoming(Request(), spec, False, "hv2")
        self.target.model.files.put_disk("C:\\VMs\\instance-00000001\\root.vhdx", "vhdx", "dynamic", GIB)
        for _ in range(2):
            self.target.host.migrate_prepare_incoming(Request(), spec, ticket)
        for _ in range(2):
            self.target.host.migrate_abandon_incoming(Request(), UUID)
        self.assertTrue(self.target.model.files.exists("C:\\VMs\\instance-00000001\\root.vhdx"))

    def test_what_was_prepared_is_known_to_a_plugin_that_was_started_again(self):
        spec = self.source.create(spec_json())
        self.source.host.machine_set_state(Request(), UUID, "running")
        ticket = self.target.host.migrate_check_incoming(Request(), spec, True, "hv2")
        self.target.host.migrate_prepare_incoming(Request(), spec, ticket)
        again = Bench(Settings(name="hv2"), self.target.model.world, ticking=True, host="hv2")
        self.addCleanup(again.close)
        again.host.migrate_abandon_incoming(Request(), UUID)
        self.assertFalse(again.model.files.exists("C:\\VMs\\instance-00000001"))

    def test_checks(self):
        spec = self.source.create(spec_json(interfaces=[nic()]))
        ticket = self.target.host.migrate_check_incoming(Request(), spec, True, "hv2")
        with self.assertRaises(InvalidState):
            self.source.host.migrate_check_outgoing(Request(), UUID, ticket)
        self.source.host.machine_set_state(Request(), UUID, "running")
        self.target.model.settings.switches = (("Other", "External"),)
        self.target.host.host_info(Request())
        with self.assertRaises(InvalidArgument) as caught:
            self.source.host.migrate_check_outgoing(Request(), UUID, ticket)
        self.assertIn("switch", str(caught.exception))
        with self.assertRaises(AlreadyExists):
            self.source.host.migrate_check_incoming(Request(), spec, True, "hv1")
        self.target.model.settings.migration_enabled = False
        with self.assertRaises(Unavailable):
            self.target.host.migrate_check_incoming(Request(), spec, True, "hv2")


if __name__ == "__main__":
    unittest.main()
