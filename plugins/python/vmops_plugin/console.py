"""What machines print: kept in a ring, sent as far as the worker gives credit (plugin protocol, section 9)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple

from .frames import CONSOLE_HEADER, encode_console

INITIAL_CREDIT = 256 * 1024
_LARGEST_PIECE = 64 * 1024


@dataclass
class ConsolePath:
    """The answer to `console_open` when the worker shall read a FIFO, a pseudo terminal or a Unix socket itself."""

    path: str


class Console:
    """The last bytes that one machine printed, and their offsets in all that it has printed.

    `write` never blocks: when nobody takes the bytes, the oldest are forgotten after `capacity`, and the worker is
    told. A host may make a new one in every `console_open`, or keep one for each machine: what is printed while
    nobody reads is there then. If it also keeps the bytes and their offsets when it is started again it is
    *resumable*: put `console.resumable` into its `flags`.
    """

    def __init__(self, capacity: int = INITIAL_CREDIT, offset: int = 0) -> None:
        self.capacity = capacity
        self._ring = bytearray()
        self._start = offset
        self._delivered = offset
        self._lock = threading.Condition()
        self._stream: Optional["ConsoleStream"] = None

    @property
    def offset(self) -> int:
        """The offset of the next byte that is printed."""
        with self._lock:
            return self._start + len(self._ring)

    @property
    def start(self) -> int:
        """The offset of the oldest byte that is kept."""
        with self._lock:
            return self._start

    @property
    def kept(self) -> bytes:
        """The bytes from `start` on."""
        with self._lock:
            return bytes(self._ring)

    def write(self, data: bytes) -> None:
        """What the machine printed."""
        with self._lock:
            self._ring += data
            excess = len(self._ring) - self.capacity
            if excess > 0:
                del self._ring[:excess]
                self._start += excess
            stream = self._stream
        if stream is not None:
            stream.wake()

    def wait_for_room(self, size: int, timeout: Optional[float] = None) -> bool:
        """For sources that keep what is not read: waits until `size` bytes fit without loss for the open stream.

        False after `timeout` seconds; true at once when there is no stream.
        """
        with self._lock:
            return self._lock.wait_for(lambda: self._room() >= size, timeout)

    def _room(self) -> int:
        if self._stream is None:
            return self.capacity
        return self.capacity - (self._start + len(self._ring) - self._stream.sent)

    def end(self, reason: str) -> None:
        """Ends the open stream after what was printed so far: `stopped`, `migrated`, `lost`, `none`."""
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.end(reason)


class ConsoleStream:
    """One Console on its way to the worker. The connection's; hosts have Consoles.

    Its own fields are guarded by the Console's lock. `wake` tells the writer that there is something to take.
    """

    def __init__(self, number: int, uuid: str, console: Console, wake: Callable[[], None]) -> None:
        self.number = number
        self.uuid = uuid
        self.console = console
        self.wake = wake
        self.sent = 0
        self._credit = INITIAL_CREDIT
        self._end: Optional[Tuple[int, str, bool]] = None
        self._is_announced = False

    def attach(self, offset: Optional[int]) -> int:
        """Where it begins: at `offset` if that is kept; without one with what no stream has sent so far."""
        console = self.console
        with console._lock:
            newest = console._start + len(console._ring)
            wanted = offset if offset is not None else console._delivered
            self.sent = min(max(wanted, console._start), newest)
            console._stream = self
            return self.sent

    @property
    def is_ended(self) -> bool:
        with self.console._lock:
            return self._end is not None

    def announce(self) -> None:
        """The answer to console.open is on its way: frames may follow."""
        with self.console._lock:
            self._is_announced = True
        self.wake()

    def add_credit(self, count: int) -> None:
        with self.console._lock:
            self._credit += count
        self.wake()

    def end(self, reason: str, *, wait_for_credit: bool = True) -> None:
        console = self.console
        with console._lock:
            if self._end is not None and (wait_for_credit or not self._end[2]):
                return
            self._end = (console._start + len(console._ring), reason, wait_for_credit)
            if console._stream is self:
                console._stream = None
            console._lock.notify_all()
        self.wake()

    def take(self, max_frame: int) -> "Tuple[list[Any], bool]":
        """The next frames (messages as objects, console frames as bytes), and whether the stream is over."""
        console = self.console
        with console._lock:
            out: "list[Any]" = []
            if not self._is_announced:
                return out, False
            newest = console._start + len(console._ring)
            limit = newest if self._end is None else min(newest, self._end[0])
            begin = max(self.sent, console._start)
            count = min(limit - begin, self._credit, _LARGEST_PIECE, max_frame - CONSOLE_HEADER)
            if count > 0:
                self._tell_what_was_dropped(out, begin)
                at = begin - console._start
                out.append(encode_console(self.number, begin, bytes(console._ring[at : at + count])))
                self.sent = begin + count
                console._delivered = max(console._delivered, self.sent)
                self._credit -= count
                console._lock.notify_all()
            if self._end is None:
                return out, False
            position, reason, wait_for_credit = self._end
            if self.sent < position and console._start < position:
                if self._credit > 0 or wait_for_credit:
                    return out, False
            # What was printed before the end and has been forgotten since is told as well.
            if console._start > self.sent and self.sent < position:
                self._tell_what_was_dropped(out, min(console._start, position))
            out.append({"kind": "end", "stream": self.number, "reason": reason})
            return out, True

    def _tell_what_was_dropped(self, out: "list[Any]", begin: int) -> None:
        if begin > self.sent:
            message: Dict[str, Any] = {"kind": "dropped", "stream": self.number}
            message.update(offset=self.sent, bytes=begin - self.sent)
            out.append(message)
            self.sent = begin
