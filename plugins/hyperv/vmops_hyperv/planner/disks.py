"""Plans for disk files."""

from .. import paths, vhd
from ..errors import HyperVError
from ..steps import Cmdlet, File

GIB = 1 << 30


def create(path, format, source, image=None, size=None, image_path=None, resized_exists=False, limit=None):
    """Makes a disk file at a place where there is none; on failure none is left.

    `image` is {"format", "virtual_size"} of the file at `image_path`. A smaller disk than the image is refused with
    both sizes (VM operations, section 6.4). `limit` is the largest file that the volume can hold: the disk has to fit
    into it however full it gets.
    """
    if source == "blank":
        wanted = vhd.check_size(size, format)
        check_limit(wanted, format, limit)
        return whole(path, format, lambda part: [
            Cmdlet("New-VHD", {"Path": part, "SizeBytes": wanted, "Dynamic": True})])
    base = image["virtual_size"]
    wanted = vhd.check_size(size, format) if size else base
    if wanted < base:
        raise HyperVError("invalid_argument", "the disk is to have %d bytes, its image has %d" % (wanted, base),
                          {"field": "virtual_size", "virtual_size": wanted, "image_size": base})
    check_limit(wanted, format, limit)

    def grow(part):
        return [Cmdlet("Resize-VHD", {"Path": part, "SizeBytes": wanted})] if wanted > base else []

    if source == "overlay":
        if image["format"] != format:
            raise HyperVError("invalid_argument", "a %s cannot be laid over a %s" % (format, image["format"]),
                              {"field": "format"})
        if format == "vhd" and wanted > base:
            # A differencing VHD cannot be resized: the cache gets a larger copy of the image, under a name of its own.
            parent = resized(image_path, wanted)
            plan = [] if resized_exists else whole(parent, "vhd", lambda part: [File("copy", image_path, part)] + grow(part))
            return plan + whole(path, format, lambda part: [
                Cmdlet("New-VHD", {"Path": part, "ParentPath": parent, "Differencing": True})])
        # The size is given afterwards: with a parent that was resized once, New-VHD refuses one.
        return whole(path, format, lambda part: [
            Cmdlet("New-VHD", {"Path": part, "ParentPath": image_path, "Differencing": True})] + grow(part))
    if image["format"] == format:
        return whole(path, format, lambda part: [File("copy", image_path, part)] + grow(part))
    return whole(path, format, lambda part: [
        Cmdlet("Convert-VHD", {"Path": image_path, "DestinationPath": part, "VHDType": "Dynamic"})] + grow(part))


def whole(path, format, steps):
    """Makes the file under another name, so that what has the right one is complete even after a crash."""
    part = "%s.part.%s" % (path, format)
    plan = [File("remove", part)] + steps(part)
    plan[1].options(undo=[File("remove", part)])
    return plan + [File("move", part, path)]


def resized(image_path, size):
    """`<image>_<gigabytes>.vhd`, or the bytes where they are no whole number of gigabytes."""
    stem = image_path.rsplit(".", 1)[0]
    text = str(size // GIB) if size % GIB == 0 else "%db" % size
    return "%s_%s.vhd" % (stem, text)


def check_limit(size, format, limit):
    """The file of a full disk has to fit where it is (VM operations, section 11.2)."""
    if not limit:
        return
    header = vhd.Header(format, "dynamic", size, vhd.DEFAULT_BLOCK[format])
    usable = vhd.usable_size(limit, header)
    if size > usable:
        raise HyperVError("invalid_argument", "a %s of %d bytes outgrows the largest file, %d bytes" % (
            format, size, limit), {"field": "virtual_size", "usable": usable})


def resize(path, info, size):
    """Grows a disk; the size it has already is no change, a smaller one is refused."""
    format = info["format"]
    wanted = vhd.check_size(size, format)
    if wanted == info["virtual_size"]:
        return []
    if wanted < info["virtual_size"]:
        raise HyperVError("invalid_argument", "the disk has %d bytes, it does not shrink to %d" % (
            info["virtual_size"], wanted), {"field": "virtual_size"})
    if format == "vhd" and info.get("backing_file"):
        return enlarge_differencing_vhd(path, info["backing_file"], wanted)
    return [Cmdlet("Resize-VHD", {"Path": path, "SizeBytes": wanted})]


def enlarge_differencing_vhd(path, parent, size):
    """A differencing VHD keeps its size: it becomes a disk of its own, merged with a copy of its parent, and that one
    is resized (VM operations, chapter 9)."""
    part = path + ".part.vhd"
    return [
        File("remove", part),
        File("copy", parent, part).options(undo=[File("remove", part)]),
        Cmdlet("Set-VHD", {"Path": path, "ParentPath": part, "IgnoreIdMismatch": True})
        .options(undo=[Cmdlet("Set-VHD", {"Path": path, "ParentPath": parent, "IgnoreIdMismatch": True})]),
        Cmdlet("Merge-VHD", {"Path": path, "DestinationPath": part, "Force": True}),
        File("move", part, path),
        Cmdlet("Resize-VHD", {"Path": path, "SizeBytes": size}),
    ]
