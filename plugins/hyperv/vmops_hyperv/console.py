"""Reads the serial port of one machine for as long as somebody wants it.

Hyper-V serves the pipe, and anew with each start of the machine (landscape, section D.5). So the reader connects, reads
until the pipe breaks, and connects again, until it is told to stop. It works in a thread of its own, and nothing that
goes wrong here ever reaches the machine's operations.
"""

import logging
import threading
import time

from .pipe import ABSENT, BROKEN, BUSY, DENIED, PipeError

log = logging.getLogger("vmops_plugin.hyperv")

FIRST_DELAY, LAST_DELAY = 0.05, 2.0         # seconds between tries (VM operations, section 3.4)
SPIN_LIMIT, SPIN_WINDOW = 5, 1.0            # connections that break at once, in this time, are no reason to hurry
DRAIN_LIMIT = 2.0
SLICE = 0.25

IDLE, CONNECTING, ATTACHED, BACKOFF, DRAINING, CLOSED = (
    "idle", "connecting", "attached", "backoff", "draining", "closed")


class Pace:
    """How long to wait before the next try; a pure value. `now` is in seconds."""

    def __init__(self):
        self._delay = FIRST_DELAY
        self._ends = []

    def connected(self):
        self._delay = FIRST_DELAY

    def after_end(self, now, brought_data):
        """After a connection that ended: at once again, unless that happens over and over."""
        self._ends = [each for each in self._ends if now - each < SPIN_WINDOW]
        if not brought_data:
            self._ends.append(now)
        if len(self._ends) >= SPIN_LIMIT:
            return LAST_DELAY
        return FIRST_DELAY

    def after_failure(self):
        delay, self._delay = self._delay, min(self._delay * 2, LAST_DELAY)
        return delay


class ConsoleReader:
    """`deliver(bytes)` gets what the machine prints; `ended(reason)` is called once, after the last byte."""

    def __init__(self, opener, name, deliver, ended, clock=time.monotonic):
        self._opener, self._name = opener, name
        self._deliver, self._ended, self._clock = deliver, ended, clock
        self._changed = threading.Condition()
        self._endpoint = None
        self._stop = None           # (reason, drain until)
        self.state = IDLE
        self.bytes_in = 0
        self.reconnects = 0
        self.last_error = None
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self, reason, drain=0.0):
        """Ends the reading; with `drain`, once the pipe has broken or that many seconds are over. Does not wait."""
        with self._changed:
            if self._stop is not None and self._stop[1] <= self._clock() + drain:
                return
            self._stop = (reason, self._clock() + drain)
            endpoint = self._endpoint if not drain else None
            self._changed.notify_all()
        if endpoint is not None:
            endpoint.close()

    def join(self, timeout=5.0):
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def write(self, data):
        with self._changed:
            endpoint = self._endpoint
        if endpoint is None:
            raise PipeError(ABSENT, "the console is not connected")
        endpoint.write(data)

    @property
    def is_connected(self):
        return self.state in (ATTACHED, DRAINING)

    def _is_over(self):
        return self._stop is not None and (self._clock() >= self._stop[1])

    def _sleep(self, seconds):
        with self._changed:
            self.state = BACKOFF
            self._changed.wait_for(lambda: self._stop is not None, seconds)

    def _run(self):
        pace = Pace()
        try:
            while self._stop is None:
                self.state = CONNECTING
                try:
                    endpoint = self._opener.open(self._name)
                except PipeError as error:
                    if error.kind != self.last_error:
                        log.log(logging.WARNING if error.kind in (BUSY, DENIED) else logging.DEBUG,
                                "console %s: %s", self._name, error)
                    self.last_error = error.kind
                    self._sleep(pace.after_failure())
                    continue
                pace.connected()
                self.last_error = None
                before = self.bytes_in
                self._read(endpoint)
                self.reconnects += 1
                if self._stop is None:
                    self._sleep(pace.after_end(self._clock(), self.bytes_in > before))
        except Exception:
            log.exception("console %s", self._name)
        finally:
            self.state = CLOSED
            self._ended(self._stop[0] if self._stop else "lost")

    def _read(self, endpoint):
        with self._changed:
            self._endpoint, self.state = endpoint, ATTACHED
            close = self._stop is not None and self._is_over()
        try:
            while not close and not self._is_over():
                if self._stop is not None:
                    self.state = DRAINING
                    timeout = max(0.0, min(0.05, self._stop[1] - self._clock()))
                else:
                    timeout = SLICE
                data = endpoint.read(timeout)
                if data:
                    self.bytes_in += len(data)
                    self._deliver(data)
        except PipeError as error:
            if error.kind != BROKEN:
                self.last_error = error.kind
        finally:
            with self._changed:
                self._endpoint = None
            endpoint.release()
