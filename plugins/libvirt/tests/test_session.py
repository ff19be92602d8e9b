"""Against session daemons of libvirt with QEMU and a guest that numbers its lines.

One long test: a daemon's start asks QEMU for what it can do, which takes seconds.
"""

import base64
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import session  # noqa: E402

UUID = "8b6f0000-0000-4000-8000-000000000001"
CARD = "11111111-1111-4111-8111-111111111111"


def numbers(text):
    return [int(line[1:9], 16) for line in text.split(b"\r\n") if line[:1] == b"[" and line[9:10] == b"]"]


class Life(unittest.TestCase):
    """What the long tests share."""

    def setUp(self):
        self.place = session.Place()
        self.addCleanup(self.place.remove)
        self.text = {}

    def daemon(self, name, cache=None):
        if cache is not None:
            self.place.directory(name, "cache")
            source = os.path.join(cache.base, "cache", "libvirt")
            shutil.copytree(source, os.path.join(self.place.path, name, "cache", "libvirt"))
        daemon = session.Daemon(self.place, name)
        self.addCleanup(daemon.end)
        return daemon

    def plugin(self, daemon, name, **options):
        plugin = daemon.plugin(name, options)
        self.addCleanup(plugin.end)
        plugin.call("events.subscribe")
        return plugin

    def machine(self, plugin):
        """A tick guest on a disk over an image, with a config drive; what `machine.create` takes."""
        directory = os.path.join(plugin.instances, "one")
        os.makedirs(directory, exist_ok=True)
        image = os.path.join(directory, "image")
        session.tick_disk(image)
        self.place.give(directory)
        root, drive = os.path.join(directory, "root"), os.path.join(directory, "config")
        parent = dict(reference="tick", path=image, format="raw", virtual_size=os.path.getsize(image))
        wanted = dict(path=root, format="qcow2", source="overlay", image=parent, virtual_size=1 << 20)
        disk = plugin.call("disk.create", **wanted)
        self.assertEqual((disk["virtual_size"], disk["backing_file"]), (1 << 20, image))
        files = [dict(path="openstack/latest/meta_data.json", base64="e30=")]
        plugin.call("configDrive.build", path=drive, files=files)
        return dict(
            uuid=UUID, name="one", directory=directory, memory_mb=64, vcpus=1,
            disks=[
                dict(path=root, role="root", format="qcow2", bus="ide"),
                dict(path=drive, role="configDrive", format="raw", bus="ide", unit=1, media="disk"),
            ],
            interfaces=[dict(id=CARD, mac="fa:16:3e:00:00:01", bridge="br0")],
        )  # fmt: skip

    def read_until(self, plugin, stream, part):
        """Everything from the stream until it has `part`."""
        text = b""
        while part not in text:
            text += plugin.read(stream, 1)[1]
        return text

    def type(self, plugin, text):
        plugin.call("console.write", uuid=UUID, base64=base64.b64encode(text).decode())

    def state(self, plugin, state):
        self.assertEqual(plugin.call("machine.setState", uuid=UUID, state=state), {"state": state})

    def told(self, plugin, *wanted):
        for each in wanted:
            event = plugin.event(UUID)
            self.assertEqual(" ".join(filter(None, (event["type"], event.get("reason")))), each)


