"""One request of a connection with HTTP/2."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from h2.exceptions import H2Error

from labctl.embedded.http.parser import Refusal
from labctl.embedded.ingress.proxy.answers import Answer
from labctl.embedded.ingress.proxy.exchange import Exchange
from labctl.embedded.ingress.proxy.forward import Forwarder
from labctl.embedded.ingress.proxy.head import HTTP_2, Head, parse_fields
from labctl.embedded.ingress.proxy.response import ResponseWriter

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.http2 import Http2Connection
    from labctl.embedded.ingress.proxy.plane import Generation
    from labctl.embedded.ingress.proxy.upstream import UpstreamConnection

_NOT_SENT = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"})
_HIGH_WATER = 256 * 1024
_PSEUDO = frozenset({":method", ":scheme", ":path", ":authority"})


class Http2Stream:
    """Serves one request; what `Requester` asks for.

    Args:
        connection: The connection that it came on.
        stream_id: Its number.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_ended",
        "_finished",
        "_forwarder",
        "_length",
        "_limit",
        "_paused",
        "_pending",
        "_wanted",
        "stream_id",
    )

    def __init__(self, connection: Http2Connection, stream_id: int) -> None:
        self._connection = connection
        self.stream_id = stream_id
        self._forwarder: Forwarder | None = None
        self._body = bytearray()
        self._pending = bytearray()
        self._length = -1
        self._limit = 0
        self._ended = self._finished = self._paused = self._wanted = False

    # Request

    def begin_request(self, fields: list[tuple[str, str]]) -> None:
        """All header fields are there."""
        connection = self._connection
        head = _read_head(fields, connection.generation)
        if isinstance(head, Refusal):
            self._answer(_exchange(connection, Head("GET", "/", HTTP_2)), Answer(head.status, special=_special(head)))
            return
        self._length = head.length if "content-length" in head.fields else -1
        head.size = sum(len(name) + len(value) for name, value in fields)
        self._forwarder = Forwarder(self, _exchange(connection, head), connection.generation)
        self._forwarder.start()

    def data_received(self, data: bytes) -> None:
        """A piece of the body."""
        self._body += data
        if self._wanted and self._limit and len(self._body) > self._limit:
            self._refuse_body(413)

    def ended(self) -> None:
        """The request is complete."""
        self._ended = True
        if self._wanted:
            self._complete()

    def read_body(self, forwarder: Forwarder, limit: int) -> None:
        """See Requester."""
        self._wanted, self._limit = True, limit
        if limit and len(self._body) > limit:
            self._refuse_body(413)
        elif self._ended:
            self._complete()

    def _complete(self) -> None:
        self._wanted = False
        forwarder = self._forwarder
        if forwarder is None:
            return
        if self._length >= 0 and len(self._body) != self._length:
            forwarder.body_refused(400)
            return
        forwarder.exchange.body = bytes(self._body)
        forwarder.exchange.head.length = len(self._body)
        forwarder.body_complete()

    def _refuse_body(self, status: int) -> None:
        self._wanted = False
        if self._forwarder is not None:
            self._forwarder.body_refused(status)

    def _answer(self, exchange: Exchange, answer: Answer) -> None:
        Http2Writer(self, exchange, self._connection.generation).answer(answer, None)

    # Response

    def writer(self, exchange: Exchange, generation: Generation) -> ResponseWriter:
        """See Requester."""
        return Http2Writer(self, exchange, generation)

    def send_head(self, fields: list[tuple[str, str]]) -> None:
        """The response's head; it goes out with what follows."""
        try:
            self._connection.h2.send_headers(self.stream_id, fields)
        except H2Error:
            self.gone()

    def write(self, data: bytes) -> None:
        """See Requester."""
        self._pending += data
        self.send_pending()
        if len(self._pending) > _HIGH_WATER:
            self.pause()

    def send_pending(self) -> None:
        """Send as much as the client's windows allow."""
        h2 = self._connection.h2
        try:
            while self._pending:
                room = min(h2.local_flow_control_window(self.stream_id), h2.max_outbound_frame_size)
                if room <= 0:
                    break
                h2.send_data(self.stream_id, bytes(self._pending[:room]))
                del self._pending[:room]
            if not self._pending:
                self.resume()
                if self._finished:
                    self._end()
                    return
        except H2Error:
            self.gone()
        self._connection.flush()

    def stays_open(self, exchange: Exchange) -> bool:
        """A connection with HTTP/2 goes on, whatever becomes of a stream."""
        del exchange
        return True

    def finished(self) -> None:
        """See Requester."""
        forwarder, self._forwarder = self._forwarder, None
        if forwarder is not None:
            self._connection.generation.finished(forwarder.exchange, forwarder.writer)
        self._finished = True
        if not self._pending:
            self._end()

    def _end(self) -> None:
        h2 = self._connection.h2
        with contextlib.suppress(H2Error):
            h2.end_stream(self.stream_id)
            if not self._ended:  # the client need not send the rest of a body that nobody reads
                h2.reset_stream(self.stream_id, ErrorCodes.NO_ERROR)
        self._connection.done(self.stream_id)

    def cut_off(self) -> None:
        """See Requester."""
        forwarder, self._forwarder = self._forwarder, None
        if forwarder is not None:
            self._connection.generation.finished(forwarder.exchange, forwarder.writer)
        with contextlib.suppress(H2Error):
            self._connection.h2.reset_stream(self.stream_id, ErrorCodes.INTERNAL_ERROR)
        self._connection.done(self.stream_id)

    def tunnel(self, connection: UpstreamConnection) -> None:
        """There is no upgrade in HTTP/2 (RFC 9113, 8.6): a pod's 101 ends the stream."""
        connection.abort()
        self.cut_off()

    # Pace

    def pause(self) -> None:
        """The client reads slowly."""
        if not self._paused and self._forwarder is not None:
            self._paused = True
            self._forwarder.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._paused:
            self._paused = False
            if self._forwarder is not None:
                self._forwarder.resume()

    def gone(self) -> None:
        """The client does not want the stream any more."""
        forwarder, self._forwarder = self._forwarder, None
        self._pending.clear()
        if forwarder is not None:
            forwarder.client_gone()


