"""Disk files, by qemu-img."""

from __future__ import annotations

import json
import os
from typing import List, Optional

import vmops_plugin as vmops
from vmops_plugin.tools import run_tool

#: Where a disk's format is noted: what a guest writes into a raw disk may look like another format.
_NOTE = "user.vmops.format"

FORMATS = ("qcow2", "raw", "vpc", "vhdx")


def info(request: vmops.Request, path: str) -> vmops.DiskInfo:
    if not os.path.exists(path):
        raise vmops.NotFound(f"there is no disk {path}")
    known = _noted_format(path)
    given = ["-f", known] if known else []
    # The disk may be in use.
    command = ["qemu-img", "info", "--force-share", "--output=json", *given, "--", path]
    facts = json.loads(run_tool(request, command))
    return vmops.DiskInfo(
        path,
        facts["format"],
        int(facts["virtual-size"]),
        int(facts["actual-size"]),
        facts.get("full-backing-filename") or facts.get("backing-filename"),
    )


def create(
    request: vmops.Request,
    path: str,
    format: str,
    source: str,
    image: Optional[vmops.Image],
    virtual_size: Optional[int],
) -> vmops.DiskInfo:
    """Under another name first: a file of the right name is whole."""
    if format not in FORMATS:
        raise vmops.InvalidArgument(f"disks of the format {format} are not known here", field="format")
    if os.path.exists(path):
        raise vmops.AlreadyExists(f"there is a disk {path}")
    if image is not None and not os.path.exists(image.path):
        raise vmops.NotFound(f"there is no image {image.path}")
    if image is not None and virtual_size is not None and virtual_size < image.virtual_size:
        raise vmops.InvalidArgument("the image is larger than that", field="virtual_size")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".part"
    try:
        for command in _commands(part, format, source, image, virtual_size):
            run_tool(request, command)
        _note_format(part, format)
        os.link(part, path)
    except FileExistsError:
        raise vmops.AlreadyExists(f"there is a disk {path}") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return info(request, path)


def _note_format(path: str, format: str) -> None:
    try:
        os.setxattr(path, _NOTE, format.encode())
    except OSError:
        # A file system without such notes: the format is looked for.
        pass


def _noted_format(path: str) -> Optional[str]:
    try:
        noted = os.getxattr(path, _NOTE).decode("ascii", "replace")
    except OSError:
        return None
    return noted if noted in FORMATS else None


def _commands(
    path: str, format: str, source: str, image: Optional[vmops.Image], virtual_size: Optional[int]
) -> List[List[str]]:
    size = [] if virtual_size is None else [str(virtual_size)]
    if source == "blank" or image is None:
        return [["qemu-img", "create", "-q", "-f", format, "--", path, *size]]
    if source == "overlay":
        if format != "qcow2":
            raise vmops.InvalidArgument("only qcow2 disks have a parent", field="format")
        parent = ["-b", image.path, "-F", image.format]
        return [["qemu-img", "create", "-q", "-f", format, *parent, "--", path, *size]]
    commands = [["qemu-img", "convert", "-q", "-f", image.format, "-O", format, "--", image.path, path]]
    if size and virtual_size != image.virtual_size:
        commands.append(["qemu-img", "resize", "-q", "-f", format, "--", path, *size])
    return commands


def resize(request: vmops.Request, path: str, virtual_size: int) -> None:
    present = info(request, path)
    if virtual_size < present.virtual_size:
        raise vmops.InvalidArgument("a disk is not made smaller", field="virtual_size")
    if virtual_size > present.virtual_size:
        run_tool(request, ["qemu-img", "resize", "-q", "-f", present.format, "--", path, str(virtual_size)])


def flatten(request: vmops.Request, source: str, format_of_source: str, path: str, format: str) -> None:
    """A copy without a parent of a disk that nobody writes to."""
    part = path + ".part"
    try:
        run_tool(
            request,
            ["qemu-img", "convert", "-q", "-U", "-f", format_of_source, "-O", format, "--", source, part],
        )
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)
