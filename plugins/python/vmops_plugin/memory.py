"""Answers that were given, by idempotency key (plugin protocol, section 4)."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import Any, Dict, Optional, Set, Tuple

from .errors import Busy

MOST_ANSWERS = 1024
LARGEST_ANSWER = 16384


class AnswerMemory:
    """The newest results. Errors are not kept: a repetition tries again. Older ones than fit are forgotten, which is
    allowed because methods are idempotent by themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: "OrderedDict[str, Tuple[str, Dict[str, Any]]]" = OrderedDict()
        self._under_way: Set[str] = set()

    def begin(self, key: Optional[str], method: str) -> Optional[Dict[str, Any]]:
        """The result that this request has had. Without one it counts as under way until `end`."""
        if key is None:
            return None
        with self._lock:
            known = self._answers.get(key)
            if known is not None and known[0] == method:
                return known[1]
            if key in self._under_way:
                raise Busy(f"the same {method} is under way")
            self._under_way.add(key)
            return None

    def end(self, key: Optional[str], method: str, result: Optional[Dict[str, Any]]) -> None:
        if key is None:
            return
        with self._lock:
            self._under_way.discard(key)
            if result is None or len(json.dumps(result, default=str)) > LARGEST_ANSWER:
                return
            self._answers[key] = (method, result)
            while len(self._answers) > MOST_ANSWERS:
                self._answers.popitem(last=False)
