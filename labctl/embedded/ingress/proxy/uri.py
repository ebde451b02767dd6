"""Request targets as nginx reads them: decoding, dot segments, merged slashes."""

from __future__ import annotations

import re

_NEEDS_CARE = re.compile(r"[%#]|//|/\.")
_HEX = "0123456789abcdef"
_ESCAPED = re.compile(r"[\x00-\x20#%?\x7f-\xff]")
_COMPONENT = re.compile(r"[^A-Za-z0-9\-._~]")


def split_target(target: str) -> tuple[str, str | None, bool] | None:
    """Normalise a request target.

    Args:
        target: Path and query as sent, latin-1.

    Returns:
        The decoded path, the query (None without a question mark) and whether anything was percent-encoded; None when
        nginx answers 400. Encoded slashes and dots count as such; `#` ends the URI.
    """
    path, mark, query = target.partition("?")
    args: str | None = query if mark else None
    if not _NEEDS_CARE.search(path):
        if args is not None and "#" in args:
            args = args.partition("#")[0]
        return path, args, False
    return _normalise(target)


def _normalise(target: str) -> tuple[str, str | None, bool] | None:
    decoded = _decode(target)
    if decoded is None:
        return None
    characters, rest, quoted = decoded
    segments = _resolve(characters)
    if segments is None:
        return None
    if rest is not None:
        rest = rest.partition("#")[0]
    return segments, rest, quoted


def _decode(target: str) -> tuple[list[tuple[str, bool]], str | None, bool] | None:
    """Characters up to the query, each with whether it is only text; the query; whether anything was encoded."""
    characters: list[tuple[str, bool]] = []
    position, quoted = 0, False
    while position < len(target):
        character = target[position]
        position += 1
        if character == "?":
            return characters, target[position:], quoted
        if character == "#":
            break
        if character != "%":
            characters.append((character, False))
            continue
        pair = target[position : position + 2].lower()
        if len(pair) < 2 or pair[0] not in _HEX or pair[1] not in _HEX or pair == "00":
            return None
        quoted = True
        position += 2
        character = chr(int(pair, 16))
        characters.append((character, character in "%#?"))
    return characters, None, quoted


def _resolve(characters: list[tuple[str, bool]]) -> str | None:
    """Merge slashes and resolve dot segments; None when they lead above the root."""
    text = "".join("\0" if literal else character for character, literal in characters)
    literals = iter([character for character, literal in characters if literal])
    kept: list[str] = []
    pieces = text.split("/")[1:]
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        if piece in {"", "."}:
            if last:
                kept.append("")
        elif piece == "..":
            if not kept:
                return None
            kept.pop()
            if last:
                kept.append("")
        else:
            kept.append("".join(next(literals) if character == "\0" else character for character in piece))
    return "/" + "/".join(kept)


def escape_uri(path: str) -> str:
    """Encode a path for a request line: what nginx sends upstream after a rewrite (latin-1 text)."""
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", path) if _ESCAPED.search(path) else path


def escape_component(text: str) -> str:
    """Encode a whole URI as the value of a query argument, as `set_escape_uri` does (latin-1 text)."""
    return _COMPONENT.sub(lambda match: f"%{ord(match[0]):02X}", text)
