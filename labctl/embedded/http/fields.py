"""Header fields: which of them decide how a message is framed, and what nginx refuses about them.

Sources: ngx_http_headers_in, ngx_http_parse_header_line and ngx_http_process_request_header of nginx 1.25.5.
"""

from __future__ import annotations

import re
from functools import lru_cache

HOST = 1
CONTENT_LENGTH = 2
TRANSFER_ENCODING = 4
EXPECT = 8
CONNECTION = 16
_SINGLE = (
    "host", "content-length", "transfer-encoding", "expect", "if-modified-since", "if-unmodified-since", "if-match",
    "if-none-match", "content-range", "if-range", "authorization",
)  # fmt: skip
"""Fields that nginx refuses to see twice in a request."""
_BITS = {
    "host": HOST,
    "content-length": CONTENT_LENGTH,
    "transfer-encoding": TRANSFER_ENCODING,
    "expect": EXPECT,
    "connection": CONNECTION,
} | {name: 32 << index for index, name in enumerate(_SINGLE[4:])}
INVALID = -1
_MAX_NAMES = 4096
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")
_FIELD = re.compile(r"[^\x00-\x20\x7f:]+(?::[^\x00\r]*)?\r*")
_LENGTH = re.compile(r"[0-9]+")
_MAX_LENGTH = 2**63 - 1


class FieldKinds(dict[str, int]):
    """What kind of field a name is: 0 for ordinary ones, one bit for each that matters, INVALID for none.

    Works as a cache: names repeat, so each is looked at once (and at most some thousands are remembered).
    """

    def __missing__(self, name: str) -> int:
        kind = INVALID if not name or _FORBIDDEN.search(name) else _BITS.get(name.lower(), 0)
        if len(self) < _MAX_NAMES:
            self[name] = kind
        return kind


def invalid_at(line: str) -> int:
    """Index of the character that makes a header line invalid; -1 for a valid line, or the beginning of one.

    Args:
        line: Without its line feed.
    """
    if line in ("", "\r"):
        return -1
    found = _FIELD.match(line)
    if found is None:
        return 0
    return -1 if found.end() == len(line) else len(found[0].rstrip("\r"))


def content_length(value: str) -> int:
    """The number that a Content-Length says; -1 when it says none (ngx_atoof)."""
    if not _LENGTH.fullmatch(value):
        return -1
    number = int(value) if len(value) < 40 else _MAX_LENGTH + 1
    return number if number <= _MAX_LENGTH else -1


@lru_cache(maxsize=1024)
def is_host(value: str) -> bool:
    """Whether nginx takes a Host: no empty label, slash, space or control character (ngx_http_validate_host)."""
    if ".." in value or "/" in value or _FORBIDDEN.search(value):
        return False
    name = value[: value.find("]") + 1] if value.startswith("[") and "]" in value else value.split(":", 1)[0]
    return name not in ("", ".")


def wants_close(value: str) -> bool | None:
    """What a Connection field asks for: to close, to keep alive, or neither (substrings, as nginx looks for them)."""
    lower = value.lower()
    if "close" in lower:
        return True
    return False if "keep-alive" in lower else None
