"""The shape of one process for each request (plugin protocol, section 11)."""

from __future__ import annotations

import json
import signal
from typing import Any, Callable, Dict

from .console import ConsolePath
from .errors import Internal, InvalidArgument, PluginError, Unimplemented
from .hello import hello, setup_from
from .host import Host
from .logs import log
from .methods import call
from .params import Params
from .request import Request


def answer(make_host: Callable[[], Host], method: str, document: bytes) -> Dict[str, Any]:
    """`{"result": …}` or `{"error": …}`. SIGTERM cancels the request."""
    try:
        return {"result": _perform(make_host, method, document)}
    except PluginError as error:
        return {"error": error.to_json()}
    except Exception as error:
        log.error("%s failed: %s", method, type(error).__name__)
        return {"error": Internal(f"{method} failed: {type(error).__name__}").to_json()}


def _perform(make_host: Callable[[], Host], method: str, document: bytes) -> Dict[str, Any]:
    try:
        message = json.loads(document.decode("utf-8") or "{}")
    except ValueError as error:
        raise InvalidArgument(f"standard input is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidArgument("standard input is not a JSON object")
    deadline, key = message.get("deadline_ms") or 0, message.get("idempotency_key")
    if not isinstance(deadline, int) or not isinstance(key, (str, type(None))):
        raise InvalidArgument("deadline_ms or idempotency_key is wrong", field="deadline_ms")
    request = Request(method, deadline_ms=deadline, idempotency_key=key)
    signal.signal(signal.SIGTERM, lambda *_: request.cancel())
    host = make_host()
    host.setup = setup_from(message)
    identity = host.open(host.setup)
    try:
        if method == "hello":
            return _without_connection(hello(host, identity))
        given = message.get("params")
        params = Params({} if given is None else given, host.setup, host.remote_files)
        if method == "console.open":
            console = host.console_open(request, params.uuid(), params.optional_integer("from"))
            if isinstance(console, ConsolePath):
                return {"path": console.path}
            raise Unimplemented("a console that is no path needs a connection")
        return call(host, method, params, request)
    finally:
        host.close()


def _without_connection(answer: Dict[str, Any]) -> Dict[str, Any]:
    """Events, progress and migrations need a connection."""
    flags = answer["capabilities"]["flags"]
    answer["capabilities"]["flags"] = [
        each for each in flags if each != "host.events" and not each.startswith("migrate.")
    ]
    return answer
