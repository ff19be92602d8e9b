"""Writes the config drive: an ISO 9660 image with Joliet names, label `config-2`.

Hyper-V hosts have no program that does it, and the operating system's own (IMAPI) is not on every edition.
"""

import struct

from .errors import HyperVError

SECTOR = 2048
LABEL = "config-2"


class _Directory:
    def __init__(self, name, parent):
        self.name, self.parent = name, parent or self
        self.directories, self.files = {}, {}
        self.sector = {}        # per tree: "iso", "joliet"
        self.length = {}
        self.number = 0


def _check(path):
    parts = path.split("/")
    for part in parts:
        if part in ("", ".", "..") or len(part) > 64 or any(ord(c) < 32 or c in '*/:;?\\"<>|' for c in part):
            raise HyperVError("invalid_argument", "a config drive cannot have a file of that name", {"field": "files"})
    if len(parts) > 7:
        raise HyperVError("invalid_argument", "a config drive has at most eight levels", {"field": "files"})
    return parts


def _both16(value):
    return struct.pack("<H", value) + struct.pack(">H", value)


def _both32(value):
    return struct.pack("<I", value) + struct.pack(">I", value)


def _sectors(length):
    return (length + SECTOR - 1) // SECTOR


def _keep(text):
    return "".join(c if c.isalnum() and ord(c) < 128 else "_" for c in text.upper())


def _short_names(directory):
    """Plain ISO names (8.3, capitals), each its own; readers without Joliet are not expected."""
    taken, result = set(), {}
    for name in sorted(directory.directories) + sorted(directory.files):
        stem, suffix = name, ""
        if name in directory.files and "." in name:
            stem, _, suffix = name.rpartition(".")
        stem, suffix = _keep(stem)[:8] or "_", _keep(suffix)[:3]
        candidate, number = (stem, suffix), 0
        while candidate in taken:
            number += 1
            tail = str(number)
            candidate = (stem[:8 - len(tail)] + tail, suffix)
        taken.add(candidate)
        result[name] = candidate
    return result


def _record(identifier, sector, length, directory):
    size = 33 + len(identifier) + (len(identifier) + 1) % 2
    record = struct.pack("BB", size, 0) + _both32(sector) + _both32(length)
    # The date is fixed: the same files make the same image.
    record += bytes((120, 1, 1, 0, 0, 0, 0)) + bytes((2 if directory else 0, 0, 0)) + _both16(1)
    record += struct.pack("B", len(identifier)) + identifier
    return record.ljust(size, b"\0")


def _entries(directory, tree):
    """(identifier, child) in the order of the tree's own names."""
    result = []
    if tree == "joliet":
        for name, child in directory.directories.items():
            result.append((name.encode("utf-16-be"), child))
        for name, child in directory.files.items():
            result.append(((name + ";1").encode("utf-16-be"), child))
    else:
        short = _short_names(directory)
        for name, child in directory.directories.items():
            result.append((short[name][0].encode(), child))
        for name, child in directory.files.items():
            stem, suffix = short[name]
            result.append(("{}.{};1".format(stem, suffix).encode(), child))
    return sorted(result, key=lambda entry: entry[0])


def _content(directory, tree):
    records = [_record(b"\0", directory.sector[tree], directory.length[tree], True),
               _record(b"\1", directory.parent.sector[tree], directory.parent.length[tree], True)]
    for identifier, child in _entries(directory, tree):
        if isinstance(child, _Directory):
            records.append(_record(identifier, child.sector[tree], child.length[tree], True))
        else:
            records.append(_record(identifier, child["sector"], len(child["data"]), False))
    data = b""
    for record in records:
        left = SECTOR - len(data) % SECTOR
        if len(record) > left:
            data += b"\0" * left        # a record never lies across sectors
        data += record
    return data.ljust(max(1, _sectors(len(data))) * SECTOR, b"\0")


