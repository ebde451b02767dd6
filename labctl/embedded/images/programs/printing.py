"""echo and printf, for the builtins and for the programs of the same name."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\\": "\\",
    "e": "\x1b",
    '"': '"',
}
_CONVERSION = re.compile(r"%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?([diouxXcsbeEfgG%])")


def unescape(text: str) -> tuple[str, bool]:
    r"""Backslash escapes → characters; whether `\c` ended the output."""
    out: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\" or at + 1 == len(text):
            out.append(text[at])
            at += 1
            continue
        char = text[at + 1]
        octal = re.match(r"0?[0-7]{1,3}", text[at + 1 :])
        hexadecimal = re.match(r"x([0-9a-fA-F]{1,2})", text[at + 1 :])
        if char == "c":
            return "".join(out), True
        if hexadecimal:
            out.append(chr(int(hexadecimal.group(1), 16)))
            at += 1 + hexadecimal.end()
        elif octal:
            out.append(chr(int(octal.group(), 8) & 0xFF))
            at += 1 + octal.end()
        else:
            out.append(_ESCAPES.get(char, "\\" + char))
            at += 2
    return "".join(out), False


def echo_text(arguments: Sequence[str]) -> str:
    """What `echo` prints."""
    words = list(arguments)
    newline, escapes = True, False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        flags = words.pop(0)
        newline = newline and "n" not in flags
        escapes = (escapes or "e" in flags) and not flags.endswith("E")
    text = " ".join(words)
    if escapes:
        text, cut = unescape(text)
        newline = newline and not cut
    return text + ("\n" if newline else "")


def format_printf(template: str, arguments: Sequence[str]) -> str:
    """What `printf` prints; the format is used again while arguments are left."""
    rest = list(arguments)
    out: list[str] = []
    while True:
        count = len(rest)
        out.append(_once(template, rest))
        if not rest or len(rest) == count:
            return "".join(out)


def _once(template: str, rest: list[str]) -> str:
    out: list[str] = []
    at = 0
    for match in _CONVERSION.finditer(template):
        out.append(unescape(template[at : match.start()])[0])
        out.append(_convert(match, rest))
        at = match.end()
    out.append(unescape(template[at:])[0])
    return "".join(out)


def _convert(match: re.Match[str], rest: list[str]) -> str:
    flags, width, precision, kind = match.groups()
    if kind == "%":
        return "%"
    width = _take(rest) if width == "*" else width
    precision = _take(rest) if precision == "*" else precision
    value = _take(rest)
    spec = f"%{flags}{width or ''}" + (f".{precision}" if precision is not None else "")
    if kind == "b":
        return (spec + "s") % unescape(value)[0]
    if kind == "c":
        return (spec + "s") % value[:1]
    if kind == "s":
        return (spec + "s") % value
    if kind in "eEfgG":
        return str((spec + kind) % _float(value))
    return str((spec + ("d" if kind in "iu" else kind)) % _integer(value))


def _take(rest: list[str]) -> str:
    return rest.pop(0) if rest else ""


def _integer(text: str) -> int:
    if text[:1] in ("'", '"') and len(text) > 1:
        return ord(text[1])
    try:
        return int(text, 0)
    except ValueError:
        digits = re.match(r"[+-]?\d+", text)
        return int(digits.group()) if digits else 0


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
