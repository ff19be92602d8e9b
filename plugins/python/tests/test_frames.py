"""Bytes as the protocol's description has them, section 2."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from vmops_plugin import frames  # noqa: E402


def reader(data, size=65536, limit=frames.DEFAULT_MAX_FRAME):
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return frames.FrameReader(lambda _: pieces.pop(0) if pieces else b"", limit)


class FrameTests(unittest.TestCase):
    def test_a_message_has_these_bytes(self):
        wanted = bytes.fromhex("00000017 01 7b226b696e64223a2270696e67222c226964223a377d".replace(" ", ""))
        self.assertEqual(frames.encode_message({"kind": "ping", "id": 7}), wanted)

    def test_console_bytes_have_these_bytes(self):
        wanted = bytes.fromhex("00000010 02 00000003 0000000000014000 616263".replace(" ", ""))
        self.assertEqual(frames.encode_console(3, 81920, b"abc"), wanted)

    def test_frames_come_whole_however_they_are_cut(self):
        data = bytes.fromhex("0000000301 7b7d 00000002 09 78 00000001 01".replace(" ", ""))
        for size in (1, 2, 3, 5, 100):
            source = reader(data, size)
            self.assertEqual([source.next() for _ in range(4)], [(1, b"{}"), (9, b"x"), (1, b""), None])

    def test_what_is_no_frame_ends_the_connection(self):
        for data in ("00000000", "00100001", "ffffffff01", "0000", "0000000501 7b7d", "48656c6c6f20776f726c64"):
            with self.assertRaises(frames.ProtocolError, msg=data):
                reader(bytes.fromhex(data.replace(" ", ""))).next()

    def test_a_frame_may_be_as_long_as_the_limit(self):
        self.assertEqual(reader(b"\0\0\0\x03\x01{}", limit=3).next(), (1, b"{}"))
        with self.assertRaises(frames.ProtocolError):
            reader(b"\0\0\0\x04\x01{} ", limit=3).next()

    def test_what_is_no_json_object_is_refused(self):
        deep = b'{"a":' * 33 + b"1" + b"}" * 33
        for payload in (b"", b"[]", b"1", b"{", b"\xef\xbb\xbf{}", b'{"a":"\xff"}', b'{"a":NaN}', b"[" * 100000, deep):
            with self.assertRaises(frames.ProtocolError, msg=payload[:20]):
                frames.decode_message(payload)
        for number in (1 << 63, -(1 << 63) - 1):
            with self.assertRaises(frames.ProtocolError):
                frames.decode_message(b'{"a":%d}' % number)

    def test_the_deepest_and_largest_are_taken(self):
        deep = b'{"a":' * 32 + b"9223372036854775807" + b"}" * 32
        self.assertIn("a", frames.decode_message(deep))

    def test_text_that_is_no_utf8_is_shown_with_question_marks(self):
        self.assertTrue(frames.encode_message({"path": "a\udcff"}).endswith(b'{"path":"a?"}'))
        with self.assertRaises(ValueError):
            frames.encode_message({"figure": float("nan")})


if __name__ == "__main__":
    unittest.main()
