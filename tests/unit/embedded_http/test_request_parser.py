"""Requests as nginx reads them. The statuses were checked against a real nginx."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.embedded.http.parser import Head, HeadLimits, Refusal
from tests.unit.embedded_http.reading import requests, status_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def head_of(data: bytes) -> Head:
    head = requests([data])[0][0]
    assert isinstance(head, Head)
    return head


@pytest.mark.parametrize(
    ("line", "method", "target", "authority", "version"),
    [
        ("GET / HTTP/1.1", "GET", "/", "", "1.1"),
        ("GET /a?b=c%20d#e HTTP/1.1", "GET", "/a?b=c%20d#e", "", "1.1"),
        ("GET   /a   HTTP/1.0  ", "GET", "/a", "", "1.0"),
        ("FOO-BAR_X /a HTTP/1.1", "FOO-BAR_X", "/a", "", "1.1"),
        ("GET /\xe9 HTTP/1.1", "GET", "/\xe9", "", "1.1"),
        ("GET /a HTTP/1.15", "GET", "/a", "", "1.1"),
        ("GET http://h.test/a?b HTTP/1.1", "GET", "/a?b", "h.test", "1.1"),
        ("GET http://h.test:8080 HTTP/1.1", "GET", "/", "h.test", "1.1"),
        ("GET http://h.test?q=1 HTTP/1.1", "GET", "/?q=1", "h.test", "1.1"),
        ("GET x+y-z.1://[::1]:80/ HTTP/1.1", "GET", "/", "[::1]", "1.1"),
        ("GET /old", "GET", "/old", "", "0.9"),
        ("GET /old  ", "GET", "/old", "", "0.9"),
    ],
)
def test_request_lines_that_nginx_takes(line: str, method: str, target: str, authority: str, version: str) -> None:
    head = head_of(line.encode("latin-1") + b"\r\nHost: a\r\n\r\n")
    assert (head.method, head.target, head.authority, head.version) == (method, target, authority, version)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("get / HTTP/1.1", 400),
        ("GET", 0),
        ("GET\t/ HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /\t HTTP/1.1", 400),
        ("GET /\x7f HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 400),
        ("CONNECT h.test:443 HTTP/1.1", 400),
        ("CONNECT / HTTP/1.1", 405),
        ("TRACE / HTTP/1.1", 405),
        ("GET http://h_t/ HTTP/1.1", 400),
        ("GET http:///a HTTP/1.1", 400),
        ("GET http://h..t/a HTTP/1.1", 400),
        ("GET http:/h/a HTTP/1.1", 400),
        ("GET http://h:8x/a HTTP/1.1", 400),
        ("GET http://h", 400),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/3", 505),
        ("GET / HTTP/10.1", 505),
        ("GET / HTTP/0.9", 400),
        ("GET / HTTP/01.1", 400),
        ("GET / HTTP/1.1000", 400),
        ("GET / HTTP/1.", 400),
        ("GET / HTTP/1.1 x", 400),
        ("GET / http/1.1", 400),
        ("POST /old", 400),
        ("\x16\x03\x01", 400),
    ],
)
def test_request_lines_that_nginx_refuses(line: str, status: int) -> None:
    if line == "GET":
        assert requests([line.encode()]) == []
        return
    assert status_of(requests([line.encode("latin-1") + b"\r\nHost: a\r\n\r\n"])[0]) == status


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ("X: y", [("X", "y")]),
        ("X:y", [("X", "y")]),
        ("X:   y  z   ", [("X", "y  z")]),
        ("X:\ty", [("X", "\ty")]),
        ("X:", [("X", "")]),
        ("X", [("X", "")]),
        ("X_y.z!: 1", [("X_y.z!", "1")]),
        ("X: \xe4", [("X", "\xe4")]),
        ("X: a:b", [("X", "a:b")]),
        ("Cookie: a=1\r\nCookie: b=2", [("Cookie", "a=1"), ("Cookie", "b=2")]),
        ("X: y\r", [("X", "y")]),
    ],
)
def test_fields_that_nginx_takes(fields: str, headers: list[tuple[str, str]]) -> None:
    head = head_of(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields.encode("latin-1") + b"\r\n\r\n")
    assert head.headers == [("Host", "a"), *headers]


@pytest.mark.parametrize(
    "fields",
    [
        "Bad Header",
        "Bad Header: x",
        "X : y",
        " folded: x",
        "X: y\r\n folded",
        "X: y\r\n\tfolded",
        ": no name",
        "X: a\rb",
        "X: a\0b",
        "X\0: a",
        "X\x7f: a",
        "\rX: a",
        "Host: b",
        "Content-Length: 0\r\nContent-Length: 0",
        "Content-Length: 3\r\nContent-Length: 5",
        "Content-Length: 3\r\ncontent-length: 3",
        "Content-Length: ",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 3, 3",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length: \xb2",
        "Content-Length: 9223372036854775808",
        "Content-Length: 99999999999999999999999999999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Expect: 100-continue\r\nExpect: 100-continue",
        "Authorization: a\r\nAuthorization: b",
        "If-None-Match: a\r\nIf-None-Match: b",
    ],
)
def test_fields_that_nginx_refuses(fields: str) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\n" + fields.encode("latin-1") + b"\r\n\r\n"
    assert status_of(requests([data])[0]) == 400
    assert status_of(requests([data[i : i + 1] for i in range(len(data))])[0]) == 400


@pytest.mark.parametrize(
    "coding",
    ["gzip", "identity", "chunked, gzip", "gzip, chunked", "chunked,", "\tchunked", "xchunked", "", "chunked\x0b"],
)
def test_codings_other_than_chunked_are_not_implemented(coding: str) -> None:
    data = f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n".encode()
    assert status_of(requests([data])[0]) == 501


def test_transfer_encoding_in_http_1_0_is_refused() -> None:
    data = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert status_of(requests([data])[0]) == 400


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("a", True), ("A.b-c_d:80", True), ("a.", True), ("[::1]:80", True), ("a:b:c", True), ("*", True), ("a%b", True),
        ("", False), (".", False), (":80", False), ("a..b", False), ("a/b", False), ("a b", False), ("a\tb", False),
    ],
)  # fmt: skip
def test_hosts(host: str, *, taken: bool) -> None:
    status = status_of(requests([f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()])[0])
    assert status == (200 if taken else 400)


def test_host_is_needed_in_1_1_only() -> None:
    assert status_of(requests([b"GET / HTTP/1.1\r\n\r\n"])[0]) == 400
    assert status_of(requests([b"GET / HTTP/1.0\r\n\r\n"])[0]) == 200


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", [], True),
        ("1.1", ["close"], False),
        ("1.1", ["Keep-Alive, Close"], False),
        ("1.1", ["close", "keep-alive"], True),
        ("1.1", ["upgrade"], True),
        ("1.0", [], False),
        ("1.0", ["Keep-Alive"], True),
    ],
)
def test_keep_alive(version: str, connection: list[str], *, keep_alive: bool) -> None:
    fields = "".join(f"Connection: {value}\r\n" for value in connection)
    assert head_of(f"GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode()).keep_alive is keep_alive


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\n",
        b"\r\n\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_lone_line_feeds_and_empty_lines_before_a_request_are_taken(data: bytes) -> None:
    assert [status_of(message) for message in requests([data])] == [200]


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"0003;ext=\"x\"\r\nabc\r\n2 \r\nde\r\n0;x\r\n\r\n", b"abcde"),
        (b"A\nabcdefghij\n0\n\n", b"abcdefghij"),
        (b"1\r\nx\r\n0\r\nTrailer: v\r\nOther\r\n\r\n", b"x"),
        (b"0\r\n\r\n", b""),
    ],
)  # fmt: skip
def test_chunked_bodies(body: bytes, content: bytes) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body + GET
    messages = requests([data])
    assert [(message[1], status_of(message)) for message in messages] == [(content, 200), (b"", 200)]


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n", b"\r\nabc", b" 3\r\nabc\r\n0\r\n\r\n", b"-1\r\n", b"+3\r\nabc\r\n", b"0x3\r\nabc\r\n", b"3xyz\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nabc0\r\n\r\n", b"3\rabc\r\n", b"3;a\rb\r\n", b"8000000000000000\r\n",
        b"fffffffffffffffff\r\n", b"3\r\nabc\rX", b"0\r\nTrailer: a\rb\r\n\r\n",
    ],
)  # fmt: skip
def test_broken_chunks_are_refused(body: bytes) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    assert status_of(requests([data])[0]) == 400
    assert status_of(requests([data[i : i + 1] for i in range(len(data))])[0]) == 400


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 8176 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 200),  # 8192 with its line end
        (b"GET /" + b"a" * 8177 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 8187 + b"\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 8188 + b"\r\n\r\n", 494),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000, 494),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 4 + b"\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 5 + b"\r\n", 494),
    ],
)
def test_heads_longer_than_nginx_buffers(data: bytes, status: int) -> None:
    assert status_of(requests([data])[0]) == status
    assert status_of(requests([data[i : i + 700] for i in range(0, len(data), 700)])[0]) == status


def test_limits_are_settable() -> None:
    limits = HeadLimits(first=64, size=128, number=1)
    assert status_of(requests([b"GET /" + b"a" * 150 + b" HTTP/1.1\r\nHost: a\r\n\r\n"], limits)[0]) == 414
    assert status_of(requests([GET], limits)[0]) == 200


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02", b"g", b" ", b"GET / HTTP/1.1\r\n X", b"GET / HTTP/1.1\r\nHost: a\r\n\rX"]
)
def test_what_cannot_become_a_request_is_refused_at_once(data: bytes) -> None:
    assert status_of(requests([data])[0]) == 400


def test_http_0_9_with_another_method_is_answered_without_a_head() -> None:
    ended = requests([b"POST /\r\n"])[0][2]
    assert isinstance(ended, Refusal)
    assert (ended.status, ended.simple) == (400, True)


MESSAGES = [
    GET,
    b"GET /x?y HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5;x\r\nhello\r\n6\n world\n0\r\nT: v\r\n\r\n",
    b"\r\nPUT http://h/p HTTP/1.1\r\nHost: a\r\nX_y:  z \r\nContent-Length: 3\r\n\r\n\r\n\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX",
    b"GET / HTTP/2.0\r\n\r\n",
]


@given(
    st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=3),
    st.lists(st.integers(min_value=1, max_value=40), max_size=40),
)
def test_how_bytes_are_split_makes_no_difference(messages: list[bytes], sizes: list[int]) -> None:
    data = b"".join(messages)
    pieces, position = [], 0
    for size in sizes:
        pieces.append(data[position : position + size])
        position += size
    pieces.append(data[position:])
    assert requests(pieces) == requests([data])


@pytest.mark.parametrize("message", MESSAGES)
def test_split_at_every_byte(message: bytes) -> None:
    whole = requests([message + GET])
    for at in range(len(message)):
        assert requests([message[:at], message[at:] + GET]) == whole
    assert requests([bytes([byte]) for byte in message + GET]) == whole


@given(st.binary(max_size=300))
def test_any_bytes_come_to_an_end(data: bytes) -> None:
    for message in requests([b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + data, data, GET]):
        assert status_of(message) in {0, 200, 400, 405, 414, 494, 501, 505}
