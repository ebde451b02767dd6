"""Private keys out of logs: at log level 3 the real controller prints those of the certificates it serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")


def masked(lines: Iterable[str]) -> Iterator[str]:
    """The lines with `***` for each private key in PEM, whether it stands in one line or goes over many."""
    inside = False
    for line in lines:
        began_inside = inside
        text, inside = _mask(line, inside)
        if text.strip() or not began_inside:
            yield text


def _mask(line: str, inside: bool) -> tuple[str, bool]:
    shown, rest = "", line
    while True:
        if inside:
            end = _END.search(rest)
            if end is None:
                return shown, True
            rest, inside = rest[end.end() :], False
        begin = _BEGIN.search(rest)
        if begin is None:
            return shown + rest, False
        shown, rest, inside = f"{shown}{rest[: begin.start()]}***", rest[begin.end() :], True
