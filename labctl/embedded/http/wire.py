"""Responses as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from labctl.embedded.http.messages import Headers, Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_DATE = 1
_LENGTH = 2
_CODING = 4
_CONNECTION = 8
_BITS = {"date": _DATE, "content-length": _LENGTH, "transfer-encoding": _CODING, "connection": _CONNECTION}
_MAX_NAMES = 4096


class _Kinds(dict[str, int]):
    """Which names are the server's concern; 0 for the others. A cache, as names repeat."""

    def __missing__(self, name: str) -> int:
        kind = _BITS.get(name.lower(), 0)
        if len(self) < _MAX_NAMES:
            self[name] = kind
        return kind


_kinds = _Kinds()


@lru_cache(maxsize=4)
def http_date(second: int) -> str:
    """The Date header's value for a second since the epoch."""
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=256)
def _status_line(status: int, reason: str) -> str:
    if not reason:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
    return f"HTTP/1.1 {status} {reason}\r\n"


def has_body(status: int) -> bool:
    """Whether responses of a status carry a body at all (RFC 9110, section 6.4.1)."""
    return status >= 200 and status not in (204, 304)


def chunk(piece: bytes) -> bytes:
    """One piece of a body in the chunked coding; the empty piece ends the body."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def head_bytes(response: Response, length: int | None, *, keep_alive: bool, version: str) -> tuple[bytes, bool]:
    """Status line and header fields.

    Date, Content-Length, Transfer-Encoding and Connection are added where the response does not have them. Where it
    does, they stay in their place: an empty Date or Content-Length is filled in, and a Connection that promises more
    than is true becomes `close`.

    Args:
        response: What to send.
        length: Bytes of the body; None when they are not known beforehand.
        keep_alive: Whether the connection is to be used again.
        version: The client's HTTP version.

    Returns:
        The bytes, and whether the connection may be used again after the body.

    Raises:
        ValueError: A header field holds a line break or a character beyond latin-1.
    """
    lines = [_status_line(response.status, response.reason)]
    kinds = _kinds
    seen = 0
    keep_alive = keep_alive and (length is not None or version == "1.1" or response.status == 101)
    for name, given in response.headers:
        kind = kinds[name]
        value = given
        if kind:
            seen |= kind
            if kind == _CONNECTION:
                value, keep_alive = _connection(given, response.status, keep_alive=keep_alive)
            elif not given:
                value = _filled(kind, length)
        lines.append(f"{name}: {value}\r\n")
    _add_missing(lines, seen, response.status, length, keep_alive=keep_alive, version=version)
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        raise ValueError("a header field holds a line break")
    return (text + "\r\n").encode("latin-1"), keep_alive


def _connection(value: str, status: int, *, keep_alive: bool) -> tuple[str, bool]:
    """What the Connection field says in the end, and whether the connection is kept."""
    if "close" in value.lower():
        return value, False
    return (value, True) if keep_alive or status == 101 else ("close", False)


def _filled(kind: int, length: int | None) -> str:
    if kind == _DATE:
        return http_date(int(time.time()))
    return str(length) if kind == _LENGTH and length is not None else ""


def _add_missing(
    lines: list[str], seen: int, status: int, length: int | None, *, keep_alive: bool, version: str
) -> None:
    if not seen & _DATE:
        lines.insert(1, f"Date: {http_date(int(time.time()))}\r\n")
    if not seen & (_LENGTH | _CODING) and has_body(status):
        if length is not None:
            lines.append(f"Content-Length: {length}\r\n")
        elif version == "1.1":
            lines.append("Transfer-Encoding: chunked\r\n")
    if not seen & _CONNECTION and status != 101:
        if not keep_alive:
            lines.append("Connection: close\r\n")
        elif version == "1.0":
            lines.append("Connection: keep-alive\r\n")


def is_chunked(headers: Headers, version: str) -> bool:
    """Whether a body whose length nobody knows goes out in chunks: always in 1.1, unless the headers give a length."""
    return version == "1.1" and not any(_kinds[name] == _LENGTH and value for name, value in headers)
