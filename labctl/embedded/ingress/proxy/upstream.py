"""Connections to pods: HTTP responses from bytes, and keeping connections for the next request.

Sources: src/http/ngx_http_upstream.c and modules/ngx_http_proxy_module.c of nginx 1.25.5.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
import time
from collections import OrderedDict
from typing import Protocol, cast

from labctl.embedded.http.parser import ChunkedBody, Refusal
from labctl.embedded.ingress.proxy.head import lower_name

_STATUS_LINE = re.compile(r"HTTP/([0-9]+)\.([0-9]+) +([0-9]{3})(?: ([^\r\n]*))?")
_BAD_NAME = re.compile(r"[\x00-\x20\x7f]")

LENGTH, CHUNKED, UNTIL_CLOSE, NONE = "length", "chunked", "close", "none"


class ResponseHead:
    """The head of a pod's response.

    Attributes:
        status: Status code.
        reason: Reason phrase.
        headers: In wire order and case.
        framing: How its body ends.
        length: Body length, where it is known.
        reusable: Whether the connection can take another request.
    """

    __slots__ = ("framing", "headers", "length", "reason", "reusable", "status")

    def __init__(self, status: int, reason: str, headers: list[tuple[str, str]], *, reusable: bool) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.framing = UNTIL_CLOSE
        self.length = 0
        self.reusable = reusable


class InvalidResponse(Exception):  # noqa: N818 - named as nginx's error class
    """A response head that nginx does not accept."""


@functools.lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return bool(name) and _BAD_NAME.search(name) is None


def parse_response(text: str, *, no_body: bool) -> ResponseHead | None:
    """Read a response head.

    Args:
        text: The head, latin-1.
        no_body: Whether the request was HEAD.

    Returns:
        The head; None when this is no HTTP response at all: nginx then takes everything as the body of a 200.

    Raises:
        InvalidResponse: nginx answers 502.
    """
    lines = text.split("\n")
    match = _STATUS_LINE.fullmatch(lines[0].rstrip("\r"))
    if match is None:
        return None
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        if line[-1:] == "\r":
            line = line[:-1]  # noqa: PLW2901 - the line without its end
        if not line:
            break
        name, colon, value = line.partition(":")
        if not colon or not _is_name(name) or "\0" in value:
            raise InvalidResponse(f"upstream sent invalid header: {line[:60]!r}")
        headers.append((name, value.strip(" ")))
    reusable = (match[1], match[2]) == ("1", "1")
    head = ResponseHead(int(match[3]), match[4] or "", headers, reusable=reusable)
    _frame(head, no_body=no_body)
    return head


def _frame(head: ResponseHead, *, no_body: bool) -> None:
    length: int | None = None
    chunked = False
    for name, value in head.headers:
        lower = lower_name(name)
        if lower == "content-length":
            if length is not None or not value.isdigit():
                raise InvalidResponse("upstream sent invalid Content-Length")
            length = int(value)
        elif lower == "transfer-encoding":
            if chunked or value.lower() != "chunked":
                raise InvalidResponse("upstream sent unknown Transfer-Encoding")
            chunked = True
        elif lower == "connection" and "close" in value.lower():
            head.reusable = False
    if chunked and length is not None:
        raise InvalidResponse("upstream sent Content-Length and Transfer-Encoding")
    head.length = length if length is not None else -1
    bodiless = no_body or head.status in {204, 304} or head.status < 200
    if not (bodiless or chunked or length is not None):
        head.reusable = False
        return
    head.framing = NONE if bodiless else CHUNKED if chunked else LENGTH


class Receiver(Protocol):
    """Who waits for a response."""

    header_limit: int
    is_head: bool

    def upstream_head(self, head: ResponseHead) -> None:
        """The head is there."""

    def upstream_data(self, data: bytes) -> None:
        """A piece of the body."""

    def upstream_done(self) -> None:
        """The body is complete; the connection has been given back."""

    def upstream_failed(self, kind: str) -> None:
        """`error` (refused, reset, ended early) or `invalid_header`; after the head it means: cut off."""

    def upstream_raw(self, data: bytes) -> None:
        """The pod did not speak HTTP; everything it sends is body until it closes."""


class UpstreamConnection(asyncio.Protocol):
    """A connection to a pod."""

    def __init__(self, pool: UpstreamPool, key: str) -> None:
        self.pool = pool
        self.key = key
        self.receiver: Receiver | None = None
        self.transport: asyncio.Transport | None = None
        self.requests = 0
        self.idle_since = 0.0
        self.upgraded = False
        self._buffer = b""
        self._head: ResponseHead | None = None
        self._left = 0
        self._chunks: ChunkedBody | None = None
        self._raw = False

    # Requests

    def send(self, receiver: Receiver, data: bytes) -> None:
        """Send a request and wait for its response."""
        assert self.transport is not None
        self.receiver = receiver
        self.requests += 1
        self._head = None
        self._buffer = b""
        self.transport.write(data)

    def write(self, data: bytes) -> None:
        """Send more of the request, or of an upgraded stream."""
        if self.transport is not None:
            self.transport.write(data)

    def abort(self) -> None:
        """Give up: close without waiting."""
        self.receiver = None
        if self.transport is not None:
            self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of a response; from an idle connection they make it useless."""
        receiver = self.receiver
        if receiver is None:
            self._drop()
        elif self._raw:
            receiver.upstream_raw(data)
        elif self._head is not None:
            self._body(receiver, data)
        else:
            self._read_head(receiver, data)

    def eof_received(self) -> bool:
        """The pod sends no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.pool.forget(self)
        receiver, self.receiver = self.receiver, None
        if receiver is None:
            return
        if self._raw or (self._head is not None and self._head.framing == UNTIL_CLOSE and exc is None) or self.upgraded:
            receiver.upstream_done()
        else:
            receiver.upstream_failed("error")

    def pause_writing(self) -> None:
        """The pod reads slowly; what is written meanwhile is kept."""

    def resume_writing(self) -> None:
        """The pod has caught up."""

    # Responses

    def _read_head(self, receiver: Receiver, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        size = 4
        if end < 0:
            end, size = data.find(b"\n\n"), 2
        if end < 0 or end + size > receiver.header_limit:
            if not data.startswith(b"HTTP/"[: len(data)]):
                self._start_raw(receiver, data)
            elif len(data) >= receiver.header_limit:
                self._fail(receiver, "invalid_header")
            else:
                self._buffer = data
            return
        try:
            head = parse_response(data[: end + size].decode("latin-1"), no_body=receiver.is_head)
        except InvalidResponse:
            self._fail(receiver, "invalid_header")
            return
        if head is None:
            self._start_raw(receiver, data)
            return
        rest = data[end + size :]
        self._buffer = b""
        if head.status < 200 and head.status != 101:
            if rest:
                self._read_head(receiver, rest)
            return
        self._start_body(receiver, head, rest)

    def _start_body(self, receiver: Receiver, head: ResponseHead, rest: bytes) -> None:
        self._head = head
        self._left = head.length
        self._chunks = ChunkedBody() if head.framing == CHUNKED else None
        self.upgraded = head.status == 101
        receiver.upstream_head(head)
        if self.receiver is not receiver:
            return
        if self.upgraded:
            if rest:
                receiver.upstream_data(rest)
        elif head.framing == NONE or (head.framing == LENGTH and not head.length):
            self._finish(receiver, clean=not rest)
        elif rest:
            self._body(receiver, rest)

    def _start_raw(self, receiver: Receiver, data: bytes) -> None:
        self._raw = True
        receiver.upstream_raw(data)

    def _body(self, receiver: Receiver, data: bytes) -> None:
        head = self._head
        assert head is not None
        if head.framing == LENGTH:
            piece = data[: self._left] if len(data) > self._left else data
            self._left -= len(piece)
            receiver.upstream_data(piece)
            if not self._left and self.receiver is receiver:
                self._finish(receiver, clean=len(piece) == len(data))
        elif self._chunks is not None:
            pieces = self._chunks.feed(data)
            if isinstance(pieces, Refusal):
                self._fail(receiver, "error")
                return
            if pieces:
                receiver.upstream_data(b"".join(pieces))
            if self._chunks.done and self.receiver is receiver:
                self._finish(receiver, clean=not self._chunks.rest)
        else:
            receiver.upstream_data(data)

    def _finish(self, receiver: Receiver, *, clean: bool) -> None:
        head = self._head
        assert head is not None
        self.receiver = None
        if clean and head.reusable:
            self.pool.give_back(self)
        else:
            self._drop()
        receiver.upstream_done()

    def _fail(self, receiver: Receiver, kind: str) -> None:
        self.receiver = None
        self._drop()
        receiver.upstream_failed(kind)

    def _drop(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class UpstreamPool:
    """Idle connections of one worker, up to a number; the one unused for longest makes room.

    Args:
        size: How many idle connections are kept (`keepalive`).
        timeout: Seconds one may be idle (`keepalive_timeout`).
        max_requests: Requests that one connection may carry (`keepalive_requests`).
    """

    def __init__(self, size: int, timeout: float, max_requests: int = 10000) -> None:
        self._size = size
        self._timeout = timeout
        self._max_requests = max_requests
        self._idle: OrderedDict[UpstreamConnection, None] = OrderedDict()
        self._by_key: dict[str, list[UpstreamConnection]] = {}

    def take(self, key: str) -> UpstreamConnection | None:
        """An idle connection to a peer, the one used last; None when there is none."""
        connections = self._by_key.get(key)
        while connections:
            connection = connections.pop()
            self._idle.pop(connection, None)
            transport = connection.transport
            if transport is None or transport.is_closing():
                continue
            if time.monotonic() - connection.idle_since < self._timeout:
                return connection
            transport.abort()
        return None

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request."""
        if not self._size or connection.requests >= self._max_requests:
            connection.abort()
            return
        connection.idle_since = time.monotonic()
        self._idle[connection] = None
        self._by_key.setdefault(connection.key, []).append(connection)
        if len(self._idle) > self._size:
            oldest, _ = self._idle.popitem(last=False)
            self._by_key[oldest.key].remove(oldest)
            oldest.abort()

    def forget(self, connection: UpstreamConnection) -> None:
        """A connection is gone."""
        if connection in self._idle:
            del self._idle[connection]
            self._by_key[connection.key].remove(connection)

    def close(self) -> None:
        """Close all idle connections."""
        for connection in list(self._idle):
            connection.abort()
        self._idle.clear()
        self._by_key.clear()


async def open_connection(
    pool: UpstreamPool, key: str, host: str, port: int, *, context: ssl.SSLContext | None, server_name: str | None
) -> UpstreamConnection:
    """Connect to an endpoint over TCP.

    Raises:
        OSError: It cannot be reached.
    """
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(
        lambda: UpstreamConnection(pool, key),
        host,
        port,
        ssl=context,
        server_hostname=(server_name or "") if context is not None else None,
    )
    return protocol
