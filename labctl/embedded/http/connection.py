"""One connection to a server: requests in order, responses in the same order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from labctl.embedded.http.duplex import TransportDuplex
from labctl.embedded.http.messages import App, Duplex, Flow, Request, Response
from labctl.embedded.http.options import HttpOptions
from labctl.embedded.http.parser import END, Head, RequestParser
from labctl.embedded.http.refusal import Refusal
from labctl.embedded.http.sweeper import Sweeper
from labctl.embedded.http.wire import CONTINUE, chunk, has_body, head_bytes, is_chunked

_READ_AHEAD = 256 * 1024
"""Bytes of later requests that are kept while one is answered."""
_SEPARATE_BODY = 16 * 1024
"""Bodies from this size on are not copied behind their head but written after it, in one system call all the same."""
_LINGER = 5.0
"""Seconds for which a refused body is read and thrown away, so that the client sees the answer: lingering_timeout."""
_NEVER = float("inf")


class Connection(asyncio.Protocol):
    """The asyncio protocol of one client.

    Args:
        app: What answers.
        options: Limits and manners.
        sweeper: Watches the deadline.
        flow: Addresses as the App is to see them; None: as the socket has them.
    """

    __slots__ = (
        "_app", "_body", "_body_left", "_busy", "_closing", "_duplex", "_flow", "_head", "_loop", "_options", "_over",
        "_parser", "_request", "_served", "_sweeper", "_task", "_transport", "_writable", "deadline",
    )  # fmt: skip

    def __init__(self, app: App, options: HttpOptions, sweeper: Sweeper, flow: Flow | None) -> None:
        self._app = app
        self._options = options
        self._sweeper = sweeper
        self._flow = flow
        self._parser = RequestParser(options.limits)
        self._head: Head | None = None
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._body_left = 0
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._duplex: TransportDuplex | None = None
        self._busy = False
        self._closing = False
        self._over = False
        self._served = 0
        self.deadline = _NEVER

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport, and derive the flow where nobody gave one."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        if self._flow is None:
            self._flow = flow_of(self._transport)
        self.deadline = self._loop.time() + self._options.head_timeout
        self._sweeper.watch(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: the next requests, or the upgraded connection's."""
        if self._duplex is not None:
            self._duplex.received(data)
        elif not self._over:
            self._parser.feed(data)
            self._advance()
            if self._parser.buffered > _READ_AHEAD:
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more: like nginx, what is still being worked on is given up (its 499)."""
        if self._duplex is not None:
            self._duplex.ended()
            return self._transport.can_write_eof()  # TLS has no half-closed connections
        if self._task is not None:
            self._task.cancel()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what was being done for this client."""
        self._sweeper.forget(self)
        self._closing = True
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(ConnectionResetError("the client went away"))
            self._writable.exception()  # nobody need be waiting
        if self._duplex is not None:
            self._duplex.ended()
        elif self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._writable = self._loop.create_future()
        if self._duplex is None:
            self.deadline = self._loop.time() + self._options.send_timeout

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if not self._busy:
            self.deadline = self._loop.time() + self._options.idle_timeout
            self._go_on()
        elif self._duplex is None:
            self.deadline = _NEVER

    # -- the sweeper's -----------------------------------------------------------------------------------------------

    def timed_out(self) -> None:
        """The deadline has passed: nginx closes without a word."""
        self._transport.abort() if self._writable is not None else self._transport.close()

    def drain(self) -> None:
        """Close as soon as nothing is being answered."""
        self._closing = True
        if not self._busy and self._head is None:
            self._transport.close()

    # -- requests ----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Serve every request that is complete, as long as the client takes the answers."""
        following = self._parser.next
        while not self._busy and not self._over and self._writable is None:
            event = following()
            if event is None:
                return
            if type(event) is Head:
                request = Request(event.method, event.target, event.headers, b"", cast(Flow, self._flow), event.version)
                request.authority = event.authority
                if event.length:
                    self._begin_body(event, request)
                else:
                    self._serve(event, request)
            elif event is END:
                self._end_body()
            elif isinstance(event, Refusal):
                self._refuse(event, linger=self._head is not None)
            else:
                self._take_body(cast(bytes, event))

    def _go_on(self) -> None:
        """Nothing stands in the way of the next request any more."""
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._advance()

    def _begin_body(self, head: Head, request: Request) -> None:
        limit = self._options.max_body
        self._head, self._request = head, request
        self._body_left = limit if isinstance(limit, int) else limit(request)
        if head.length > self._body_left:
            self._refuse(Refusal(413, f"client intended to send too large body: {head.length} bytes"), linger=True)
            return
        if head.expect_continue:
            self._transport.write(CONTINUE)
        self.deadline = self._loop.time() + self._options.body_timeout

    def _take_body(self, piece: bytes) -> None:
        self._body.append(piece)
        self._body_left -= len(piece)
        self.deadline = self._loop.time() + self._options.body_timeout
        if self._body_left < 0:
            self._refuse(Refusal(413, "client intended to send too large chunked body"), linger=True)

    def _end_body(self) -> None:
        head, request = cast(Head, self._head), cast(Request, self._request)
        request.body = b"".join(self._body)
        self._body.clear()
        self._head = self._request = None
        self._serve(head, request)

    def _refuse(self, refusal: Refusal, *, linger: bool) -> None:
        """Answer and close; a body that is still coming is read and thrown away for a while."""
        response = self._options.refuse(refusal)
        assert isinstance(response.body, bytes)
        head, _ = head_bytes(response, len(response.body), keep_alive=False, version="1.1")
        self._transport.write(response.body if refusal.simple else head + response.body)
        self._body.clear()
        self._over = True
        if linger and self._transport.can_write_eof():
            self._transport.write_eof()
            self.deadline = self._loop.time() + _LINGER
        else:
            self._transport.close()

    # -- responses ---------------------------------------------------------------------------------------------------

    def _serve(self, head: Head, request: Request) -> None:
        self._served += 1
        try:
            answer = self._app(request)
        except Exception as error:
            if self._transport.is_closing():
                raise
            answer = self._failed(error)  # whatever an App does wrong, its client gets a 500
        if type(answer) is Response and type(answer.body) is bytes and answer.upgrade is None:
            self._finish(head, answer, answer.body)
        else:
            self._busy = True
            self.deadline = _NEVER
            self._task = self._loop.create_task(self._serve_slowly(head, answer))
            self._task.add_done_callback(self._report)

    def _report(self, task: asyncio.Task[None]) -> None:
        """Tell the loop about an App that failed when it was too late for a 500, and break off."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._transport.abort()
            self._loop.call_exception_handler({"message": "an HTTP application failed", "exception": error})

    def _failed(self, error: Exception) -> Response:
        self._loop.call_exception_handler({"message": "an HTTP application failed", "exception": error})
        return Response(500, [("Connection", "close")], b"Internal Server Error\n")

    def _keep_alive(self, head: Head) -> bool:
        limit = self._options.max_requests
        return head.keep_alive and not self._closing and (not limit or self._served < limit)

    def _finish(self, head: Head, response: Response, body: bytes) -> None:
        """Send a response whose body is there, in one write."""
        if head.version == "0.9":
            self._transport.write(body)
            self._transport.close()
            return
        try:
            start, keep_alive = head_bytes(response, len(body), keep_alive=self._keep_alive(head), version=head.version)
        except ValueError as error:
            response = self._failed(error)
            body = cast(bytes, response.body)
            start, keep_alive = head_bytes(response, len(body), keep_alive=False, version=head.version)
        if head.method == "HEAD" or not has_body(response.status):
            self._transport.write(start)
        elif len(body) < _SEPARATE_BODY:
            self._transport.write(start + body)
        else:
            self._transport.writelines((start, body))
        self._rest(keep_alive=keep_alive)

    def _rest(self, *, keep_alive: bool) -> None:
        """A response is out: wait for the next request, or close."""
        if not keep_alive:
            self._transport.close()
            self._over = True
        elif self._writable is None:
            self.deadline = self._loop.time() + self._options.idle_timeout

    async def _serve_slowly(self, head: Head, answer: Response | Awaitable[Response]) -> None:
        """Await the App, stream a body, or hand an upgraded connection over; then go on with what has come since."""
        try:
            response = answer if isinstance(answer, Response) else await self._awaited(answer)
            if response.upgrade is not None:
                await self._upgrade(response, response.upgrade)
                return
            if isinstance(response.body, bytes):
                self._finish(head, response, response.body)
            else:
                await self._stream(head, response, response.body)
        except ConnectionError:
            self._transport.abort()
        finally:
            self._task = None
            self._busy = False
        if self._duplex is None:
            self._go_on()

    async def _awaited(self, answer: Awaitable[Response]) -> Response:
        try:
            return await answer
        except Exception as error:
            if self._transport.is_closing():
                raise
            return self._failed(error)

    async def _stream(self, head: Head, response: Response, pieces: AsyncIterator[bytes]) -> None:
        """Send a body piece by piece, each as soon as it is there."""
        chunked = is_chunked(response.headers, head.version)
        try:
            start, keep_alive = head_bytes(response, None, keep_alive=self._keep_alive(head), version=head.version)
            if head.version != "0.9":
                self._transport.write(start)
            if head.method != "HEAD" and has_body(response.status):
                await self._pieces(pieces, chunked=chunked)
        except Exception:
            self._transport.abort()  # the only way left to say that the body is not whole
            raise
        finally:
            if (close := getattr(pieces, "aclose", None)) is not None:
                await close()
        self._rest(keep_alive=keep_alive)

    async def _pieces(self, pieces: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for piece in pieces:
            if piece:
                self._transport.write(chunk(piece) if chunked else piece)
                await self._drained()
        if chunked:
            self._transport.write(chunk(b""))

    async def _drained(self) -> None:
        """Wait while the client reads slowly."""
        if self._closing and self._transport.is_closing():
            raise ConnectionResetError("the client went away")
        if self._writable is not None:
            await self._writable

    async def _upgrade(self, response: Response, handler: Callable[[Duplex], Awaitable[None]]) -> None:
        duplex = self._duplex = TransportDuplex(self._transport, self._drained)
        self._transport.write(head_bytes(response, None, keep_alive=True, version="1.1")[0])
        if rest := self._parser.take_rest():
            duplex.received(rest)
        self._transport.resume_reading()
        try:
            await handler(duplex)
        finally:
            self._transport.close()


def flow_of(transport: asyncio.Transport) -> Flow:
    """The flow of a connection that nobody translated: its own socket's addresses, and TLS as it was negotiated."""
    peer = transport.get_extra_info("peername") or ("", 0)
    local = transport.get_extra_info("sockname") or ("", 0)
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return Flow(peer[:2], local[:2])
    certificate = b""
    with contextlib.suppress(ValueError):  # the handshake is not done
        certificate = tls.getpeercert(binary_form=True) or b""
    name = getattr(tls, "server_name", "") or tls.server_hostname or ""
    return Flow(peer[:2], local[:2], name, certificate, secure=True)
