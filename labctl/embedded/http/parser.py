"""HTTP/1.x requests from bytes, without IO: as strict as nginx is, and quick for what is usual.

A request head that is well formed is recognised by one regular expression; only what does not match is looked at piece
by piece, to find out what nginx would answer (ngx_http_parse.c and ngx_http_request.c of nginx 1.25).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.embedded.http.messages import Headers

MAX_LINE = 8192
"""Longest request or header line (`large_client_header_buffers 4 8k`)."""
MAX_HEAD = 4 * MAX_LINE
"""Longest request head."""

_FIELD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEAD = re.compile(rf"([A-Z_-]+) ([^\x00-\x20\x7f]+) HTTP/1\.([01])((?:\r?\n{_FIELD}:[^\x00\r\n]*)*)")
_NAME = re.compile(_FIELD)
_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served.

    Attributes:
        status: What nginx answers.
        reason: nginx's own words for its error log.
    """

    status: int
    reason: str


@dataclass(slots=True)
class Head:
    """A request head.

    Attributes:
        method: As sent.
        target: As sent.
        version: `1.0` or `1.1`.
        headers: In wire order and case; values without the white space around them.
        length: Content-Length; 0 without a body, -1 for a chunked one.
        keep_alive: Whether the client wants to use the connection again.
        expect_continue: `Expect: 100-continue` was sent.
        host: The Host header; empty without one.
    """

    method: str
    target: str
    version: str
    headers: Headers
    length: int = 0
    keep_alive: bool = True
    expect_continue: bool = False
    host: str = ""


def find_head(data: bytes | bytearray) -> tuple[int, int]:
    """Where the head starts and how many bytes it takes with its empty line: (start, end); end -1: not yet whole.

    Empty lines before the request line are skipped, and a lone LF ends a line, as in nginx.
    """
    start = 0
    while data[start : start + 1] in (b"\r", b"\n"):
        start += 1
    end = data.find(b"\r\n\r\n", start)
    bare = data.find(b"\n\n", start, end if end >= 0 else len(data))
    if bare >= 0:
        return start, bare + 2
    mixed = data.find(b"\n\r\n", start, end + 1 if end >= 0 else len(data))
    if mixed >= 0 and (end < 0 or mixed < end):
        return start, mixed + 3
    return start, end + 4 if end >= 0 else -1


def parse_head(data: bytes | bytearray) -> Head | Refusal:
    """A whole request head (up to and with its empty line), or why nginx refuses it."""
    text = data.decode("latin-1").rstrip("\r\n")
    found = _HEAD.fullmatch(text)
    if found is None:
        return _diagnose(text)
    method, target, minor, rest = found.groups()
    if len(text) > MAX_LINE and max(map(len, text.split("\n"))) > MAX_LINE:
        return Refusal(414 if len(text.split("\n", 1)[0]) > MAX_LINE else 494, "client sent too long header line")
    headers: Headers = []
    for line in rest.split("\n")[1:]:
        name, _, value = line.partition(":")
        headers.append((name, value.strip(" \t\r")))
    head = Head(method, target, "1.1" if minor == "1" else "1.0", headers, keep_alive=minor == "1")
    return _framing(head) or head


def _framing(head: Head) -> Refusal | None:
    """Fill in what decides where the request ends; refuse what two parsers could read differently."""
    hosts = lengths = 0
    chunked = False
    for name, value in head.headers:
        match name.lower():
            case "host":
                hosts += 1
                head.host = value
            case "content-length":
                lengths += 1
                if not _DIGITS.fullmatch(value):
                    return Refusal(400, 'client sent invalid "Content-Length" header')
                head.length = int(value)
            case "transfer-encoding":
                if chunked or value.lower() != "chunked":
                    return Refusal(501, f'client sent unknown "Transfer-Encoding": "{value}"')
                chunked = True
            case "connection":
                head.keep_alive = _keeps_alive(value.lower(), head.keep_alive)
            case "expect":
                head.expect_continue = value.lower() == "100-continue"
    return _conflicts(head, hosts, lengths, chunked=chunked)


