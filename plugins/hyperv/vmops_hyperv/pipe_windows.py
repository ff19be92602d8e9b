"""Named pipes of Windows, by overlapped input and output.

Two roles. *Client*: Hyper-V serves the pipe from the start of the machine on; we connect. *Server*: we make the pipe
before the start, Hyper-V connects to it and nothing printed early is lost; but when that connection breaks, Hyper-V
does not come back before the next start (landscape, section D.5). `PipeOpener` tries what it was configured for.
"""

import ctypes
import threading
from ctypes import wintypes

from .pipe import ABSENT, BLOCK, BROKEN, BUSY, DENIED, PipeError

GENERIC_READ_WRITE = 0x80000000 | 0x40000000
OPEN_EXISTING = 3
FILE_FLAG_OVERLAPPED = 0x40000000
PIPE_ACCESS_DUPLEX = 0x3
FILE_FLAG_FIRST_PIPE_INSTANCE = 0x00080000
PIPE_REJECT_REMOTE_CLIENTS = 0x8
WAIT_OBJECT_0, WAIT_TIMEOUT = 0, 258

ERRORS = {
    2: ABSENT,          # ERROR_FILE_NOT_FOUND
    3: ABSENT,
    5: DENIED,          # ERROR_ACCESS_DENIED
    109: BROKEN,        # ERROR_BROKEN_PIPE
    231: BUSY,          # ERROR_PIPE_BUSY
    232: BROKEN,        # ERROR_NO_DATA: it is being closed
    233: BROKEN,        # ERROR_PIPE_NOT_CONNECTED
    995: BROKEN,        # ERROR_OPERATION_ABORTED
}
ERROR_IO_PENDING, ERROR_PIPE_CONNECTED = 997, 535
INVALID_HANDLE = ctypes.c_void_p(-1).value


class Overlapped(ctypes.Structure):
    _fields_ = [("Internal", ctypes.c_void_p), ("InternalHigh", ctypes.c_void_p), ("Offset", wintypes.DWORD),
                ("OffsetHigh", wintypes.DWORD), ("hEvent", wintypes.HANDLE)]


def error_of(number, opening=False):
    """The kind of an error number. While opening, "no process on the other end" means not yet."""
    if opening and number in (109, 232, 233):
        return PipeError(ABSENT, "nobody on the other end (%d)" % number)
    return PipeError(ERRORS.get(number, BROKEN), "error %d" % number)


