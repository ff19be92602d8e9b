import os
import socket
import tempfile
import threading
import unittest

import support  # noqa: F401
from support import PATIENCE

from vmops_hyperv.console import FIRST_DELAY, LAST_DELAY, SPIN_LIMIT, ConsoleReader, Pace
from vmops_hyperv.pipe import ABSENT, BUSY, DENIED, MemoryPipe, MemoryPipes, PipeError, SocketOpener

NAME = "\\\\.\\pipe\\console_rw"


class Sink:
    """Takes what a reader delivers."""

    def __init__(self):
        self.data, self.reason = bytearray(), None
        self.changed = threading.Condition()
        self.ends = 0

    def deliver(self, data):
        with self.changed:
            self.data += data
            self.changed.notify_all()

    def ended(self, reason):
        with self.changed:
            self.reason, self.ends = reason, self.ends + 1
            self.changed.notify_all()

    def until(self, condition):
        with self.changed:
            if not self.changed.wait_for(condition, PATIENCE):
                raise AssertionError("it did not come: %r, %r" % (self.data[-100:], self.reason))


class SocketServer:
    """Plays Hyper-V: a pipe that comes and goes, as a Unix socket."""

    def __init__(self, directory, name="console_rw"):
        self.path = os.path.join(directory, name)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.listener.settimeout(PATIENCE)

    def accept(self):
        return self.listener.accept()[0]

    def close(self):
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


class Scripted:
    """An opener that answers as told: errors, or pipes."""

    def __init__(self, *answers):
        self.answers, self.opens = list(answers), 0
        self.changed = threading.Condition()

    def open(self, name):
        with self.changed:
            self.opens += 1
            self.changed.notify_all()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer.open()


class SocketTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = folder.name
        self.sink = Sink()

    def reader(self):
        reader = ConsoleReader(SocketOpener(self.directory), NAME, self.sink.deliver, self.sink.ended).start()
        self.addCleanup(lambda: (reader.stop("closed"), self.assertTrue(reader.join())))
        return reader

    def test_a_pipe_that_appears_later_is_read(self):
        self.reader()
        server = SocketServer(self.directory)
        self.addCleanup(server.close)
        with server.accept() as guest:
            guest.sendall(b"boot")
            self.sink.until(lambda: self.sink.data == b"boot")

    def test_a_pipe_that_goes_and_comes_back_is_read_again_without_loss(self):
        reader = self.reader()
        expected = b""
        for number in range(12):
            server = SocketServer(self.directory)
            with server.accept() as guest:
                line = b"start %d\n" % number
                guest.sendall(line)
                expected += line
            server.close()
            self.sink.until(lambda: self.sink.data == expected)
        self.assertGreaterEqual(reader.reconnects, 11)

    def test_bytes_one_at_a_time_and_all_values(self):
        server = SocketServer(self.directory)
        self.addCleanup(server.close)
        self.reader()
        with server.accept() as guest:
            everything = bytes(range(256))
            for value in everything:
                guest.sendall(bytes([value]))
            self.sink.until(lambda: self.sink.data == everything)

    def test_a_flood_arrives_whole(self):
        server = SocketServer(self.directory)
        self.addCleanup(server.close)
        self.reader()
        block = bytes(range(256)) * 1024
        with server.accept() as guest:
            for _ in range(4):
                guest.sendall(block)
            self.sink.until(lambda: len(self.sink.data) == 1 << 20)
        self.assertEqual(bytes(self.sink.data), block * 4)

    def test_half_open_a_guest_that_reads_no_more_does_not_stop_the_reading(self):
        server = SocketServer(self.directory)
        self.addCleanup(server.close)
        reader = self.reader()
        with server.accept() as guest:
            guest.sendall(b"here")
            self.sink.until(lambda: self.sink.data == b"here")
            guest.shutdown(socket.SHUT_RD)
            with self.assertRaises(PipeError):
                for _ in range(100):
                    reader.write(b"typed" * 1000)
            guest.sendall(b", still")
            self.sink.until(lambda: self.sink.data == b"here, still")

    def test_what_is_typed_arrives(self):
        server = SocketServer(self.directory)
        self.addCleanup(server.close)
        reader = self.reader()
        with server.accept() as guest:
            guest.settimeout(PATIENCE)
            guest.sendall(b"x")
            self.sink.until(lambda: self.sink.data == b"x")
            reader.write(b"\x00root\r")
            self.assertEqual(guest.recv(100), b"\x00root\r")

    def test_typing_on_a_console_that_is_not_there_is_an_error(self):
        with self.assertRaises(PipeError) as caught:
            self.reader().write(b"x")
        self.assertEqual(caught.exception.kind, ABSENT)

    def test_a_silent_pipe_closes_at_once(self):
        server = SocketServer(self.directory)
        self.addCleanup(server.close)
        reader = self.reader()
        with server.accept():
            reader.stop("closed")
            self.assertTrue(reader.join(PATIENCE))
        self.assertEqual((self.sink.reason, self.sink.ends), ("closed", 1))


