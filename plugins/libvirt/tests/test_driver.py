"""Against libvirt's own test driver: a hypervisor within the process, without guests."""

import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.dirname(HERE)
SDK = os.path.join(os.path.dirname(PLUGIN), "python")
sys.path.insert(0, os.path.join(SDK, "tests"))

import client  # noqa: E402

UUID = "8b6f0000-0000-4000-8000-000000000001"


class DriverTests(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        command = client.python("-m", "vmops_libvirt")
        self.plugin = client.Plugin(command, directory.name, {"PYTHONPATH": f"{PLUGIN}:{SDK}"})
        self.addCleanup(self.plugin.end)
        self.answer = self.plugin.hello({"uri": "test:///default"})
        self.plugin.call("events.subscribe")

    def spec(self, **changes):
        instances = self.plugin.instances
        members = dict(uuid=UUID, name="one", directory=instances + "/one", memory_mb=64, vcpus=1)
        members["disks"] = [dict(path=instances + "/one/root", format="qcow2", role="root")]
        members.update(changes)
        return members

    def fails(self, code, method, **params):
        with self.assertRaises(client.Answer) as caught:
            self.plugin.call(method, **params)
        self.assertEqual(caught.exception.code, code)

    def test_only_what_the_driver_can_do_is_offered(self):
        self.assertEqual(self.answer["host"]["hypervisor_type"], "TEST")
        self.assertIn("machine.pause", self.answer["capabilities"]["flags"])
        self.assertNotIn("console.output", self.answer["capabilities"]["flags"])
        self.assertGreater(self.plugin.call("host.info")["vcpus"], 0)

    def test_machines_of_others_are_listed_and_left_alone(self):
        entries = self.plugin.call("machine.list")["machines"]
        self.assertEqual(entries, [{"name": "test", "state": "running"}])
        foreign = "6695eb01-f6a4-8304-79aa-97f2502e193f"
        self.fails("not_found", "machine.get", uuid=foreign)
        self.plugin.call("machine.delete", uuid=foreign)
        self.fails("conflict", "machine.create", spec=self.spec(name="test"))
        self.assertEqual(self.plugin.call("machine.list")["machines"], entries)

    def test_a_life(self):
        call = self.plugin.call
        for _ in range(2):
            call("machine.create", spec=self.spec())
        self.fails("already_exists", "machine.create", spec=self.spec(vcpus=2))
        self.fails("already_exists", "machine.create", spec=self.spec(uuid=UUID[:-1] + "2"))
        self.fails("invalid_state", "machine.setState", uuid=UUID, state="paused")
        for state in ("off", "running", "running", "paused", "running", "saved", "running", "off", "running"):
            self.assertEqual(call("machine.setState", uuid=UUID, state=state), {"state": state})
            self.assertEqual(call("machine.get", uuid=UUID)["state"], state)
        self.assertEqual(call("machine.requestShutdown", uuid=UUID), {"answer": "accepted"})
        for _ in range(2):
            call("machine.delete", uuid=UUID)
        self.fails("not_found", "machine.get", uuid=UUID)
        told = []
        while not told or told[-1] != "removed":
            event = self.plugin.event(UUID)
            self.assertEqual(event["incarnation"], 1)
            told.append(event["type"] + (" " + event["reason"] if "reason" in event else ""))
        wanted = ["started", "paused", "resumed", "saved", "resumed", "stopped requested", "started", "stopped guest"]
        self.assertEqual(told, [*wanted, "removed"])


if __name__ == "__main__":
    unittest.main()
