"""Duplex endpoints: what the serial port of a machine is reached by.

A *pipe* has a name. `open(name)` gives an endpoint or raises `PipeError`; an endpoint reads, writes and closes. On
Windows these are named pipes (`pipe_windows`); tests and the modelled host use Unix sockets and memory.
"""

import os
import select
import socket
import threading

ABSENT, BUSY, BROKEN, DENIED = "absent", "busy", "broken", "denied"
BLOCK = 4096


class PipeError(Exception):
    """`kind` is `ABSENT` (no such pipe, or nobody on the other end), `BUSY` (it has a reader), `BROKEN` (it was there,
    and is no more) or `DENIED`."""

    def __init__(self, kind, message=""):
        super().__init__(message or kind)
        self.kind = kind


class SocketEndpoint:
    """A Unix socket as an endpoint."""

    def __init__(self, connected):
        self._socket = connected
        self._wake_out, self._wake_in = os.pipe()
        self._lock = threading.Lock()
        self._is_closed = False

    def read(self, timeout):
        """At most `BLOCK` bytes; nothing when none came in time; raises `BROKEN` at the end."""
        readable, _, _ = select.select([self._socket, self._wake_out], [], [], timeout)
        if self._is_closed:
            raise PipeError(BROKEN, "closed here")
        if self._socket not in readable:
            return b""
        try:
            data = self._socket.recv(BLOCK)
        except OSError as error:
            raise PipeError(BROKEN, str(error)) from None
        if not data:
            raise PipeError(BROKEN)
        return data

    def write(self, data, timeout=5.0):
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(data)
        except socket.timeout:
            raise PipeError(BUSY, "the machine does not take what is typed") from None
        except OSError as error:
            raise PipeError(BROKEN, str(error)) from None

    def close(self):
        """Ends a read that is under way. The reader calls `release` when it has seen that."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                os.write(self._wake_in, b"x")

    def release(self):
        self.close()
        self._socket.close()
        os.close(self._wake_out)
        os.close(self._wake_in)


class SocketOpener:
    """Pipes as Unix sockets in a directory: `\\\\.\\pipe\\NAME` is the socket NAME."""

    def __init__(self, directory):
        self._directory = directory

    def open(self, name):
        path = os.path.join(self._directory, name.rsplit("\\", 1)[-1])
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connected.close()
            raise PipeError(ABSENT) from None
        except BlockingIOError:
            connected.close()
            raise PipeError(BUSY) from None
        except OSError as error:
            connected.close()
            raise PipeError(DENIED if isinstance(error, PermissionError) else ABSENT, str(error)) from None
        return SocketEndpoint(connected)


class MemoryPipe:
    """A pipe in memory, as Hyper-V serves one: one reader at a time, gone when the machine stops.

    What is printed while nobody reads is kept up to `capacity` bytes, then the oldest is lost. `on_input` gets what is
    typed.
    """

    def __init__(self, on_input=lambda data: None, capacity=1 << 16):
        self._data = bytearray()
        self._changed = threading.Condition()
        self._reader = None
        self._is_gone = False
        self._capacity = capacity
        self.on_input = on_input

    def print(self, data):
        with self._changed:
            self._data += data
            excess = len(self._data) - self._capacity
            if excess > 0:
                del self._data[:excess]
            self._changed.notify_all()

    def vanish(self):
        """The machine has stopped: what was printed can still be read, then it is broken."""
        with self._changed:
            self._is_gone = True
            self._changed.notify_all()

    def break_reader(self):
        """The reader loses its connection; the pipe stays."""
        with self._changed:
            self._reader = None
            self._changed.notify_all()

    def open(self):
        with self._changed:
            if self._is_gone:
                raise PipeError(ABSENT)
            if self._reader is not None:
                raise PipeError(BUSY)
            self._reader = MemoryEndpoint(self)
            return self._reader

    def wait_until_read(self, timeout=10.0):
        """For tests and for stopping machines: whether everything printed was taken."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._data, timeout)


class MemoryEndpoint:
    def __init__(self, pipe):
        self._pipe, self._is_closed = pipe, False

    def read(self, timeout):
        pipe = self._pipe
        with pipe._changed:
            ready = lambda: self._is_closed or pipe._reader is not self or pipe._data or pipe._is_gone
            pipe._changed.wait_for(ready, timeout)
            if self._is_closed or pipe._reader is not self:
                raise PipeError(BROKEN, "closed")
            if pipe._data:
                data = bytes(pipe._data[:BLOCK])
                del pipe._data[:BLOCK]
                pipe._changed.notify_all()
                return data
            if pipe._is_gone:
                raise PipeError(BROKEN)
            return b""

    def write(self, data, timeout=5.0):
        with self._pipe._changed:
            if self._is_closed or self._pipe._is_gone or self._pipe._reader is not self:
                raise PipeError(BROKEN)
        self._pipe.on_input(data)

    def close(self):
        with self._pipe._changed:
            self._is_closed = True
            if self._pipe._reader is self:
                self._pipe._reader = None
            self._pipe._changed.notify_all()

    release = close


class MemoryPipes:
    """The pipes of a modelled host."""

    def __init__(self):
        self._pipes, self._lock = {}, threading.Lock()

    def serve(self, name, pipe):
        with self._lock:
            self._pipes[name.lower()] = pipe

    def remove(self, name):
        with self._lock:
            pipe = self._pipes.pop(name.lower(), None)
        if pipe is not None:
            pipe.vanish()

    def get(self, name):
        with self._lock:
            return self._pipes.get(name.lower())

    def open(self, name):
        pipe = self.get(name)
        if pipe is None:
            raise PipeError(ABSENT)
        return pipe.open()
