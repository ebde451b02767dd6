"""Connections of clients: requests one after the other, bodies, keep-alive, tunnels after an upgrade."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol, cast

from labctl.embedded.http.messages import Flow
from labctl.embedded.http.parser import ChunkedBody, Refusal
from labctl.embedded.ingress.proxy.answers import Answer
from labctl.embedded.ingress.proxy.exchange import Exchange
from labctl.embedded.ingress.proxy.forward import Forwarder
from labctl.embedded.ingress.proxy.head import Head, end_of_head, parse_head, too_large
from labctl.embedded.ingress.proxy.http2 import Http2Connection, is_preface
from labctl.embedded.ingress.proxy.response import ResponseWriter

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.plane import DataPlane, Generation
    from labctl.embedded.ingress.proxy.tls import TlsSession
    from labctl.embedded.ingress.proxy.upstream import UpstreamConnection
    from labctl.embedded.ingress.proxy.worker import Worker

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_READ_AHEAD = 64 * 1024


class Wire(Protocol):
    """What a connection writes to: a transport, or TLS on one."""

    def write(self, data: bytes) -> None:
        """Send."""

    def close(self) -> None:
        """Close when everything is sent."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None:
        """Deliver nothing until resumed."""

    def resume_reading(self) -> None:
        """Deliver again."""


