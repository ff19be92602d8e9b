"""Files of the Hyper-V host, when the plugin runs there."""

import errno
import os
import shutil
import time

from .errors import HRESULTS, HyperVError

IN_USE_LIMIT = 15.0     # seconds; files of a machine that has just gone are released late


def translate(error, what):
    number = getattr(error, "winerror", None)
    if number is not None:
        code = HRESULTS.get(0x80070000 | number, "internal")
    else:
        code = {
            errno.ENOENT: "not_found", errno.ENOTDIR: "not_found", errno.EACCES: "unauthorized",
            errno.EPERM: "unauthorized", errno.EEXIST: "already_exists", errno.ENOSPC: "resource_exhausted",
            getattr(errno, "EDQUOT", -1): "resource_exhausted", errno.EBUSY: "busy",
        }.get(error.errno, "internal")
    return HyperVError(code, "%s: %s" % (what, error.strerror or "failed"))


class LocalFiles:
    """`place` gives the path to open for a Windows path: itself, but in tests."""

    def __init__(self, place=lambda path: path):
        self._place = place

    def run(self, step, request):
        try:
            return getattr(self, "_" + step.operation)(step, request) or {}
        except OSError as error:
            raise translate(error, step.text()) from None

    def _makeDirectory(self, step, request):
        os.makedirs(self._place(step.path), exist_ok=True)

    def _copy(self, step, request):
        target = self._place(step.target)
        if os.path.exists(target):
            raise HyperVError("already_exists", "%s exists" % step.target)
        self._copy_over(self._place(step.path), target, request)

    def _copyOver(self, step, request):
        self._copy_over(self._place(step.path), self._place(step.target), request)

    def _copy_over(self, source, target, request):
        """By way of a file of another name: what has the right name is whole."""
        part = target + ".part"
        try:
            with open(source, "rb") as read, open(part, "wb") as write:
                while True:
                    request.check()
                    data = read.read(4 << 20)
                    if not data:
                        break
                    write.write(data)
                write.flush()
                os.fsync(write.fileno())
            os.replace(part, target)
        except BaseException:
            if os.path.exists(part):
                os.remove(part)
            raise

    def _move(self, step, request):
        os.replace(self._place(step.path), self._place(step.target))

    def _remove(self, step, request):
        try:
            os.remove(self._place(step.path))
        except FileNotFoundError:
            pass

    def _removeTree(self, step, request):
        """Also while something still has a file open, for a while."""
        path, end = self._place(step.path), time.monotonic() + IN_USE_LIMIT
        while os.path.isdir(path):
            try:
                shutil.rmtree(path)
            except OSError:
                if time.monotonic() >= end:
                    raise
                request.wait(0.5)

    def _write(self, step, request):
        path = self._place(step.path)
        part = path + ".part"
        with open(part, "wb") as file:
            file.write(step.content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)

    # Questions

    def exists(self, path):
        return os.path.exists(self._place(path))

    def size(self, path):
        try:
            return os.path.getsize(self._place(path))
        except OSError as error:
            raise translate(error, path) from None

    def read(self, path, offset, count):
        try:
            with open(self._place(path), "rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError as error:
            raise translate(error, path) from None

    def open_new(self, path):
        try:
            os.makedirs(os.path.dirname(self._place(path)), exist_ok=True)
            return open(self._place(path), "xb")
        except OSError as error:
            raise translate(error, path) from None