@unittest.skipUnless(session.can_run() and session.python(), "needs libvirtd, its QEMU driver and its Python module")
class SessionTests(Life):
    def test_a_life_and_a_move(self):
        here = self.daemon("a")
        plugin = self.plugin(here, "pa", migration_mode="direct", migration_unsafe="yes")
        spec = self.machine(plugin)
        plugin.call("machine.create", spec=spec)

        # The first words are there although nobody had asked for them when they were said.
        self.state(plugin, "running")
        stream = plugin.call("console.open", uuid=UUID)
        self.assertEqual(stream["offset"], 0)
        text = self.read_until(plugin, stream["stream"], b"tick 1\r\n")
        self.assertIn(f"uuid={UUID} ram=64 cpus=1".encode(), text)
        self.assertIn(b"cfg=config-2", text)
        self.type(plugin, b"t0\r")
        self.type(plugin, b"b400\r")
        text += self.read_until(plugin, stream["stream"], b"blast done\r\n")
        self.assertEqual(numbers(text), list(range(len(numbers(text)))))
        self.assertGreater(len(numbers(text)), 0x400)

        # States, as the hypervisor and as its events have them.
        for state in ("paused", "running", "saved"):
            self.state(plugin, state)
        self.assertEqual(plugin.queue(f"stream {stream['stream']}").get(timeout=20)[1]["reason"], "stopped")
        self.assertEqual(plugin.call("machine.get", uuid=UUID)["state"], "saved")
        self.state(plugin, "running")
        self.told(plugin, "started", "paused", "resumed", "saved", "resumed")
        stream = plugin.call("console.open", uuid=UUID)["stream"]
        self.type(plugin, b"s\r")
        self.assertIn(b"status", self.read_until(plugin, stream, b"passes="))

        # Devices, a copy of the disk, a reset which is no reboot.
        card = dict(id=CARD.replace("1", "2"), mac="fa:16:3e:00:00:02", bridge="br0")
        for _ in range(2):
            plugin.call("machine.attachInterface", uuid=UUID, interface=card)
        copy = os.path.join(spec["directory"], "copy")
        disk = plugin.call("machine.exportRootDisk", uuid=UUID, path=copy, format="qcow2")
        self.assertEqual((disk["virtual_size"], disk.get("backing_file")), (1 << 20, None))
        self.assertEqual(plugin.call("machine.reset", uuid=UUID), {"state": "running"})
        self.read_until(plugin, stream, b"tick 1\r\n")
        self.assertGreater(plugin.call("machine.diagnostics", uuid=UUID)["diagnostics"]["balloon.current"], 0)

        # The plugin is killed; the machine is there, and is read again.
        plugin.process.kill()
        plugin.process.wait()
        plugin = self.plugin(here, "pa", migration_mode="direct", migration_unsafe="yes")
        self.assertEqual(plugin.call("machine.get", uuid=UUID)["state"], "running")
        stream = plugin.call("console.open", uuid=UUID)["stream"]
        self.read_until(plugin, stream, b"tick")
        self.move(here, plugin, spec, stream)

    def migrate(self, plugin, other, theirs):
        ticket = other.call("migrate.checkIncoming", spec=theirs, copy_storage=False, destination="b")["ticket"]
        ticket = plugin.call("migrate.checkOutgoing", uuid=UUID, ticket=ticket)["ticket"]
        ticket = other.call("migrate.prepareIncoming", spec=theirs, ticket=ticket)["ticket"]
        self.assertEqual(other.call("machine.list")["machines"], [])
        return plugin.begin("migrate.start", {"uuid": UUID, "ticket": ticket}, deadline_ms=60000)

    def move(self, here, plugin, spec, stream):
        there = self.daemon("b", cache=here)
        data = os.path.join(self.place.path, "move")
        other = self.plugin(there, "pb", migration_uri=there.uri, migration_data_uri=f"unix://{data}")
        theirs = {**spec, "directory": os.path.join(other.instances, "one"), "disks": []}

        # One that is cancelled while the guest changes its memory faster than it is sent, on however fast a machine.
        here.limit_migrations(UUID, 1)
        self.type(plugin, b"d30\r")
        self.read_until(plugin, stream, b"rx d30")
        number = self.migrate(plugin, other, theirs)
        while plugin.queue(f"progress {number}").get(timeout=20)["transferred_bytes"] == 0:
            pass
        # As long as it runs here it is here, whatever goes on.
        self.assertEqual([each["state"] for each in plugin.call("machine.list")["machines"]], ["running"])
        plugin.send(kind="cancel", id=number)
        with self.assertRaises(session.client.Answer) as caught:
            plugin.result(number)
        self.assertEqual(caught.exception.code, "cancelled")
        other.call("migrate.abandonIncoming", uuid=UUID)
        self.assertEqual(plugin.call("machine.get", uuid=UUID)["state"], "running")
        self.type(plugin, b"d0\r")
        self.read_until(plugin, stream, b"rx d0")
        here.limit_migrations(UUID, 1024)

        number = self.migrate(plugin, other, theirs)
        plugin.result(number)
        progress = plugin.queue(f"progress {number}")
        phases = [progress.get_nowait() for _ in range(progress.qsize())]
        self.assertEqual((phases[0]["phase"], phases[-1]["phase"]), ("setup", "completed"))
        self.assertGreater(phases[-1]["transferred_bytes"], 0)
        with self.assertRaises(session.client.Answer) as caught:
            plugin.call("machine.get", uuid=UUID)
        self.assertEqual(caught.exception.code, "not_found")
        other.call("migrate.finishIncoming", uuid=UUID)
        plugin.call("migrate.finishOutgoing", uuid=UUID)
        self.assertEqual(plugin.call("machine.list")["machines"], [])

        # It has said nothing twice, and nothing of it is lost: the count is in its memory.
        text, reason = b"", None
        while reason is None:
            item = plugin.queue(f"stream {stream}").get(timeout=20)
            text, reason = (text + item[2], None) if item[0] == "data" else (text, item[1]["reason"])
        self.assertEqual(reason, "migrated")
        self.told(plugin, "migrated-out")
        self.told(other, "migrated-in")
        stream = other.call("console.open", uuid=UUID)["stream"]
        text += self.read_until(other, stream, b"tick")
        heard = numbers(text)
        self.assertEqual(heard, list(range(heard[0], heard[0] + len(heard))))

        # The guest obeys its power button; what is left is deleted.
        self.assertEqual(other.call("machine.requestShutdown", uuid=UUID), {"answer": "accepted"})
        self.told(other, "stopped guest")
        self.assertEqual(other.call("machine.get", uuid=UUID)["state"], "off")
        other.call("machine.delete", uuid=UUID)
        self.told(other, "removed")


if __name__ == "__main__":
    unittest.main()