class ClientConnection(asyncio.Protocol):
    """One connection of a client, in one worker.

    Attributes:
        flow: Its addresses.
        worker: The worker that accepted it.
        deadline: When it is given up (`time.monotonic()`), looked at once a second.
    """

    __slots__ = (
        "_body_limit",
        "_body_parts",
        "_body_size",
        "_buffer",
        "_chunks",
        "_closing",
        "_forwarder",
        "_generation",
        "_head",
        "_left",
        "_plane",
        "_reading_body",
        "_requests",
        "_server_port",
        "_tls",
        "_tunnel",
        "_wire",
        "deadline",
        "flow",
        "worker",
    )

    def __init__(self, plane: DataPlane, flow: Flow, server_port: int, tls: TlsSession | None = None) -> None:
        self._plane = plane
        self._generation: Generation = plane.generation
        self.flow = flow
        self.worker: Worker = plane.generation.pick_worker()
        self.deadline = 0.0
        self._server_port = server_port
        self._tls = tls
        self._wire: Wire | None = None
        self._buffer = b""
        self._head: Head | None = None
        self._forwarder: Forwarder | None = None
        self._tunnel: UpstreamConnection | None = None
        self._requests = 0
        self._closing = False
        self._reading_body = False
        self._body_parts: list[bytes] = []
        self._body_size = self._left = 0
        self._body_limit = 0
        self._chunks: ChunkedBody | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self.attach(cast(Wire, transport))

    def attach(self, wire: Wire) -> None:
        """Begin to serve on a wire."""
        self._wire = wire
        self._plane.opened(self)
        self.deadline = time.monotonic() + self._generation.settings.client_header_timeout
        self._plane.deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._tunnel is not None:
            self._tunnel.write(data)
            return
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if self._reading_body:
            self._read_body(data)
        elif self._forwarder is None:
            self._read_request(data)
        else:
            self._buffer = data
            if len(data) > _READ_AHEAD and self._wire is not None:
                self._wire.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more: like nginx, do not go on for it."""
        if self._tunnel is not None and self._tunnel.transport is not None and self._tunnel.transport.can_write_eof():
            self._tunnel.transport.write_eof()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._plane.closed(self)
        self._plane.deadlines.forget(self)
        self._wire = None
        self._closing = True
        forwarder, self._forwarder = self._forwarder, None
        if forwarder is not None:
            forwarder.client_gone()
        if self._tunnel is not None:
            self._tunnel.abort()
            self._tunnel = None

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self._forwarder is not None:
            self._forwarder.pause()
        elif self._tunnel is not None and self._tunnel.transport is not None:
            self._tunnel.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._forwarder is not None:
            self._forwarder.resume()
        elif self._tunnel is not None and self._tunnel.transport is not None:
            self._tunnel.transport.resume_reading()

    def timed_out(self) -> None:
        """Called by the sweeper after the deadline."""
        if self._forwarder is None or self._reading_body:
            self._close()
        else:
            self.deadline = time.monotonic() + self._generation.settings.client_header_timeout

    # Requests

    def _read_request(self, data: bytes) -> None:
        """Serve the requests that the bytes hold, as far as they can be served at once."""
        if not self._requests and data[:1] == b"P" and self._begins_http2(data):
            return
        while data and self._forwarder is None and not self._closing:
            if data[0] in b"\r\n":
                data = data.lstrip(b"\r\n")
                continue
            end = end_of_head(data)
            if end < 0:
                self._incomplete(data)
                return
            self._serve(data[:end].decode("latin-1"), data[end:])
            data, self._buffer = self._buffer, b""
        self._buffer = data

    def _begins_http2(self, data: bytes) -> bool:
        """Whether a client without TLS speaks HTTP/2 at once (ngx_http_wait_request_handler), or may yet do so."""
        begins = is_preface(data) if self._tls is None and self._generation.settings.use_http2 else False
        if begins is None:
            self._buffer = data
        elif begins:
            wire, self._wire = self._wire, None
            self._plane.closed(self)
            self._plane.deadlines.forget(self)
            connection = Http2Connection(self._plane, self.flow, self._server_port, None)
            cast(asyncio.Transport, wire).set_protocol(connection)
            connection.attach(cast(Wire, wire))
            connection.data_received(data)
        return begins is not False

    def _incomplete(self, data: bytes) -> None:
        """A head that is not whole yet: wait, unless it can be judged already."""
        line, newline, _ = data.partition(b"\n")
        if newline and b" HTTP/" not in line:
            self._serve(line.decode("latin-1") + "\n", b"")
            return
        if len(data) > self._generation.head_rules.first_buffer:
            refusal = too_large(data.decode("latin-1").split("\n"), self._generation.head_rules)
            if refusal is not None:
                self._refuse(refusal, Head("GET", "/", 1))
                return
        self._buffer = data

    def _serve(self, text: str, rest: bytes) -> None:
        generation = self._plane.generation
        if generation is not self._generation and not self._requests:
            self._generation, self.worker = generation, generation.pick_worker()
        self._requests += 1
        self._buffer = rest
        head = parse_head(text, self._generation.head_rules)
        if isinstance(head, Refusal):
            self._refuse(head, Head("GET", "/", 1))
            return
        self._head = head
        head.size = len(text)
        if head.length:
            self._begin_body(head)
            if head.fields.get("expect", "").lower() == "100-continue" and head.minor == 1 and not rest:
                self.write(_CONTINUE)
        exchange = Exchange(head, self.worker, self.flow, self._server_port, self._tls)
        self._forwarder = Forwarder(self, exchange, self._generation)
        self._forwarder.start()

    def _refuse(self, refusal: Refusal, head: Head) -> None:
        """A request that cannot be read: nginx's page, and the connection ends."""
        special = "request header too large" if refusal.status == 494 else ""
        status = 400 if refusal.status == 494 else refusal.status
        exchange = Exchange(head, self.worker, self.flow, self._server_port, self._tls)
        exchange.keep_alive = False
        self._closing = True
        ResponseWriter(self, exchange, self._generation).answer(Answer(status, special=special, close=True), None)

    def plain_http_to_tls(self) -> None:
        """A client that speaks plain HTTP to the TLS port."""
        exchange = Exchange(Head("GET", "/", 1), self.worker, self.flow, self._server_port, None)
        self._closing = True
        ResponseWriter(self, exchange, self._generation).answer(Answer(400, special="plain http", close=True), None)

    # Request bodies

    def _begin_body(self, head: Head) -> None:
        self._chunks = ChunkedBody() if head.length < 0 else None
        self._left = max(0, head.length)
        self._body_parts, self._body_size = [], 0

    def read_body(self, forwarder: Forwarder, limit: int) -> None:
        """Read the body of the current request for its forwarder; `limit` in bytes, 0 for none."""
        self._reading_body = True
        self._body_limit = limit
        data, self._buffer = self._buffer, b""
        self._read_body(data)

    def _read_body(self, data: bytes) -> None:
        self.deadline = time.monotonic() + self._generation.settings.client_body_timeout
        forwarder = self._forwarder
        if self._chunks is None:
            piece, rest = data[: self._left], data[self._left :]
            self._left -= len(piece)
            self._body_parts.append(piece)
            done = not self._left
        else:
            pieces = self._chunks.feed(data)
            if isinstance(pieces, Refusal):
                self._refuse_body(400)
                return
            self._body_parts += pieces
            self._body_size += sum(map(len, pieces))
            done, rest = self._chunks.done, self._chunks.rest
            if self._body_limit and self._body_size > self._body_limit:
                self._refuse_body(413)
                return
        if done:
            self._reading_body = False
            self._buffer = rest
            if forwarder is not None:
                forwarder.exchange.body = b"".join(self._body_parts)
                forwarder.body_complete()
            else:
                self._next_request()

    def _refuse_body(self, status: int) -> None:
        self._reading_body = False
        if self._forwarder is None:
            self._close()
        else:
            self._forwarder.body_refused(status)

    def _body_pending(self) -> bool:
        """Whether a body is still on its way that nobody has read."""
        head = self._head
        return (
            head is not None
            and bool(head.length)
            and (self._left > 0 or (self._chunks is not None and not self._chunks.done))
        )

    # Responses

    def writer(self, exchange: Exchange, generation: Generation) -> ResponseWriter:
        """What writes the response."""
        return ResponseWriter(self, exchange, generation)

    def write(self, data: bytes) -> None:
        """Send to the client."""
        if self._wire is not None and data:
            self._wire.write(data)

    def stays_open(self, exchange: Exchange) -> bool:
        """Whether the connection serves further requests after this one."""
        settings = self._generation.settings
        return (
            exchange.keep_alive
            and not self._closing
            and bool(settings.keep_alive)
            and self._requests < settings.keep_alive_requests
        )

    def finished(self) -> None:
        """The response is complete: wait for the next request, or close."""
        forwarder, self._forwarder = self._forwarder, None
        if forwarder is not None:
            self._generation.finished(forwarder.exchange, forwarder.writer)
        exchange = forwarder.exchange if forwarder is not None else None
        stale = self._generation is not self._plane.generation
        if exchange is None or not self.stays_open(exchange) or (stale and not self._buffer):
            self._close()
            return
        self.deadline = time.monotonic() + self._generation.settings.keep_alive
        if self._body_pending():
            self._reading_body, self._body_limit = True, 0
            data, self._buffer = self._buffer, b""
            self._read_body(data)
        elif self._buffer and self._wire is not None:
            asyncio.get_running_loop().call_soon(self._next_request)

    def _next_request(self) -> None:
        if self._forwarder is None and not self._closing and self._wire is not None:
            self._wire.resume_reading()
            data, self._buffer = self._buffer, b""
            self._read_request(data)

    def cut_off(self) -> None:
        """The response cannot be completed: the client sees the connection end."""
        forwarder, self._forwarder = self._forwarder, None
        if forwarder is not None:
            self._generation.finished(forwarder.exchange, forwarder.writer)
        self._close()

    def tunnel(self, connection: UpstreamConnection) -> None:
        """After 101: bytes go both ways until one side ends."""
        self._tunnel = connection
        self.deadline = float("inf")
        if self._buffer:
            connection.write(self._buffer)
            self._buffer = b""

    def retire(self) -> None:
        """After a reload: close when idle; a request under way is finished first."""
        if self._forwarder is None and not self._buffer and self._tunnel is None:
            self._close()

    def _close(self) -> None:
        self._closing = True
        if self._wire is not None:
            self._wire.close()
