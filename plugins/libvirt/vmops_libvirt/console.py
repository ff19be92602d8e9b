"""Reads a machine's serial line from QEMU's Unix socket for as long as the machine runs."""

from __future__ import annotations

import socket
import threading
import time
from typing import Optional

import vmops_plugin as vmops


class MachineConsole:
    """What one machine printed. There is always a reader, so the guest never waits for one."""

    def __init__(self, path: str, capacity: int) -> None:
        self.path = path
        self.console = vmops.Console(capacity)
        self._lock = threading.Lock()
        self._socket: Optional[socket.socket] = None
        self._thread: Optional[threading.Thread] = None
        self._stopped = threading.Event()
        self._reason = "stopped"

    def connect(self, timeout: float) -> bool:
        """Called while the machine is held before its first instruction, or when it is adopted. False: not there."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread.is_alive():
            if not self._stopped.is_set():
                return True
            thread.join(5)
        self._stopped.clear()
        self._reason = "stopped"
        connected = self._dial(timeout)
        with self._lock:
            self._socket = connected
            self._thread = threading.Thread(target=self._read, name=f"console {self.path}", daemon=True)
            self._thread.start()
        return connected is not None

    def _dial(self, timeout: float) -> Optional[socket.socket]:
        end = time.monotonic() + timeout
        while True:
            candidate = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                candidate.connect(self.path)
                return candidate
            except OSError:
                candidate.close()
            if time.monotonic() >= end or self._stopped.wait(0.05):
                return None

    def _read(self) -> None:
        while True:
            with self._lock:
                source = self._socket
            if source is not None:
                self._drain(source)
                with self._lock:
                    source.close()
                    self._socket = None
            # The machine's end is reported a little later than the line's, or a little earlier.
            if self._stopped.wait(1 if source is not None else 0):
                self.console.end(self._reason)
                return
            again = self._dial(5)
            with self._lock:
                self._socket = again

    def _drain(self, source: socket.socket) -> None:
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.console.write(data)

    def stopped(self, reason: str) -> None:
        """The machine has ended: the stream ends after the last byte."""
        with self._lock:
            self._reason = reason
            is_reading = self._thread is not None and self._thread.is_alive()
            self._stopped.set()
        if not is_reading:
            self.console.end(reason)

    def write(self, data: bytes) -> None:
        with self._lock:
            target = self._socket
            if target is None:
                raise vmops.Unavailable("the console is not connected")
            target.settimeout(None)
        # A guest that takes no input must not hold the reader up: what does not fit is refused.
        view, end = memoryview(data), time.monotonic() + 5
        while view:
            try:
                view = view[target.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise vmops.Busy("the guest takes no input") from None
                time.sleep(0.01)
            except OSError as error:
                raise vmops.Unavailable(f"the console is gone: {error}") from None

    def close(self) -> None:
        """The plugin ends, the machine does not."""
        self._stopped.set()
        with self._lock:
            if self._socket is not None:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
