"""One request on one connection, as the quick transport follows it."""

from __future__ import annotations

import errno
import socket

from labctl.probe.http1 import AnswerReader


class BindError(OSError):
    """The source address cannot be used."""


CONNECT_ERRORS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.ETIMEDOUT,
    }
)
"""Failures that only a connection not yet made can end with."""


class Exchange:
    """One connection (`fd` is its descriptor) and the request that is on its way on it.

    `begun` is when the request was to begin, `sent` when it did, `connected` and `first` (byte) what came then.
    """

    __slots__ = ("begun", "connected", "fd", "first", "index", "reader", "reused", "sent", "socket", "target", "unsent")

    def __init__(self, connection: socket.socket, index: int, begun: float, reader: AnswerReader, target: int) -> None:
        self.socket = connection
        self.fd = connection.fileno()
        self.index = index
        self.begun = begun
        self.reader = reader
        self.target = target
        self.unsent: bytes | memoryview = b""
        self.reused = False
        self.sent = begun
        self.connected = 0.0
        self.first = 0.0

    def again(self, index: int, begun: float, now: float, reader: AnswerReader) -> None:
        """The connection carries one more request."""
        self.index, self.begun, self.reader, self.reused = index, begun, reader, True
        self.sent = self.connected = now
        self.first = 0.0

    def timeout_words(self, request: bytes, now: float) -> str:
        """What was missing at the timeout of `request`, in curl's words."""
        spent = round((now - self.sent) * 1000)
        if self.unsent == request:
            return f"Connection timed out after {spent} milliseconds"
        reader = self.reader
        size = f"{reader.size} out of {reader.length}" if reader.length and reader.size else f"{reader.size}"
        return f"Operation timed out after {spent} milliseconds with {size} bytes received"
