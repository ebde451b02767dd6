"""JSON as Go's encoding/json reads it: the same texts for what is wrong.

Source: Go 1.24 `encoding/json/scanner.go`.
"""

from __future__ import annotations

import json
from typing import Any

_SPACE = " \t\r\n"
_DIGITS = "0123456789"
_HEX = "0123456789abcdefABCDEF"
_ESCAPABLE = 'bfnrt\\/"'
_DEPTH = 10_000


class GoJsonError(ValueError):
    """What encoding/json says about the input."""


def decode(data: bytes) -> Any:
    """Decode JSON.

    Raises:
        GoJsonError: With Go's words.
    """
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise GoJsonError(_Scanner(text).problem()) from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def decode_with_duplicates(data: bytes) -> tuple[Any, list[str]]:
    """Decode JSON, and name the keys that an object has twice (the later value counts).

    Raises:
        GoJsonError: With Go's words.
    """
    found: dict[int, list[str]] = {}

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            names = [key for key, _ in items]
            found[id(result)] = sorted({name for name in names if names.count(name) > 1})
        return result

    text = data.decode("utf-8", "replace")
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise GoJsonError(_Scanner(text).problem()) from None
    return value, _paths(value, found, "") if found else []


def _paths(value: Any, found: dict[int, list[str]], path: str) -> list[str]:
    result: list[str] = []
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        result += [prefix + name for name in found.get(id(value), ())]
        for key, item in value.items():
            result += _paths(item, found, prefix + key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            result += _paths(item, found, f"{path}[{index}]")
    return result


class _ScanError(Exception):
    pass


class _Scanner:
    """Walks the text as the scanner's state machine does, to find what it stumbles over first."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def problem(self) -> str:
        try:
            self._value("looking for beginning of value", 0)
            self._skip()
            if self._at < len(self._text):
                self._fail("after top-level value")
        except _ScanError as problem:
            return str(problem)
        except RecursionError:
            return "exceeded max depth"
        return "invalid JSON"

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1

    def _fail(self, context: str) -> None:
        if self._at >= len(self._text):
            raise _ScanError("unexpected end of JSON input")
        character = self._text[self._at]
        shown = {"'": "'\\''", '"': "'\"'"}.get(character) or "'" + json.dumps(character, ensure_ascii=False)[
            1:-1
        ] + "'"
        raise _ScanError(f"invalid character {shown} {context}")

    def _take(self, allowed: str, context: str) -> str:
        if self._at >= len(self._text) or self._text[self._at] not in allowed:
            self._fail(context)
        self._at += 1
        return self._text[self._at - 1]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _value(self, context: str, depth: int) -> None:
        if depth > _DEPTH:
            raise _ScanError("exceeded max depth")
        self._skip()
        character = self._peek()
        if character == "{":
            self._object(depth)
        elif character == "[":
            self._array(depth)
        elif character == '"':
            self._string()
        elif character and character in "-" + _DIGITS:
            self._number()
        elif character in ("t", "f", "n"):
            self._literal({"t": "true", "f": "false", "n": "null"}[character])
        else:
            self._fail(context)

    def _object(self, depth: int) -> None:
        self._at += 1
        self._skip()
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            self._skip()
            if self._peek() != '"':
                self._fail("looking for beginning of object key string")
            self._string()
            self._skip()
            self._take(":", "after object key")
            self._value("looking for beginning of value", depth + 1)
            self._skip()
            if self._take(",}", "after object key:value pair") == "}":
                return

    def _array(self, depth: int) -> None:
        self._at += 1
        self._skip()
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            self._value("looking for beginning of value", depth + 1)
            self._skip()
            if self._take(",]", "after array element") == "]":
                return

    def _string(self) -> None:
        self._at += 1
        while True:
            character = self._peek()
            if character == "\\":
                self._at += 1
                if self._take(_ESCAPABLE + "u", "in string escape code") == "u":
                    for _ in range(4):
                        self._take(_HEX, "in \\u hexadecimal character escape")
                continue
            if not character or character < " ":
                self._fail("in string literal")
            self._at += 1
            if character == '"':
                return

    def _number(self) -> None:
        if self._peek() == "-":
            self._at += 1
        if self._take(_DIGITS, "in numeric literal") != "0":
            self._digits()
        if self._peek() == ".":
            self._at += 1
            self._take(_DIGITS, "after decimal point in numeric literal")
            self._digits()
        if self._peek() in ("e", "E"):
            self._at += 1
            if self._peek() in ("+", "-"):
                self._at += 1
            self._take(_DIGITS, "in exponent of numeric literal")
            self._digits()

    def _digits(self) -> None:
        while self._peek() and self._peek() in _DIGITS:
            self._at += 1

    def _literal(self, word: str) -> None:
        for index, character in enumerate(word):
            self._take(character, f"in literal {word} (expecting '{word[index]}')")
