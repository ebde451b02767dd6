"""The chunked transfer coding, as nginx reads it (ngx_http_parse_chunked of 1.25.5)."""

from __future__ import annotations

import re
from enum import Enum, auto

from labctl.embedded.http.refusal import Refusal

_SIZE = re.compile(rb"([0-9A-Fa-f]+)(?:[; \t][^\r\n]*)?\r?")
_SIZE_SO_FAR = re.compile(rb"[0-9A-Fa-f]+(?:[; \t][^\r\n]*)?\r?|")
_MAX_SIZE = 2**63 - 6
_MAX_LINE = 8192
"""Longest size line or trailer field that is waited for; nginx has no limit of its own there."""
_INVALID = Refusal(400, "client sent invalid chunked body")


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    AFTER = auto()
    TRAILER = auto()


class ChunkedBody:
    """A chunked body, piece by piece. Extensions and trailers are skipped.

    Attributes:
        done: The last chunk and its trailers were read.
        rest: Bytes after the body, once done.
    """

    __slots__ = ("_buffer", "_left", "_state", "done", "rest")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._state = _State.SIZE
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes] | Refusal:
        """Take bytes in; returns the pieces of the body that they bring."""
        buffer = self._buffer + data if self._buffer else data
        pieces: list[bytes] = []
        position = 0
        while position < len(buffer) and not self.done:
            if self._state is _State.DATA:
                piece = buffer[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _State.AFTER
                continue
            end = buffer.find(b"\n", position)
            if end < 0:
                if not self._may_become_line(buffer[position:]):
                    return _INVALID
                break
            if not self._line(buffer[position:end]):
                return _INVALID
            position = end + 1
        self._buffer = b"" if self.done else buffer[position:]
        if self.done:
            self.rest = buffer[position:]
        return pieces

    def _line(self, line: bytes) -> bool:
        """A whole line without its LF; False when it must not be there."""
        if self._state is _State.SIZE:
            return self._size(line)
        if self._state is _State.AFTER:
            self._state = _State.SIZE
            return line in (b"", b"\r")
        self.done = line in (b"", b"\r")
        return self.done or b"\r" not in line[:-1]

    def _size(self, line: bytes) -> bool:
        found = _SIZE.fullmatch(line)
        if found is None or len(found[1].lstrip(b"0")) > 16:
            return False
        self._left = int(found[1], 16)
        self._state = _State.DATA if self._left else _State.TRAILER
        return self._left <= _MAX_SIZE

    def _may_become_line(self, text: bytes) -> bool:
        if len(text) > _MAX_LINE:
            return False
        if self._state is _State.SIZE:
            return _SIZE_SO_FAR.fullmatch(text) is not None
        return self._state is _State.TRAILER or text == b"\r"