def _keeps_alive(connection: str, default: bool) -> bool:
    if "close" in connection:
        return False
    return default or "keep-alive" in connection


def _conflicts(head: Head, hosts: int, lengths: int, *, chunked: bool) -> Refusal | None:
    if hosts > 1:
        return Refusal(400, 'client sent duplicate header line: "Host"')
    if lengths > 1:
        return Refusal(400, 'client sent duplicate header line: "Content-Length"')
    if hosts == 0 and head.version == "1.1":
        return Refusal(400, 'client sent HTTP/1.1 request without "Host" header')
    if chunked:
        if lengths:
            return Refusal(400, 'client sent "Content-Length" and "Transfer-Encoding" headers at the same time')
        if head.version == "1.0":
            return Refusal(400, 'client sent HTTP/1.0 request with "Transfer-Encoding" header')
        head.length = -1
    return None


def _diagnose(text: str) -> Refusal:
    """What is wrong with a head that is not well formed."""
    lines = text.replace("\r\n", "\n").split("\n")
    if len(lines[0]) > MAX_LINE:
        return Refusal(414, "client sent too long URI")
    if any(len(line) > MAX_LINE for line in lines[1:]):
        return Refusal(494, "client sent too long header line")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.rpartition(" ")
    if not re.fullmatch(r"[A-Z_-]+", method):
        return Refusal(400, "client sent invalid method")
    if re.fullmatch(r"HTTP/([2-9]|[1-9][0-9]+)\.[0-9]+", version):
        return Refusal(505, "client sent invalid version")
    if not target or not re.fullmatch(r"HTTP/1\.[0-9]+", version) or re.search(r"[\x00-\x20\x7f]", target):
        return Refusal(400, "client sent invalid request")
    for line in lines[1:]:
        if not _NAME.fullmatch(line.partition(":")[0]) or ":" not in line or "\x00" in line or "\r" in line:
            return Refusal(400, f'client sent invalid header line: "{line[:60]}"')
    return Refusal(400, "client sent invalid request")


class ChunkedBody:
    """A chunked body, piece by piece (RFC 9112, section 7.1).

    Attributes:
        done: The last chunk and its trailers were read.
        rest: Bytes after the body, once done.
    """

    __slots__ = ("_buffer", "_left", "_state", "done", "rest")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._state = "size"
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes] | Refusal:
        """Take bytes in; returns the pieces of the body that are complete."""
        self._buffer += data
        pieces: list[bytes] = []
        while not self.done:
            step = {"size": self._size, "data": self._data, "end": self._end, "trailer": self._trailer}[self._state]
            outcome = step(pieces)
            if isinstance(outcome, Refusal):
                return outcome
            if not outcome:
                break
        return pieces

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        return line

    def _size(self, pieces: list[bytes]) -> bool | Refusal:
        line = self._line()
        if line is None:
            return Refusal(400, "client sent invalid chunked body") if len(self._buffer) > MAX_LINE else False
        digits = line.split(b";", 1)[0].strip(b" \t")
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
            return Refusal(400, "client sent invalid chunked body")
        self._left = int(digits, 16)
        self._state = "data" if self._left else "trailer"
        return True

    def _data(self, pieces: list[bytes]) -> bool:
        if not self._buffer:
            return False
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        pieces.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = "end"
        return True

    def _end(self, pieces: list[bytes]) -> bool | Refusal:
        if len(self._buffer) < 2 and self._buffer[:1] != b"\n":
            return False
        for end in (b"\r\n", b"\n"):
            if self._buffer.startswith(end):
                del self._buffer[: len(end)]
                self._state = "size"
                return True
        return Refusal(400, "client sent invalid chunked body")

    def _trailer(self, pieces: list[bytes]) -> bool | Refusal:
        line = self._line()
        if line is None:
            return Refusal(400, "client sent too long trailers") if len(self._buffer) > MAX_HEAD else False
        if not line:
            self.done = True
            self.rest = bytes(self._buffer)
        return True
