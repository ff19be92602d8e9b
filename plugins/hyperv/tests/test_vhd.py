import unittest

import support  # noqa: F401
from vmops_hyperv import vhd
from vmops_hyperv.errors import HyperVError
from vmops_hyperv.planner import disks

GIB, MIB = vhd.GIB, vhd.MIB


def reader(data):
    return lambda at, count: data[at:at + count]


class ArithmeticTests(unittest.TestCase):
    """VM operations, section 11.2; the figures were worked out by hand."""

    def test_fixed_vhd_loses_its_footer(self):
        self.assertEqual(vhd.usable_size(GIB, vhd.Header("vhd", "fixed")), 1073741312)

    def test_dynamic_vhd(self):
        header = vhd.Header("vhd", "dynamic", block_size=2 * MIB)
        # (2^30 − 2048) · 2097152 / 2097156 = 1073737728.0039..., rounded down
        self.assertEqual(vhd.usable_size(GIB, header), (GIB - 2048) * 2097152 // 2097156)
        self.assertEqual(vhd.usable_size(GIB, header), 1073737728)

    def test_differencing_vhd_is_like_its_parent(self):
        parent = vhd.Header("vhd", "dynamic", block_size=2 * MIB)
        self.assertEqual(vhd.usable_size(GIB, vhd.Header("vhd", "differencing"), parent),
                         vhd.usable_size(GIB, parent))

    def test_vhdx_is_a_multiple_of_its_block(self):
        header = vhd.Header("vhdx", "dynamic", block_size=32 * MIB, sector_size=512)
        usable = vhd.usable_size(GIB, header)
        # 2^30 less 3 MiB of header, log and metadata holds 31 blocks of 32 MiB.
        self.assertEqual(usable, 31 * 32 * MIB)
        # The formula of the chapter in exact rational arithmetic, over many sizes.
        from fractions import Fraction
        for block, sector in ((MIB, 512), (32 * MIB, 512), (32 * MIB, 4096), (256 * MIB, 512)):
            header = vhd.Header("vhdx", "dynamic", block_size=block, sector_size=sector, log_length=2 * MIB)
            c = 8388608 * sector // block
            for size in (4 * GIB, 4 * GIB + 12345, 10 * GIB - 1):
                whole = Fraction(block * c) * (size - MIB - 2 * MIB - MIB - 8 - Fraction(8, c)) / (
                    block * c + 8 * c + 8)
                self.assertEqual(vhd.usable_size(size, header), int(whole) // block * block)

    def test_sizes_are_rounded_up_to_what_the_format_can_have(self):
        self.assertEqual(vhd.check_size(1 << 20, "vhdx"), 3 << 20)
        self.assertEqual(vhd.check_size(16 << 20, "vhdx"), 16 << 20)
        self.assertEqual(vhd.check_size((16 << 20) + 1, "vhdx"), (16 << 20) + 4096)
        self.assertEqual(vhd.check_size((16 << 20) + 1, "vhd"), (16 << 20) + 512)

    def test_more_than_a_format_holds_is_refused(self):
        self.assertEqual(vhd.check_size(2040 * GIB, "vhd"), 2040 * GIB)
        for size, format in ((2040 * GIB + 1, "vhd"), ((64 << 40) + 1, "vhdx"), (0, "vhd"), (1, "qcow2")):
            with self.assertRaises(HyperVError):
                vhd.check_size(size, format)

    def test_a_disk_has_to_fit_into_the_largest_file(self):
        disks.check_limit(3 * GIB, "vhdx", 4 * GIB)
        disks.check_limit(100 * GIB, "vhdx", 0)
        with self.assertRaises(HyperVError):
            disks.check_limit(4 * GIB, "vhdx", 4 * GIB)


class HeaderTests(unittest.TestCase):
    def test_formats_are_told_by_content(self):
        for data, format in ((vhd.make_vhd(GIB), "vhd"), (vhd.make_vhd(4096, "fixed"), "vhd"),
                             (vhd.make_vhdx(GIB), "vhdx"), (b"QFI\xfb" + b"\0" * 600, "qcow2"), (b"MZ" * 600, None),
                             (b"", None)):
            self.assertEqual(vhd.detect(data[:40960], data[-512:]), format)

    def test_headers_are_read(self):
        for kind in ("dynamic", "fixed", "differencing"):
            data = vhd.make_vhd(8 * MIB, kind)
            header = vhd.read_vhd(reader(data), len(data))
            self.assertEqual((header.kind, header.virtual_size), (kind, 8 * MIB))
            self.assertEqual(header.block_size, None if kind == "fixed" else 2 * MIB)
            data = vhd.make_vhdx(8 * GIB, kind, 16 * MIB, 4096, 2 * MIB)
            header = vhd.read_vhdx(reader(data), len(data))
            self.assertEqual((header.kind, header.virtual_size, header.block_size, header.sector_size,
                              header.log_length), (kind, 8 * GIB, 16 * MIB, 4096, 2 * MIB))

    def test_damaged_headers_are_refused(self):
        good = vhd.make_vhd(GIB)
        for at in (len(good) - 512, len(good) - 500, len(good) - 450, 512):
            bad = bytearray(good)
            bad[at] ^= 0xFF
            if at == 512:
                bad[512:520] = b"x" * 8
            with self.assertRaises(HyperVError, msg=at):
                vhd.read_vhd(reader(bytes(bad)), len(bad))
        good = vhd.make_vhdx(GIB)
        for at in (0, 192 << 10, (192 << 10) + 16, 2 << 20, (2 << 20) + 32):
            bad = bytearray(good)
            bad[at] ^= 0xFF
            with self.assertRaises(HyperVError, msg=at):
                vhd.read_vhdx(reader(bytes(bad)), len(bad))
        for cut in (0, 511, 65536, 1 << 20):
            with self.assertRaises(HyperVError):
                vhd.read_vhdx(reader(good[:cut]), cut)


if __name__ == "__main__":
    unittest.main()
