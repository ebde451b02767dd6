"""HTTP/1.x requests from bytes, without IO: as strict as nginx is, and quick for what is usual.

A head that arrives in one piece and is written as clients write it is read in one go; whatever is unusual about one is
left to the slow way, line by line, which decides as nginx does (ngx_http_parse.c and ngx_http_request.c of 1.25.5).
Underscores and odd characters in header names are the server's policy, not the parser's: they are passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from labctl.embedded.http.chunked import ChunkedBody
from labctl.embedded.http.fields import (
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    INVALID,
    TRANSFER_ENCODING,
    FieldKinds,
    content_length,
    invalid_at,
    is_host,
    wants_close,
)
from labctl.embedded.http.limits import NGINX_LIMITS, HeadLimits
from labctl.embedded.http.messages import Headers
from labctl.embedded.http.refusal import Refusal
from labctl.embedded.http.requestline import begins_request_line, parse_request_line

__all__ = ["END", "ChunkedBody", "End", "Head", "HeadLimits", "Refusal", "RequestParser"]

_VERSIONS = {"HTTP/1.1": "1.1", "HTTP/1.0": "1.0"}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_kinds = FieldKinds()


class End(Enum):
    """The body is complete."""

    END = "end"


END = End.END


@dataclass(slots=True)
class Head:
    """A request head.

    Attributes:
        method: As sent.
        target: Path and query as sent, also of an absolute-form target.
        version: `1.1`, `1.0` or `0.9`.
        headers: In wire order and case; values without the spaces around them.
        length: Content-Length; 0 without a body, -1 for a chunked one.
        keep_alive: Whether the client wants to use the connection again.
        expect_continue: `Expect: 100-continue` was sent.
        host: The Host header; empty without one.
        authority: Host of an absolute-form target, without its port; else empty.
    """

    method: str
    target: str
    version: str
    headers: Headers
    length: int = 0
    keep_alive: bool = True
    expect_continue: bool = False
    host: str = ""
    authority: str = ""


Event = Head | bytes | End | Refusal


class RequestParser:
    """The requests of one connection: bytes in, events out.

    `next` gives a Head; when its length is not 0, then the body's pieces and END. After a Refusal nothing more comes.

    Args:
        limits: How long heads may be.
    """

    __slots__ = ("_buffer", "_chunked", "_left", "_limits", "_pieces", "_slow")

    def __init__(self, limits: HeadLimits = NGINX_LIMITS) -> None:
        self._limits = limits
        self._buffer = b""
        self._left = 0
        self._chunked: ChunkedBody | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._slow: _LineByLine | None = None

    @property
    def buffered(self) -> int:
        """Bytes that were fed and not yet used."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        self._buffer = self._buffer + data if self._buffer else data

    def take_rest(self) -> bytes:
        """What was fed beyond the last event: it belongs to the protocol that the connection was upgraded to."""
        rest, self._buffer = self._buffer, b""
        return rest

    def next(self) -> Event | None:
        """The next event; None until more bytes are fed."""
        if self._left:
            return self._next_of_body()
        buffer = self._buffer
        if not buffer:
            return None
        if self._slow is None:
            end = buffer.find(b"\r\n\r\n")
            if end > 0:
                head = _quick_head(buffer, end, self._limits)
                if head is not None:
                    self._buffer = buffer[end + 4 :]
                    return self._begun(head)
            self._slow = _LineByLine(self._limits)
        used, outcome = self._slow.read(buffer)
        self._buffer = buffer[used:] if used else buffer
        if outcome is None:
            return None
        self._slow = None
        return self._begun(outcome)

    def _begun(self, head: Head | Refusal) -> Head | Refusal:
        if type(head) is Head and head.length:
            self._left = head.length
            self._chunked = ChunkedBody() if head.length < 0 else None
        return head

    def _next_of_body(self) -> bytes | End | Refusal | None:
        if self._chunked is not None:
            return self._next_of_chunked(self._chunked)
        if not self._buffer:
            return None
        piece = self._buffer[: self._left]
        self._buffer = self._buffer[self._left :]
        self._left -= len(piece)
        if not self._left:
            self._left, self._chunked = -1, _COMPLETE
        return piece

    def _next_of_chunked(self, chunked: ChunkedBody) -> bytes | End | Refusal | None:
        piece = next(self._pieces, None)
        if piece is None and self._buffer and not chunked.done:
            pieces = chunked.feed(self._buffer)
            if isinstance(pieces, Refusal):
                return pieces
            self._buffer = chunked.rest
            self._pieces = iter(pieces)
            piece = next(self._pieces, None)
        if piece is not None:
            return piece
        if not chunked.done:
            return None
        self._left, self._chunked = 0, None
        return END


_COMPLETE = ChunkedBody()
_COMPLETE.done = True


