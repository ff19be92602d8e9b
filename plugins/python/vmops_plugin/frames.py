"""Frames and the JSON in them (plugin protocol, section 2)."""

from __future__ import annotations

import json
import struct
from typing import Any, Callable, Dict, NoReturn, Optional, Tuple

MESSAGE = 1
CONSOLE = 2
DEFAULT_MAX_FRAME = 1 << 20
DEEPEST = 32

_LENGTH = struct.Struct(">I")
_CONSOLE = struct.Struct(">BIQ")
#: Bytes of a console frame that its length counts but that are not console bytes.
CONSOLE_HEADER = _CONSOLE.size


class ProtocolError(Exception):
    """The other side broke the protocol; the connection cannot go on."""


def encode_message(message: Dict[str, Any]) -> bytes:
    """A whole frame. Raises ValueError or TypeError for what JSON cannot say."""
    text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A file name that is no UTF-8 comes with lone surrogates: it is shown with question marks.
    payload = text.encode("utf-8", "replace")
    return _LENGTH.pack(len(payload) + 1) + b"\x01" + payload


def encode_console(stream: int, offset: int, data: bytes) -> bytes:
    return _LENGTH.pack(CONSOLE_HEADER + len(data)) + _CONSOLE.pack(CONSOLE, stream, offset) + data


def decode_message(payload: bytes) -> Dict[str, Any]:
    try:
        message = json.loads(payload.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError("a message is not a JSON object")
    _check(message, 1)
    return message


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check(value: Any, level: int) -> None:
    if isinstance(value, (dict, list)):
        if level > DEEPEST:
            raise ProtocolError(f"a message nests deeper than {DEEPEST} levels")
        for each in value.values() if isinstance(value, dict) else value:
            _check(each, level + 1)
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ProtocolError("a message has an integer of more than 64 bits")


class FrameReader:
    """Takes frames from a blocking source of bytes.

    `read(n)` gives between 1 and n bytes, or none at the end.
    """

    def __init__(self, read: Callable[[int], bytes], max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self._read = read
        self._buffer = bytearray()
        self.max_frame = max_frame

    def next(self) -> Optional[Tuple[int, bytes]]:
        """The type and the payload of the next frame, or None at the end. An end within a frame is an error."""
        if not self._fill(4):
            if self._buffer:
                raise ProtocolError("the connection ended within a frame")
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length == 0:
            raise ProtocolError("a frame is empty")
        if length > self.max_frame:
            start = bytes(self._buffer[:16])
            raise ProtocolError(f"a frame of {length} bytes is longer than {self.max_frame}; it begins with {start!r}")
        if not self._fill(4 + length):
            raise ProtocolError("the connection ended within a frame")
        kind, payload = self._buffer[4], bytes(self._buffer[5 : 4 + length])
        del self._buffer[: 4 + length]
        return kind, payload

    def _fill(self, count: int) -> bool:
        while len(self._buffer) < count:
            data = self._read(65536)
            if not data:
                return False
            self._buffer += data
        return True
