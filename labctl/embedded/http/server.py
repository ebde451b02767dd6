"""Serves an App on connections: keep-alive, pipelining, streaming, upgrades; one protocol object a connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import cast

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import App, Flow, Request, Response
from labctl.embedded.http.parser import MAX_HEAD, ChunkedBody, Head, Refusal, find_head, parse_head
from labctl.embedded.http.sweeper import Sweeper

_READ_AHEAD = 256 * 1024
"""Bytes of later requests that are kept while one is answered."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Limits of a server.

    Attributes:
        max_body: Largest request body in bytes; beyond it the answer is 413.
        head_timeout: Seconds within which a request must have arrived (slow clients are cut off).
        idle_timeout: Seconds a kept-alive connection may rest.
    """

    max_body: int = 16 * 1024 * 1024
    head_timeout: float = 60.0
    idle_timeout: float = 75.0


class HttpServer:
    """Makes the protocol for each connection to one App; all of them share one timer.

    Args:
        app: What answers.
        options: Limits.
    """

    def __init__(self, app: App, options: HttpOptions = HttpOptions()) -> None:
        self.app = app
        self.options = options
        self.sweeper = Sweeper()

    def __call__(self, flow: Flow | None = None) -> HttpProtocol:
        """A protocol for one connection; without a flow it is read off the transport."""
        return HttpProtocol(self, flow)


def http_protocol(app: App, flow: Flow | None = None, options: HttpOptions = HttpOptions()) -> HttpProtocol:
    """A protocol for a single connection."""
    return HttpServer(app, options)(flow)


def http_port(app: App, options: HttpOptions = HttpOptions()) -> PodPort:
    """An App as a pod's port."""
    return PodPort(connected=HttpServer(app, options), app=app)


@lru_cache(maxsize=4)
def http_date(second: int) -> str:
    """The Date header's value for a second since the epoch."""
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=256)
def status_line(status: int, reason: str) -> str:
    """`HTTP/1.1 200 OK`."""
    if not reason:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
    return f"HTTP/1.1 {status} {reason}"


def serialise_head(response: Response, extra: tuple[str, ...], keep_alive: bool, version: str) -> bytes:
    """Status line and header fields; Date and Connection are added where the response has none."""
    names = {name.lower() for name, _ in response.headers}
    lines = [status_line(response.status, response.reason)]
    if "date" not in names:
        lines.append(f"Date: {http_date(int(time.time()))}")
    lines += [f"{name}: {value}" for name, value in response.headers]
    lines += extra
    if "connection" not in names and response.status != 101:
        if not keep_alive:
            lines.append("Connection: close")
        elif version == "1.0":
            lines.append("Connection: keep-alive")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


