"""One connection with the worker, from the handshake to the end.

Threads: the one that calls `serve` reads; `max_parallel` threads run the Host's methods; one writes (Outbox); one
looks at the deadlines. Pings are answered by the first, so whatever the methods do, they are answered.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from datetime import datetime, timezone
from typing import Any, Callable, Deque, Dict, List, Optional, Set, Tuple

from . import hello as handshake
from .console import ConsolePath, ConsoleStream
from .errors import Busy, DeadlineExceeded, Internal, InvalidArgument, PluginError
from .frames import CONSOLE_HEADER, MESSAGE, FrameReader, ProtocolError, decode_message
from .host import Host
from .logs import log
from .memory import AnswerMemory
from .methods import METHODS, call, machine_of
from .model import Setup
from .outbox import Outbox
from .params import Params
from .request import Request

#: Requests under way; the worker holds them back already, so more is its mistake and answered `busy`.
MOST_WAITING = 1024
_SECRET = frozenset({"volume.connect", "volume.disconnect", "configDrive.build"})


class _Work:
    def __init__(self, number: int, method: str, params: Params, request: Request) -> None:
        self.number = number
        self.method = method
        self.params = params
        self.request = request
        known = METHODS.get(method)
        self.machine = machine_of(params) if known is not None and known.changes else None


class Connection:
    """`read(n)` gives up to n bytes, none at the end; `write(data)` writes all of it. Both may block."""

    def __init__(
        self,
        make_host: Callable[[], Host],
        read: Callable[[int], bytes],
        write: Callable[[bytes], None],
        memory: Optional[AnswerMemory] = None,
    ) -> None:
        self._make_host = make_host
        self._frames = FrameReader(read)
        self._outbox = Outbox(write)
        self._memory = memory or AnswerMemory()
        self._work: "queue.SimpleQueue[Optional[_Work]]" = queue.SimpleQueue()
        self._lock = threading.Condition()
        self._under_way: Dict[int, _Work] = {}
        self._changing: Dict[str, int] = {}
        self._held: Dict[str, Deque[_Work]] = {}
        self._streams: Dict[str, ConsoleStream] = {}
        self._opening: Set[str] = set()
        self._last_stream = 0
        self._is_ending = False
        self._threads: List[threading.Thread] = []

    # The reading thread

    def serve(self) -> int:
        """Until the worker ends the connection. The value is an exit status."""
        status = 1
        host: Optional[Host] = None
        try:
            status, host = self._shake_hands()
            if host is not None:
                self._start_threads(host)
                while not self._outbox.is_broken:
                    self._outbox.wait_for_room()
                    frame = self._frames.next()
                    if frame is None:
                        break
                    if frame[0] == MESSAGE:
                        self._receive(decode_message(frame[1]))
        except ProtocolError as error:
            status = 1
            self._complain(InvalidArgument(f"protocol error: {error}"))
        except OSError as error:
            log.warning("the connection is gone: %s", error)
        finally:
            self._end(host)
        return status

    def _complain(self, error: PluginError) -> None:
        log.error("%s", error)
        self._outbox.post({"kind": "error", "error": error.to_json()})

    def _shake_hands(self) -> Tuple[int, Optional[Host]]:
        frame = self._frames.next()
        if frame is None:
            return 0, None
        message = decode_message(frame[1]) if frame[0] == MESSAGE else {}
        if message.get("kind") != "hello" or message.get("protocol") != handshake.PROTOCOL:
            raise ProtocolError("the first message is not the hello of a worker")
        versions = message.get("versions")
        common = [each for each in versions if each in handshake.VERSIONS] if isinstance(versions, list) else []
        nonce = message.get("nonce")
        if not common:
            log.error("no common protocol version: the worker has %s, this is %s", versions, handshake.VERSIONS)
            refusal = {"kind": "hello", "protocol": handshake.PROTOCOL, "versions": handshake.VERSIONS}
            self._outbox.post({**refusal, "nonce": nonce})
            return handshake.NO_COMMON_VERSION, None
        try:
            setup = handshake.setup_from(message)
            host = self._make_host()
            host.setup = setup
            identity = host.open(setup)
            answer = handshake.hello(host, identity)
        except PluginError as error:
            self._complain(error)
            return 1, None
        except Exception as error:
            log.exception("the plugin does not start")
            self._complain(Internal(f"{type(error).__name__}: {error}"))
            return 1, None
        limits = message.get("limits")
        largest = limits.get("max_frame") if isinstance(limits, dict) else None
        if isinstance(largest, int) and largest > CONSOLE_HEADER:
            self._outbox.max_frame = largest
        self._setup: Setup = setup
        self._host: Host = host
        host._send_event = self._send_event
        self._outbox.post({"kind": "hello", **answer, "version": max(common), "nonce": nonce})
        return 0, host

    def _start_threads(self, host: Host) -> None:
        count = max(1, host.max_parallel)
        self._threads = [threading.Thread(target=self._run, name=f"worker-{i}", daemon=True) for i in range(count)]
        self._threads.append(threading.Thread(target=self._watch, name="deadlines", daemon=True))
        for thread in self._threads:
            thread.start()

    def _receive(self, message: Dict[str, Any]) -> None:
        kind = message.get("kind")
        if kind == "request":
            self._accept(message)
        elif kind == "cancel":
            number = message.get("id")
            with self._lock:
                work = self._under_way.get(number) if isinstance(number, int) else None
            if work is not None:
                work.request.cancel()
        elif kind == "credit":
            number, count = message.get("stream"), message.get("bytes")
            stream = self._outbox.stream(number) if isinstance(number, int) else None
            if stream is not None and isinstance(count, int) and count > 0:
                stream.add_credit(count)
        elif kind == "ping":
            self._outbox.post({"kind": "pong", "id": message.get("id")})
        elif kind == "goodbye":
            log.debug("goodbye: %s", message.get("reason") or "no reason")

    def _accept(self, message: Dict[str, Any]) -> None:
        number = message.get("id")
        method = message.get("method")
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(method, str):
            raise ProtocolError("a request has no id or no method")
        try:
            deadline = message.get("deadline_ms") or 0
            key = message.get("idempotency_key")
            if not isinstance(deadline, int) or not isinstance(key, (str, type(None))):
                raise InvalidArgument("deadline_ms or idempotency_key is wrong", field="deadline_ms")
            given = message.get("params")
            params = Params({} if given is None else given, self._setup, self._host.remote_files)
            request = Request(
                method,
                deadline_ms=deadline,
                idempotency_key=key,
                progress=lambda members: self._send_progress(number, members),
            )
            work = _Work(number, method, params, request)
            with self._lock:
                if number in self._under_way:
                    raise ProtocolError(f"the id {number} is used twice")
                if len(self._under_way) >= MOST_WAITING:
                    raise Busy("too many requests are waiting")
                self._under_way[number] = work
                if work.machine is not None and work.machine in self._changing:
                    # One that was answered at its deadline, and has not ended: the machine is not asked twice at once.
                    self._held.setdefault(work.machine, deque()).append(work)
                else:
                    self._begin(work)
                self._lock.notify_all()
        except PluginError as error:
            self._refuse(number, error)

    def _begin(self, work: _Work) -> None:
        """With the lock."""
        if work.machine is not None:
            self._changing[work.machine] = work.number
        self._work.put(work)

    def _finish(self, work: _Work) -> None:
        """The next request for the machine, unless its time is over, may begin."""
        with self._lock:
            if work.machine is None or self._changing.get(work.machine) != work.number:
                return
            del self._changing[work.machine]
            held = self._held.get(work.machine)
            while held:
                following = held.popleft()
                if following.number in self._under_way:
                    self._begin(following)
                    break
            if not held:
                self._held.pop(work.machine, None)

    def _refuse(self, number: int, error: PluginError) -> None:
        self._outbox.post({"kind": "response", "id": number, "error": error.to_json()})

    # The working threads

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            after: Optional[ConsoleStream] = None
            result: Optional[Dict[str, Any]] = None
            error: Optional[PluginError] = None
            try:
                result, after = self._perform(work)
            except PluginError as problem:
                error = problem
            except Exception as problem:
                kind = type(problem).__name__
                if work.method in _SECRET:
                    log.error("%s failed: %s", work.method, kind)
                    error = Internal(f"{work.method} failed: {kind}")
                else:
                    log.exception("%s failed", work.method)
                    error = Internal(f"{kind}: {problem}")
            self._finish(work)
            if not self._answer(work, result, error, after) and after is not None:
                self._drop_stream(after)
            with self._lock:
                self._lock.notify_all()

    def _perform(self, work: _Work) -> Tuple[Dict[str, Any], Optional[ConsoleStream]]:
        work.request.check()
        if work.method == "console.open":
            return self._open_console(work)
        if work.method == "console.close":
            return self._close_console(work.params), None
        key = work.request.idempotency_key
        known = self._memory.begin(key, work.method)
        if known is not None:
            return known, None
        result: Optional[Dict[str, Any]] = None
        try:
            result = call(self._host, work.method, work.params, work.request)
            return result, None
        finally:
            self._memory.end(key, work.method, result)

    def _answer(
        self,
        work: _Work,
        result: Optional[Dict[str, Any]],
        error: Optional[PluginError],
        stream: Optional[ConsoleStream] = None,
    ) -> bool:
        """Exactly once for each request: false when there has been an answer."""
        with self._lock:
            if self._under_way.pop(work.number, None) is None:
                return False
        response: Dict[str, Any] = {"kind": "response", "id": work.number}
        try:
            if error is None:
                after = stream.announce if stream is not None else None
                subscribes = work.method == "events.subscribe"
                self._outbox.post({**response, "result": result or {}}, after, subscribes)
            else:
                self._outbox.post({**response, "error": error.to_json()})
        except (ValueError, TypeError) as problem:
            log.error("the answer to %s cannot be sent: %s", work.method, problem)
            failure = Internal(f"the answer to {work.method} cannot be sent")
            self._outbox.post({**response, "error": failure.to_json()})
        return True

    # The thread that looks at the deadlines

    def _watch(self) -> None:
        while True:
            with self._lock:
                if self._is_ending:
                    return
                deadlines = (each.request.deadline for each in self._under_way.values())
                times = [each for each in deadlines if each is not None]
                now = time.monotonic()
                late = [work for work in self._under_way.values() if (work.request.deadline or now + 1) <= now]
                if not late:
                    self._lock.wait(min(times) - now if times else None)
            for work in late:
                work.request.expire()
                self._answer(work, None, DeadlineExceeded(f"{work.method} was not done by its deadline"))

    # Consoles

    def _open_console(self, work: _Work) -> Tuple[Dict[str, Any], Optional[ConsoleStream]]:
        uuid = work.params.uuid()
        offset = work.params.optional_integer("from")
        takeover = work.params.boolean("takeover", True)
        with self._lock:
            if uuid in self._opening:
                raise Busy("the console is being opened")
            present = self._streams.get(uuid)
            if present is not None and present.is_ended:
                present = None
            if present is not None and not takeover:
                raise Busy("the console is open")
            self._opening.add(uuid)
        try:
            if present is not None:
                self._end_stream(present, "superseded")
            console = self._host.console_open(work.request, uuid, offset)
            if isinstance(console, ConsolePath):
                return {"path": console.path}, None
            with self._lock:
                self._last_stream += 1
                stream = ConsoleStream(self._last_stream, uuid, console, self._outbox.wake)
                self._streams[uuid] = stream
            begin = stream.attach(offset)
            self._outbox.add_stream(stream)
            return {"stream": stream.number, "offset": begin}, stream
        finally:
            with self._lock:
                self._opening.discard(uuid)

    def _close_console(self, params: Params) -> Dict[str, Any]:
        stream = self._outbox.stream(params.integer("stream", minimum=1))
        if stream is not None and not stream.is_ended:
            self._end_stream(stream, "closed")
        return {}

    def _end_stream(self, stream: ConsoleStream, reason: str) -> None:
        stream.end(reason, wait_for_credit=False)
        with self._lock:
            if self._streams.get(stream.uuid) is stream:
                del self._streams[stream.uuid]
        try:
            self._host.console_closed(stream.uuid, stream.console)
        except Exception:
            log.exception("the console of %s does not close", stream.uuid)

    def _drop_stream(self, stream: ConsoleStream) -> None:
        """Nobody knows of it: its request was answered with an error in the meantime."""
        self._outbox.remove_stream(stream)
        self._end_stream(stream, "closed")

    # Messages from the Host

    def _send_event(self, event: Dict[str, Any]) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._outbox.post_event({**event, "time": now})

    def _send_progress(self, number: int, members: Dict[str, Any]) -> None:
        with self._lock:
            if number not in self._under_way:
                return
        self._outbox.post_progress({**members, "kind": "progress", "id": number})

    # The end

    def _end(self, host: Optional[Host]) -> None:
        """Within two seconds: cancels what is under way, lets the Host go, writes what can be written."""
        with self._lock:
            self._is_ending = True
            works = list(self._under_way.values())
            streams = list(self._streams.values())
            self._lock.notify_all()
        for work in works:
            work.request.cancel()
        with self._lock:
            self._lock.wait_for(lambda: not self._under_way, 0.7)
        if host is not None:
            host._send_event = None
            for stream in streams:
                if not stream.is_ended:
                    self._end_stream(stream, "closed")
            try:
                host.close()
            except Exception:
                log.exception("the plugin does not end well")
        for _ in self._threads:
            self._work.put(None)
        self._outbox.close(0.5)
