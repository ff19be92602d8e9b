"""A directory of images, by name or fetched once by URL."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Dict, Tuple

from .errors import InvalidArgument, NotFound, Unavailable
from .model import Image, ImageRequest
from .request import Request
from .tools import run_tool

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}")
_MAGIC = ((b"QFI\xfb", "qcow2"), (b"vhdxfile", "vhdx"), (b"conectix", "vpc"), (b"KDMV", "vmdk"))
_PIECE = 1 << 20


class ImageFolder:
    """Files are images by their name. What comes from a URL is stored under a name made of the URL."""

    def __init__(self, directory: str, formats: Tuple[str, ...] = ("raw",)) -> None:
        self.directory = directory
        self.formats = formats
        self._lock = threading.Lock()
        self._sums: Dict[Tuple[str, str, int, int], str] = {}
        os.makedirs(directory, exist_ok=True)

    def get(self, request: Request, wanted: ImageRequest) -> Image:
        """Raises NotFound, or InvalidArgument when it is not what the client says it is."""
        path = self._path(request, wanted)
        format = _format(path)
        if format not in self.formats:
            raise InvalidArgument(f"the image {wanted.reference} is {format}, which this host does not take")
        known = {"iso": "raw", "vhd": "vpc"}.get(wanted.format or format, wanted.format or format)
        if known != format:
            raise InvalidArgument(f"the image {wanted.reference} is {format}, not {wanted.format}", field="format")
        if wanted.size is not None and wanted.size != os.path.getsize(path):
            raise InvalidArgument(f"the image {wanted.reference} has another size", field="size")
        for each in wanted.checksums:
            if self._sum(request, path, each.algorithm.lower()) != each.value.lower():
                raise InvalidArgument(f"the {each.algorithm} of {wanted.reference} differs", field="checksums")
        return Image(wanted.reference, path, format, _virtual_size(request, path, format))

    def _path(self, request: Request, wanted: ImageRequest) -> str:
        is_url = "://" in wanted.reference
        if not is_url:
            if not _NAME.fullmatch(wanted.reference):
                raise InvalidArgument(f"{wanted.reference!r} is not a name of an image", field="reference")
            path = os.path.join(self.directory, wanted.reference)
            if os.path.isfile(path):
                return path
        location = wanted.reference if is_url else wanted.location
        if location is None:
            raise NotFound(f"there is no image {wanted.reference}")
        if urllib.parse.urlsplit(location).scheme not in ("http", "https"):
            raise InvalidArgument("images are fetched from http and https only", field="location")
        path = os.path.join(self.directory, "url-" + hashlib.sha256(location.encode()).hexdigest()[:40])
        with self._lock:
            if not os.path.exists(path):
                _fetch(request, location, path)
        return path

    def _sum(self, request: Request, path: str, algorithm: str) -> str:
        if algorithm not in ("md5", "sha1", "sha256", "sha384", "sha512"):
            raise InvalidArgument(f"{algorithm} is not a known checksum", field="checksums")
        status = os.stat(path)
        key = (path, algorithm, status.st_size, status.st_mtime_ns)
        if key not in self._sums:
            digest = hashlib.new(algorithm)
            with open(path, "rb") as file:
                for piece in iter(lambda: file.read(_PIECE), b""):
                    request.check()
                    digest.update(piece)
            self._sums[key] = digest.hexdigest()
        return self._sums[key]


def _fetch(request: Request, location: str, path: str) -> None:
    part = path + ".part"
    try:
        with urllib.request.urlopen(location, timeout=30) as source, open(part, "wb") as file:
            for piece in iter(lambda: source.read(_PIECE), b""):
                request.check()
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            raise NotFound(f"there is no image at {location}") from None
        raise Unavailable(f"{location}: status {error.code}") from None
    except (urllib.error.URLError, ValueError) as error:
        raise Unavailable(f"{location}: {error}") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _format(path: str) -> str:
    with open(path, "rb") as file:
        start = file.read(16)
    return next((name for magic, name in _MAGIC if start.startswith(magic)), "raw")


def _virtual_size(request: Request, path: str, format: str) -> int:
    if format == "raw":
        return os.path.getsize(path)
    facts = json.loads(run_tool(request, ["qemu-img", "info", "--output=json", "-f", format, "--", path]))
    # Such a file would show the guest files of this host.
    specific = facts.get("format-specific", {}).get("data", {})
    if facts.get("backing-filename") or specific.get("data-file"):
        raise InvalidArgument("the image refers to another file")
    return int(facts["virtual-size"])
