"""Credit, offsets, loss and ends: section 9."""

import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from vmops_plugin import Console  # noqa: E402
from vmops_plugin.console import INITIAL_CREDIT, ConsoleStream  # noqa: E402

HEADER = 4 + 1 + 12


def opened(console, offset=None):
    stream = ConsoleStream(3, "u", console, lambda: None)
    begin = stream.attach(offset)
    stream.announce()
    return stream, begin


def everything(stream):
    """Console frames as (offset, bytes), messages as they are, until there is no more."""
    out = []
    while True:
        frames, is_over = stream.take(1 << 20)
        for frame in frames:
            is_data = isinstance(frame, bytes)
            out.append((int.from_bytes(frame[9:17], "big"), frame[HEADER:]) if is_data else frame)
        if is_over or not frames:
            return out


class ConsoleTests(unittest.TestCase):
    def test_nothing_is_sent_before_the_answer(self):
        console = Console()
        stream = ConsoleStream(3, "u", console, lambda: None)
        stream.attach(None)
        console.write(b"early")
        self.assertEqual(stream.take(1 << 20), ([], False))
        stream.announce()
        self.assertEqual(everything(stream), [(0, b"early")])

    def test_no_more_is_sent_than_credit_was_given(self):
        console = Console(capacity=1 << 20)
        stream, _ = opened(console)
        console.write(bytes(INITIAL_CREDIT + 100))
        self.assertEqual(sum(len(data) for _, data in everything(stream)), INITIAL_CREDIT)
        self.assertEqual(everything(stream), [])
        stream.add_credit(70)
        self.assertEqual(everything(stream), [(INITIAL_CREDIT, bytes(70))])

    def test_the_oldest_bytes_are_dropped_and_counted_once(self):
        console = Console(capacity=10)
        stream, _ = opened(console)
        stream._credit = 0
        for piece in (b"0123456789", b"abc", b"de"):
            console.write(piece)
        stream.add_credit(100)
        dropped = {"kind": "dropped", "stream": 3, "offset": 0, "bytes": 5}
        self.assertEqual(everything(stream), [dropped, (5, b"56789abcde")])

    def test_the_end_comes_after_the_last_byte_even_if_credit_comes_late(self):
        console = Console()
        stream, _ = opened(console)
        stream._credit = 3
        console.write(b"hello")
        console.end("stopped")
        console.write(b" next run")
        self.assertEqual(everything(stream), [(0, b"hel")])
        stream.add_credit(100)
        end = {"kind": "end", "stream": 3, "reason": "stopped"}
        self.assertEqual(everything(stream), [(3, b"lo"), end])

    def test_what_was_lost_before_the_end_is_told(self):
        console = Console(capacity=4)
        stream, _ = opened(console)
        stream._credit = 0
        console.write(b"abcd")
        console.end("stopped")
        console.write(b"WXYZ")
        end = {"kind": "end", "stream": 3, "reason": "stopped"}
        self.assertEqual(everything(stream), [{"kind": "dropped", "stream": 3, "offset": 0, "bytes": 4}, end])

    def test_a_superseded_stream_does_not_wait_for_credit(self):
        console = Console()
        first, _ = opened(console)
        first._credit = 0
        console.write(b"abc")
        first.end("superseded", wait_for_credit=False)
        second, begin = opened(console)
        self.assertEqual(everything(first), [{"kind": "end", "stream": 3, "reason": "superseded"}])
        self.assertEqual((begin, everything(second)), (0, [(0, b"abc")]))

    def test_a_stream_begins_where_it_is_asked_to_as_far_as_that_is_kept(self):
        console = Console(capacity=10, offset=100)
        console.write(b"0123456789abcde")
        for offset, begin in ((0, 105), (105, 105), (110, 110), (115, 115), (999, 115), (None, 105)):
            self.assertEqual(opened(console, offset)[1], begin)

    def test_without_an_offset_nothing_comes_twice(self):
        console = Console()
        console.write(b"boot")
        stream, begin = opened(console)
        self.assertEqual((begin, everything(stream)), (0, [(0, b"boot")]))
        console.write(b"more")
        self.assertEqual(opened(console)[1], 4)

    def test_a_source_that_keeps_its_bytes_can_wait_for_room(self):
        console = Console(capacity=10)
        self.assertTrue(console.wait_for_room(10))
        stream, _ = opened(console)
        console.write(b"0123456")
        self.assertFalse(console.wait_for_room(4, timeout=0.01))
        waiter = threading.Thread(target=console.wait_for_room, args=(4,))
        waiter.start()
        everything(stream)
        waiter.join(10)
        self.assertFalse(waiter.is_alive())


if __name__ == "__main__":
    unittest.main()
