"""Upstreams' responses as nginx reads them."""

from __future__ import annotations

import pytest

from labctl.embedded.http.parser import Refusal
from labctl.embedded.http.responses import ResponseHead
from tests.unit.embedded_http.reading import response


@pytest.mark.parametrize(
    ("data", "body", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokrest", b"ok", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", True),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw", b"", True),
        (b"rubbish without a head", b"rubbish without a head", False),
        (b"HTTP/x.y 200\r\n\r\nbody", b"HTTP/x.y 200\r\n\r\nbody", False),
    ],
)
def test_bodies(data: bytes, body: bytes, *, keep_alive: bool) -> None:
    for pieces in ([data], [bytes([byte]) for byte in data]):
        head, found, ended = response(pieces)
        assert isinstance(head, ResponseHead)
        assert (found, ended, head.keep_alive) == (body, "complete", keep_alive)


def test_a_response_to_head_has_no_body() -> None:
    assert response([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], "HEAD", closed=False)[1:] == (b"", "complete")


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("HTTP/1.1 404 Not Found", 404, "Not Found"),
        ("HTTP/1.1 500", 500, ""),
        ("HTTP/1.1 599 Odd Words", 599, "Odd Words"),
    ],
)
def test_status_lines(line: str, status: int, reason: str) -> None:
    head, _, _ = response([line.encode() + b"\r\nContent-Length: 0\r\n\r\n"])
    assert isinstance(head, ResponseHead)
    assert (head.status, head.reason) == (status, reason)


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: x",
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Bad Header: x",
        "X: a\rb",
    ],
)
def test_heads_that_are_not_believed(fields: str) -> None:
    ended = response([f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode()])[2]
    assert isinstance(ended, Refusal)
    assert ended.status == 502


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_response_that_is_cut_off_is_open_until_the_end_comes(data: bytes) -> None:
    assert response([data], closed=False)[2] == "open"
    ended = response([data])[2]
    assert isinstance(ended, Refusal)
    assert ended.reason == "upstream prematurely closed connection"


def test_too_long_heads_are_refused() -> None:
    ended = response([b"HTTP/1.1 200 OK\r\nX: " + b"a" * 5000 + b"\r\n\r\n"])[2]
    assert isinstance(ended, Refusal)
    assert ended.reason == "upstream sent too big header"
    assert response([b"HTTP/1.1 200 OK\r\nX: " + b"a" * 5000 + b"\r\n\r\n"], max_head=8192)[2] == "complete"
