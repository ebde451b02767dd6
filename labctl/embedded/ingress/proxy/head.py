"""Request heads as nginx reads them, with the settings that change how: underscores, invalid names, buffers.

`labctl.embedded.http.parser` refuses every malformed header name, which is right for servers of our own. nginx ignores
many of them, depending on its configuration, and that is what an ingress must do.

Source: src/http/ngx_http_parse.c and ngx_http_request.c of nginx 1.25.5.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from labctl.embedded.http.parser import Refusal
from labctl.embedded.ingress.settings import Settings

_REQUEST_LINE = re.compile(r"([A-Z_-]+) +(/[^\x00-\x20\x7f]*) +HTTP/1\.([0-9]{1,2}) *")
_ABSOLUTE = re.compile(
    r"([A-Z_-]+) +[A-Za-z][A-Za-z0-9+.\-]*://(\[[^\x00-\x20\x7f\]]*\]|[A-Za-z0-9.\-]*)(?::[0-9]*)?"
    r"([/?][^\x00-\x20\x7f]*)? +HTTP/1\.([0-9]{1,2}) *"
)
_SIMPLE = re.compile(r"(GET) +(/[^\x00-\x20\x7f]*) *")
_METHOD = re.compile(r"[A-Z_-]+ ")
_BAD_VERSION = re.compile(r"[A-Z_-]+ +[^\x00-\x20\x7f]+ +HTTP/([2-9]|[1-9][0-9]+)")
_NAME = re.compile(r"[A-Za-z0-9\-]+")
_NAME_UNDERSCORE = re.compile(r"[A-Za-z0-9\-_]+")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_HOST = re.compile(r"[^\x00-\x20\x7f/]+")
_UNIQUE = frozenset(
    {
        "if-modified-since",
        "if-unmodified-since",
        "if-match",
        "if-none-match",
        "content-length",
        "content-range",
        "if-range",
        "transfer-encoding",
        "expect",
        "authorization",
        "host",
    }
)
HTTP_2 = 20
"""What stands for HTTP/2 in `Head.minor`."""

_SIZE = {"k": 1024, "m": 1024 * 1024, "g": 1024 * 1024 * 1024}


def parse_size(text: str) -> int | None:
    """A size as nginx writes it, in bytes: `8k`, `1m`; None when it is none."""
    body, unit = (text[:-1], _SIZE.get(text[-1:].lower(), 1)) if text[-1:].lower() in _SIZE else (text, 1)
    return int(body) * unit if body.isascii() and body.isdigit() else None


@dataclass(frozen=True, slots=True)
class HeadRules:
    """What of the configuration decides how heads are read; sizes in bytes."""

    underscores: bool = False
    ignore_invalid: bool = True
    first_buffer: int = 1024
    buffers: int = 4
    buffer_size: int = 8192


def head_rules(settings: Settings) -> HeadRules:
    """The rules that the ConfigMap sets."""
    count, _, size = settings.large_client_header_buffers.partition(" ")
    return HeadRules(
        underscores=settings.enable_underscores_in_headers,
        ignore_invalid=settings.ignore_invalid_headers,
        first_buffer=parse_size(settings.client_header_buffer_size) or 1024,
        buffers=int(count) if count.isdigit() else 4,
        buffer_size=parse_size(size.strip()) or 8192,
    )


class Head:
    """A request head.

    Attributes:
        method: As sent.
        target: Path and query as sent; the scheme and authority of an absolute target are taken off.
        minor: Minor version of HTTP/1; 9 stands for HTTP/0.9, `HTTP_2` for HTTP/2.
        headers: In wire order and case.
        fields: By lower-case name; repeated ones joined as nginx's `$http_` variables join them.
        host: Host without port, lower case; empty when there is none.
        length: Content-Length, 0 without, -1 when chunked.
        size: Bytes of the head.
        keep_alive: Whether the client wants to go on with this connection.
    """

    __slots__ = ("authority", "fields", "headers", "host", "keep_alive", "length", "method", "minor", "size", "target")

    def __init__(self, method: str, target: str, minor: int, authority: str = "") -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.authority = authority
        self.headers: list[tuple[str, str]] = []
        self.fields: dict[str, str] = {}
        self.host = ""
        self.length = 0
        self.size = 0
        self.keep_alive = minor >= 1 and minor != 9

    @property
    def protocol(self) -> str:
        """`$server_protocol`."""
        if self.minor == HTTP_2:
            return "HTTP/2.0"
        return "HTTP/0.9" if self.minor == 9 else f"HTTP/1.{self.minor}"


def end_of_head(data: bytes | bytearray) -> int:
    """Index just after the empty line that ends a head, -1 while it is not there; a lone LF ends a line too."""
    end = data.find(b"\r\n\r\n")
    if end >= 0:
        lone = data.find(b"\n\n", 0, end + 2)
        if lone < 0:
            mixed = data.find(b"\n\r\n", 0, end + 1)
            return end + 4 if mixed < 0 else mixed + 3
        return lone + 2
    lone = data.find(b"\n\n")
    mixed = data.find(b"\n\r\n")
    ends = [index + length for index, length in ((lone, 2), (mixed, 3)) if index >= 0]
    return min(ends, default=-1)


def parse_head(text: str, rules: HeadRules) -> Head | Refusal:
    """Read a head.

    Args:
        text: The head with its empty line, latin-1, without empty lines before it.
        rules: How to read it.
    """
    lines = text.split("\n")
    line = lines[0]
    if line[-1:] == "\r":
        line = line[:-1]
    head = _request_line(line)
    if isinstance(head, Refusal):
        return head
    if len(text) > rules.first_buffer:
        refusal = too_large(lines, rules)
        if refusal is not None:
            return refusal
    return parse_fields(head, lines, rules) or head


def _request_line(line: str) -> Head | Refusal:
    match = _REQUEST_LINE.fullmatch(line)
    if match is not None:
        return Head(match[1], match[2], min(int(match[3]), 1))
    match = _ABSOLUTE.fullmatch(line)
    if match is not None:
        target = match[3] or "/"
        host = _valid_host(match[2])
        if host is None:
            return Refusal(400, "client sent invalid host in request line")
        return Head(match[1], target if target[0] == "/" else "/" + target, min(int(match[4]), 1), host)
    match = _SIMPLE.fullmatch(line)
    if match is not None:
        return Head(match[1], match[2], 9)
    if not _METHOD.match(line):
        return Refusal(400, "client sent invalid method")
    if _BAD_VERSION.match(line):
        return Refusal(505, "client sent invalid version")
    return Refusal(400, "client sent invalid request")


@functools.lru_cache(maxsize=1024)
def lower_name(name: str) -> str:
    """A header name in lower case; the same few names come again and again."""
    return name.lower()


@functools.lru_cache(maxsize=1024)
def _is_name(name: str, *, underscores: bool) -> bool:
    return (_NAME_UNDERSCORE if underscores else _NAME).fullmatch(name) is not None


def parse_fields(head: Head, lines: list[str], rules: HeadRules) -> Refusal | None:
    """Read header lines into a head, up to an empty one, and let them take effect.

    Args:
        head: With its request line read.
        lines: The request line and the header lines.
        rules: How to read them.
    """
    return _header_lines(head, lines, rules) or _framing(head)


def _header_lines(head: Head, lines: list[str], rules: HeadRules) -> Refusal | None:
    headers, fields = head.headers, head.fields
    underscores = rules.underscores
    for line in lines[1:]:
        if line[-1:] == "\r":
            line = line[:-1]  # noqa: PLW2901 - the line without its end
        if not line:
            break
        name, _, value = line.partition(":")
        if not _is_name(name, underscores=underscores):
            if _CONTROL.search(name):
                return Refusal(400, f'client sent invalid header line: "{line[:60]}"')
            if rules.ignore_invalid:
                continue
        if "\0" in value or "\r" in value:
            return Refusal(400, f'client sent invalid header line: "{line[:60]}"')
        value = value.strip(" ")
        lower = lower_name(name)
        if lower in fields:
            if lower in _UNIQUE:
                return Refusal(400, f'client sent duplicate header line: "{name}: {value}"')
            fields[lower] = f"{fields[lower]}{'; ' if lower == 'cookie' else ', '}{value}"
        else:
            fields[lower] = value
        headers.append((name, value))
    return None


def _framing(head: Head) -> Refusal | None:
    """Host, body length and connection handling; what two parsers could read differently is refused."""
    fields = head.fields
    refusal = _note_host(head, fields.get("host"))
    if refusal is not None:
        return refusal
    length = fields.get("content-length")
    if length is not None:
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            return Refusal(400, 'client sent invalid "Content-Length" header')
        head.length = int(length)
    if "transfer-encoding" in fields:
        refusal = _chunked(head, fields["transfer-encoding"], has_length=length is not None)
        if refusal is not None:
            return refusal
    _note_connection(head, fields.get("connection", ""))
    if head.method in {"CONNECT", "TRACE"}:
        return Refusal(405, f"client sent {head.method} method")
    return None


def _note_host(head: Head, text: str | None) -> Refusal | None:
    if text is None:
        head.host = head.authority
        return Refusal(400, 'client sent HTTP/1.1 request without "Host" header') if head.minor in (1, HTTP_2) else None
    host = _valid_host(text)
    if host is None:
        return Refusal(400, "client sent invalid host header")
    head.host = head.authority or host
    return None


def _note_connection(head: Head, value: str) -> None:
    lower = value.lower()
    if "close" in lower:
        head.keep_alive = False
    elif "keep-alive" in lower:
        head.keep_alive = head.minor != 9


def _chunked(head: Head, encoding: str, *, has_length: bool) -> Refusal | None:
    if head.minor != 1:
        return Refusal(400, 'client sent HTTP/1.0 request with "Transfer-Encoding" header')
    if encoding.lower() != "chunked":
        return Refusal(501, f'client sent unknown "Transfer-Encoding": "{encoding}"')
    if has_length:
        return Refusal(400, 'client sent "Content-Length" and "Transfer-Encoding" headers at the same time')
    head.length = -1
    return None


def _valid_host(text: str) -> str | None:
    """A Host without its port, lower case, without a dot at its end; None when nginx refuses it."""
    if not _HOST.fullmatch(text) or ".." in text:
        return None
    host = text[: text.find("]") + 1] if text[0] == "[" and "]" in text else text.partition(":")[0]
    host = host.removesuffix(".")
    return host.lower() or None


def too_large(lines: list[str], rules: HeadRules) -> Refusal | None:
    """Whether lines do not fit nginx's header buffers: one line into one buffer, all into a few."""
    room, used = rules.first_buffer, 0
    for number, line in enumerate(lines):
        length = len(line) + 1
        if length <= room:
            room -= length
            continue
        used += 1
        if length > rules.buffer_size or used > rules.buffers:
            if number == 0:
                return Refusal(414, "client sent too long URI")
            return Refusal(494, "client sent too long header line")
        room = rules.buffer_size - length
    return None
