r"""`--set` and `--set-string` as Helm reads them: `a.b=1,c[0].d=x,e={p,q}`, with `\` before a character that is meant.

The rules are Helm's own (its package `strvals`, version 3.17), its limits and corner cases included, because a command
line that works with `helm install` must mean the same here. Values are assigned into those that are there already:
`list[0].key=x` changes one entry of a list from a file and keeps the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from labctl.errors import UsageError
from labctl.ingress.values import ValuePath, Values

MAX_INDEX = 65536
MAX_NESTING = 30

_INT = re.compile(r"[-+]?[1-9]\d*|[-+]0\d*|0")
_WORDS = {"true": True, "false": False, "null": None}


def assign(values: Values, text: str, *, flag: str = "--set") -> tuple[ValuePath, ...]:
    """Carry out one `--set` argument on values, in place.

    Args:
        values: The values so far; everything in them may be changed.
        text: What follows the flag.
        flag: `--set`, or `--set-string`, which keeps every value as text.

    Returns:
        The paths that were assigned, up to the first list on the way.

    Raises:
        UsageError: It cannot be read, or does not fit what is there.
    """
    parser = _Parser(text, as_text=flag == "--set-string")
    try:
        while not parser.key(values, (), 0):
            pass
    except _SyntaxError as error:
        raise UsageError(
            f"{flag} {text}: {error}", hint=r"write KEY=VALUE; a comma or dot that is meant is written \, or \."
        ) from None
    return tuple(parser.assigned)


class _SyntaxError(Exception):
    """The argument cannot be read; the text says why."""


@dataclass(slots=True)
class _Parser:
    """Reads from left to right; `key` and `item` return whether the end was met where Helm stops for it."""

    text: str
    as_text: bool
    at: int = 0
    assigned: list[ValuePath] = field(default_factory=list)

    def key(self, target: dict[str, Any], path: ValuePath, depth: int) -> bool:
        """One `name=value`, `name[…` or `name.…` into a mapping."""
        name, stop = self._until("=[,.")
        if not stop:
            if not name:
                return True
            raise _SyntaxError(f"key {name!r} has no value")
        here = (*path, name) if name else path
        if stop == "[":
            return self._list(target, name, here, depth)
        if stop == ".":
            return self._mapping(target, name, here, depth)
        if stop == ",":
            raise _SyntaxError(f"key {name!r} has no value")
        ended = self.at == len(self.text)
        self._put(target, name, here, self._value())
        return ended

    def _list(self, target: dict[str, Any], name: str, here: ValuePath, depth: int) -> bool:
        index = self._index()
        found = target.get(name, [])
        if not isinstance(found, list):
            raise _SyntaxError(f"{name!r} is no list")
        ended = self._item(found, index, here, depth)
        self._put(target, name, here, found)
        return ended

    def _mapping(self, target: dict[str, Any], name: str, here: ValuePath, depth: int) -> bool:
        if depth + 1 > MAX_NESTING:
            raise _SyntaxError(f"names are nested more than {MAX_NESTING} deep")
        inner = target.get(name, {})
        if not isinstance(inner, dict):
            raise _SyntaxError(f"{name!r} is no mapping")
        ended = self.key(inner, here, depth + 1)
        if inner:
            if name:
                target[name] = inner
        elif not ended:
            raise _SyntaxError(f"key {name!r} has no value")
        return ended

    def _item(self, target: list[Any], index: int, path: ValuePath, depth: int) -> bool:
        """What follows `[index]`, into a list."""
        rest, stop = self._until("[.=")
        if rest:
            raise _SyntaxError(f"{rest!r} follows a list index")
        if not stop:
            return True
        if stop == "=":
            _set_index(target, index, self._value())
        elif stop == "[":
            following = self._index()
            below = target[index] if index < len(target) and target[index] is not None else []
            if not isinstance(below, list):
                raise _SyntaxError(f"entry {index} is no list")
            ended = self._item(below, following, path, depth)
            if ended:
                return True
            _set_index(target, index, below)
        else:
            inner = target[index] if index < len(target) else {}
            if not isinstance(inner, dict):
                inner = target[index] = {}
            if self.key(inner, path, depth):  # Helm's own corner: an empty last value does not extend the list
                return True
            _set_index(target, index, inner)
        return False

    def _put(self, target: dict[str, Any], name: str, path: ValuePath, value: Any) -> None:
        if name:
            target[name] = value
            self.assigned.append(path)

    def _index(self) -> int:
        digits, stop = self._until("]")
        if not stop or not re.fullmatch(r"[-+]?\d+", digits, re.ASCII):
            raise _SyntaxError(f"{digits!r} is no list index")
        index = int(digits)
        if not 0 <= index <= MAX_INDEX:
            raise _SyntaxError(f"a list index is from 0 to {MAX_INDEX}, not {index}")
        return index

    def _value(self) -> Any:
        if not self.text.startswith("{", self.at):
            return self._typed(self._until(",")[0])
        self.at += 1
        items: list[Any] = []
        while True:
            item, stop = self._until(",}")
            if not stop:
                raise _SyntaxError("a list must end with '}'")
            items.append(self._typed(item))
            if stop == "}":
                self.at += self.text.startswith(",", self.at)
                return items

    def _typed(self, text: str) -> Any:
        if self.as_text:
            return text
        lower = text.lower()
        if lower in _WORDS:
            return _WORDS[lower]
        if _INT.fullmatch(text) and -(2**63) <= int(text) < 2**63:
            return int(text)
        return text

    def _until(self, stops: str) -> tuple[str, str]:
        """The characters before the next of `stops` (escapes undone), and that one; it is empty at the end."""
        found: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char in stops:
                return "".join(found), char
            if char == "\\":
                if self.at == len(self.text):
                    break
                char = self.text[self.at]
                self.at += 1
            found.append(char)
        return "".join(found), ""


def _set_index(target: list[Any], index: int, value: Any) -> None:
    target.extend([None] * (index + 1 - len(target)))
    target[index] = value
