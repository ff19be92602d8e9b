"""What libvirt's errors are in the protocol."""

from __future__ import annotations

import contextlib
from typing import Dict, Iterator, Type

import vmops_plugin as vmops

import libvirt

_KINDS: Dict[int, Type[vmops.PluginError]] = {
    libvirt.VIR_ERR_NO_DOMAIN: vmops.NotFound,
    libvirt.VIR_ERR_DOM_EXIST: vmops.AlreadyExists,
    libvirt.VIR_ERR_OPERATION_INVALID: vmops.InvalidState,
    libvirt.VIR_ERR_INVALID_ARG: vmops.InvalidArgument,
    libvirt.VIR_ERR_XML_ERROR: vmops.InvalidArgument,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: vmops.InvalidArgument,
    libvirt.VIR_ERR_NO_SUPPORT: vmops.Unimplemented,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: vmops.Unimplemented,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: vmops.Unimplemented,
    libvirt.VIR_ERR_AUTH_FAILED: vmops.Unauthorized,
    libvirt.VIR_ERR_AUTH_CANCELLED: vmops.Unauthorized,
    libvirt.VIR_ERR_ACCESS_DENIED: vmops.Unauthorized,
    libvirt.VIR_ERR_OPERATION_DENIED: vmops.Unauthorized,
    libvirt.VIR_ERR_NO_MEMORY: vmops.ResourceExhausted,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: vmops.Busy,
    libvirt.VIR_ERR_RESOURCE_BUSY: vmops.Busy,
    libvirt.VIR_ERR_OPERATION_ABORTED: vmops.Cancelled,
    libvirt.VIR_ERR_NO_CONNECT: vmops.Unavailable,
    libvirt.VIR_ERR_INVALID_CONN: vmops.Unavailable,
    libvirt.VIR_ERR_RPC: vmops.Unavailable,
    libvirt.VIR_ERR_SYSTEM_ERROR: vmops.Unavailable,
}


def translated(error: libvirt.libvirtError) -> vmops.PluginError:
    kind = _KINDS.get(error.get_error_code(), vmops.Internal)
    return kind(str(error))


@contextlib.contextmanager
def translating() -> Iterator[None]:
    """libvirt's errors in its body leave it as the protocol's."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translated(error) from None
