"""A server on a real socket, on both event loops."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from labctl.embedded.http.messages import Request, Response
from labctl.embedded.http.server import HttpServer

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
Body = Callable[["Bed"], Awaitable[None]]


async def until(condition: Callable[[], bool]) -> None:
    """Come back once it holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in callbacks that know nothing of tests
            await asyncio.sleep(0.001)


class Bed:
    """A listening server, and what its loop complained about."""

    def __init__(self, server: HttpServer, port: int) -> None:
        self.server = server
        self.port = port
        self.complaints: list[str] = []

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *pieces: bytes) -> bytes:
        """Send pieces on a new connection; everything that comes back until it is closed."""
        reader, writer = await self.open()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        try:
            async with asyncio.timeout(3):
                return await reader.read()
        finally:
            writer.close()


Serve = Callable[..., None]


def hello(request: Request) -> Response:
    return Response(200, [("X-Seen", f"{request.method} {request.target}")], b"hello" + request.body)


def dateless(answer: bytes) -> bytes:
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer)
