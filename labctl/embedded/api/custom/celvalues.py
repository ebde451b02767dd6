"""Values of the Common Expression Language: operators and standard functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from labctl.embedded.api.jsonvalue import equal


class CelError(ValueError):
    """An expression that cannot be compiled here, or that fails on a value."""


def boolean(value: Any) -> bool:
    """A condition's value. Raises CelError when it is none."""
    if not isinstance(value, bool):
        raise CelError("no such overload: a condition must be a bool")
    return value


def number(value: Any) -> Any:
    """A number's value. Raises CelError when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CelError("no such overload: a number is needed")
    return value


def mapping(value: Any) -> dict[Any, Any]:
    """A map's value. Raises CelError when it is none."""
    if not isinstance(value, dict):
        raise CelError("no such overload: a map is needed")
    return value


def iterable(value: Any) -> Any:
    """A list or map to go through. Raises CelError when it is none."""
    if not isinstance(value, (list, dict)):
        raise CelError("no such overload: a list or map is needed")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CelError("no such overload: a string is needed")
    return value


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return not isinstance(left, bool) ^ isinstance(right, bool) and left == right
    return equal(left, right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def evaluate(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compare(left, right)
        return compare(number(left), number(right))

    return evaluate


def _add(left: Any, right: Any) -> Any:
    for kind in (str, list):
        if isinstance(left, kind) and isinstance(right, kind):
            joined: Any = left + right  # type: ignore[operator]  # both are of one kind
            return joined
    return number(left) + number(right)


def _divide(left: Any, right: Any) -> Any:
    if number(right) == 0:
        raise CelError("division by zero")
    if isinstance(number(left), float) or isinstance(right, float):
        return left / right
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


def _modulo(left: Any, right: Any) -> Any:
    return number(left) - _divide(left, right) * right


def _in(left: Any, right: Any) -> bool:
    return any(_equal(left, item) for item in iterable(right))


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "in": _in,
    "+": _add,
    "-": lambda left, right: number(left) - number(right),
    "*": lambda left, right: number(left) * number(right),
    "/": _divide,
    "%": _modulo,
}


def _size(value: Any) -> int:
    if not isinstance(value, (str, list, dict)):
        raise CelError("no such overload: size")
    return len(value)


def _matches(value: Any, pattern: Any) -> bool:
    try:
        return re.search(_text(pattern), _text(value), re.ASCII) is not None
    except re.error as error:
        raise CelError(f"not a pattern: {error}") from None


def _converted(kind: type[int] | type[float]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            return kind(value)
        except (TypeError, ValueError):
            raise CelError("type conversion error") from None

    return convert


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


METHODS: dict[str, Callable[..., Any]] = {
    "size": _size,
    "startsWith": lambda value, start: _text(value).startswith(_text(start)),
    "endsWith": lambda value, end: _text(value).endswith(_text(end)),
    "contains": lambda value, part: _text(part) in _text(value),
    "matches": _matches,
    "lowerAscii": lambda value: _text(value).lower(),
    "upperAscii": lambda value: _text(value).upper(),
    "trim": lambda value: _text(value).strip(),
    "replace": lambda value, old, new: _text(value).replace(_text(old), _text(new)),
    "split": lambda value, separator: _text(value).split(_text(separator)),
    "join": lambda items, separator="": _text(separator).join(items),
    "indexOf": lambda value, part: value.find(part) if isinstance(value, str) else _position(value, part),
    "isSorted": lambda items: all(left <= right for left, right in pairwise(items)),
    "sum": sum,
    "min": min,
    "max": max,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": _size,
    "matches": _matches,
    "int": _converted(int),
    "uint": _converted(int),
    "double": _converted(float),
    "string": _string,
    "bool": lambda value: value in (True, "true"),
    "dyn": lambda value: value,
}


def _position(items: Any, wanted: Any) -> int:
    return next((index for index, item in enumerate(iterable(items)) if _equal(item, wanted)), -1)
