"""What the server does about clients and applications that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable

import pytest

from labctl.embedded.http.messages import Request, Response
from labctl.embedded.http.refusal import Refusal
from labctl.embedded.http.server import HttpOptions
from tests.unit.embedded_http.bed import GET, Bed, Serve, hello, until


def test_body_limits(serve: Serve) -> None:
    def limit(request: Request) -> int:
        return 8 if request.target == "/long" else 4

    async def body(bed: Bed) -> None:
        for target, status in (("/", b"413"), ("/long", b"200")):
            head = f"POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".encode()
            assert (await bed.say(head + b"Content-Length: 5\r\n\r\n", b"12345")).split()[1] == status
            chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"
            assert (await bed.say(*chunked)).split()[1] == status

    serve(hello, body, HttpOptions(max_body=limit))


def test_answer_to_a_refused_upload_arrives_though_the_client_goes_on_sending(serve: Serve) -> None:
    async def body(bed: Bed) -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"
        answer = await bed.say(head, *[b"x" * 100000] * 30)
        assert answer.startswith(b"HTTP/1.1 413 Request Entity Too Large\r\n")

    serve(hello, body, HttpOptions(max_body=10))


def test_refusals_are_answered_by_the_servers_own_page_and_close(serve: Serve) -> None:
    def page(refusal: Refusal) -> Response:
        return Response(refusal.sent_status, [("Server", "x")], f"<{refusal.status}>".encode())

    async def body(bed: Bed) -> None:
        answer = await bed.say(GET + b"GET / HTTP/1.1\r\nBad Header\r\n\r\n" + GET)
        assert answer.count(b"HTTP/1.1 200") == 1
        assert answer.endswith(b"Server: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<400>")
        assert (await bed.say(b"GET / HTTP/1.1\r\nX: " + b"x" * 9000)).endswith(b"<494>")
        assert await bed.say(b"POST /\r\n") == b"<400>"

    serve(hello, body, HttpOptions(refuse=page))


def test_headers_keep_their_place_and_tell_the_truth(serve: Serve) -> None:
    def app(request: Request) -> Response:
        headers = [("Server", "s"), ("Date", ""), ("Content-Length", ""), ("Connection", "keep-alive"), ("X", "y")]
        return Response(200, headers, b"abc", "Fine")

    async def body(bed: Bed) -> None:
        answer = await bed.say(GET + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        first, second = answer.split(b"abc")[:2]
        assert re.sub(rb"Date: [^\r]+", b"Date: D", first) == (
            b"HTTP/1.1 200 Fine\r\nServer: s\r\nDate: D\r\nContent-Length: 3\r\nConnection: keep-alive\r\nX: y\r\n\r\n"
        )
        assert b"Connection: close\r\nX: y" in second

    serve(app, body)


@pytest.mark.parametrize(
    "headers", [[("X", "a\r\nInjected: 1")], [("X\n", "a")], [("X", "가")]], ids=["value", "name", "beyond latin-1"]
)
def test_broken_headers_become_500_and_inject_nothing(serve: Serve, headers: list[tuple[str, str]]) -> None:
    async def body(bed: Bed) -> None:
        answer = await bed.say(GET)
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"Injected" not in answer
        assert bed.complaints == ["an HTTP application failed"]

    serve(lambda request: Response(200, headers, b"x"), body)


def test_failing_apps_answer_500_and_the_server_goes_on(serve: Serve) -> None:
    async def later(request: Request) -> Response:
        await asyncio.sleep(0)
        raise LookupError("bug")

    def app(request: Request) -> Response | Awaitable[Response]:
        if request.target == "/later":
            return later(request)
        raise ZeroDivisionError("bug")

    async def body(bed: Bed) -> None:
        assert (await bed.say(GET)).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert (await bed.say(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 500 ")
        assert len(bed.complaints) == 2

    serve(app, body)


def test_stream_that_fails_is_broken_off(serve: Serve) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"part"
        raise LookupError("bug")

    async def body(bed: Bed) -> None:
        reader, writer = await bed.open()
        writer.write(GET)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            received = await reader.read()
        assert not received.endswith(b"0\r\n\r\n")
        assert bed.complaints == ["an HTTP application failed"]
        writer.close()

    serve(lambda request: Response(200, [], pieces()), body)


def test_silent_and_slow_clients_are_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.embedded.http.sweeper.INTERVAL", 0.02)

    async def body(bed: Bed) -> None:
        assert await bed.say() == b""
        assert await bed.say(b"GET / HT") == b""
        assert await bed.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx") == b""
        assert (await bed.say(GET)).count(b"HTTP/1.1 200") == 1

    serve(hello, body, HttpOptions(head_timeout=0.05, body_timeout=0.05, idle_timeout=0.05))


def test_client_that_reads_nothing_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.embedded.http.sweeper.INTERVAL", 0.02)

    async def body(bed: Bed) -> None:
        with socket.create_connection(("127.0.0.1", bed.port)) as client:
            client.send(GET)
            await until(lambda: bool(bed.server.sweeper.watched()))
            await until(lambda: not bed.server.sweeper.watched())

    serve(lambda request: Response(200, [], b"x" * 30_000_000), body, HttpOptions(send_timeout=0.05))


def test_requests_on_one_connection_can_be_limited(serve: Serve) -> None:
    async def body(bed: Bed) -> None:
        answer = await bed.say(GET * 5)
        assert answer.count(b"HTTP/1.1 200") == 3
        assert answer.count(b"Connection: close") == 1

    serve(hello, body, HttpOptions(max_requests=3))


def test_draining_finishes_what_is_answered_and_closes_the_rest(serve: Serve) -> None:
    release: list[asyncio.Event] = []

    async def app(request: Request) -> Response:
        release.append(asyncio.Event())
        await release[0].wait()
        return hello(request)

    async def body(bed: Bed) -> None:
        idle, idle_writer = await bed.open()
        busy, busy_writer = await bed.open()
        busy_writer.write(GET)
        await until(lambda: bool(release))
        bed.server.drain()
        assert await idle.read() == b""
        release[0].set()
        assert b"Connection: close" in await busy.read()
        idle_writer.close()
        busy_writer.close()

    serve(app, body)


def test_thousand_requests_leave_nothing_behind(serve: Serve) -> None:
    async def body(bed: Bed) -> None:
        async def client(number: int) -> None:
            reader, writer = await bed.open()
            for _ in range(50):
                writer.write(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % number)
                assert (await reader.readuntil(b"helloabc")).count(b"GET") == 0
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*(client(number) for number in range(20)))
        await until(lambda: not bed.server.sweeper.watched())
        assert bed.complaints == []

    serve(hello, body)


def test_broken_header_of_a_stream_breaks_the_connection_off(serve: Serve) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"never sent"

    async def body(bed: Bed) -> None:
        reader, writer = await bed.open()
        writer.write(GET)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            received = await reader.read()
        assert received == b""
        assert bed.complaints == ["an HTTP application failed"]
        writer.close()

    serve(lambda request: Response(200, [("X", "a\nb")], pieces()), body)


def test_pipelining_client_that_reads_nothing_is_not_answered_into_memory(serve: Serve) -> None:
    served: list[int] = []

    def app(request: Request) -> Response:
        served.append(1)
        return Response(200, [], b"x" * 100_000)

    async def body(bed: Bed) -> None:
        reader, writer = await bed.open()
        writer.write(GET * 500)
        before = -1
        while before != len(served):
            before = len(served)
            await asyncio.sleep(0.05)
        assert len(served) < 300
        async with asyncio.timeout(5):
            for _ in range(500):
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(100_000)
        assert len(served) == 500
        writer.close()

    serve(app, body)
