"""The API's TLS port: who is let in by a certificate, and what others are told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from labctl.embedded.api import pki
from tests.unit.embedded_api.server import Server

GET = b"GET /api/v1/namespaces/default HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PLAIN = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


Act = Callable[[int], Awaitable[None]]
Serve = Callable[[Act], None]


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Closed by `serve`, in the loop that it was started in."""
    return Server(tmp_path)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest, server: Server) -> Serve:
    """Do something with the port of a listening server, on both event loops."""

    async def listening(act: Act) -> None:
        port = await server.api.start("127.0.0.1", 0)
        try:
            await act(port)
        finally:
            await server.api.close()

    return lambda act: request.param(listening(act))


def context_of(server: Server, credentials: pki.Pki | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=server.pki.server_ca.certificate_pem.decode())
    if credentials is not None:
        place = credentials.directory / "client-admin"
        context.load_cert_chain(place.with_suffix(".crt"), place.with_suffix(".key"))
    return context


async def say(port: int, text: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Everything that comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(text)
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def parsed(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_only_certificates_of_the_client_ca_count(server: Server, tmp_path: Path, serve: Serve) -> None:
    foreign = pki.load_or_create(tmp_path / "foreign", ["x"])
    late = pki.load_or_create(tmp_path / "late", ["x"], now=datetime(2000, 1, 1, tzinfo=UTC))

    async def ask(port: int) -> None:
        status, body = parsed(await say(port, GET, context_of(server, server.pki)))
        assert (status, body["metadata"]["name"]) == (200, "default")
        for credentials in (foreign, late, None):
            status, body = parsed(await say(port, GET, context_of(server, credentials)))
            assert (status, body["reason"], body["message"]) == (401, "Unauthorized", "Unauthorized")

    serve(ask)


def test_a_token_counts_beside_a_foreign_certificate(server: Server, tmp_path: Path, serve: Serve) -> None:
    foreign = pki.load_or_create(tmp_path / "foreign", ["x"])
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    token = server.post(path, {"spec": {"expirationSeconds": 3600}}).json["status"]["token"]
    request = f"GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()

    async def ask(port: int) -> None:
        status, body = parsed(await say(port, request, context_of(server, foreign)))
        assert (status, body["major"]) == (200, "1")

    serve(ask)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(GET, PLAIN), (b"HEAD / HTTP/1.1\r\n\r\n", PLAIN), (b"DELETE / HTTP/1.1\r\n\r\n", b""), (b"\0\0\0\0\0", b"")],
)
def test_plain_http_is_told_that_this_is_https(serve: Serve, text: bytes, expected: bytes) -> None:
    async def ask(port: int) -> None:
        assert await say(port, text) == expected

    serve(ask)


def test_a_client_that_dawdles_in_the_handshake_stops_nobody(server: Server, serve: Serve) -> None:
    async def ask(port: int) -> None:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"\x16\x03\x01")
        status, _ = parsed(await say(port, GET, context_of(server, server.pki)))
        assert status == 200
        for _, writer in slow:
            writer.close()

    serve(ask)
