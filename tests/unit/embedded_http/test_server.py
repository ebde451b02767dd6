"""The server over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Any, cast

from labctl.embedded.http import connection
from labctl.embedded.http.messages import Duplex, Request, Response
from tests.unit.embedded_http.bed import GET, Bed, Serve, dateless, hello, until


def test_exact_bytes_of_a_plain_answer(serve: Serve) -> None:
    async def body(bed: Bed) -> None:
        answer = await bed.say(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 200 OK\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\nX-Seen: ", answer)
        assert dateless(answer) == (
            b"HTTP/1.1 200 OK\r\nX-Seen: GET /x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        )

    serve(hello, body)


def test_pipelined_requests_are_answered_in_order_and_the_connection_is_kept(serve: Serve) -> None:
    async def body(bed: Bed) -> None:
        last = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = await bed.say(GET + b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + last)
        assert re.findall(rb"X-Seen: ([^\r]*)", answer) == [b"GET /", b"POST /p", b"GET /last"]
        assert answer.count(b"Connection: close") == 1
        assert b"hellohiHTTP/1.1" in answer

    serve(hello, body)


def test_slow_and_quick_answers_keep_their_order(serve: Serve) -> None:
    async def slowly(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return hello(request)

    def app(request: Request) -> Response | Awaitable[Response]:
        return slowly(request) if request.target == "/slow" else hello(request)

    async def body(bed: Bed) -> None:
        slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await bed.say(slow + GET, slow + b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert re.findall(rb"X-Seen: GET ([^\r]*)", answer) == [b"/slow", b"/", b"/slow", b"/end"]

    serve(app, body)


def test_head_204_and_304_have_no_body(serve: Serve) -> None:
    def app(request: Request) -> Response:
        return Response(int(request.target[1:]), [], b"" if request.target != "/200" else b"body")

    async def body(bed: Bed) -> None:
        for status, method in (("200", "HEAD"), ("204", "GET"), ("304", "GET")):
            answer = await bed.say(f"{method} /{status} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            assert answer.endswith(b"\r\n\r\n")
            assert (b"Content-Length: 4" in answer) is (status == "200")
            assert (b"Content-Length" in answer) is (status == "200")

    serve(app, body)


def test_http_1_0_and_0_9_clients(serve: Serve) -> None:
    async def body(bed: Bed) -> None:
        assert b"Connection: close" in await bed.say(b"GET / HTTP/1.0\r\n\r\n")
        assert await bed.say(b"GET /\r\n") == b"hello"
        reader, writer = await bed.open()
        writer.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive" in await reader.readuntil(b"\r\n\r\n")
        writer.close()

    serve(hello, body)


def test_expect_100_continue(serve: Serve) -> None:
    async def body(bed: Bed) -> None:
        reader, writer = await bed.open()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert await reader.readuntil(b"helloabc")
        writer.close()

    serve(hello, body)


def test_pieces_are_sent_at_once_and_chunked(serve: Serve) -> None:
    gate: list[asyncio.Event] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await gate[0].wait()
        yield b""
        yield b"twotwo"

    def app(request: Request) -> Response:
        return Response(200, [], pieces())

    async def body(bed: Bed) -> None:
        gate[:] = [asyncio.Event()]
        reader, writer = await bed.open()
        writer.write(GET + GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert await reader.readexactly(8) == b"3\r\none\r\n"
        gate[0].set()
        assert await reader.readexactly(16) == b"6\r\ntwotwo\r\n0\r\n\r\n"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        gate[:] = [asyncio.Event()]
        gate[0].set()
        assert (await bed.say(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"Connection: close\r\n\r\nonetwotwo")

    serve(app, body)


def test_streams_wait_for_slow_clients_and_end_when_they_leave(serve: Serve) -> None:
    sent: list[int] = []
    ended: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                sent.append(1)
                yield b"x" * 65536
        finally:
            ended.append("closed")

    async def body(bed: Bed) -> None:
        _, writer = await bed.open()
        writer.write(GET)
        before = -1
        while before != len(sent):
            before = len(sent)
            await asyncio.sleep(0.05)
        assert len(sent) < 400, "a client that reads nothing holds the stream back"
        writer.transport.abort()
        await until(lambda: bool(ended))

    serve(lambda request: Response(200, [], endless()), body)


def test_waiting_app_is_cancelled_when_its_client_leaves(serve: Serve) -> None:
    seen: list[str] = []

    async def app(request: Request) -> Response:
        seen.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return Response(200)

    async def body(bed: Bed) -> None:
        _, writer = await bed.open()
        writer.write(GET)
        await until(lambda: bool(seen))
        writer.close()
        await until(lambda: len(seen) == 2)
        assert seen == ["begun", "cancelled"]

    serve(app, body)


def test_upgrade_gives_the_raw_connection_with_what_was_sent_ahead(serve: Serve) -> None:
    async def shout(duplex: Duplex) -> None:
        while data := await duplex.read():
            await duplex.write(data.upper())
        await duplex.write(b"BYE")
        duplex.close()

    def app(request: Request) -> Response:
        return Response(101, [("Upgrade", "shout"), ("Connection", "Upgrade")], upgrade=shout)

    async def body(bed: Bed) -> None:
        reader, writer = await bed.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\nahead")
        head = await reader.readuntil(b"\r\n\r\n")
        assert dateless(head) == (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\n")
        assert await reader.readexactly(5) == b"AHEAD"
        writer.write(b"more")
        assert await reader.readexactly(4) == b"MORE"
        writer.write_eof()
        assert await reader.read() == b"BYE"
        writer.close()

    serve(app, body)


def test_request_knows_its_flow_and_authority(serve: Serve) -> None:
    def app(request: Request) -> Response:
        return Response(200, [], f"{request.flow.client[0]} {request.flow.server[1]} {request.authority}".encode())

    async def body(bed: Bed) -> None:
        answer = await bed.say(b"GET http://x.test/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.endswith(f"127.0.0.1 {bed.port} x.test".encode())

    serve(app, body)


def test_tls_flow_is_secure() -> None:
    class Transport:
        def get_extra_info(self, name: str) -> Any:
            return {"peername": ("127.0.0.9", 5), "sockname": ("127.0.0.8", 443), "ssl_object": Tls()}.get(name)

    class Tls:
        server_name = "gyull.com"
        server_hostname = None

        def getpeercert(self, *, binary_form: bool) -> bytes | None:
            return b"der" if binary_form else None

    flow = connection.flow_of(cast(asyncio.Transport, Transport()))
    assert (flow.client, flow.server, flow.secure) == (("127.0.0.9", 5), ("127.0.0.8", 443), True)
    assert (flow.tls_server_name, flow.client_certificate) == ("gyull.com", b"der")
