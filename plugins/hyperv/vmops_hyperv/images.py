"""The image cache of the Hyper-V host: images under their names, fetched when they are not there."""

import hashlib
import os
import secrets
import urllib.error
import urllib.request

from . import paths, vhd
from .errors import HyperVError

#: By content; everything else in a cache is not an image that Hyper-V can use.
FORMATS = ("vhdx", "vhd")
ALGORITHMS = ("md5", "sha1", "sha256", "sha512")
PIECE = 1 << 20


class ImageCache:
    def __init__(self, map, files, opener=urllib.request.urlopen):
        self._map, self._files, self._open = map, files, opener

    def find(self, reference):
        """(path, header) of a cached image, or `None`."""
        stem = self._map.image(reference)
        for format in FORMATS:
            path = "%s.%s" % (stem, format)
            if self._files.exists(path):
                return path, self.header(path)
        return None

    def header(self, path):
        """What the file is by its content, which has to be what its name says."""
        size = self._files.size(path)
        read = lambda at, count: self._files.read(path, at, count)
        format = vhd.detect(read(0, 40960), read(max(0, size - 512), 512))
        if format != paths.extension(path):
            raise HyperVError("invalid_argument", "the image is a %s, its name says %s" % (
                format or "file of no known format", paths.extension(path)), {"field": "reference"})
        return vhd.read_header(format, read, size)

    def get(self, reference, location=None, checksums=(), format=None, size=None, request=None):
        found = self.find(reference)
        if found is None:
            url = location or (reference if "://" in reference else None)
            if url is None:
                raise HyperVError("not_found", "there is no image " + reference)
            self._fetch(reference, url, checksums, size, request)
            found = self.find(reference)
            if found is None:
                raise HyperVError("invalid_argument", "the image %s is neither vhd nor vhdx" % reference)
        else:
            self._check(found[0], checksums, size, request)
        path, header = found
        if format and format.lower() not in (header.format, {"vhd": "vpc"}.get(header.format)):
            raise HyperVError("invalid_argument", "the image is a %s, not a %s" % (header.format, format),
                              {"field": "format"})
        return {"path": path, "format": header.format, "virtual_size": header.virtual_size}

    def _check(self, path, checksums, size, request):
        """Whoever says something of an image has to be right. Reading it all is for checksums only."""
        if size is not None and self._files.size(path) != size:
            raise HyperVError("invalid_argument", "the image has %d bytes, not %d" % (self._files.size(path), size),
                              {"field": "size"})
        digests = self._digests(checksums)
        if not digests:
            return
        at, end = 0, self._files.size(path)
        while at < end:
            request.check()
            data = self._files.read(path, at, PIECE)
            for _, digest in digests:
                digest.update(data)
            at += len(data)
        self._compare(digests)

    @staticmethod
    def _digests(checksums):
        result = []
        for algorithm, value in checksums:
            name = algorithm.lower().replace("-", "")
            if name not in ALGORITHMS:
                raise HyperVError("invalid_argument", "checksums of the kind %s are not known" % algorithm,
                                  {"field": "checksums"})
            result.append((value.lower(), hashlib.new(name)))
        return result

    @staticmethod
    def _compare(digests):
        for value, digest in digests:
            if digest.hexdigest() != value:
                raise HyperVError("invalid_argument", "the image's %s is another" % digest.name,
                                  {"field": "checksums"})

    def _fetch(self, reference, url, checksums, size, request):
        """To a name of its own first: what has the image's name is whole and right."""
        if not url.startswith(("http://", "https://")):
            raise HyperVError("invalid_argument", "images are fetched by http and https", {"field": "location"})
        from .steps import File
        stem = self._map.image(reference)
        part = "%s.%s.part" % (stem, secrets.token_hex(4))
        digests = self._digests(checksums)
        try:
            self._download(url, part, digests, size, request)
            self._compare(digests)
            length = self._files.size(part)
            format = vhd.detect(self._files.read(part, 0, 40960), self._files.read(part, max(0, length - 512), 512))
            if format not in FORMATS:
                raise HyperVError("invalid_argument", "the image %s is %s; Hyper-V takes vhd and vhdx" % (
                    reference, format or "of no known format"))
            self._files.run(File("move", part, "%s.%s" % (stem, format)), request)
        except BaseException:
            self._files.run(File("remove", part), request)
            raise

    def _download(self, url, part, digests, size, request):
        try:
            with self._open(url, timeout=60) as answer, self._files.open_new(part) as file:
                count = 0
                while True:
                    request.check()
                    data = answer.read(PIECE)
                    if not data:
                        break
                    count += len(data)
                    file.write(data)
                    for _, digest in digests:
                        digest.update(data)
                file.flush()
                if file.fileno() is not None:
                    os.fsync(file.fileno())
        except urllib.error.HTTPError as error:
            code = "not_found" if error.code in (404, 410) else "unavailable"
            raise HyperVError(code, "the image's server answered %d" % error.code) from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise HyperVError("unavailable", "the image's server: %s" % getattr(error, "reason", error)) from None
        if size is not None and count != size:
            raise HyperVError("invalid_argument", "the image has %d bytes, not %d" % (count, size), {"field": "size"})