class Http2Writer(ResponseWriter):
    """Writes a response with header fields in lower case, without what belongs to connections of HTTP/1."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Http2Stream, exchange: Exchange, generation: Generation) -> None:
        super().__init__(stream, exchange, generation)
        self._stream = stream

    def _encoded(self, lines: list[str]) -> bytes:
        fields = [(":status", str(self.status))]
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            lower = name.lower()
            if lower not in _NOT_SENT:
                fields.append((lower, value))
        self._stream.send_head(fields)
        return b""


def _exchange(connection: Http2Connection, head: Head) -> Exchange:
    return Exchange(head, connection.worker, connection.flow, connection.server_port, connection.tls)


def _special(refusal: Refusal) -> str:
    return "request header too large" if refusal.status == 494 else ""


def _read_head(fields: list[tuple[str, str]], generation: Generation) -> Head | Refusal:
    """A head from header fields (ngx_http_v2_state_process_header and ngx_http_v2_pseudo_header)."""
    pseudo: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    for name, value in fields:
        if not name.startswith(":"):
            rest.append((name, value))
        elif rest or name not in _PSEUDO or name in pseudo:
            return Refusal(400, f'client sent invalid pseudo-header "{name}"')
        else:
            pseudo[name] = value
    refused = _check_pseudo(pseudo)
    if refused is not None:
        return refused
    head = Head(pseudo[":method"], pseudo[":path"], HTTP_2)
    lines = [f"{name}: {value}" for name, value in _with_host(pseudo, rest)]
    if any(name != name.lower() for name, _ in rest):
        return Refusal(400, "client sent invalid header line: an upper-case name")
    refused = parse_fields(head, ["", *lines], generation.head_rules)
    if refused is not None:
        return refused
    if "content-length" not in head.fields:
        head.length = -1  # told by the end of the stream
    return head


def _check_pseudo(pseudo: dict[str, str]) -> Refusal | None:
    method, path = pseudo.get(":method", ""), pseudo.get(":path", "")
    if not method or not path or ":scheme" not in pseudo:
        return Refusal(400, "client sent no :method, :scheme or :path header")
    if not all("A" <= char <= "Z" or char in "_-" for char in method):
        return Refusal(400, "client sent invalid method")
    if path[0] != "/" or any(char <= " " or char == "\x7f" for char in path):
        return Refusal(400, "client sent invalid :path header")
    return None


def _with_host(pseudo: dict[str, str], rest: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Header fields as nginx builds them: Host from :authority, and one Cookie of all."""
    host = [("Host", pseudo[":authority"])] if pseudo.get(":authority") else []
    cookies = [value for name, value in rest if name == "cookie"]
    others = [(name, value) for name, value in rest if name != "cookie"]
    return [*host, *others, *([("Cookie", "; ".join(cookies))] if cookies else [])]
