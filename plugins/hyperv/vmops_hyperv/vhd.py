"""VHD and VHDX: recognising them, reading their headers, and how much of a file is of use to the guest.

The arithmetic is that of VM operations, section 11.2; sizes are bytes.
"""

import struct
import uuid as _uuid

from .errors import HyperVError

MIB = 1 << 20
GIB = 1 << 30

VHD_COOKIE = b"conectix"
VHD_DYNAMIC_COOKIE = b"cxsparse"
VHDX_SIGNATURE = b"vhdxfile"
VHDX_REGION_SIGNATURE = b"regi"
VHDX_METADATA_SIGNATURE = b"metadata"

VHD_FOOTER = 512
VHD_FIXED, VHD_DYNAMIC, VHD_DIFFERENCING = 2, 3, 4

#: What the formats can hold.
MAXIMUM = {"vhd": 2040 * GIB, "vhdx": 64 << 40}
MINIMUM = {"vhd": 3 * MIB, "vhdx": 3 * MIB}
#: What a virtual size has to be a multiple of.
ALIGNMENT = {"vhd": 512, "vhdx": 4096}
DEFAULT_BLOCK = {"vhd": 2 * MIB, "vhdx": 32 * MIB}

_REGION_METADATA = _uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_META_FILE_PARAMETERS = _uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_META_VIRTUAL_SIZE = _uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_META_LOGICAL_SECTOR = _uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le


