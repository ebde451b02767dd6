"""Pods that reset, fall silent or answer rubbish: the client gets a whole answer or sees the connection end."""

from __future__ import annotations

import asyncio
import random
import re
from typing import cast

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.proxy.client import ClientConnection
from labctl.embedded.ingress.proxy.plane import DataPlane
from tests.fuzz.requests import Pods, Wire
from tests.unit.embedded_ingress.cluster import Cluster, ingress

_ROUNDS = 40
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r\n(.*?)\r\n\r\n(.*)", re.DOTALL)
_LENGTH = re.compile(rb"(?im)^content-length: (\d+)$")


def rubbish(dice: random.Random) -> bytes:
    """What a pod may answer."""
    start = dice.choice(
        ["HTTP/1.1 200 OK"] * 4
        + [
            "HTTP/1.1 204 No",
            "HTTP/1.1 100 Continue",
            "HTTP/1.1 999 X",
            "HTTP/1.1 20",
            "HTTP/9.9 200 OK",
            "SSH-2.0-x",
            "",
        ]
        + ["HTTP/1.0 200 OK", "HTTP/1.1 200", "HTTP/1.1  200 OK", "\x00\xff\x01", "HTTP/1.1 304 Not Modified"]
    )
    headers = [
        "Content-Length: 5", "Content-Length: 500", "Content-Length: -1", "Content-Length: x", "Content-Length: 3",
        "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Connection: close", "X: " + "y" * dice.choice([5, 9000]),
        "No colon", ": empty", "X\x00: 1", "X-Accel-Redirect: /again", "X-Accel-Redirect: ", "Set-Cookie: a=b", " folded",
        "Upgrade: websocket", "Location: //x",
    ]  # fmt: skip
    end = dice.choice(["\r\n"] * 5 + ["\n"])
    body = dice.choice(["", "hello", "5\r\nhello\r\n0\r\n\r\n", "zz\r\n", "5\r\nhel", "hello" * 1000, "0\r\n\r\nrest"])
    return (end.join([start, *dice.sample(headers, dice.randrange(4)), "", ""]) + body).encode("latin-1")


class BadPod(asyncio.Protocol):
    """Answers whatever chance gives."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._dice.random() < 0.05:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        del data
        if self._transport.is_closing():
            return
        answer = rubbish(self._dice)
        cut = self._dice.randrange(len(answer) + 1) if self._dice.random() < 0.3 else len(answer)
        self._transport.write(answer[:cut])
        ending = self._dice.random()
        if ending < 0.2:
            self._transport.abort()
        elif ending < 0.9:
            self._transport.close()


class BadPods(Pods):
    """Such a pod behind every address."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._bad = PodPort(lambda _: BadPod(dice))

    def port_at(self, ip: str, port: int) -> PodPort | None:
        del ip, port
        return self._bad


async def fuzz_upstreams(seed: int, count: int) -> None:
    """Send so many good requests to bad pods."""
    problems: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context))
    dice = random.Random(seed)
    made = Cluster(
        ingress("one", proxy_next_upstream_tries="2"), ingress("two", host="e.test", custom_http_errors="404")
    )
    plane = DataPlane(made.compile(), BadPods(dice), seed=1)
    answered = 0
    for _ in range(count):
        wire = Wire()
        connection = ClientConnection(plane, Flow(("10.0.0.1", 1), ("10.0.0.2", 80)), 80)
        connection.connection_made(wire)
        host = dice.choice(["a.test", "e.test"])
        connection.data_received(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        check(wire)
        answered += wire.sent.startswith(b"HTTP/1.1 ")
        connection.connection_lost(None)
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    assert answered > count // 2, "most rubbish leads to an answer within its rounds"
    assert not problems, problems[:3]
    assert not plane.statistics.active
    plane.close()


def check(wire: Wire) -> None:
    """The answer is whole by its own framing, or the connection has ended."""
    match = _HEAD.match(wire.sent)
    if match is None:
        return  # nothing yet (the pod is silent), a tunnel, or bytes passed on as HTTP/0.9
    status, head, body = int(match[1]), match[2], match[3]
    assert status != 500 or b"<h1>500" in body, wire.sent[:300]
    length = _LENGTH.search(head)
    if length is not None and status not in (204, 304):
        assert len(body) <= int(length[1]), wire.sent[:300]