def _path_table(directories, tree, order):
    table = b""
    for directory in directories:
        if directory.parent is directory:
            identifier = b"\0"
        else:
            identifier = next(i for i, child in _entries(directory.parent, tree) if child is directory)
        table += struct.pack("BB", len(identifier), 0) + struct.pack(order + "I", directory.sector[tree])
        table += struct.pack(order + "H", directory.parent.number) + identifier + b"\0" * (len(identifier) % 2)
    return table


def _descriptor(kind, tree, root, total, table_length, little, big):
    joliet = tree == "joliet"
    blank = lambda size: (" " * (size // 2)).encode("utf-16-be").ljust(size, b"\0") if joliet else b" " * size
    label = LABEL.ljust(16).encode("utf-16-be") if joliet else LABEL.ljust(32).encode()
    data = struct.pack("B5sBB", kind, b"CD001", 1, 0) + blank(32) + label + b"\0" * 8 + _both32(total)
    data += (b"%/E" if joliet else b"").ljust(32, b"\0")
    data += _both16(1) + _both16(1) + _both16(SECTOR) + _both32(table_length)
    data += struct.pack("<II", little, 0) + struct.pack(">II", big, 0)
    data += _record(b"\0", root.sector[tree], root.length[tree], True)
    data += blank(128) * 4 + blank(37) * 3
    data += (b"0" * 16 + b"\0") * 4 + b"\1\0"
    return data.ljust(SECTOR, b"\0")


def build(files):
    """The image of the files, [(path, bytes)], as bytes."""
    root = _Directory("", None)
    for path, data in files:
        parts = _check(path)
        here = root
        for part in parts[:-1]:
            if part in here.files:
                raise HyperVError("invalid_argument", "a config drive has a file where a directory should be")
            here = here.directories.setdefault(part, _Directory(part, here))
        if parts[-1] in here.directories or parts[-1] in here.files:
            raise HyperVError("invalid_argument", "a config drive has two files of one name", {"field": "files"})
        here.files[parts[-1]] = {"data": data, "sector": 0}

    directories = [root]
    for directory in directories:
        directories.extend(directory.directories[name] for name in sorted(directory.directories))

    sector = 16 + 3             # the system area, two descriptors and their end
    tables = {}
    for tree in ("iso", "joliet"):
        # The order of a path table is that of levels, then of names in the tree.
        order = [root]
        for directory in order:
            order.extend(child for _, child in _entries(directory, tree) if isinstance(child, _Directory))
        for number, directory in enumerate(order, 1):
            directory.number = number
            directory.sector[tree], directory.length[tree] = 0, SECTOR
        length = len(_path_table(order, tree, "<"))
        tables[tree] = {"order": order, "length": length, "little": sector, "big": sector + _sectors(length)}
        sector += 2 * _sectors(length)
    for tree in ("iso", "joliet"):
        for directory in tables[tree]["order"]:
            directory.length[tree] = len(_content(directory, tree))
            directory.sector[tree] = sector
            sector += directory.length[tree] // SECTOR
    for directory in directories:
        for name in sorted(directory.files):
            entry = directory.files[name]
            entry["sector"] = sector
            sector += _sectors(len(entry["data"]))

    image = bytearray(sector * SECTOR)

    def put(at, data):
        image[at * SECTOR:at * SECTOR + len(data)] = data

    for at, kind, tree in ((16, 1, "iso"), (17, 2, "joliet")):
        table = tables[tree]
        for number, directory in enumerate(table["order"], 1):
            directory.number = number
        put(at, _descriptor(kind, tree, root, sector, table["length"], table["little"], table["big"]))
        put(table["little"], _path_table(table["order"], tree, "<"))
        put(table["big"], _path_table(table["order"], tree, ">"))
        for directory in table["order"]:
            put(directory.sector[tree], _content(directory, tree))
    put(18, struct.pack("B5sB", 255, b"CD001", 1))
    for directory in directories:
        for entry in directory.files.values():
            put(entry["sector"], entry["data"])
    return bytes(image)
