"""HTTP/2 frames made by chance, on connections that began well: an answer, a reset or a goodbye, never a failure."""

from __future__ import annotations

import asyncio
import random

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import H2Error

from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.proxy.http2 import Http2Connection
from tests.fuzz.requests import Pods, Wire, pieces, plane

_RAW = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1")
_FIELDS = [
    (":method", "GET"), (":method", "POST"), (":method", "CONNECT"), (":scheme", "http"), (":path", "/"), (":path", "x"),
    (":authority", "a.test"), (":authority", "a/b"), ("host", "a.test"), ("content-length", "5"), ("content-length", "x"),
    ("transfer-encoding", "chunked"), ("Upper", "1"), ("x y", "1"), ("cookie", "a=1"), ("x", "y" * 9000), (":new", "1"),
    ("connection", "close"), ("te", "trailers"),
]  # fmt: skip
_GOOD = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")]


def frames(dice: random.Random) -> bytes:
    """A preface, some requests, and rubbish between them."""
    client = H2Connection(_RAW)
    client.initiate_connection()
    data = client.data_to_send()
    for _ in range(dice.randrange(1, 5)):
        stream = client.get_next_available_stream_id()
        fields = _GOOD if dice.random() < 0.4 else dice.sample(_FIELDS, dice.randrange(1, 8))
        body = dice.random() < 0.3
        try:
            client.send_headers(stream, fields, end_stream=not body)
            if body:
                client.send_data(stream, b"x" * dice.choice([0, 5, 3000]), end_stream=dice.random() < 0.8)
            if dice.random() < 0.1:
                client.reset_stream(stream)
        except H2Error:
            pass
        data += client.data_to_send()
        if dice.random() < 0.3:
            length = dice.choice([0, 1, 4, 5, 8, 100])
            head = length.to_bytes(3, "big") + bytes((dice.randrange(12), dice.randrange(256)))
            data += head + dice.choice([0, 1, 2, 7]).to_bytes(4, "big") + dice.randbytes(length)
    if dice.random() < 0.1:
        position = dice.randrange(len(data))
        data = data[:position] + dice.randbytes(1) + data[position + 1 :]
    return data


async def fuzz_frames(seed: int, count: int) -> None:
    """Open so many connections."""
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    dice, pods = random.Random(seed), Pods()
    data_plane = plane(pods)
    for _ in range(count):
        wire = Wire()
        connection = Http2Connection(data_plane, Flow(("10.0.0.1", 1), ("10.0.0.2", 80)), 80)
        connection.connection_made(wire)
        sent = frames(dice)
        for piece in pieces(dice, sent):
            if wire.closed:
                break
            connection.data_received(piece)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        for request in pods.asked:
            length = request.header("Content-Length")
            assert length is None or int(length) == len(request.body), sent
            assert request.header("Transfer-Encoding") is None, sent
        pods.asked.clear()
        connection.connection_lost(None)
    assert not problems, problems[:3]
    assert not data_plane.statistics.active
    data_plane.close()
