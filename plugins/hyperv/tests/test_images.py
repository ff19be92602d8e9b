import base64
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.error

from support import MAP, Bench, Request

from vmops_hyperv import iso, vhd
from vmops_hyperv.errors import HyperVError
from vmops_hyperv.files import LocalFiles
from vmops_hyperv.images import ImageCache
from vmops_hyperv.steps import File

VHDX = vhd.make_vhdx(8 << 20)
URL = "https://images.example/cirros.vhdx"


class Answer(io.BytesIO):
    pass


class Broken(io.BytesIO):
    def read(self, count=-1):
        raise ConnectionResetError("reset")


class LocalCache(unittest.TestCase):
    """The cache on real files: Windows paths become paths in a directory of this machine."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.files = LocalFiles(lambda path: os.path.join(self.root, *path.replace(":", "").split("\\")))
        self.asked = []
        self.answers = []

    def cache(self, *answers):
        self.answers = list(answers)

        def opener(url, timeout):
            self.asked.append(url)
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ImageCache(MAP, self.files, opener)

    def left(self):
        return sorted(name for _, _, names in os.walk(self.root) for name in names)

    def fails(self, cache, code, *arguments, **named):
        with self.assertRaises(HyperVError) as caught:
            cache.get(*arguments, request=Request(), **named)
        self.assertEqual(caught.exception.code, code)
        self.assertEqual([name for name in self.left() if "part" in name], [])

    def test_an_image_is_fetched_once(self):
        cache = self.cache(Answer(VHDX))
        for _ in range(2):
            found = cache.get("cirros", URL, [("sha256", hashlib.sha256(VHDX).hexdigest())], "vhdx", len(VHDX), Request())
        self.assertEqual(found, {"path": "C:\\VMs\\_base\\cirros.vhdx", "format": "vhdx", "virtual_size": 8 << 20})
        self.assertEqual(self.asked, [URL])
        self.assertEqual(self.left(), ["cirros.vhdx"])

    def test_a_url_is_a_reference_too(self):
        found = self.cache(Answer(vhd.make_vhd(1 << 30))).get(URL, request=Request())
        self.assertEqual((found["format"], found["virtual_size"]), ("vhd", 1 << 30))

    def test_nothing_is_left_of_an_image_that_is_not_right(self):
        good = [("md5", "0" * 32)]
        self.fails(self.cache(Answer(VHDX)), "invalid_argument", "a", URL, good)
        self.fails(self.cache(Answer(VHDX)), "invalid_argument", "a", URL, size=5)
        self.fails(self.cache(Answer(b"QFI\xfb" + b"\0" * 9000)), "invalid_argument", "a", URL)
        self.fails(self.cache(Answer(b"nothing known")), "invalid_argument", "a", URL)
        self.fails(self.cache(Broken()), "unavailable", "a", URL)
        self.fails(self.cache(urllib.error.URLError("no route")), "unavailable", "a", URL)
        self.fails(self.cache(urllib.error.HTTPError(URL, 404, "no", None, None)), "not_found", "a", URL)
        self.assertEqual(self.left(), [])

    def test_only_http_is_fetched(self):
        self.fails(self.cache(), "invalid_argument", "a", "file:///etc/passwd")

    def test_an_unknown_image_is_not_found(self):
        self.fails(self.cache(), "not_found", "no-such-image")

    def test_what_a_client_says_of_a_cached_image_has_to_be_right(self):
        cache = self.cache(Answer(VHDX))
        cache.get("a", URL, request=Request())
        cache.get("a", checksums=[("sha1", hashlib.sha1(VHDX).hexdigest())], request=Request())
        self.fails(cache, "invalid_argument", "a", checksums=[("sha1", "0" * 40)])
        self.fails(cache, "invalid_argument", "a", checksums=[("crc", "0")])
        self.fails(cache, "invalid_argument", "a", format="vhd")
        self.fails(cache, "invalid_argument", "a", size=1)

    def test_a_file_whose_name_says_something_else_is_refused(self):
        with self.files.open_new("C:\\VMs\\_base\\a.vhd") as file:
            file.write(VHDX)
        self.fails(self.cache(), "invalid_argument", "a")

    def test_copies_are_whole_or_not_there(self):
        self.files.run(File("makeDirectory", "C:\\VMs\\x"), Request())
        self.files.run(File("write", "C:\\VMs\\x\\a", content=b"1" * 100), Request())
        self.files.run(File("copy", "C:\\VMs\\x\\a", "C:\\VMs\\x\\b"), Request())
        with self.assertRaises(HyperVError) as caught:
            self.files.run(File("copy", "C:\\VMs\\x\\a", "C:\\VMs\\x\\b"), Request())
        self.assertEqual(caught.exception.code, "already_exists")
        with self.assertRaises(HyperVError) as caught:
            self.files.run(File("copy", "C:\\VMs\\x\\a", "C:\\VMs\\x\\c"), Request(cancel_after=0))
        self.assertEqual(caught.exception.code, "cancelled")
        with self.assertRaises(HyperVError) as caught:
            self.files.run(File("copy", "C:\\VMs\\x\\none", "C:\\VMs\\x\\c"), Request())
        self.assertEqual(caught.exception.code, "not_found")
        self.assertEqual(self.left(), ["a", "b"])
        for _ in range(2):
            self.files.run(File("remove", "C:\\VMs\\x\\a"), Request())
            self.files.run(File("removeTree", "C:\\VMs\\x"), Request())
        self.assertEqual(self.left(), [])


class ConfigDriveTests(unittest.TestCase):
    FILES = [("openstack/latest/meta_data.json", b'{"uuid": "x"}'), ("openstack/latest/user_data", b"#!" * 3000),
             ("openstack/content/0000", b""), ("ec2/latest/meta-data.json", b"{}"),
             ("openstack/latest/network_data.json", b"\x00\xff" * 1024), ("a file with blanks and \u00e4.txt", b"1"),
             ("one/two/three/four/five/six/seven.txt", b"7")]

    def joliet(self, image):
        """{path: content} as a reader of Joliet names sees it."""
        import struct
        descriptor = image[17 * 2048:18 * 2048]
        self.assertEqual((descriptor[0], descriptor[1:6], descriptor[88:91]), (2, b"CD001", b"%/E"))
        result = {}

        def walk(sector, length, prefix):
            data, at = image[sector * 2048:sector * 2048 + length], 0
            while at < length:
                size = data[at]
                if size == 0:
                    at = (at // 2048 + 1) * 2048
                    continue
                self.assertLessEqual(at % 2048 + size, 2048, "a record across sectors")
                record = data[at:at + size]
                where, count = struct.unpack("<I", record[2:6])[0], struct.unpack("<I", record[10:14])[0]
                name = record[33:33 + record[32]]
                if name not in (b"\0", b"\1"):
                    text = name.decode("utf-16-be")
                    if record[25] & 2:
                        walk(where, count, prefix + text + "/")
                    else:
                        result[prefix + text[:-2]] = image[where * 2048:where * 2048 + count]
                at += size

        root = descriptor[156:190]
        walk(struct.unpack("<I", root[2:6])[0], struct.unpack("<I", root[10:14])[0], "")
        return result

    def test_files_come_back_as_they_were(self):
        image = iso.build(self.FILES)
        self.assertEqual(self.joliet(image), dict(self.FILES))
        self.assertEqual(vhd.detect(image[:40960], image[-512:]), "iso")

    def test_the_label_is_the_one_that_guests_look_for(self):
        image = iso.build(self.FILES)
        self.assertEqual(image[16 * 2048 + 40:16 * 2048 + 72].rstrip(), b"config-2")
        self.assertEqual(image[17 * 2048 + 40:17 * 2048 + 72].decode("utf-16-be").rstrip(), "config-2")

    def test_the_same_files_make_the_same_image(self):
        self.assertEqual(iso.build(self.FILES), iso.build(self.FILES))

    def test_many_files_in_one_directory(self):
        files = [("content/%04d-with-a-rather-long-name.bin" % n, b"%d" % n) for n in range(300)]
        self.assertEqual(self.joliet(iso.build(files)), dict(files))

    def test_names_that_leave_the_drive_are_refused(self):
        for name in ("../x", "/x", "a//b", "a/./b", "", "a*b", "a\x01", "x" * 65, "a/b/c/d/e/f/g/h"):
            with self.assertRaises(HyperVError, msg=name):
                iso.build([(name, b"")])
        with self.assertRaises(HyperVError):
            iso.build([("a", b""), ("a", b"")])
        with self.assertRaises(HyperVError):
            iso.build([("a", b""), ("a/b", b"")])

    @unittest.skipUnless(shutil.which("xorriso"), "needs xorriso")
    def test_another_reader_agrees(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "c.iso")
            with open(path, "wb") as file:
                file.write(iso.build(self.FILES))
            out = os.path.join(folder, "out")
            subprocess.run(["xorriso", "-osirrox", "on", "-indev", path, "-extract", "/", out], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            found = {}
            for place, _, names in os.walk(out):
                for name in names:
                    with open(os.path.join(place, name), "rb") as file:
                        found[os.path.relpath(os.path.join(place, name), out)] = file.read()
        self.assertEqual(found, dict(self.FILES))


class ModelCacheTests(unittest.TestCase):
    def test_images_of_the_model_have_headers_that_are_read(self):
        bench = Bench()
        self.addCleanup(bench.close)
        for reference, format in (("cirros", "vhdx"), ("cirros-vhd", "vhd")):
            found = bench.host.cache().get(reference, request=Request())
            self.assertEqual((found["format"], found["virtual_size"]), (format, 64 << 20))

    def test_secrets_of_a_config_drive_are_in_no_step(self):
        step = File("write", "C:\\x", content=b"secret")
        self.assertNotIn("secret", step.describe())
        self.assertNotIn(base64.b64encode(b"secret").decode(), step.describe())


if __name__ == "__main__":
    unittest.main()
