"""Names and paths: what is let through, and where a path of the worker lies on the Hyper-V host.

Names of machines and files come from tenants in the end. A path of the worker is accepted only below the worker's
instances directory; each component must be a name that Windows takes for nothing else.
"""

import re

from .errors import HyperVError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
#: Ids of interfaces and volumes: they become names of adapters.
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")

#: Windows opens devices under these names, whatever extension follows.
RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + ["com%s" % n for n in list("0123456789\u00b9\u00b2\u00b3")]
    + ["lpt%s" % n for n in list("0123456789\u00b9\u00b2\u00b3")]
)

#: A path with these would be a pattern to some cmdlets, a stream, or no path at all.
FORBIDDEN = frozenset('<>:"/\\|?*[]`')

LONGEST_PATH = 240      # Hyper-V's own files are longer than ours; 260 is where older parts of Windows stop


def _bad(what, field):
    return HyperVError("invalid_argument", what, {"field": field} if field else None)


def check_component(text, field="path"):
    """One component of a path; returns it."""
    if not text or text.strip(". ") == "":
        raise _bad("a path has an empty component, or one of dots", field)
    if len(text) > 128:
        raise _bad("a path has a component of more than 128 characters", field)
    if any(ord(c) < 32 or ord(c) == 127 or c in FORBIDDEN for c in text):
        raise _bad("a path has a character that is not allowed", field)
    if text[-1] in ". " or text[0] == " ":
        raise _bad("a path has a component that begins or ends with a blank, or ends with a dot", field)
    if text.split(".")[0].rstrip(" ").lower() in RESERVED:
        raise _bad("a path has a component that is the name of a device", field)
    return text


def check_name(text, field="name"):
    """A machine's name, as section 7.2 of the protocol has it, and no device of Windows."""
    if not isinstance(text, str) or not NAME.match(text):
        raise _bad("not a machine's name", field)
    return check_component(text, field)


def check_uuid(text, field="uuid"):
    if not isinstance(text, str) or not UUID.match(text):
        raise _bad("not a uuid", field)
    return text


def check_identifier(text, field="id"):
    if not isinstance(text, str) or not IDENTIFIER.match(text):
        raise _bad("not an identifier", field)
    return text


def check_mac(text, field="mac"):
    """The address without separators, as Hyper-V takes it."""
    if not isinstance(text, str) or not MAC.match(text):
        raise _bad("not a MAC address", field)
    return text.replace(":", "").upper()


def check_windows_root(text, field):
    """A directory from the configuration: absolute, with a drive or a share, no pattern in it."""
    cleaned = text.replace("/", "\\").rstrip("\\")
    drive = re.match(r"[A-Za-z]:\\", cleaned + "\\")
    share = re.match(r"\\\\[A-Za-z0-9._-]+\\[A-Za-z0-9._$-]+", cleaned)
    if not drive and not share:
        raise _bad("%s is not an absolute Windows path" % field, field)
    rest = cleaned[3:] if drive else cleaned[share.end():].lstrip("\\")
    for component in [part for part in rest.split("\\") if part] if rest else []:
        check_component(component, field)
    return cleaned


def join(*parts):
    return "\\".join([parts[0].rstrip("\\")] + list(parts[1:]))


def parent(path):
    return path.rsplit("\\", 1)[0]


def base(path):
    return path.rsplit("\\", 1)[-1]


def extension(path):
    name = base(path)
    return name.rsplit(".", 1)[1].lower() if "." in name else ""


def same(one, other):
    """Windows does not tell small letters from capitals."""
    return one is not None and other is not None and one.lower() == other.lower()


class PathMap:
    """Translates between the worker's paths and those of the Hyper-V host.

    What lies below the worker's instances directory lies at the same place below `host_root`; but for its directory
    `_base`, the image cache, which may be on another volume: `images_root`.
    """

    CACHE = "_base"

    def __init__(self, worker_root, host_root, images_root=None):
        self.worker_root = worker_root.rstrip("/")
        self.host_root = check_windows_root(host_root, "instances_directory")
        self.images_root = (check_windows_root(images_root, "images_directory") if images_root
                            else join(self.host_root, self.CACHE))

    def to_host(self, path, field="path"):
        """The Windows path of a worker's path; refuses whatever does not lie below the instances directory."""
        if not isinstance(path, str) or not path.startswith("/"):
            raise _bad("not an absolute path", field)
        prefix = self.worker_root + "/"
        if not path.startswith(prefix):
            raise _bad("the path does not lie below the instances directory", field)
        components = [check_component(part, field) for part in path[len(prefix):].rstrip("/").split("/")]
        if components[0].lower() == self.CACHE:
            result = join(self.images_root, *components[1:])
        else:
            result = join(self.host_root, *components)
        if len(result) > LONGEST_PATH:
            raise _bad("the path is too long for Windows", field)
        return result

    def place(self, path, format, field="path"):
        """Where a disk of this format lies. Hyper-V tells formats by the endings of files, so a name that says nothing
        of the format, or something else, gets an ending more."""
        target = self.to_host(path, field)
        if format in ("vhd", "vhdx") and extension(target) not in (format, "a" + format):
            target += "." + format
            if len(target) > LONGEST_PATH:
                raise _bad("the path is too long for Windows", field)
        return target

    def candidates(self, path, field="path"):
        """Where a disk of an unknown format may lie, the likeliest first."""
        target = self.to_host(path, field)
        known = [target] if extension(target) in ("vhd", "vhdx", "avhd", "avhdx", "iso") else []
        return known + [target + ".vhdx", target + ".vhd"]

    def to_worker(self, path):
        """The worker's name of a Windows path; `None` for what lies elsewhere."""
        for root, below in ((self.images_root, "/" + self.CACHE), (self.host_root, "")):
            if path.lower().startswith(root.lower() + "\\"):
                return self.worker_root + below + "/" + path[len(root) + 1:].replace("\\", "/")
        return None

    def image(self, reference):
        """Where the cache keeps an image, without its extension. The cache is flat."""
        return join(self.images_root, image_file(reference))


def image_file(reference):
    """A file name for an image's id or URL: ids as they are, everything else by its digest."""
    if not isinstance(reference, str) or not 0 < len(reference.encode("utf-8", "replace")) <= 4096:
        raise _bad("not an image reference", "reference")
    if any(ord(c) < 32 or ord(c) == 127 for c in reference):
        raise _bad("an image reference has a control character", "reference")
    if re.match(r"https?://[^\s/]+/", reference):
        import hashlib
        return "url-" + hashlib.sha256(reference.encode()).hexdigest()[:40]
    if not NAME.match(reference):
        raise _bad("not an image's name or URL", "reference")
    return check_component(reference, "reference")
