"""A copy of a disk while its machine runs."""

from __future__ import annotations

import os

import vmops_plugin as vmops

import libvirt

from .xml import file_element


def copy_running_disk(
    request: vmops.Request, domain: libvirt.virDomain, target: str, path: str, format: str
) -> None:
    """Mirrors the disk until both are the same, then lets the mirror go: what is left is the disk of that moment."""
    part = path + ".part"
    finished = False
    try:
        flags = libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
        domain.blockCopy(target, file_element(part, format), None, flags)
        try:
            while True:
                job = domain.blockJobInfo(target, 0)
                if not job:
                    raise vmops.Internal("the copy of the disk ended early")
                request.progress(transferred_bytes=job["cur"], remaining_bytes=job["end"] - job["cur"])
                if job["end"] > 0 and job["cur"] == job["end"]:
                    break
                request.wait(0.1)
            while not finished:
                try:
                    domain.blockJobAbort(target, 0)
                    finished = True
                except libvirt.libvirtError as error:
                    # All is copied, and the mirror is about to say so.
                    if error.get_error_code() != libvirt.VIR_ERR_BLOCK_COPY_ACTIVE:
                        raise
                    request.wait(0.1)
        finally:
            if not finished:
                _give_up(domain, target)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _give_up(domain: libvirt.virDomain, target: str) -> None:
    try:
        domain.blockJobAbort(target, 0)
    except libvirt.libvirtError:
        # It has ended, or the machine has.
        pass
