"""Makes a program of a Host class: `vmops_plugin.main(MyHost)`."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import sys
import threading
from typing import Callable, List, NoReturn, Optional, Tuple

from . import logs
from .connection import Connection
from .host import Host
from .logs import log
from .memory import AnswerMemory
from .oneshot import answer

MOST_CONNECTIONS = 16

#: Seconds that a child has to end in once its worker is gone; also one whose host hangs in `open` or `close`.
LAST_SECONDS = 10.0
#: Seconds between two looks at whether the worker is still there.
PARENT_LOOK = 1.0


def main(make_host: Callable[[], Host], arguments: Optional[List[str]] = None) -> NoReturn:
    """Never returns.

    Without an argument, started by the worker: the shape `child`. `--child` says so where the environment does not
    come along, as through ssh. `--socket PATH` listens there: the shape `socket`, one Host for each connection. A
    method's name: the shape `oneshot`.
    """
    words = sys.argv[1:] if arguments is None else arguments
    logs.set_up(os.environ.get("VMOPS_PLUGIN_LOG", "info"))
    if words == ["--child"] or (not words and os.environ.get("VMOPS_PLUGIN")):
        status = _serve_child(make_host)
    elif len(words) == 2 and words[0] == "--socket":
        status = _serve_socket(make_host, words[1])
    elif len(words) == 1 and not words[0].startswith("-"):
        status = _serve_once(make_host, words[0])
    else:
        status = _explain(make_host)
    sys.stderr.flush()
    # Threads may still be in calls that do not return: nobody waits for them.
    os._exit(status)


def _explain(make_host: Callable[[], Host]) -> int:
    name = getattr(make_host, "plugin_name", "this program")
    sys.stdout.write(
        f"{name} is a host plugin of vmops: vmopsd starts it and talks with it over its standard input and output.\n"
        f"Put its command into the worker's configuration, or try it: vmopsctl plugin check {sys.argv[0]}\n"
    )
    sys.stdout.flush()
    return 1


def _private_descriptors() -> Tuple[int, int]:
    """Standard input and output for frames alone: a stray print goes to standard error, a child reads nothing."""
    sys.stdout.flush()
    frames_in, frames_out = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(frames_in, os.O_BINARY)
        msvcrt.setmode(frames_out, os.O_BINARY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    return frames_in, frames_out


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _Termination:
    """SIGTERM, and Ctrl-C on a service, as something that a descriptor can be waited for together with.

    A handler in Python would not do: the system may give the signal to a thread other than the one that waits.
    """

    def __init__(self, *signals: int) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        for each in signals:
            signal.signal(each, lambda *_: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wait(self, descriptor: int) -> bool:
        """Until the descriptor is readable; false when this is to end."""
        waiting = select.poll()
        waiting.register(self._read, select.POLLIN)
        waiting.register(descriptor, select.POLLIN)
        return all(each != self._read for each, _ in waiting.poll())


def _watch_worker(descriptor: int, parent: int) -> None:
    """The end of the input says that the worker is gone, but nobody reads that while the host is being opened, and
    somebody else may hold the other end by mistake."""
    waiting = select.poll()
    waiting.register(descriptor, 0)
    while os.getppid() == parent and not waiting.poll(PARENT_LOOK * 1000):
        pass
    _end_soon()


def _end_soon() -> None:
    """Whatever hangs, the process ends. Machines are left alone."""
    timer = threading.Timer(LAST_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _serve_child(make_host: Callable[[], Host]) -> int:
    parent = os.getppid()
    frames_in, frames_out = _private_descriptors()
    # On Windows the signal ends the process by itself, and pipes cannot be waited for.
    termination = None
    if hasattr(select, "poll"):
        termination = _Termination(signal.SIGTERM)
        threading.Thread(target=_watch_worker, args=(frames_in, parent), name="worker", daemon=True).start()

    def read(count: int) -> bytes:
        ends = termination is not None and not termination.wait(frames_in)
        data = b"" if ends else os.read(frames_in, count)
        if not data:
            _end_soon()
        return data

    return Connection(make_host, read, lambda data: _write_all(frames_out, data)).serve()


def _serve_once(make_host: Callable[[], Host], method: str) -> int:
    frames_in, frames_out = _private_descriptors()
    with os.fdopen(frames_in, "rb") as file:
        document = file.read()
    text = json.dumps(answer(make_host, method, document), ensure_ascii=False, allow_nan=False)
    _write_all(frames_out, text.encode("utf-8", "replace") + b"\n")
    return 0


def _serve_socket(make_host: Callable[[], Host], path: str) -> int:
    if not hasattr(socket, "AF_UNIX"):
        log.error("this system has no Unix sockets")
        return 1
    termination = _Termination(signal.SIGTERM, signal.SIGINT)
    memory, places = AnswerMemory(), threading.Semaphore(MOST_CONNECTIONS)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            _listen(listener, path)
            while termination.wait(listener.fileno()):
                connected, _ = listener.accept()
                if not _is_trusted(connected) or not places.acquire(blocking=False):
                    connected.close()
                    continue
                words = (make_host, connected, memory, places)
                threading.Thread(target=_serve_connected, args=words, daemon=True).start()
        except OSError as error:
            log.error("%s: %s", path, error)
            return 1
    return 0


def _listen(listener: socket.socket, path: str) -> None:
    """Takes the place of a socket that nobody serves any more; for the owner only."""
    if os.path.exists(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            else:
                raise OSError("another program serves it")
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(8)
    log.info("listening", extra={"path": path})


def _is_trusted(connected: socket.socket) -> bool:
    """Only root and the user whom this runs as."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    if user in (0, os.getuid()):
        return True
    log.warning("a connection of user %d is refused", user)
    return False


def _serve_connected(
    make_host: Callable[[], Host], connected: socket.socket, memory: AnswerMemory, places: threading.Semaphore
) -> None:
    try:
        with connected:
            Connection(make_host, connected.recv, connected.sendall, memory).serve()
    finally:
        places.release()