class StopTests(unittest.TestCase):
    def setUp(self):
        self.sink, self.pipes = Sink(), MemoryPipes()

    def reader(self, opener=None):
        reader = ConsoleReader(opener or self.pipes, NAME, self.sink.deliver, self.sink.ended).start()
        self.addCleanup(lambda: (reader.stop("closed"), reader.join()))
        return reader

    def test_what_was_printed_before_the_end_is_read_before_the_end(self):
        pipe = MemoryPipe(capacity=1 << 24)
        self.pipes.serve(NAME, pipe)
        reader = self.reader()
        pipe.print(b"first")
        self.sink.until(lambda: self.sink.data)
        pipe.print(b"x" * (1 << 20))
        pipe.print(b"last words")
        self.pipes.remove(NAME)
        reader.stop("stopped", drain=PATIENCE)
        self.sink.until(lambda: self.sink.reason)
        self.assertEqual(self.sink.reason, "stopped")
        self.assertTrue(self.sink.data.endswith(b"last words"))
        self.assertEqual(len(self.sink.data), 5 + (1 << 20) + 10)

    def test_a_pipe_that_does_not_break_is_left_when_the_time_is_over(self):
        pipe = MemoryPipe()
        self.pipes.serve(NAME, pipe)
        reader = self.reader()
        pipe.print(b"x")
        self.sink.until(lambda: self.sink.data)
        reader.stop("stopped", drain=0.1)
        self.sink.until(lambda: self.sink.reason == "stopped")

    def test_a_reader_without_a_pipe_stops_too(self):
        reader = self.reader()
        reader.stop("stopped", drain=0.1)
        self.sink.until(lambda: self.sink.reason == "stopped")
        self.assertTrue(reader.join())

    def test_a_second_stop_that_is_not_sooner_changes_nothing(self):
        reader = self.reader()
        reader.stop("stopped")
        reader.stop("closed", drain=5)
        self.assertTrue(reader.join())
        self.assertEqual((self.sink.reason, self.sink.ends), ("stopped", 1))

    def test_a_busy_pipe_is_tried_again(self):
        pipe = MemoryPipe()
        self.pipes.serve(NAME, pipe)
        other = self.pipes.open(NAME)
        reader = self.reader()
        self.addCleanup(reader.stop, "closed")
        with self.assertRaises(PipeError) as caught:
            self.pipes.open(NAME)
        self.assertEqual(caught.exception.kind, BUSY)
        other.release()
        pipe.print(b"now")
        self.sink.until(lambda: self.sink.data == b"now")

    def test_a_reader_whose_deliveries_fail_ends_as_lost(self):
        pipe = MemoryPipe()
        self.pipes.serve(NAME, pipe)

        def deliver(data):
            raise ValueError("no")

        ConsoleReader(self.pipes, NAME, deliver, self.sink.ended).start()
        with self.assertLogs("vmops_plugin.hyperv", "ERROR"):
            pipe.print(b"x")
            self.sink.until(lambda: self.sink.reason)
        self.assertEqual(self.sink.reason, "lost")

    def test_denied_is_told_once(self):
        opener = Scripted(PipeError(DENIED, "no"))
        with self.assertLogs("vmops_plugin.hyperv", "WARNING") as logs:
            reader = self.reader(opener)
            with opener.changed:
                self.assertTrue(opener.changed.wait_for(lambda: opener.opens >= 3, PATIENCE))
        reader.stop("closed")
        self.assertEqual(len(logs.records), 1)

    def test_a_pipe_that_breaks_at_once_over_and_over_is_not_tried_without_pause(self):
        class Breaking:
            def open(self):
                pipe = MemoryPipe()
                endpoint = pipe.open()
                pipe.vanish()
                return endpoint

        opener = Scripted(Breaking())
        reader = self.reader(opener)
        with opener.changed:
            self.assertTrue(opener.changed.wait_for(lambda: opener.opens >= SPIN_LIMIT, PATIENCE))
            self.assertFalse(opener.changed.wait_for(lambda: opener.opens > SPIN_LIMIT + 1, 0.5))
        reader.stop("closed")


class PaceTests(unittest.TestCase):
    def test_failures_double_the_pause_up_to_the_longest(self):
        pace = Pace()
        waits = [pace.after_failure() for _ in range(9)]
        self.assertEqual(waits[:3], [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY])
        self.assertEqual(waits[-1], LAST_DELAY)
        pace.connected()
        self.assertEqual(pace.after_failure(), FIRST_DELAY)

    def test_spinning_waits_the_longest_until_the_window_is_over(self):
        pace = Pace()
        waits = [pace.after_end(0.01 * n, False) for n in range(SPIN_LIMIT)]
        self.assertEqual(waits, [FIRST_DELAY] * (SPIN_LIMIT - 1) + [LAST_DELAY])
        self.assertEqual(pace.after_end(10.0, False), FIRST_DELAY)

    def test_connections_that_brought_something_do_not_count(self):
        pace = Pace()
        self.assertEqual({pace.after_end(0.001 * n, True) for n in range(50)}, {FIRST_DELAY})


if __name__ == "__main__":
    unittest.main()