class HttpProtocol(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_app", "_body", "_buffer", "_chunks", "_closing", "_duplex", "_flow", "_head", "_options", "_server", "_task",
        "_transport", "_writable", "deadline",
    )  # fmt: skip

    def __init__(self, server: HttpServer, flow: Flow | None) -> None:
        self._server = server
        self._app = server.app
        self._options = server.options
        self._flow = flow
        self._buffer = bytearray()
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._chunks: ChunkedBody | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._duplex: _Duplex | None = None
        self._closing = False
        self.deadline = 0.0

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport, and derive the flow where nobody gave one."""
        self._transport = cast(asyncio.Transport, transport)
        if self._flow is None:
            self._flow = flow_of(self._transport)
        self.deadline = self._server.sweeper.watch(self, self._options.head_timeout)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: the next requests, or the upgraded connection's."""
        if self._duplex is not None:
            self._duplex.received(data)
            return
        self._buffer += data
        if self._task is None:
            self._advance()
        elif len(self._buffer) > _READ_AHEAD:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more; what is being answered is still answered."""
        if self._duplex is not None:
            self._duplex.received(b"")
        self._closing = True
        half_open = self._flow is not None and not self._flow.secure  # TLS has no half-closed connections
        return half_open and (self._task is not None or self._duplex is not None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what was being done for this client."""
        self._server.sweeper.forget(self)
        self._closing = True
        if self._duplex is not None:
            self._duplex.received(b"")
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(ConnectionResetError("the client went away"))
        elif self._task is not None and self._duplex is None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def timed_out(self) -> None:
        """Called by the sweeper when the deadline has passed."""
        if self._task is None:
            self._transport.close()
        else:
            self.deadline = time.monotonic() + self._options.head_timeout

    # -- requests ----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Serve every request that is complete in the buffer."""
        while self._task is None and not self._transport.is_closing():
            head = self._head or self._next_head()
            if head is None:
                return
            body = self._next_body(head)
            if body is None:
                return
            self._head = None
            self._serve(head, body)

    def _next_head(self) -> Head | None:
        buffer = self._buffer
        start, end = find_head(buffer)
        if end < 0:
            if len(buffer) - start > MAX_HEAD:
                self._refuse(Refusal(400, "client sent too long header"))
            return None
        head = parse_head(buffer[start:end])
        del buffer[:end]
        if isinstance(head, Refusal):
            self._refuse(head)
            return None
        if head.length > self._options.max_body:
            self._refuse(Refusal(413, "client intended to send too large body"))
            return None
        if head.length:
            self._head = head
            self._chunks = ChunkedBody() if head.length < 0 else None
            if head.expect_continue and head.version == "1.1" and not buffer:
                self._transport.write(_CONTINUE)
        return head

    def _next_body(self, head: Head) -> bytes | None:
        """The whole body, or None while it is not there."""
        if not head.length:
            return b""
        if self._chunks is not None:
            return self._chunked_body(self._chunks)
        if len(self._buffer) < head.length:
            return None
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        return body

    def _chunked_body(self, chunks: ChunkedBody) -> bytes | None:
        pieces = chunks.feed(bytes(self._buffer))
        self._buffer.clear()
        if isinstance(pieces, Refusal):
            self._refuse(pieces)
            return None
        self._body += pieces
        if sum(map(len, self._body)) > self._options.max_body:
            self._refuse(Refusal(413, "client intended to send too large chunked body"))
            return None
        if not chunks.done:
            return None
        self._buffer += chunks.rest
        body = b"".join(self._body)
        self._body.clear()
        return body

    def _refuse(self, refusal: Refusal) -> None:
        status = 400 if refusal.status == 494 else refusal.status
        response = Response(status, [("Content-Type", "text/plain; charset=utf-8")], f"{refusal.reason}\n".encode())
        self._write(response, head_only=False, keep_alive=False, version="1.1")
        self._transport.close()

    # -- responses ---------------------------------------------------------------------------------------------------

    def _serve(self, head: Head, body: bytes) -> None:
        assert self._flow is not None
        answer = self._app(Request(head.method, head.target, head.headers, body, self._flow, head.version))
        if isinstance(answer, Response) and isinstance(answer.body, bytes) and answer.upgrade is None:
            self._finish(head, answer)
        else:
            self._task = asyncio.get_running_loop().create_task(self._serve_slowly(head, answer))

    def _finish(self, head: Head, response: Response) -> None:
        keep_alive = head.keep_alive and not self._closing
        self._write(response, head_only=head.method == "HEAD", keep_alive=keep_alive, version=head.version)
        if keep_alive and not _says_close(response):
            self.deadline = time.monotonic() + self._options.idle_timeout
        else:
            self._transport.close()

    def _write(self, response: Response, *, head_only: bool, keep_alive: bool, version: str) -> None:
        body = cast(bytes, response.body)
        sized = any(name.lower() == "content-length" for name, _ in response.headers)
        extra = () if sized or response.status in _NO_BODY else (f"Content-Length: {len(body)}",)
        head = serialise_head(response, extra, keep_alive, version)
        self._transport.write(head if head_only or response.status in _NO_BODY else head + body)

    async def _serve_slowly(self, head: Head, answer: Response | Awaitable[Response]) -> None:
        """Await the app, stream a body, or hand over an upgraded connection; then go on with what has come since."""
        response = answer if isinstance(answer, Response) else await answer
        try:
            if response.upgrade is not None:
                await self._upgrade(response, response.upgrade)
                return
            if isinstance(response.body, bytes):
                self._finish(head, response)
            else:
                await self._stream(head, response, response.body)
        except ConnectionError:
            self._transport.abort()
        finally:
            self._task = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._advance()

    async def _stream(self, head: Head, response: Response, pieces: AsyncIterator[bytes]) -> None:
        chunked = head.version == "1.1"
        keep_alive = head.keep_alive and chunked
        extra = ("Transfer-Encoding: chunked",) if chunked else ()
        self._transport.write(serialise_head(response, extra, keep_alive, head.version))
        if head.method != "HEAD":
            async for piece in pieces:
                if piece:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    await self._drained()
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        if not keep_alive:
            self._transport.close()

    async def _drained(self) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client went away")
        if self._writable is not None:
            await self._writable

    async def _upgrade(self, response: Response, handler: Callable[[_Duplex], Awaitable[None]]) -> None:
        self._duplex = _Duplex(self._transport, self._drained)
        self._transport.write(serialise_head(response, (), keep_alive=True, version="1.1"))
        self._server.sweeper.forget(self)
        if self._buffer:
            self._duplex.received(bytes(self._buffer))
            self._buffer.clear()
        try:
            await handler(self._duplex)
        finally:
            self._transport.close()


class _Duplex:
    """See messages.Duplex."""

    def __init__(self, transport: asyncio.Transport, drained: Callable[[], Awaitable[None]]) -> None:
        self._transport = transport
        self._drained = drained
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._ended = False

    def received(self, data: bytes) -> None:
        """Bytes from the peer; empty at the end."""
        self._pieces.put_nowait(data)

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        if self._ended:
            return b""
        piece = await self._pieces.get()
        self._ended = not piece
        return piece

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow."""
        self._transport.write(data)
        await self._drained()

    def close(self) -> None:
        """Close both directions."""
        self._transport.close()


def _says_close(response: Response) -> bool:
    return any(name.lower() == "connection" and value.lower() == "close" for name, value in response.headers)


def flow_of(transport: asyncio.Transport) -> Flow:
    """The flow of a connection that nobody translated: its own socket's addresses, and TLS as it was negotiated."""
    peer = transport.get_extra_info("peername") or ("", 0)
    local = transport.get_extra_info("sockname") or ("", 0)
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return Flow(peer[:2], local[:2])
    certificate = tls.getpeercert(binary_form=True) or b""
    return Flow(peer[:2], local[:2], tls.server_hostname or "", certificate, secure=True)