def _quick_head(buffer: bytes, end: int, limits: HeadLimits) -> Head | Refusal | None:
    """A head of the usual form that ends at `end`; None when it is of any other."""
    text = buffer[:end].decode("latin-1")
    lines = text.split("\r\n")
    count = len(lines) - 1
    if text.count("\n") != count or text.count("\r") != count or "\0" in text:
        return None
    words = lines[0].split(" ")
    if len(words) != 3:
        return None
    method, target, protocol = words
    version = _VERSIONS.get(protocol)
    if (
        version is None
        or method not in _METHODS
        or target[:1] != "/"
        or not (target.isascii() and target.isprintable())
    ):
        return None
    headers: Headers = []
    special: list[tuple[int, str]] = []
    kinds = _kinds
    del lines[0]
    for line in lines:
        name, _, value = line.partition(":")
        value = value.strip(" ")
        kind = kinds[name]
        if kind:
            if kind == INVALID:
                return None
            special.append((kind, value))
        headers.append((name, value))
    if end > limits.first - 4:
        refused = limits.check([len(line) + 2 for line in text.split("\r\n")] + [2])
        if refused is not None:
            return refused
    return finish(Head(method, target, version, headers, 0, version == "1.1"), special)


class _LineByLine:
    """A head that comes in pieces, or is unusual."""

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._head: Head | None = None
        self._special: list[tuple[int, str]] = []
        self._lengths: list[int] = []

    def read(self, buffer: bytes) -> tuple[int, Head | Refusal | None]:
        """Whole lines from the buffer: how many bytes they took, and the head when it is complete."""
        position = 0
        while True:
            if self._head is None:  # empty lines before a request line are skipped
                position += len(buffer) - position - len(buffer[position:].lstrip(b"\r\n"))
            end = buffer.find(b"\n", position)
            if end < 0:
                return position, self._check_partial(buffer[position:])
            self._lengths.append(end + 1 - position)
            refused = self._limits.check(self._lengths) if sum(self._lengths) > self._limits.first else None
            outcome = refused or self._line(buffer[position:end].decode("latin-1"))
            position = end + 1
            if outcome is not None:
                return position, outcome

    def _check_partial(self, text: bytes) -> Refusal | None:
        line = text.decode("latin-1")
        if self._head is not None:
            refused = _invalid_field(line)
        else:
            refused = None if begins_request_line(line) else Refusal(400, "client sent invalid method")
        return refused or self._limits.check(self._lengths, len(text))

    def _line(self, line: str) -> Head | Refusal | None:
        if self._head is None:
            return self._request_line(line.removesuffix("\r"))
        if line in ("", "\r"):
            return finish(self._head, self._special)
        refused = _invalid_field(line)
        if refused is not None:
            return refused
        name, _, value = line.rstrip("\r").partition(":")
        value = value.strip(" ")
        self._head.headers.append((name, value))
        kind = _kinds[name]
        if kind:
            self._special.append((kind, value))
        return None

    def _request_line(self, line: str) -> Head | Refusal | None:
        parsed = parse_request_line(line)
        if isinstance(parsed, Refusal):
            return parsed
        method, target, authority, version = parsed
        self._head = Head(method, target, version, [], keep_alive=version == "1.1", authority=authority)
        return self._head if version == "0.9" else None


def _invalid_field(line: str) -> Refusal | None:
    at = invalid_at(line)
    if at < 0:
        return None
    return Refusal(400, f'client sent invalid header line: "{line[:at]}\\x{ord(line[at]):02x}..."')


def finish(head: Head, special: list[tuple[int, str]]) -> Head | Refusal:
    """Let the fields that matter take effect; refuse what two parsers could read differently.

    Args:
        head: The head, whose `headers` are complete.
        special: Kind and value of the fields that are not ordinary, in wire order.
    """
    seen = 0
    length = coding = ""
    for kind, value in special:
        if kind == CONNECTION:
            close = wants_close(value)
            if close is not None:
                head.keep_alive = not close
            continue
        if seen & kind:
            return Refusal(400, f'client sent duplicate header line with the value "{value[:200]}"')
        seen |= kind
        if kind == HOST:
            if not is_host(value):
                return Refusal(400, "client sent invalid host header")
            head.host = value
        elif kind == CONTENT_LENGTH:
            length = value
        elif kind == TRANSFER_ENCODING:
            coding = value
        elif kind == EXPECT:
            head.expect_continue = head.version == "1.1" and value.lower() == "100-continue"
    return _framed(head, seen, length, coding)


def _framed(head: Head, seen: int, length: str, coding: str) -> Head | Refusal:
    """Where the body ends (ngx_http_process_request_header)."""
    if not seen & HOST and head.version == "1.1":
        return Refusal(400, 'client sent HTTP/1.1 request without "Host" header')
    if seen & CONTENT_LENGTH:
        head.length = content_length(length)
        if head.length < 0:
            return Refusal(400, 'client sent invalid "Content-Length" header')
    if seen & TRANSFER_ENCODING:
        refused = _refuse_coding(head, seen, coding)
        if refused is not None:
            return refused
        head.length = -1
    if head.method in ("CONNECT", "TRACE"):
        return Refusal(405, f"client sent {head.method} method")
    return head


def _refuse_coding(head: Head, seen: int, coding: str) -> Refusal | None:
    if head.version != "1.1":
        return Refusal(400, 'client sent HTTP/1.0 request with "Transfer-Encoding" header')
    if coding.lower() != "chunked":
        return Refusal(501, f'client sent unknown "Transfer-Encoding": "{coding}"')
    if seen & CONTENT_LENGTH:
        return Refusal(400, 'client sent "Content-Length" and "Transfer-Encoding" headers at the same time')
    return None
