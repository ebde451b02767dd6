"""HTTP/2 towards clients, end to end: an h2 client, the controller, echo pods, real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from labctl.conformance.local import LocalWorld
from tests.unit.embedded_ingress.cluster import ingress, path

_RAW = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1")
PLAIN = ((":method", "GET"), (":scheme", "http"), (":path", "/x?y=1"), (":authority", "a.test"))


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(_RAW)
        self.h2.initiate_connection()
        self.answers: dict[int, dict[str, Any]] = {}
        self.ended: set[int] = set()
        self.goodbye: int | None = None

    def request(self, *fields: tuple[str, str], body: bytes = b"") -> int:
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, fields, end_stream=not body)
        while body:
            piece, body = body[:16384], body[16384:]
            self.h2.send_data(number, piece, end_stream=not body)
        return number

    async def settle(self, *numbers: int) -> None:
        while not self.ended.issuperset(numbers) and self.goodbye is None:
            self.writer.write(self.h2.data_to_send())
            data = await asyncio.wait_for(self.reader.read(65536), 5)
            if not data:
                return
            for event in self.h2.receive_data(data):
                self.take(event)

    def take(self, event: object) -> None:
        if isinstance(event, ResponseReceived):
            self.answers[event.stream_id] = {"headers": event.headers, "body": b""}
        elif isinstance(event, DataReceived):
            self.answers[event.stream_id]["body"] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded | StreamReset):
            self.ended.add(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            self.goodbye = int(event.error_code or 0)

    def status(self, number: int) -> str:
        return str(dict(self.answers[number]["headers"])[":status"])


def played(act: Callable[[LocalWorld, Client], Awaitable[None]], config: dict[str, str] | None = None) -> None:
    async def run() -> None:
        world = LocalWorld((), config or {})
        await world.start()
        try:
            world.apply(ingress("i", path("/")))
            await world.settle()
            reader, writer = await asyncio.open_connection(*world._dial(80))
            try:
                await act(world, Client(reader, writer))
            finally:
                writer.close()
                await writer.wait_closed()
        finally:
            await world.stop()

    asyncio.run(run())


def test_a_request_is_answered_by_a_pod() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        number = client.request(*PLAIN, ("user-agent", "u"), ("cookie", "a=1"), ("cookie", "b=2"))
        await client.settle(number)
        headers = client.answers[number]["headers"]
        assert [name for name, _ in headers] == [":status", "date", "content-type", "content-length", "x-pod"]
        seen = json.loads(client.answers[number]["body"])
        assert (seen["path"], seen["host"], seen["proto"]) == ("/x?y=1", "a.test", "HTTP/1.1")
        sent = {name.lower(): value for name, value in seen["headers"]}
        assert sent["cookie"] == "a=1; b=2"
        assert "content-length" not in sent
        assert '"GET /x?y=1 HTTP/2.0" 200' in world.lines[-1]

    played(act)


def test_many_streams_share_a_connection_and_windows() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        big = 300_000
        numbers = [client.request(*PLAIN, ("x-echo-size", str(big))) for _ in range(5)]
        slow = client.request(*PLAIN, ("x-echo-delay", "0.05"))
        await client.settle(*numbers, slow)
        assert [len(client.answers[number]["body"]) for number in numbers] == [big] * 5
        assert client.status(slow) == "200"
        assert len(world.controller.plane.statistics.active) == 1

    played(act)


def test_bodies_are_passed_on_with_their_length() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        fields = ((":method", "POST"), *PLAIN[1:])
        number = client.request(*fields, body=b"x" * 50_000)
        empty = client.request(*fields)
        await client.settle(number, empty)
        assert json.loads(client.answers[number]["body"])["body_len"] == 50_000
        assert json.loads(client.answers[empty]["body"])["body_len"] == 0

    played(act)


def test_a_body_of_another_length_than_declared_ends_the_connection() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        fields = ((":method", "POST"), *PLAIN[1:])
        await client.settle(client.request(*fields, ("content-length", "9"), body=b"short"))
        assert client.goodbye == 1, "PROTOCOL_ERROR"

    played(act)


def test_a_body_that_is_too_large_is_refused() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        number = client.request((":method", "POST"), *PLAIN[1:], body=b"x" * 60_000)
        await client.settle(number)
        assert client.status(number) == "413"

    played(act, {"proxy-body-size": "10k"})


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (PLAIN[:3], "400"),  # no host
        ((*PLAIN, ("host", "a.test")), "400"),  # two
        ((*PLAIN, (":path", "/again")), "400"),
        ((*PLAIN[:3], ("accept", "*/*"), (":authority", "a.test")), "400"),  # a pseudo-header too late
        ((*PLAIN, ("X-Upper", "1")), "400"),
        (((":method", "get"), *PLAIN[1:]), "400"),
        (((":method", "CONNECT"), *PLAIN[1:]), "405"),
        ((*PLAIN[:2], (":path", "no-slash"), PLAIN[3]), "400"),
        ((*PLAIN, ("bad name", "1")), "400"),
        ((*PLAIN, ("under_score", "1")), "200"),
        ((*PLAIN[:3], (":authority", "other.test")), "404"),
    ],
)
def test_what_nginx_refuses(fields: tuple[tuple[str, str], ...], status: str) -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        number = client.request(*fields)
        await client.settle(number)
        assert client.status(number) == status
        again = client.request(*PLAIN)
        await client.settle(again)
        assert client.status(again) == "200", "the connection goes on"

    played(act)


def test_a_client_that_speaks_something_else_gets_a_goodbye() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        client.writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 1, 1, 5, 0, 0, 0, 0, 0)))
        data = await asyncio.wait_for(client.reader.read(), 5)
        assert b"\x07\x00\x00\x00\x00\x00" in data, "GOAWAY, then the end"

    played(act)


def test_a_reset_stream_frees_the_pod() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        number = client.request(*PLAIN, ("x-echo-delay", "5"))
        other = client.request(*PLAIN)
        await client.settle(other)
        client.h2.reset_stream(number)
        client.writer.write(client.h2.data_to_send())
        last = client.request(*PLAIN)
        await client.settle(last)
        (connection,) = world.controller.plane.statistics.active
        assert not connection.streams  # type: ignore[attr-defined]  # the one kind of connection there is here

    played(act)


def test_without_http2_the_preface_is_a_bad_request() -> None:
    async def act(world: LocalWorld, client: Client) -> None:
        client.writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        data = await asyncio.wait_for(client.reader.read(), 5)
        assert data.startswith(b"HTTP/1.1 505")

    played(act, {"use-http2": "false"})
