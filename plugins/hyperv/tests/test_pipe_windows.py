"""The Windows side of pipes, with a kernel that is played: which calls are made, and what errors mean."""

import ctypes
import unittest

import support  # noqa: F401
from vmops_hyperv import pipe_windows
from vmops_hyperv.pipe import ABSENT, BROKEN, BUSY, DENIED, PipeError


class Kernel:
    """One pipe: what is written to it is printed by nobody; `incoming` is what reads bring."""

    def __init__(self, open_error=0, incoming=(), connected=True):
        self.open_error, self.incoming, self.is_connected = open_error, list(incoming), connected
        self.error, self.calls, self.closed, self.events = 0, [], [], 100
        self.written = b""
        self.pending = None

    def last_error(self):
        return self.error

    def CreateEventW(self, *_):
        self.events += 1
        return self.events

    def SetEvent(self, handle):
        self.calls.append("SetEvent")
        self.is_connected = True
        return True

    def CreateFileW(self, name, access, share, security, disposition, flags, template):
        self.calls.append(("CreateFileW", name, flags))
        if self.open_error:
            self.error = self.open_error
            return pipe_windows.INVALID_HANDLE
        return 7

    def CreateNamedPipeW(self, name, mode, kind, instances, *_):
        self.calls.append(("CreateNamedPipeW", name, mode, kind, instances))
        return 8

    def ConnectNamedPipe(self, handle, overlapped):
        self.error = 535 if self.is_connected else 997
        return False

    def ReadFile(self, handle, buffer, size, count, overlapped):
        if not self.incoming:
            self.error = 109
            return False
        item = self.incoming.pop(0)
        if item is None:
            self.pending = buffer
            self.error = 997
            return False
        ctypes.memmove(buffer, item, len(item))
        self.count = len(item)
        return True

    def complete(self, data):
        ctypes.memmove(self.pending, data, len(data))
        self.count, self.pending = len(data), None

    def WriteFile(self, handle, buffer, size, count, overlapped):
        self.written += buffer.raw[:size]
        self.count = size
        return True

    def GetOverlappedResult(self, handle, overlapped, count, wait):
        ctypes.cast(count, ctypes.POINTER(ctypes.c_ulong))[0] = self.count
        return True

    def CancelIoEx(self, handle, overlapped):
        self.calls.append("CancelIoEx")
        self.pending = None
        return True

    def WaitForSingleObject(self, handle, milliseconds):
        if self.pending is not None or (handle != 0 and not self.is_connected):
            return pipe_windows.WAIT_TIMEOUT
        return 0

    def CloseHandle(self, handle):
        self.closed.append(handle)
        return True


class WindowsPipeTests(unittest.TestCase):
    def test_errors_of_opening(self):
        for number, kind in ((2, ABSENT), (233, ABSENT), (231, BUSY), (5, DENIED), (109, ABSENT)):
            with self.assertRaises(PipeError) as caught:
                pipe_windows.PipeOpener(kernel=Kernel(open_error=number)).open("p")
            self.assertEqual(caught.exception.kind, kind, number)

    def test_errors_of_reading(self):
        for number, kind in ((109, BROKEN), (233, BROKEN), (995, BROKEN), (1234, BROKEN), (231, BUSY)):
            self.assertEqual(pipe_windows.error_of(number).kind, kind)

    def test_reading_until_it_breaks(self):
        kernel = Kernel(incoming=[b"one", b"two"])
        endpoint = pipe_windows.PipeOpener(kernel=kernel).open("p")
        self.assertEqual([endpoint.read(1), endpoint.read(1)], [b"one", b"two"])
        with self.assertRaises(PipeError) as caught:
            endpoint.read(1)
        self.assertEqual(caught.exception.kind, BROKEN)
        endpoint.release()
        self.assertIn(7, kernel.closed)

    def test_a_read_that_is_under_way_is_waited_for_again(self):
        kernel = Kernel(incoming=[None])
        endpoint = pipe_windows.PipeOpener(kernel=kernel).open("p")
        self.assertEqual(endpoint.read(0), b"")
        self.assertEqual(endpoint.read(0), b"")
        kernel.complete(b"late")
        self.assertEqual(endpoint.read(0), b"late")

    def test_closing_cancels_what_is_under_way(self):
        kernel = Kernel(incoming=[None])
        endpoint = pipe_windows.PipeOpener(kernel=kernel).open("p")
        endpoint.read(0)
        endpoint.release()
        self.assertIn("CancelIoEx", kernel.calls)
        with self.assertRaises(PipeError):
            endpoint.read(0)

    def test_writing(self):
        kernel = Kernel()
        data = bytes(range(256)) * 40
        pipe_windows.PipeOpener(kernel=kernel).open("p").write(data)
        self.assertEqual(kernel.written, data)

    def test_serving_a_pipe_until_the_machine_has_connected(self):
        kernel = Kernel(connected=False, incoming=[b"boot"])
        opener = pipe_windows.PipeOpener(serve=True, kernel=kernel)
        opener.prepare("p")
        opener.prepare("p")
        with self.assertRaises(PipeError) as caught:
            opener.open("p")
        self.assertEqual(caught.exception.kind, ABSENT)
        kernel.is_connected = True
        self.assertEqual(opener.open("p").read(1), b"boot")
        # The connection is used up: from now on we are the client.
        opener.open("p")
        self.assertEqual([call[0] for call in kernel.calls], ["CreateNamedPipeW", "CreateFileW"])

    def test_a_served_pipe_refuses_others(self):
        kernel = Kernel()
        pipe_windows.PipeOpener(serve=True, kernel=kernel).prepare("p")
        _, _, mode, kind, instances = kernel.calls[0]
        self.assertTrue(mode & pipe_windows.FILE_FLAG_FIRST_PIPE_INSTANCE)
        self.assertTrue(kind & pipe_windows.PIPE_REJECT_REMOTE_CLIENTS)
        self.assertEqual(instances, 1)

    def test_clients_serve_nothing(self):
        kernel = Kernel()
        pipe_windows.PipeOpener(kernel=kernel).prepare("p")
        self.assertEqual(kernel.calls, [])

    def test_a_pipe_that_nobody_came_to_is_forgotten(self):
        kernel = Kernel(connected=False)
        opener = pipe_windows.PipeOpener(serve=True, kernel=kernel)
        opener.prepare("p")
        opener.forget("p")
        self.assertIn(8, kernel.closed)


if __name__ == "__main__":
    unittest.main()
