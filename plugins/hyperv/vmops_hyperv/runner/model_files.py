"""The files of a modelled host: disks as records, everything else as bytes."""

import base64

from .. import paths, vhd
from ..errors import HyperVError

KIND = "file"


class ModelFiles:
    def __init__(self, model):
        self._model = model

    def _get(self, path, model=None):
        model = model or self._model
        return model.world.get(model.host, KIND, path.lower())

    def _put(self, path, record):
        self._model.world.put(self._model.host, KIND, path.lower(), dict(record, path=path))

    def _drop(self, path):
        self._model.world.remove(self._model.host, KIND, path.lower())

    def _need(self, path):
        record = self._get(path)
        if record is None or record["kind"] == "directory":
            raise HyperVError("not_found", "there is no file %s (0x80070002)" % path)
        return record

    def _free(self, path):
        """A file that a running machine writes to is open."""
        for machine in self._model.machines():
            if machine["state"] in (3, 6):
                continue
            for drive in machine["drives"]:
                if paths.same(drive["path"], path):
                    raise HyperVError("busy", "%s is in use (0x80070020)" % path)

    # Steps

    def run(self, step, request):
        return getattr(self, "_" + step.operation)(step) or {}

    def _makeDirectory(self, step):
        self.make_directory(step.path)

    def make_directory(self, path):
        parts = path.split("\\")
        for count in range(2, len(parts) + 1):
            path = "\\".join(parts[:count])
            present = self._get(path)
            if present is None:
                self._put(path, {"kind": "directory"})
            elif present["kind"] != "directory":
                raise HyperVError("already_exists", "%s is a file" % path)

    def need_directory(self, path):
        if not self.exists(paths.parent(path)):
            raise HyperVError("not_found", "there is no directory for %s (0x80070003)" % path)

    def _copy(self, step):
        if self.exists(step.target):
            raise HyperVError("already_exists", "%s exists" % step.target)
        self.need_directory(step.target)
        self._put(step.target, self._need(step.path))

    def _copyOver(self, step):
        record = self._need(step.path)
        if not step.target.startswith("\\\\"):
            self._put(step.target, record)
            return
        # \\host\C$\directory\file
        _, _, host, share, rest = step.target.split("\\", 4)
        if not share.endswith("$") or len(share) != 2:
            raise HyperVError("unavailable", "%s: there is no such share (0x80070035)" % step.target)
        path = share[0] + ":\\" + rest
        self._model.world.put(host.split(".")[0].lower(), KIND, path.lower(), dict(record, path=path))

    def _move(self, step):
        record = self._need(step.path)
        self._free(step.target)
        self._put(step.target, record)
        self._drop(step.path)

    def _remove(self, step):
        if self._get(step.path) is not None:
            self._free(step.path)
            self._drop(step.path)

    def _removeTree(self, step):
        below = self._model.world.all(self._model.host, KIND, step.path.lower() + "\\")
        for _, record in below:
            self._free(record["path"])
        for name, _ in below:
            self._drop(name)
        self._drop(step.path)

    def _write(self, step):
        self._put(step.path, {"kind": "data", "base64": base64.b64encode(step.content).decode()})

    # Disks

    def put_disk(self, path, format, type, size, parent=None, block=None):
        self._put(path, {"kind": "disk", "format": format, "type": type, "size": size, "parent": parent,
                         "block": block or vhd.DEFAULT_BLOCK[format]})

    def disk(self, path):
        record = self._need(path)
        if record["kind"] != "disk":
            raise HyperVError("invalid_argument", "%s is no disk (0xC03A0003)" % path)
        return record

    def set_disk(self, path, record):
        self._put(path, record)

    def drop(self, path):
        self._drop(path)

    # Questions

    def exists(self, path):
        return self._get(path) is not None

    def _bytes(self, path):
        record = self._need(path)
        if record["kind"] == "data":
            return base64.b64decode(record["base64"])
        make = vhd.make_vhd if record["format"] == "vhd" else vhd.make_vhdx
        return make(record["size"], record["type"], record["block"])

    def size(self, path):
        return len(self._bytes(path))

    def read(self, path, offset, count):
        return self._bytes(path)[offset:offset + count]

    def open_new(self, path):
        if self.exists(path):
            raise HyperVError("already_exists", "%s exists" % path)
        return _Writer(self, path)


class _Writer:
    """A file that is there when it is closed; a disk image becomes a disk."""

    def __init__(self, files, path):
        self._files, self._path, self._data = files, path, bytearray()

    def write(self, data):
        self._data += data

    def flush(self):
        pass

    def fileno(self):
        return None

    def close(self):
        data = bytes(self._data)
        format = vhd.detect(data[:40960], data[-512:])
        if format in vhd.MAXIMUM:
            header = vhd.read_header(format, lambda at, count: data[at:at + count], len(data))
            self._files.put_disk(self._path, format, header.kind, header.virtual_size, block=header.block_size)
        else:
            self._files._put(self._path, {"kind": "data", "base64": base64.b64encode(data).decode()})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
