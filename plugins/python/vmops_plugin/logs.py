"""The log of a plugin: lines of JSON on standard error, which become lines of the worker's log."""

from __future__ import annotations

import json
import logging
from typing import Any, Dict

#: For plugins: `log.info("machine starts", extra={"uuid": uuid})`.
log = logging.getLogger("vmops_plugin")

_LONGEST_LINE = 4096
_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "level"}


class JSONLines(logging.Formatter):
    """`level`, `message`, and what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        level = next((name for least, name in _LEVELS if record.levelno >= least), "debug")
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        line: Dict[str, Any] = {"level": level, "message": message}
        line.update({name: value for name, value in vars(record).items() if name not in _OWN})
        text = json.dumps(line, default=str)
        if len(text) >= _LONGEST_LINE:
            # The end of a traceback says more than its beginning. An escaped character takes up to twelve bytes.
            kept = message if len(message) <= 600 else message[:100] + " … " + message[-480:]
            text = json.dumps({"level": level, "message": kept})
        return text if len(text) < _LONGEST_LINE else json.dumps({"level": level, "message": ascii(message)[:900]})


def set_up(level: str = "info") -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JSONLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel({"debug": logging.DEBUG, "warning": logging.WARNING, "error": logging.ERROR}.get(level, logging.INFO))
