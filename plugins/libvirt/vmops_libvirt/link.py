"""The connection with libvirt, and the thread in which its events arrive."""

from __future__ import annotations

import threading
from typing import Any, Callable, Optional

import vmops_plugin as vmops

import libvirt

_loop_lock = threading.Lock()
_loop_runs = False


def _silence(*_: Any) -> None:
    """Errors are raised as exceptions; libvirt prints them as well unless it is told not to."""


def start_event_loop() -> None:
    """Once in a process, before the first connection."""
    global _loop_runs
    with _loop_lock:
        if _loop_runs:
            return
        libvirt.registerErrorHandler(_silence, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run_event_loop, name="libvirt events", daemon=True).start()
        _loop_runs = True


def _run_event_loop() -> None:
    while True:
        if libvirt.virEventRunDefaultImpl() < 0:
            vmops.log.warning("libvirt's event loop has an error")


class Link:
    """Opens again what was lost. `on_lifecycle(domain, event, detail)` and `on_reboot(domain)` run in the event
    thread; `on_again` after a reconnection, in the thread of a request: what happened in between was not told."""

    def __init__(
        self,
        uri: str,
        on_lifecycle: Callable[[libvirt.virDomain, int, int], None],
        on_reboot: Callable[[libvirt.virDomain], None],
        on_again: Callable[[libvirt.virConnect], None],
    ) -> None:
        self.uri = uri
        self._on_lifecycle = on_lifecycle
        self._on_reboot = on_reboot
        self._on_again = on_again
        self._lock = threading.Lock()
        self._connection: Optional[libvirt.virConnect] = None
        start_event_loop()

    def get(self) -> libvirt.virConnect:
        """Raises Unavailable while libvirt is not there."""
        with self._lock:
            known = self._connection
            if known is not None and self._is_alive(known):
                return known
            self._connection = fresh = self._open()
        if known is not None:
            vmops.log.warning("connected with libvirt again", extra={"uri": self.uri})
            self._on_again(fresh)
        return fresh

    @staticmethod
    def _is_alive(connection: libvirt.virConnect) -> bool:
        try:
            return bool(connection.isAlive())
        except libvirt.libvirtError:
            return False

    def _open(self) -> libvirt.virConnect:
        try:
            connection = libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED):
                raise vmops.Unauthorized(f"{self.uri}: {error}") from None
            raise vmops.Unavailable(f"{self.uri}: {error}") from None
        try:
            connection.setKeepAlive(5, 3)
        except libvirt.libvirtError:
            # A driver within this process needs none.
            pass
        lifecycle = lambda _c, domain, event, detail, _o: self._on_lifecycle(domain, event, detail)  # noqa: E731
        reboot = lambda _c, domain, _o: self._on_reboot(domain)  # noqa: E731
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)
        try:
            connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, reboot, None)
        except libvirt.libvirtError:
            vmops.log.info("this driver does not report reboots")
        return connection

    def close(self) -> None:
        """Without waiting for libvirt."""
        self._connection = None
