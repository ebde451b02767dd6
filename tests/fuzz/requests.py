"""Requests made by chance, wrong ones above all: nginx's answers, nothing of our own breaks, nothing is smuggled."""

from __future__ import annotations

import asyncio
import random
import re

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow, Request, Response
from labctl.embedded.http.server import http_port
from labctl.embedded.ingress.proxy.client import ClientConnection
from labctl.embedded.ingress.proxy.plane import DataPlane
from tests.unit.embedded_ingress.cluster import Cluster, ingress, path

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_EXPECTED = {100, 200, 204, 301, 308, 400, 403, 404, 405, 408, 411, 413, 414, 417, 501, 502, 503, 505}


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        assert not self.closed
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed


class Pods:
    """One pod behind every address, that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self._port = http_port(self._answer)

    def _answer(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(200, [("Content-Type", "text/plain")], b"ok")

    def port_at(self, ip: str, port: int) -> PodPort | None:
        del ip, port
        return self._port

    def is_pod(self, ip: str) -> bool:
        del ip
        return True

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        raise NotImplementedError

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        raise NotImplementedError

    def close(self, uid: str, port: int) -> None:
        raise NotImplementedError

    def remove_pod(self, uid: str) -> None:
        raise NotImplementedError


def plane(pods: Pods) -> DataPlane:
    cluster = Cluster(
        ingress("one", path("/"), path("/foo"), path("/e", kind="Exact")),
        ingress("two", path("/r(/|$)(.*)"), host="r.test", use_regex="true", rewrite_target="/$2"),
        ingress("three", host="c.test", enable_cors="true", limit_rps="100000", proxy_body_size="1k"),
    )
    return DataPlane(cluster.compile(), pods, seed=1)


def message(dice: random.Random) -> bytes:
    """A request, most likely a wrong one."""
    method = dice.choice(["GET", "POST", "HEAD", "OPTIONS", "PUT", "G ET", "get", "CONNECT", "TRACE", "", "\x00"])
    target = dice.choice(
        ["/", "/foo", "/foo/../bar", "//foo", "/%2e%2e/", "/%zz", "/%00", "/e", "/r/x?y", "*", "http://a.test/x",
         "http://", "foo", "/" + "a" * dice.choice([10, 2000, 9000]), "/?" + "x" * 50, "/\x7f", "/ x", "\\", "/#f"]
    )  # fmt: skip
    version = dice.choice(
        ["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.11", "HTTP/1.", "", "FTP/1.1"]
    )
    end = dice.choice(["\r\n"] * 5 + ["\n", "\r"])
    lines = [f"{method} {target} {version}".rstrip()]
    if dice.random() < 0.9:
        lines.append(
            "Host: " + dice.choice(["a.test", "r.test", "c.test", "A.TEST:80", "a/b", "", "[::1]", "..", "x" * 300])
        )
    headers = [
        "Content-Length: 5", "Content-Length: 5", "Content-Length: -1", "Content-Length: 5, 5", "Content-Length: 0x5",
        "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding: chunked\x00", "X: " + "y" * 9000,
        "Connection: close", "Connection: upgrade", "Upgrade: websocket", "Expect: 100-continue", "X_Y: 1", "No colon",
        ": empty", "X-Forwarded-For: 1.1.1.1", "Cookie: a=b", "Range: bytes=0-", "Te: trailers", "\tfolded", "X: a\x01b",
    ]  # fmt: skip
    lines += dice.sample(headers, dice.randrange(4))
    body = dice.choice(
        ["", "", "hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "z\r\n", "5;x=y\r\nhello\r\n0\r\n\r\n"]
    )
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n" if dice.random() < 0.2 else ""
    return (end.join([*lines, "", ""]) + body + smuggled).encode("latin-1")


def pieces(dice: random.Random, data: bytes) -> list[bytes]:
    """The bytes as they may arrive."""
    if dice.random() < 0.6:
        return [data]
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 4)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def fuzz_requests(seed: int, count: int) -> None:
    """Send so many; raises AssertionError with the bytes that broke something."""
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    dice, pods = random.Random(seed), Pods()
    data_plane = plane(pods)
    for number in range(count):
        wire = Wire()
        connection = ClientConnection(data_plane, Flow(("10.0.0.1", 1), ("10.0.0.2", 80)), 80)
        connection.connection_made(wire)
        sent = message(dice)
        for piece in pieces(dice, sent):
            if wire.closed:
                break
            connection.data_received(piece)
            if number % 3 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        for status in _STATUS.findall(wire.sent):
            assert int(status) in _EXPECTED, (sent, wire.sent[:300])
        for request in pods.asked:
            length = request.header("Content-Length")
            assert length is None or int(length) == len(request.body), sent
            assert request.header("Transfer-Encoding") is None
            ambiguous = b"Content-Length" in sent and b"Transfer-Encoding: chunked\r\n" in sent
            assert not (ambiguous and request.target == "/smuggled"), sent
        pods.asked.clear()
        connection.connection_lost(None)
    assert not problems
    assert not data_plane.statistics.active
    data_plane.close()
