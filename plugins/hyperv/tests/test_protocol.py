"""The plugin as the worker sees it: a child process, frames, a modelled host that outlives it."""

import os
import sys
import tempfile
import unittest

import support
from support import PLUGIN, SDK, UUID, disk, nic, spec_json

sys.path.insert(0, os.path.join(SDK, "tests"))

import client  # noqa: E402

COMMAND = [sys.executable, os.path.join(PLUGIN, "vmops-hyperv"), "--option", "runner=model"]


class ProtocolTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = folder.name

    def plugin(self, host="compute1", directory=None, **options):
        plugin = client.Plugin(COMMAND, directory or self.directory, host=host)
        self.addCleanup(self.finish, plugin)
        self.answer = plugin.hello(options)
        plugin.call("events.subscribe")
        return plugin

    def finish(self, plugin):
        if plugin.process.poll() is None:
            plugin.end()

    def spec(self, plugin, **changes):
        """Below the directories of this plugin's worker."""
        def place(value):
            if isinstance(value, dict):
                return {key: place(each) for key, each in value.items()}
            if isinstance(value, list):
                return [place(each) for each in value]
            return value.replace(support.WORKER, plugin.instances) if isinstance(value, str) else value

        value = place(spec_json(**changes))
        for each in value["disks"]:
            plugin.call("disk.create", path=each["path"], format="vhdx", source="blank", virtual_size=16 << 20)
        return value

    def running(self, plugin):
        plugin.call("machine.create", spec=self.spec(plugin, interfaces=[nic()]))
        plugin.call("machine.setState", uuid=UUID, state="running")

    def test_the_handshake_says_what_it_can(self):
        self.plugin()
        capabilities = self.answer["capabilities"]
        self.assertTrue(self.answer["remote_files"])
        self.assertEqual(capabilities["disk_formats"], ["vhdx", "vhd"])
        self.assertEqual(set(capabilities["flags"]), {
            "machine.softShutdown", "machine.reset", "machine.pause", "machine.save", "machine.hotplug.nic",
            "machine.hotplug.disk", "machine.diagnostics", "machine.checkpoint", "machine.cancelJobs", "disk.cow",
            "disk.resize", "disk.resizeDifferencing", "configDrive.iso", "migrate.live", "migrate.live.storage",
            "migrate.live.cancel", "migrate.live.paused", "host.events", "console.output", "console.input",
            "console.preboot"})

    def test_events_come_in_order(self):
        plugin = self.plugin()
        self.running(plugin)
        plugin.call("machine.setState", uuid=UUID, state="off")
        plugin.call("machine.delete", uuid=UUID)
        self.assertEqual([(each["seq"], each["type"], each.get("reason")) for each in (plugin.event() for _ in range(3))],
                         [(1, "started", None), (2, "stopped", "requested"), (3, "removed", None)])

    def test_the_console_from_before_the_start_to_after_the_end(self):
        plugin = self.plugin()
        plugin.call("machine.create", spec=self.spec(plugin))
        stream = plugin.call("console.open", uuid=UUID)["stream"]
        plugin.call("machine.setState", uuid=UUID, state="running")
        first, data = plugin.read(stream, len("\r\nvmops modelled guest\r\nKernel is alive\r\nlogin: "))
        self.assertEqual((first, data), (0, b"\r\nvmops modelled guest\r\nKernel is alive\r\nlogin: "))
        plugin.call("console.write", uuid=UUID, base64="cm9vdAo=")
        self.assertEqual(plugin.read(stream, 6)[1], b"root\r\n")
        plugin.call("console.write", uuid=UUID, base64="cG93ZXJvZmYK")
        self.assertEqual(plugin.read(stream, 10)[1], b"poweroff\r\n")
        kind, message = plugin.queue("stream %d" % stream).get(timeout=10)
        self.assertEqual((kind, message["reason"]), ("end", "stopped"))
        self.assertEqual([plugin.event(UUID)["type"] for _ in range(2)], ["started", "stopped"])

    def test_a_second_reader_takes_over(self):
        plugin = self.plugin()
        self.running(plugin)
        one = plugin.call("console.open", uuid=UUID)["stream"]
        two = plugin.call("console.open", uuid=UUID)["stream"]
        while True:
            item = plugin.queue("stream %d" % one).get(timeout=10)
            if item[0] == "end":
                break
        self.assertEqual(item[1]["reason"], "superseded")
        plugin.call("machine.reset", uuid=UUID)
        self.assertIn(b"alive", plugin.read(two, 30)[1])
        with self.assertRaises(client.Answer) as caught:
            plugin.call("console.open", uuid=UUID, takeover=False)
        self.assertEqual(caught.exception.code, "busy")

    def test_machines_outlive_the_plugin(self):
        plugin = self.plugin()
        self.running(plugin)
        before = plugin.call("machine.get", uuid=UUID)
        plugin.process.kill()
        plugin.process.wait(10)
        plugin.end()
        again = self.plugin()
        self.assertEqual(again.call("machine.get", uuid=UUID)["incarnation"], before["incarnation"])
        stream = again.call("console.open", uuid=UUID)["stream"]
        again.call("machine.reset", uuid=UUID)
        self.assertIn(b"alive", again.read(stream, 40)[1])
        self.assertEqual(again.call("machine.setState", uuid=UUID, state="off"), {"state": "off"})

    def test_a_machine_moves_to_another_plugin(self):
        world = os.path.join(self.directory, "world.db")
        source = self.plugin("hv1", model_world=world)
        target = self.plugin("hv2", os.path.join(self.directory, "2"), model_world=world)
        spec = self.spec(source, interfaces=[nic()])
        source.call("machine.create", spec=spec)
        source.call("machine.setState", uuid=UUID, state="running")
        stream = source.call("console.open", uuid=UUID)["stream"]
        there = dict(spec, directory=target.instances + "/instance-00000001")
        there["disks"] = [dict(each, path=each["path"].replace(source.instances, target.instances)) for each in spec["disks"]]
        ticket = target.call("migrate.checkIncoming", spec=there, copy_storage=True, destination="hv2")["ticket"]
        source.call("migrate.checkOutgoing", uuid=UUID, ticket=ticket)
        target.call("migrate.prepareIncoming", spec=there, ticket=ticket)
        self.assertEqual(target.call("machine.list")["machines"], [])
        source.call("migrate.start", uuid=UUID, ticket=ticket)
        target.call("migrate.finishIncoming", uuid=UUID)
        self.assertEqual(target.call("machine.get", uuid=UUID)["state"], "running")
        self.assertEqual(source.call("machine.list")["machines"], [])
        while True:
            item = source.queue("stream %d" % stream).get(timeout=10)
            if item[0] == "end":
                break
        self.assertEqual(item[1]["reason"], "migrated")
        self.assertEqual(target.event(UUID)["type"], "migrated-in")
        stream = target.call("console.open", uuid=UUID)["stream"]
        target.call("machine.reset", uuid=UUID)
        self.assertIn(b"alive", target.read(stream, 40)[1])

    def test_without_powershell_the_worker_is_told(self):
        plugin = client.Plugin([sys.executable, os.path.join(PLUGIN, "vmops-hyperv")], self.directory)
        self.addCleanup(self.finish, plugin)
        plugin.send(kind="hello", protocol="vmops-plugin", versions=[1], host="h", nonce="n",
                    instances_directory=plugin.instances, state_directory=self.directory,
                    options={"powershell": "/no/such/powershell"})
        error = plugin.queue("error").get(timeout=10)["error"]
        self.assertEqual(error["code"], "unavailable")

    def test_without_a_worker_it_says_what_it_is(self):
        import subprocess
        clean = {"PATH": os.environ["PATH"]}
        result = subprocess.run(COMMAND, env=clean, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"vmopsd", result.stdout)


if __name__ == "__main__":
    unittest.main()
