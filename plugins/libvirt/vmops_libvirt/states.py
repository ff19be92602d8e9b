"""What libvirt says of a domain, in the protocol's words."""

from __future__ import annotations

import vmops_plugin as vmops

import libvirt

#: Paused for a moment by libvirt itself, within an operation.
_PASSING = frozenset(
    {
        libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
        libvirt.VIR_DOMAIN_PAUSED_SAVE,
        libvirt.VIR_DOMAIN_PAUSED_FROM_SNAPSHOT,
        libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN,
        libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT,
        libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
    }
)


def state_of(domain: libvirt.virDomain) -> str:
    state, reason = domain.state()
    if state in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED, libvirt.VIR_DOMAIN_PMSUSPENDED):
        return vmops.RUNNING
    if state == libvirt.VIR_DOMAIN_PAUSED:
        if reason == libvirt.VIR_DOMAIN_PAUSED_CRASHED:
            return vmops.ERROR
        return vmops.TRANSITIONAL if reason in _PASSING else vmops.PAUSED
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        return vmops.SAVED if has_saved_memory(domain) else vmops.OFF
    if state == libvirt.VIR_DOMAIN_CRASHED:
        return vmops.ERROR
    return vmops.TRANSITIONAL


def has_saved_memory(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.hasManagedSaveImage())
    except libvirt.libvirtError:
        return False
