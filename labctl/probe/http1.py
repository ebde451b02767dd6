"""HTTP/1.1 without sockets: a request to bytes, bytes to an answer (RFC 9112)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from labctl.model.probe import Connection, ProbeError, ProbePlan
from labctl.probe import codes
from labctl.probe.codes import probe_error
from labctl.probe.recorder import BODY_KEPT

HEAD_MOST = 300 * 1024
"""Bytes of an answer's head; libcurl gives up at the same size (MAX_HTTP_RESP_HEADER_SIZE)."""
HEAD_LINE_MOST = 100 * 1024
"""Bytes of one line of it (libcurl's DYN_HEADERS)."""
_CHUNK_DIGITS_MOST = 16
_CHUNK_LINE_MOST = 16 * 1024
_LENGTH_MOST = 2**63 - 1
_LENGTHS = re.compile(rb"\ncontent-length:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.MULTILINE)
_NO_COLON = re.compile(rb"\n[^:\r\n \t][^:\r\n]*\r?\n")


class AnswerError(Exception):
    """What came is no answer; `error` says why in curl's terms."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.error: ProbeError = probe_error(code, message)


def request_bytes(plan: ProbePlan, user_agent: str) -> bytes:
    """The request as it goes over the wire: what `curl` sends, in its order.

    With a new connection for each request it carries `Connection: close`, as load tools do: the server closes first, so
    that the ports in TIME_WAIT are the server's and the client does not run out of them.
    """
    request = plan.request
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = [("Host", parts.netloc), ("User-Agent", user_agent), ("Accept", "*/*")]
    if request.body:
        fields.append(("Content-Length", str(len(request.body))))
    if plan.connection is Connection.NEW:
        fields.append(("Connection", "close"))
    given = {name.lower() for name, _ in request.headers}
    lines = [f"{name}: {value}" for name, value in fields if name.lower() not in given]
    host = [f"{name}: {value}" for name, value in request.headers if name.lower() == "host"]
    rest = [f"{name}: {value}" for name, value in request.headers if name.lower() != "host"]
    head = "\r\n".join([f"{request.method} {target} HTTP/1.1", *host, *lines, *rest, "", ""])
    return head.encode("utf-8") + request.body


class AnswerReader:
    """Collects one answer from pieces as they arrive.

    After `feed` or `end` returned True: `status`, `head` (raw), `body` (at most 64 KiB of it), `size` (of the whole
    body), `length` (as announced) and `reusable` (whether the connection may carry another request) are the answer's.
    """

    __slots__ = (
        "_chunks",
        "_left",
        "_no_body",
        "_pending",
        "_started",
        "body",
        "head",
        "length",
        "reusable",
        "size",
        "status",
    )

    def __init__(self, method: str = "GET") -> None:
        self._no_body = method == "HEAD"
        self._pending = b""
        self._started = False
        self._left: int | None = None
        self._chunks: _Chunks | None = None
        self.status = 0
        self.head = b""
        self.body = b""
        self.size = 0
        self.length: int | None = None
        self.reusable = False

    @property
    def untouched(self) -> bool:
        """Whether nothing at all has arrived."""
        return not self._pending and not self.head and not self._started

    def feed(self, data: bytes) -> bool:
        """Take what arrived.

        Returns:
            Whether the answer is complete.

        Raises:
            AnswerError: It is no HTTP/1 answer.
        """
        if self._pending:
            data = self._pending + data
        while not self.head:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                end = data.find(b"\n\n") + 2
                if end < 2:
                    return self._wait_for_head(data)
            self._begin(data[:end])
            data = data[end:]
        return self._feed_body(data)

    def end(self) -> bool:
        """The server closed.

        Returns:
            True: the answer is complete.

        Raises:
            AnswerError: It is not.
        """
        if not self.head:
            raise AnswerError(codes.GOT_NOTHING, "Empty reply from server")
        if self._chunks is not None:
            raise AnswerError(codes.PARTIAL_FILE, "transfer closed with outstanding read data remaining")
        if self._left:
            raise AnswerError(codes.PARTIAL_FILE, f"end of response with {self._left} bytes missing")
        return True

    def _wait_for_head(self, data: bytes) -> bool:
        if not data[:5].startswith(b"HTTP/"[: len(data)]):
            raise AnswerError(codes.UNSUPPORTED_PROTOCOL, "Received HTTP/0.9 when not allowed")
        _check_size(data)
        self._pending = data
        return False

    def _begin(self, raw: bytes) -> None:
        """Take a whole head, unless it only announces the answer (1xx)."""
        self._started, self._pending = True, b""
        head = _read_head(raw, self._no_body)
        if head is not None:
            self.head = raw
            self.status, self.length, self.reusable = head.status, head.length, head.reusable
            self._left = head.length
            if head.chunked:
                self._chunks = _Chunks()

    def _feed_body(self, data: bytes) -> bool:
        if self._chunks is not None:
            self._keep(self._chunks.feed(data))
            return self._chunks.done
        if self._left is None:
            self.reusable = False
            self._keep(data)
            return False
        if len(data) > self._left:
            self.reusable = False
            data = data[: self._left]
        self._left -= len(data)
        self._keep(data)
        return not self._left

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if len(self.body) < BODY_KEPT:
            self.body = (self.body + data)[:BODY_KEPT] if self.body else data[:BODY_KEPT]


class _Chunks:
    """The chunked transfer coding, taken off (RFC 9112, section 7.1)."""

    __slots__ = ("_left", "_line", "_state", "done")

    def __init__(self) -> None:
        self.done = False
        self._line = b""
        self._left = 0
        self._state = _CHUNK_SIZE

    def feed(self, data: bytes) -> bytes:
        """The content in a piece."""
        found: list[bytes] = []
        while data and not self.done:
            if self._state == _CHUNK_DATA:
                found.append(data[: self._left])
                data = data[len(found[-1]) :]
                self._left -= len(found[-1])
                if not self._left:
                    self._state = _CHUNK_END
            else:
                data = self._read_line(data)
        return b"".join(found)

    def _read_line(self, data: bytes) -> bytes:
        line, newline, rest = data.partition(b"\n")
        self._line += line
        if len(self._line) > _CHUNK_LINE_MOST:
            raise AnswerError(codes.RECV_ERROR, "Malformed encoding found in chunked-encoding")
        if not newline:
            return b""
        complete, self._line = self._line.strip(), b""
        if self._state == _CHUNK_SIZE:
            self._left = _chunk_size(complete)
            self._state = _CHUNK_DATA if self._left else _CHUNK_TRAILER
        elif self._state == _CHUNK_TRAILER:
            self.done = not complete
        elif complete:
            raise AnswerError(codes.RECV_ERROR, "Malformed encoding found in chunked-encoding")
        else:
            self._state = _CHUNK_SIZE
        return rest


_CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _CHUNK_TRAILER = range(4)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        sign = line[0] if line else 0x0A
        raise AnswerError(codes.RECV_ERROR, f"chunk hex-length char not a hex digit: 0x{sign:x}")
    if len(digits) > _CHUNK_DIGITS_MOST:
        raise AnswerError(codes.RECV_ERROR, f"chunk hex-length longer than {_CHUNK_DIGITS_MOST}")
    return int(digits, 16)


class _Head(NamedTuple):
    """What a head says of the answer: `length` is None where the body ends with its chunks, or with the connection."""

    status: int
    length: int | None
    chunked: bool
    reusable: bool


@lru_cache(maxsize=32)
def _read_head(head: bytes, no_body: bool) -> _Head | None:
    """A whole head; None for one that only announces the answer (1xx).

    Remembered, because the heads of a run are mostly alike: a server's Date changes once a second.

    Raises:
        AnswerError: It is none.
    """
    _check_size(head)
    status = _status(head)
    if 100 <= status < 200 and status != 101:
        return None
    if b"\0" in head:
        raise AnswerError(codes.WEIRD_SERVER_REPLY, "NUL byte in header")
    if _NO_COLON.search(head):
        raise AnswerError(codes.WEIRD_SERVER_REPLY, "Header without colon")
    fields = head.lower()
    connection = _field(fields, b"connection")
    old = fields.startswith(b"http/1.0")
    reusable = b"keep-alive" in connection if old else b"close" not in connection
    if no_body or status in (101, 204, 304):
        return _Head(status, 0, False, reusable)
    if coding := _field(fields, b"transfer-encoding"):
        if not coding.endswith(b"chunked"):
            words = f"Unsolicited Transfer-Encoding ({coding.decode('latin-1')}) found"
            raise AnswerError(codes.BAD_CONTENT_ENCODING, words)
        return _Head(status, None, True, reusable)
    return _Head(status, _length(fields), False, reusable)


def _check_size(head: bytes) -> None:
    if len(head) > HEAD_MOST:
        raise AnswerError(codes.RECV_ERROR, f"Too large response headers: {len(head)} > {HEAD_MOST}")
    if len(head) > HEAD_LINE_MOST and max(map(len, head.split(b"\n"))) > HEAD_LINE_MOST:
        raise AnswerError(codes.TOO_LARGE, f"Too large response header line: more than {HEAD_LINE_MOST} bytes")


def _status(head: bytes) -> int:
    """The status code of a head's first line."""
    line = head[: head.index(b"\n")].strip()
    if not line.startswith(b"HTTP/"):
        raise AnswerError(codes.UNSUPPORTED_PROTOCOL, "Received HTTP/0.9 when not allowed")
    if line.startswith(b"HTTP/2"):
        raise AnswerError(codes.WEIRD_SERVER_REPLY, "Version mismatch (from HTTP/1 to HTTP/2)")
    code = line[9:12]
    if not line.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")) or not code.isdigit() or line[12:13] not in (b"", b" "):
        raise AnswerError(codes.UNSUPPORTED_PROTOCOL, "Unsupported HTTP/1 subversion in response")
    status = int(code)
    if status < 100:
        raise AnswerError(codes.UNSUPPORTED_PROTOCOL, "Unsupported response code in HTTP response")
    return status


def _field(lowered_head: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-case head; empty when absent."""
    start = lowered_head.find(b"\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 2
    return lowered_head[start : lowered_head.find(b"\n", start)].strip()


def _length(fields: bytes) -> int | None:
    """What Content-Length says; None where it says nothing usable and the answer ends with the connection."""
    value = _field(fields, b"content-length")
    if not value:
        return None
    again = fields.count(b"\ncontent-length:") > 1 and set(_LENGTHS.findall(fields)) != {value}
    if not value.isdigit() or again:
        raise AnswerError(codes.WEIRD_SERVER_REPLY, "Invalid Content-Length: value")
    length = int(value)
    return length if length <= _LENGTH_MOST else None