class Kernel:
    """The functions, with their types; pointers are longer than the default of ctypes."""

    def __init__(self):
        library = ctypes.WinDLL("kernel32", use_last_error=True)
        handle, dword, pointer = wintypes.HANDLE, wintypes.DWORD, ctypes.c_void_p
        for name, result, arguments in (
            ("CreateFileW", handle, [wintypes.LPCWSTR, dword, dword, pointer, dword, dword, handle]),
            ("CreateNamedPipeW", handle, [wintypes.LPCWSTR, dword, dword, dword, dword, dword, dword, pointer]),
            ("ConnectNamedPipe", wintypes.BOOL, [handle, pointer]),
            ("ReadFile", wintypes.BOOL, [handle, pointer, dword, pointer, pointer]),
            ("WriteFile", wintypes.BOOL, [handle, pointer, dword, pointer, pointer]),
            ("GetOverlappedResult", wintypes.BOOL, [handle, pointer, pointer, wintypes.BOOL]),
            ("CancelIoEx", wintypes.BOOL, [handle, pointer]),
            ("CreateEventW", handle, [pointer, wintypes.BOOL, wintypes.BOOL, wintypes.LPCWSTR]),
            ("SetEvent", wintypes.BOOL, [handle]),
            ("WaitForSingleObject", dword, [handle, dword]),
            ("CloseHandle", wintypes.BOOL, [handle]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    @staticmethod
    def last_error():
        return ctypes.get_last_error()


class PipeEndpoint:
    """One connected pipe. `read` is for one thread, `write` for another, `close` for any."""

    def __init__(self, kernel, handle):
        self._kernel, self._handle = kernel, handle
        self._lock = threading.Lock()
        self._is_closed = False
        # A read that has not ended is waited for again: what it brings belongs to it and to nothing else.
        self._buffer = ctypes.create_string_buffer(BLOCK)
        self._reading = None

    def _overlapped(self):
        overlapped = Overlapped()
        overlapped.hEvent = self._kernel.CreateEventW(None, True, False, None)
        return overlapped

    def _result(self, overlapped):
        count = wintypes.DWORD()
        done = self._kernel.GetOverlappedResult(self._handle, ctypes.byref(overlapped), ctypes.byref(count), False)
        number = 0 if done else self._kernel.last_error()
        self._kernel.CloseHandle(overlapped.hEvent)
        if not done:
            raise error_of(number)
        return count.value

    def read(self, timeout):
        kernel = self._kernel
        if self._is_closed:
            raise PipeError(BROKEN, "closed here")
        if self._reading is None:
            overlapped = self._overlapped()
            if not kernel.ReadFile(self._handle, self._buffer, BLOCK, None, ctypes.byref(overlapped)):
                number = kernel.last_error()
                if number != ERROR_IO_PENDING:
                    kernel.CloseHandle(overlapped.hEvent)
                    raise error_of(number)
            self._reading = overlapped
        if kernel.WaitForSingleObject(self._reading.hEvent, int(timeout * 1000)) == WAIT_TIMEOUT:
            return b""
        overlapped, self._reading = self._reading, None
        return self._buffer.raw[:self._result(overlapped)]

    def write(self, data, timeout=5.0):
        kernel = self._kernel
        for at in range(0, len(data), BLOCK):
            piece = data[at:at + BLOCK]
            buffer = ctypes.create_string_buffer(piece, len(piece))
            overlapped = self._overlapped()
            if not kernel.WriteFile(self._handle, buffer, len(piece), None, ctypes.byref(overlapped)):
                number = kernel.last_error()
                if number != ERROR_IO_PENDING:
                    kernel.CloseHandle(overlapped.hEvent)
                    raise error_of(number)
            if kernel.WaitForSingleObject(overlapped.hEvent, int(timeout * 1000)) == WAIT_TIMEOUT:
                kernel.CancelIoEx(self._handle, ctypes.byref(overlapped))
                # The buffer is the system's until the cancelled write is over.
                kernel.WaitForSingleObject(overlapped.hEvent, 0xFFFFFFFF)
                kernel.CloseHandle(overlapped.hEvent)
                raise PipeError(BUSY, "the machine does not take what is typed")
            self._result(overlapped)

    def close(self):
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._kernel.CancelIoEx(self._handle, None)

    def release(self):
        self.close()
        if self._reading is not None:
            self._kernel.WaitForSingleObject(self._reading.hEvent, 0xFFFFFFFF)
            self._kernel.CloseHandle(self._reading.hEvent)
            self._reading = None
        self._kernel.CloseHandle(self._handle)


class PipeOpener:
    """Opens pipes as their client, or first serves them when `serve` is set."""

    def __init__(self, serve=False, kernel=None):
        self._kernel, self._serve = kernel or Kernel(), serve
        self._served = {}

    def prepare(self, name):
        """Before the start of a machine, in the role of the server: from now on it has something to connect to."""
        if not self._serve or name in self._served:
            return
        kernel = self._kernel
        handle = kernel.CreateNamedPipeW(
            name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
            PIPE_REJECT_REMOTE_CLIENTS, 1, 1 << 16, 1 << 16, 0, None)
        if handle is None or handle == INVALID_HANDLE:
            return              # somebody serves it: Hyper-V, when the machine runs; then we are its client
        overlapped = Overlapped()
        overlapped.hEvent = kernel.CreateEventW(None, True, False, None)
        if not kernel.ConnectNamedPipe(handle, ctypes.byref(overlapped)) and kernel.last_error() == ERROR_PIPE_CONNECTED:
            kernel.SetEvent(overlapped.hEvent)      # quicker than we: nothing is pending that would set it
        self._served[name] = (handle, overlapped)

    def open(self, name):
        kernel = self._kernel
        served = self._served.get(name)
        if served is not None:
            handle, overlapped = served
            if kernel.WaitForSingleObject(overlapped.hEvent, 0) == WAIT_TIMEOUT:
                raise PipeError(ABSENT, "the machine has not connected")
            del self._served[name]
            kernel.CloseHandle(overlapped.hEvent)
            return PipeEndpoint(kernel, handle)
        handle = kernel.CreateFileW(name, GENERIC_READ_WRITE, 0, None, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, None)
        if handle is None or handle == INVALID_HANDLE:
            raise error_of(kernel.last_error(), opening=True)
        return PipeEndpoint(kernel, handle)

    def forget(self, name):
        """The machine did not start, or is gone: the pipe that waited for it goes."""
        served = self._served.pop(name, None)
        if served is not None:
            handle, overlapped = served
            self._kernel.CancelIoEx(handle, None)
            self._kernel.WaitForSingleObject(overlapped.hEvent, 1000)
            self._kernel.CloseHandle(overlapped.hEvent)
            self._kernel.CloseHandle(handle)