def round_up(size, format):
    """The smallest size that the format can have and that is not below `size`."""
    step = ALIGNMENT[format]
    return max(MINIMUM[format], (size + step - 1) // step * step)


def check_size(size, format):
    """The size to create a disk with; refuses what the format cannot hold."""
    if format not in MAXIMUM:
        raise HyperVError("invalid_argument", "Hyper-V takes vhd and vhdx, not " + str(format), {"field": "format"})
    if not isinstance(size, int) or size <= 0:
        raise HyperVError("invalid_argument", "a disk needs a size", {"field": "virtual_size"})
    rounded = round_up(size, format)
    if rounded > MAXIMUM[format]:
        raise HyperVError("invalid_argument", "a %s holds at most %d bytes" % (format, MAXIMUM[format]),
                          {"field": "virtual_size"})
    return rounded


class Header:
    """What a disk file says of itself."""

    def __init__(self, format, kind, virtual_size=None, block_size=None, sector_size=512, log_length=MIB,
                 metadata_length=MIB):
        self.format, self.kind, self.virtual_size = format, kind, virtual_size
        self.block_size, self.sector_size = block_size, sector_size
        self.log_length, self.metadata_length = log_length, metadata_length


def usable_size(file_size, header, parent=None):
    """How large the guest's disk may be for the file never to outgrow `file_size`."""
    if header.format == "vhd":
        if header.kind == "fixed":
            return file_size - VHD_FOOTER
        if header.kind == "differencing":
            if parent is None:
                raise HyperVError("invalid_argument", "a differencing disk is as large as its parent")
            return usable_size(file_size, parent)
        # A copy of the footer, the header, the footer; four bytes of table for each block.
        block = header.block_size
        return (file_size - (512 + 1024 + 512)) * block // (4 + block)
    block, sector = header.block_size, header.sector_size
    ratio = (1 << 23) * sector // block
    # ⌊b·c·(size − 1 MiB − l − m − 8 − 8/c) / (b·c + 8·c + 8)⌋; multiplied out by c, so that all of it is integers.
    room = ratio * (file_size - MIB - header.log_length - header.metadata_length - 8) - 8
    usable = block * room // (block * ratio + 8 * ratio + 8)
    return usable // block * block


def detect(head, tail):
    """The format by content: `vhdx`, `vhd`, `qcow2`, `iso`, or `None`.

    `head` is the beginning of the file (40 KiB tell an ISO image too), `tail` its last 512 bytes.
    """
    if head[:8] == VHDX_SIGNATURE:
        return "vhdx"
    if tail[-VHD_FOOTER:][:8] == VHD_COOKIE:
        return "vhd"
    if head[:4] == b"QFI\xfb":
        return "qcow2"
    if head[32769:32774] == b"CD001":
        return "iso"
    return None


def checksum(block, at):
    """The ones' complement of the sum of all bytes, the checksum's own four left out."""
    return ~(sum(block) - sum(block[at:at + 4])) & 0xFFFFFFFF


def read_vhd(read, size):
    """The header of a VHD; `read(offset, count)` reads the file of `size` bytes."""
    footer = read(size - VHD_FOOTER, VHD_FOOTER)
    if footer[:8] != VHD_COOKIE:
        raise HyperVError("invalid_argument", "not a VHD: no footer")
    if struct.unpack(">I", footer[64:68])[0] != checksum(footer, 64):
        raise HyperVError("invalid_argument", "not a VHD: the footer's checksum is wrong")
    offset, = struct.unpack(">Q", footer[16:24])
    virtual, = struct.unpack(">Q", footer[48:56])
    kind, = struct.unpack(">I", footer[60:64])
    names = {VHD_FIXED: "fixed", VHD_DYNAMIC: "dynamic", VHD_DIFFERENCING: "differencing"}
    if kind not in names:
        raise HyperVError("invalid_argument", "a VHD of the unknown type %d" % kind)
    header = Header("vhd", names[kind], virtual)
    if kind != VHD_FIXED:
        if offset + 1024 > size:
            raise HyperVError("invalid_argument", "not a VHD: the header lies outside of the file")
        dynamic = read(offset, 1024)
        if dynamic[:8] != VHD_DYNAMIC_COOKIE:
            raise HyperVError("invalid_argument", "not a VHD: no dynamic header")
        header.block_size, = struct.unpack(">I", dynamic[32:36])
        if header.block_size < 512 or header.block_size > 256 * MIB:
            raise HyperVError("invalid_argument", "a VHD with an impossible block size")
    return header


def read_vhdx(read, size):
    """The header of a VHDX: its log, its metadata, its block and sector size."""
    if read(0, 8) != VHDX_SIGNATURE:
        raise HyperVError("invalid_argument", "not a VHDX")
    log_length = 0
    newest = -1
    for at in (64 << 10, 128 << 10):
        block = read(at, 76)
        if len(block) == 76 and block[:4] == b"head":
            sequence, = struct.unpack("<Q", block[8:16])
            if sequence > newest:
                newest, (log_length,) = sequence, struct.unpack("<I", block[68:72])
    if newest < 0:
        raise HyperVError("invalid_argument", "not a VHDX: no header")
    table = read(192 << 10, 64 << 10)
    if table[:4] != VHDX_REGION_SIGNATURE:
        raise HyperVError("invalid_argument", "not a VHDX: no region table")
    count, = struct.unpack("<I", table[8:12])
    metadata = None
    for index in range(min(count, 2047)):
        entry = table[16 + 32 * index:48 + 32 * index]
        if entry[:16] == _REGION_METADATA:
            metadata = struct.unpack("<QI", entry[16:28])
    if not metadata or metadata[0] + (64 << 10) > size:
        raise HyperVError("invalid_argument", "not a VHDX: no metadata")
    region = read(metadata[0], 64 << 10)
    if region[:8] != VHDX_METADATA_SIGNATURE:
        raise HyperVError("invalid_argument", "not a VHDX: no metadata table")
    items = {}
    for index in range(min(struct.unpack("<H", region[10:12])[0], 2047)):
        entry = region[32 + 32 * index:64 + 32 * index]
        items[entry[:16]] = struct.unpack("<II", entry[16:24])

    def item(key, form):
        if key not in items:
            raise HyperVError("invalid_argument", "not a VHDX: an item is missing")
        data = read(metadata[0] + items[key][0], struct.calcsize(form))
        if len(data) < struct.calcsize(form):
            raise HyperVError("invalid_argument", "not a VHDX: an item lies outside of the file")
        return struct.unpack(form, data)

    block_size, flags = item(_META_FILE_PARAMETERS, "<II")
    virtual, = item(_META_VIRTUAL_SIZE, "<Q")
    sector, = item(_META_LOGICAL_SECTOR, "<I")
    if block_size < MIB or block_size > 256 * MIB or sector not in (512, 4096):
        raise HyperVError("invalid_argument", "a VHDX with an impossible block or sector size")
    kind = "differencing" if flags & 2 else "fixed" if flags & 1 else "dynamic"
    return Header("vhdx", kind, virtual, block_size, sector, log_length, metadata[1])


def read_header(format, read, size):
    return read_vhd(read, size) if format == "vhd" else read_vhdx(read, size)


def make_vhd(virtual_size, kind="dynamic", block_size=2 * MIB):
    """An empty VHD as bytes: for tests and for the modelled host. A fixed one is as large as the disk."""
    number = {"fixed": VHD_FIXED, "dynamic": VHD_DYNAMIC, "differencing": VHD_DIFFERENCING}[kind]
    offset = 0xFFFFFFFFFFFFFFFF if kind == "fixed" else 512
    footer = struct.pack(">8sIIQI4sI4sQQIII16sB427x", VHD_COOKIE, 2, 0x10000, offset, 0, b"vmop", 0x10000, b"Wi2k",
                         virtual_size, virtual_size, 0, number, 0, b"\0" * 16, 0)
    footer = footer[:64] + struct.pack(">I", checksum(footer, 64)) + footer[68:]
    if kind == "fixed":
        return b"\0" * virtual_size + footer
    entries = (virtual_size + block_size - 1) // block_size
    header = struct.pack(">8sQQIIII16sII512s192s256x", VHD_DYNAMIC_COOKIE, 0xFFFFFFFFFFFFFFFF, 1536, 0x10000, entries,
                         block_size, 0, b"\0" * 16, 0, 0, b"", b"")
    header = header[:36] + struct.pack(">I", checksum(header, 36)) + header[40:]
    table = b"\xff" * ((4 * entries + 511) // 512 * 512)
    return footer + header + table + footer


def make_vhdx(virtual_size, kind="dynamic", block_size=32 * MIB, sector=512, log_length=MIB):
    """The parts of an empty VHDX that this module reads, as bytes: for tests and for the modelled host."""
    data = bytearray(3 * MIB)
    data[0:8] = VHDX_SIGNATURE
    for sequence, at in ((1, 64 << 10), (2, 128 << 10)):
        header = struct.pack("<4sIQ16s16s16sHHIQ", b"head", 0, sequence, b"", b"", b"", 0, 1, log_length, MIB)
        data[at:at + 76] = header[:76]
    at = 192 << 10
    data[at:at + 16] = struct.pack("<4sIII", VHDX_REGION_SIGNATURE, 0, 1, 0)
    data[at + 16:at + 48] = struct.pack("<16sQII", _REGION_METADATA, 2 * MIB, MIB, 1)
    at = 2 * MIB
    data[at:at + 32] = struct.pack("<8sHH20x", VHDX_METADATA_SIGNATURE, 0, 3)
    flags = {"dynamic": 0, "fixed": 1, "differencing": 2}[kind]
    items = [(_META_FILE_PARAMETERS, struct.pack("<II", block_size, flags)),
             (_META_VIRTUAL_SIZE, struct.pack("<Q", virtual_size)),
             (_META_LOGICAL_SECTOR, struct.pack("<I", sector))]
    offset = 64 << 10
    for index, (key, value) in enumerate(items):
        entry = at + 32 + 32 * index
        data[entry:entry + 32] = struct.pack("<16sIIII", key, offset, len(value), 0, 0)
        data[at + offset:at + offset + len(value)] = value
        offset += 64
    return bytes(data)
