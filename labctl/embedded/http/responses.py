"""HTTP/1.x responses from bytes, without IO: as nginx reads those of its upstreams.

Sources: ngx_http_parse_status_line, ngx_http_proxy_module.c and ngx_http_upstream.c of nginx 1.25.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labctl.embedded.http.chunked import ChunkedBody
from labctl.embedded.http.fields import (
    CONNECTION,
    CONTENT_LENGTH,
    INVALID,
    TRANSFER_ENCODING,
    FieldKinds,
    content_length,
    wants_close,
)
from labctl.embedded.http.messages import Headers
from labctl.embedded.http.parser import END, End
from labctl.embedded.http.refusal import Refusal

_STATUS_LINE = re.compile(r"HTTP/([1-9][0-9]{0,2})\.([0-9]{1,3}) +([0-9] *[0-9] *[0-9])(?:[ .](.*))?", re.DOTALL)
_INTERIM = frozenset({100, 102, 103})
_UNTIL_CLOSE = -2
_kinds = FieldKinds()


@dataclass(slots=True)
class ResponseHead:
    """The head of a response.

    Attributes:
        status: Status code.
        reason: Reason phrase as sent.
        version: `1.1`, `1.0`, or `0.9` when there was no status line: then everything is the body, and status is 200.
        headers: In wire order and case.
        length: Bytes of the body; 0 without one, -1 chunked, -2 until the connection closes.
        keep_alive: Whether the connection may be used again after the body.
    """

    status: int
    reason: str
    version: str
    headers: Headers
    length: int = _UNTIL_CLOSE
    keep_alive: bool = True


class ResponseParser:
    """One response: bytes in, events out.

    `next` gives a ResponseHead, then the body's pieces and END. Interim responses are skipped. A Refusal (status 502)
    says why the response is not believed.

    Args:
        method: The request's method: a response to HEAD has no body.
        max_head: Longest head in bytes (nginx's `proxy_buffer_size`).
    """

    __slots__ = ("_buffer", "_chunked", "_closed", "_head", "_left", "_max_head", "_method", "_over", "_pieces")

    def __init__(self, method: str = "GET", max_head: int = 4096) -> None:
        self._method = method
        self._max_head = max_head
        self._buffer = b""
        self._closed = False
        self._head: ResponseHead | None = None
        self._left = 0
        self._chunked: ChunkedBody | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._over = False

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        self._buffer = self._buffer + data if self._buffer else data

    def feed_eof(self) -> None:
        """The upstream closed the connection."""
        self._closed = True

    def take_rest(self) -> bytes:
        """What was fed beyond the response: after 101 it belongs to the upgraded protocol."""
        rest, self._buffer = self._buffer, b""
        return rest

    def next(self) -> ResponseHead | bytes | End | Refusal | None:
        """The next event; None until more bytes are fed."""
        if self._over:
            return None
        event = self._next_head() if self._head is None else self._next_of_body(self._head)
        if event is None and self._closed:
            event = self._cut_off()
        self._over = event is END or isinstance(event, Refusal)
        return event

    def _next_head(self) -> ResponseHead | Refusal | None:
        while True:
            head = self._parse_head()
            if not isinstance(head, ResponseHead):
                return head
            if head.status not in _INTERIM:
                self._head = head
                self._left = max(head.length, 0)
                self._chunked = ChunkedBody() if head.length == -1 else None
                return head

    def _parse_head(self) -> ResponseHead | Refusal | None:
        buffer = self._buffer
        if not b"HTTP/".startswith(buffer[:5]):
            return ResponseHead(200, "", "0.9", [], keep_alive=False)
        ends = [(at, at + len(mark)) for mark in (b"\n\r\n", b"\n\n") if (at := buffer.find(mark)) >= 0]
        if not ends:
            return Refusal(502, "upstream sent too big header") if len(buffer) >= self._max_head else None
        end, body = min(ends)
        if body > self._max_head:
            return Refusal(502, "upstream sent too big header")
        head = parse_response_head(buffer[:end].decode("latin-1"), self._method)
        if isinstance(head, Refusal) or head.version != "0.9":
            self._buffer = buffer[body:]
        return head

    def _next_of_body(self, head: ResponseHead) -> bytes | End | Refusal | None:
        if self._chunked is not None:
            return self._next_of_chunked(self._chunked)
        if head.length == _UNTIL_CLOSE:
            piece, self._buffer = self._buffer, b""
            return piece or None
        if not self._left:
            return END
        piece = self._buffer[: self._left]
        self._buffer = self._buffer[len(piece) :]
        self._left -= len(piece)
        return piece or None

    def _next_of_chunked(self, chunked: ChunkedBody) -> bytes | End | Refusal | None:
        piece = next(self._pieces, None)
        if piece is None and self._buffer and not chunked.done:
            pieces = chunked.feed(self._buffer)
            if isinstance(pieces, Refusal):
                return Refusal(502, "upstream sent invalid chunked response")
            self._buffer = chunked.rest
            self._pieces = iter(pieces)
            piece = next(self._pieces, None)
        return piece if piece is not None else END if chunked.done else None

    def _cut_off(self) -> End | Refusal:
        if self._head is not None and self._head.length == _UNTIL_CLOSE:
            return END
        return Refusal(502, "upstream prematurely closed connection")


def parse_response_head(text: str, method: str) -> ResponseHead | Refusal:
    """A whole head.

    Args:
        text: Status line and fields, latin-1, without the last line end and the empty line.
        method: The request's method.
    """
    lines = text.split("\n")
    first = lines[0].removesuffix("\r")
    found = _STATUS_LINE.fullmatch(first)
    if found is None or "\r" in first:
        return ResponseHead(200, "", "0.9", [], keep_alive=False)  # nginx takes it all for a body of HTTP/0.9
    minor = int(found[1]) * 1000 + int(found[2]) >= 1001
    status = int(found[3].replace(" ", ""))
    head = ResponseHead(status, found[4] or "", "1.1" if minor else "1.0", [], keep_alive=minor)
    seen: dict[int, str] = {}
    for line in lines[1:]:
        refused = _field(head, line.rstrip("\r"), seen)
        if refused is not None:
            return refused
    return _framed(head, seen, method)


def _field(head: ResponseHead, line: str, seen: dict[int, str]) -> Refusal | None:
    name, _, value = line.partition(":")
    kind = _kinds[name]
    if kind == INVALID or "\r" in value or "\0" in value:
        return Refusal(502, f'upstream sent invalid header: "{line[:200]}"')
    value = value.strip(" ")
    head.headers.append((name, value))
    if kind in (CONTENT_LENGTH, TRANSFER_ENCODING):
        if kind in seen:
            return Refusal(502, f'upstream sent duplicate header line: "{line[:200]}"')
        seen[kind] = value
    elif kind == CONNECTION and wants_close(value):
        head.keep_alive = False
    return None


def _framed(head: ResponseHead, seen: dict[int, str], method: str) -> ResponseHead | Refusal:
    length, coding = seen.get(CONTENT_LENGTH), seen.get(TRANSFER_ENCODING)
    if length is not None and coding is not None:
        return Refusal(502, 'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time')
    if length is not None:
        head.length = content_length(length)
        if head.length < 0:
            return Refusal(502, f'upstream sent invalid "Content-Length" header: "{length}"')
    if coding is not None:
        if coding.lower() != "chunked":
            return Refusal(502, f'upstream sent unknown "Transfer-Encoding": "{coding}"')
        head.length = -1
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        head.length = 0
    if head.length == _UNTIL_CLOSE:
        head.keep_alive = False
    return head
