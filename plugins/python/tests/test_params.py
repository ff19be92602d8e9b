"""What a plugin refuses before its host sees it."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import vmops_plugin as vmops  # noqa: E402
from vmops_plugin.methods import capability_flags  # noqa: E402
from vmops_plugin.params import Params  # noqa: E402

UUID = "8b6f0000-0000-4000-8000-000000000001"
SETUP = vmops.Setup("compute1", "/srv/instances", "/srv/state")


def params(setup=SETUP, **members):
    return Params(members, setup)


def spec(**changes):
    members = {"uuid": UUID, "name": "instance-1", "directory": "/srv/instances/a", "memory_mb": 64, "vcpus": 1}
    members.update(changes)
    return params(spec=members).object("spec")


class ParamsTests(unittest.TestCase):
    def refused(self, field, action):
        with self.assertRaises(vmops.InvalidArgument) as caught:
            action()
        self.assertEqual(caught.exception.details, {"field": field})

    def test_names_of_machines(self):
        for name in ("a", "instance-00000001", "A.b_c-9", "a" * 128):
            self.assertEqual(spec(name=name).machine().name, name)
        for name in ("", "-a", ".", "..", "a/b", "a b", "a\n", "é", "a" * 129, "../x", 7, None):
            self.refused("spec.name", spec(name=name).machine)

    def test_uuids(self):
        for uuid in (UUID.upper(), UUID[:-1], UUID + "0", "", "../" + UUID, UUID + "\n", 1):
            self.refused("uuid", params(uuid=uuid).uuid)

    def test_paths_stay_below_the_instances_directory(self):
        self.assertEqual(params(path="/srv/instances/a/disk").path_below("path"), "/srv/instances/a/disk")
        for path in (
            "/srv/instances", "/srv/instances/", "/srv/instances2/a", "/srv/instances/../state/a",
            "/srv/instances/a/../b",
            "instances/a", "/etc/passwd", "a\0b",
        ):  # fmt: skip
            self.refused("path", lambda: params(path=path).path_below("path"))

    def test_links_do_not_lead_out_of_it(self):
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(os.path.join(directory, "instances"))
            os.symlink("/etc", os.path.join(directory, "instances", "a"))
            setup = vmops.Setup("h", os.path.join(directory, "instances"), directory)
            path = os.path.join(directory, "instances", "a", "passwd")
            self.refused("path", lambda: params(setup, path=path).path_below("path"))

    def test_files_of_a_config_drive_stay_in_it(self):
        good = params(files=[{"path": "openstack/latest/meta_data.json", "base64": "e30="}]).config_files("files")
        self.assertEqual((good[0].path, good[0].content), ("openstack/latest/meta_data.json", b"{}"))
        for path in ("../a", "a/../../b", "", "/", "a//b", "a/."):
            given = params(files=[{"path": path, "base64": ""}])
            self.refused("files[0].path", lambda: given.config_files("files"))
        self.refused("files[0].base64", lambda: params(files=[{"path": "a", "base64": "?"}]).config_files("files"))

    def test_null_is_the_default_and_kinds_are_checked(self):
        machine = spec(startup_memory_mb=None, metadata=None, disks=None, enable_metrics=None).machine()
        self.assertEqual((machine.startup_memory_mb, machine.metadata, machine.disks), (64, {}, []))
        for name, value in (("memory_mb", "64"), ("memory_mb", 0), ("vcpus", True), ("disks", {}), ("metadata", [])):
            self.refused(f"spec.{name}", spec(**{name: value}).machine)

    def test_secrets_are_not_shown(self):
        volume = params(volume_id="v", type="file", data={"password": "hunter2"}).volume()
        self.assertNotIn("hunter2", repr(volume))

    def test_flags_follow_what_is_overridden(self):
        class Some(vmops.Host):
            flags = ("disk.cow",)
            missing_flags = ("machine.reset",)

            def machine_pause(self, request, uuid):
                """Without a way back it is not offered."""

            def machine_reset(self, request, uuid):
                return vmops.RUNNING

            def console_open(self, request, uuid, offset):
                return vmops.Console()

        self.assertEqual(capability_flags(vmops.Host()), [])
        self.assertEqual(capability_flags(Some()), ["console.output", "disk.cow"])


if __name__ == "__main__":
    unittest.main()
