"""Everything that leaves a connection goes through here: one thread writes, nobody else waits for the worker."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional, Tuple

from .console import ConsoleStream
from .frames import DEFAULT_MAX_FRAME, encode_message

#: More events than this become a gap in `seq`, upon which the worker takes an inventory.
MOST_EVENTS = 4096
#: With more messages than this, progress is left out, and nothing more is read from a worker that does not read.
MOST_MESSAGES = 8192


class Outbox:
    """Messages in the order they were posted, and the console streams in turns.

    `write` takes all the bytes it is given and may block; OSError from it closes the outbox.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._changed = threading.Condition()
        self._messages: Deque[Tuple[bytes, bool, Optional[Callable[[], None]]]] = deque()
        self._streams: Dict[int, ConsoleStream] = {}
        self._is_woken = False
        self._closing = False
        self._events_waiting = 0
        self._sequence: Optional[int] = None
        self.is_broken = False
        self.max_frame = DEFAULT_MAX_FRAME
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def post(
        self, message: Dict[str, Any], after: Optional[Callable[[], None]] = None, subscribes: bool = False
    ) -> None:
        """Raises ValueError or TypeError for a message that JSON or a frame cannot hold.

        `after` runs when it is written. When it `subscribes`, events that are posted later follow it.
        """
        frame = encode_message(message)
        if len(frame) - 4 > self.max_frame:
            raise ValueError(f"a message of {len(frame) - 4} bytes does not fit into a frame")
        with self._changed:
            self._messages.append((frame, False, after))
            if subscribes and self._sequence is None:
                self._sequence = 0
            self._changed.notify_all()

    def post_progress(self, message: Dict[str, Any]) -> None:
        with self._changed:
            is_full = len(self._messages) >= MOST_MESSAGES
        if not is_full:
            self.post(message)

    def wait_for_room(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._messages) < MOST_MESSAGES or self.is_broken)

    def post_event(self, event: Dict[str, Any]) -> None:
        """Before the subscription, events are forgotten."""
        with self._changed:
            if self._sequence is None:
                return
            self._sequence += 1
            if self._events_waiting >= MOST_EVENTS:
                return
            frame = encode_message({"kind": "event", "seq": self._sequence, **event})
            self._messages.append((frame, True, None))
            self._events_waiting += 1
            self._changed.notify_all()

    def add_stream(self, stream: ConsoleStream) -> None:
        with self._changed:
            self._streams[stream.number] = stream

    def remove_stream(self, stream: ConsoleStream) -> None:
        with self._changed:
            self._streams.pop(stream.number, None)

    def stream(self, number: int) -> Optional[ConsoleStream]:
        with self._changed:
            return self._streams.get(number)

    def wake(self) -> None:
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Writes what is posted, for at most `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._messages or self._is_woken or self._closing)
                    if not self._messages and not self._is_woken:
                        return
                    self._is_woken = False
                    count = len(self._messages)
                    streams = list(self._streams.values())
                for _ in range(count):
                    self._write_one()
                for stream in streams:
                    self._serve(stream)
        except OSError:
            with self._changed:
                self.is_broken = True
                self._changed.notify_all()

    def _write_one(self) -> None:
        with self._changed:
            frame, is_event, after = self._messages.popleft()
            self._events_waiting -= is_event
            if len(self._messages) == MOST_MESSAGES - 1:
                self._changed.notify_all()
        self._write(frame)
        if after is not None:
            after()

    def _serve(self, stream: ConsoleStream) -> None:
        """One piece of each stream in turn; whoever has more wakes the writer again."""
        frames, is_over = stream.take(self.max_frame)
        for frame in frames:
            self._write(frame if isinstance(frame, bytes) else encode_message(frame))
        with self._changed:
            if is_over:
                self._streams.pop(stream.number, None)
            elif frames:
                self._is_woken = True
