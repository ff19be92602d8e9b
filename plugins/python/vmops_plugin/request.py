"""One request under way: its deadline, its cancel token, its progress."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List, Optional

from .errors import Cancelled, DeadlineExceeded, PluginError


class Request:
    """Given to every method of a Host. Long work calls `check` now and then, or sleeps with `wait`."""

    def __init__(
        self,
        method: str = "",
        *,
        deadline_ms: int = 0,
        idempotency_key: Optional[str] = None,
        progress: Optional[Callable[[Dict[str, Any]], None]] = None,
    ) -> None:
        self.method = method
        self.idempotency_key = idempotency_key
        self.deadline: Optional[float] = time.monotonic() + deadline_ms / 1000 if deadline_ms > 0 else None
        self._progress = progress
        self._changed = threading.Condition()
        self._stopped_by: Optional[PluginError] = None
        self._on_stop: List[Callable[[], None]] = []

    def remaining(self) -> Optional[float]:
        """Seconds until the deadline, at least 0; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    @property
    def is_stopped(self) -> bool:
        """Whether the worker cancelled, or the deadline has passed."""
        self._look_at_the_clock()
        return self._stopped_by is not None

    def check(self) -> None:
        """Raises Cancelled or DeadlineExceeded when there is nobody left to work for."""
        self._look_at_the_clock()
        if self._stopped_by is not None:
            raise self._stopped_by

    def wait(self, seconds: float) -> None:
        """Sleeps; raises as `check` does as soon as there is a reason."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._stopped_by is None:
                now = time.monotonic()
                if now >= end or (self.deadline is not None and now >= self.deadline):
                    break
                until = end if self.deadline is None else min(end, self.deadline)
                self._changed.wait(until - now)
        self.check()

    def on_stop(self, action: Callable[[], None]) -> None:
        """Calls `action` once, from another thread, when the request is cancelled or too late; at once if it is."""
        with self._changed:
            if self._stopped_by is None:
                self._on_stop.append(action)
                return
        action()

    def progress(self, **members: Any) -> None:
        """Tells the worker how far it is. Members depend on the method."""
        if self._progress is not None:
            self._progress(members)

    def cancel(self) -> None:
        self._stop(Cancelled(f"{self.method} was cancelled"))

    def expire(self) -> None:
        self._stop(DeadlineExceeded(f"{self.method} was not done by its deadline"))

    def _look_at_the_clock(self) -> None:
        if self._stopped_by is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.expire()

    def _stop(self, error: PluginError) -> None:
        with self._changed:
            if self._stopped_by is not None:
                return
            self._stopped_by = error
            actions, self._on_stop = self._on_stop, []
            self._changed.notify_all()
        for action in actions:
            action()
