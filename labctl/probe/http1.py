"""HTTP/1.1 without sockets: a request to bytes, bytes to an answer (RFC 9112)."""

from __future__ import annotations

from urllib.parse import urlsplit

from labctl.model.probe import Connection, ProbeError, ProbePlan
from labctl.probe import codes
from labctl.probe.codes import probe_error
from labctl.probe.recorder import BODY_KEPT

HEAD_MOST = 300 * 1024
"""Bytes of an answer's head; libcurl gives up at the same size (MAX_HTTP_RESP_HEADER_SIZE)."""
_CHUNK_LINE_MOST = 4096


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
    body) and `reusable` (whether the connection may carry another request) are the answer's.
    """

    __slots__ = ("_chunks", "_left", "_no_body", "_pending", "_started", "body", "head", "reusable", "size", "status")

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
        if self.head:
            return self._feed_body(data)
        if self._pending:
            data = self._pending + data
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                end = data.find(b"\n\n") + 2
                if end < 2:
                    return self._wait_for_head(data)
            if self._begin(data[:end]):
                self._pending = b""
                return self._feed_body(data[end:])
            data = data[end:]

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
        if self._left is not None:
            raise AnswerError(codes.PARTIAL_FILE, f"end of response with {self._left} bytes missing")
        return True

    def _wait_for_head(self, data: bytes) -> bool:
        if not data[:5].startswith(b"HTTP/"[: len(data)]):
            raise AnswerError(codes.UNSUPPORTED_PROTOCOL, "Received HTTP/0.9 when not allowed")
        if len(data) > HEAD_MOST:
            raise AnswerError(codes.TOO_LARGE, f"Too large response headers: {len(data)} > {HEAD_MOST}")
        self._pending = data
        return False

    def _begin(self, head: bytes) -> bool:
        """Read a whole head; False for one that only announces the answer (1xx)."""
        self._started = True
        if len(head) > HEAD_MOST:
            raise AnswerError(codes.TOO_LARGE, f"Too large response headers: {len(head)} > {HEAD_MOST}")
        self.status = _status(head)
        if 100 <= self.status < 200 and self.status != 101:
            return False
        self.head = head
        fields = head.lower()
        connection = _field(fields, b"connection")
        old = fields.startswith(b"http/1.0")
        self.reusable = b"keep-alive" in connection if old else b"close" not in connection
        if self._no_body or self.status in (101, 204, 304):
            self._left = 0
        elif b"chunked" in _field(fields, b"transfer-encoding"):
            self._chunks = _Chunks()
        else:
            self._left = _length(_field(fields, b"content-length"))
        return True

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

    __slots__ = ("_left", "_line", "_trailer", "done")

    def __init__(self) -> None:
        self.done = False
        self._line = b""
        self._left = 0
        self._trailer = False

    def feed(self, data: bytes) -> bytes:
        """The content in a piece."""
        found: list[bytes] = []
        while data and not self.done:
            if self._left:
                found.append(data[: self._left])
                taken = len(found[-1])
                self._left -= taken
                data = data[taken:]
            else:
                data = self._read_line(data)
        return b"".join(found)

    def _read_line(self, data: bytes) -> bytes:
        line, newline, rest = data.partition(b"\n")
        self._line += line
        if len(self._line) > _CHUNK_LINE_MOST:
            raise AnswerError(codes.RECV_ERROR, "chunk hex-length longer than 16")
        if not newline:
            return b""
        complete, self._line = self._line.strip(), b""
        if self._trailer:
            self.done = not complete
        elif complete:
            self._left = self._size(complete)
            self._trailer = not self._left
        return rest

    @staticmethod
    def _size(line: bytes) -> int:
        digits = line.partition(b";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            size = -1
        if size < 0 or digits[:1] in b"+-":
            raise AnswerError(codes.RECV_ERROR, f"chunk hex-length char not a hex digit: 0x{line[0]:x}")
        return size


def _status(head: bytes) -> int:
    """The status code of a head's first line."""
    line = head[: head.index(b"\n")].strip()
    if not line.startswith(b"HTTP/"):
        raise AnswerError(codes.UNSUPPORTED_PROTOCOL, "Received HTTP/0.9 when not allowed")
    code = line[9:12]
    if not line.startswith(b"HTTP/1.") or not code.isdigit() or len(code) < 3 or line[12:13] not in (b"", b" "):
        raise AnswerError(codes.UNSUPPORTED_PROTOCOL, "Unsupported HTTP/1 subversion in response")
    return int(code)


def _field(lowered_head: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-case head; empty when absent."""
    start = lowered_head.find(b"\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 2
    return lowered_head[start : lowered_head.find(b"\n", start)].strip()


def _length(value: bytes) -> int | None:
    """What Content-Length says; None when it is not there, and the answer lasts until the server closes."""
    if not value:
        return None
    if not value.isdigit():
        raise AnswerError(codes.WEIRD_SERVER_REPLY, "Invalid Content-Length: value")
    return int(value)
