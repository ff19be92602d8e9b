import unittest

from support import MAP, WORKER

from vmops_hyperv import paths
from vmops_hyperv.errors import HyperVError
from vmops_hyperv.paths import PathMap


class PathTests(unittest.TestCase):
    def refuses(self, function, *arguments):
        with self.assertRaises(HyperVError, msg=repr(arguments)) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.code, "invalid_argument")

    def test_paths_go_there_and_back(self):
        path = WORKER + "/instance-1/root.vhdx"
        self.assertEqual(MAP.to_host(path), "C:\\VMs\\instance-1\\root.vhdx")
        self.assertEqual(MAP.to_worker("c:\\vms\\instance-1\\root.vhdx"), path)
        self.assertIsNone(MAP.to_worker("C:\\VMsElse\\x"))

    def test_the_cache_may_be_on_another_volume(self):
        other = PathMap(WORKER, "C:\\VMs", "D:\\Images")
        self.assertEqual(other.to_host(WORKER + "/_base/cirros.vhdx"), "D:\\Images\\cirros.vhdx")
        self.assertEqual(other.to_worker("D:\\Images\\cirros.vhdx"), WORKER + "/_base/cirros.vhdx")
        self.assertEqual(other.image("cirros"), "D:\\Images\\cirros")

    def test_what_lies_elsewhere_is_refused(self):
        for path in ("/etc/passwd", WORKER, WORKER + "x/root.vhdx", "root.vhdx", "", None, 5,
                     WORKER + "/../secret/root.vhdx", WORKER + "/a/../../b", WORKER + "//a"):
            self.refuses(MAP.to_host, path)

    def test_components_that_windows_takes_for_something_else_are_refused(self):
        for name in ("..", ".", "...", " ", "a.", "a ", " a", "con", "CON", "nul.txt", "com1", "COM9.log", "lpt1.vhdx",
                     "aux .x", "com\u00b9", "conin$", "a:b", "a::$DATA", "a\\b", "a*b", "a?b", "a[1]", "a`b", 'a"b',
                     "a<b", "a|b", "a\x00b", "a\nb", "a\x7fb", "x" * 129):
            self.refuses(paths.check_component, name)
            self.refuses(MAP.to_host, WORKER + "/" + name + "/root.vhdx" if "/" not in name else "/")

    def test_good_components_pass(self):
        for name in ("instance-00000001", "A.b_c-9", "0", "console.log", "com", "com10", "connect.vhdx", "\u00fcber"):
            self.assertEqual(paths.check_component(name), name)

    def test_names_of_machines(self):
        for name in ("instance-00000001", "A.b_c-9", "0", "a" + "-" * 127):
            self.assertEqual(paths.check_name(name), name)
        for name in ("", ".", "..", "../up", "a/b", ".hidden", "-x", "a b", "a\nb", "a\n", "\u00e9", "a;b", "$(id)",
                     "a" * 129, "con", "NUL.x", "a.", None, 7):
            self.refuses(paths.check_name, name)

    def test_paths_too_long_for_windows_are_refused(self):
        self.refuses(MAP.to_host, WORKER + "/" + "/".join(["d" * 100] * 3))

    def test_configured_directories_are_absolute(self):
        for text in ("C:\\VMs", "C:/VMs/", "\\\\server\\share$\\vms"):
            paths.check_windows_root(text, "instances_directory")
        for text in ("VMs", "\\VMs", "C:VMs", "/var", "C:\\a*b", "C:\\con\\x", "\\\\?\\C:\\x"):
            self.refuses(paths.check_windows_root, text, "instances_directory")

    def test_disks_without_a_telling_name_get_an_ending(self):
        self.assertEqual(MAP.place(WORKER + "/a/extra.disk", "vhdx"), "C:\\VMs\\a\\extra.disk.vhdx")
        self.assertEqual(MAP.place(WORKER + "/a/root.VHD", "vhd"), "C:\\VMs\\a\\root.VHD")
        self.assertEqual(MAP.place(WORKER + "/a/root.vhd", "vhdx"), "C:\\VMs\\a\\root.vhd.vhdx")
        self.assertIn("C:\\VMs\\a\\extra.disk.vhdx", MAP.candidates(WORKER + "/a/extra.disk"))

    def test_image_references(self):
        self.assertEqual(paths.image_file("70a599e0-31e7-49b7-b260-868f441e862b"),
                         "70a599e0-31e7-49b7-b260-868f441e862b")
        one, other = (paths.image_file("https://a/b?%d" % n) for n in (1, 2))
        self.assertNotEqual(one, other)
        for reference in ("../../etc", "a/b", "", "con", "a\nb", "file:///etc/passwd", None):
            self.refuses(paths.image_file, reference)

    def test_addresses_of_adapters(self):
        self.assertEqual(paths.check_mac("fa:16:3e:00:00:01"), "FA163E000001")
        for text in ("fa163e000001", "FA:16:3E:00:00:01", "fa:16:3e:00:00", "fa:16:3e:00:00:01\n", None):
            self.refuses(paths.check_mac, text)


if __name__ == "__main__":
    unittest.main()
