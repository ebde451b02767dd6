"""The JSON paths of printer columns, selectable fields and the scale subresource."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

_Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""
    \.(?P<name>(?:\\.|[^.\[\\])+)
    | \[(?P<index>-?\d+)\]
    | \[(?P<all>\*)\]
    | \['(?P<single>[^']*)'\]
    | \["(?P<double>[^"]*)"\]
    | \[\?\(\s*@\.(?P<key>[\w.\-/]+)\s*(?P<operator>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[\w.]+)\s*\)\]
    """,
    re.VERBOSE,
)


class JsonPathError(ValueError):
    """A path that is not understood."""


@lru_cache(maxsize=256)
def compile_path(path: str) -> tuple[_Step, ...]:
    """The steps of a path such as `.status.conditions[?(@.type=="Ready")].status`.

    Raises:
        JsonPathError: It is not understood.
    """
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    if text and text[0] not in ".[":
        text = "." + text
    steps: list[_Step] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise JsonPathError(f"{path}: not understood from {text[at:]!r} on")
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> _Step:
    if match["index"] is not None:
        return _at(int(match["index"]))
    if match["all"]:
        return _every
    if match["key"]:
        value = match["value"]
        wanted = value[1:-1] if value[0] in "\"'" else value
        return _where(match["key"].split("."), wanted, equal=match["operator"] == "==")
    name = match["name"]
    if name is not None:
        return _child(re.sub(r"\\(.)", r"\1", name))
    return _child(match["single"] if match["single"] is not None else match["double"])


def _child(name: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _at(index: int) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _where(keys: list[str], wanted: str, *, equal: bool) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found: Any = item
            for key in keys:
                found = found.get(key) if isinstance(found, dict) else None
            if found is not None and (text_of(found) == wanted) is equal:
                yield item

    return step


def find(path: str, value: Any) -> list[Any]:
    """Everything a path leads to.

    Raises:
        JsonPathError: It is not understood.
    """
    values = [value]
    for step in compile_path(path):
        values = [found for item in values for found in step(item)]
    return values


def text_of(value: Any) -> str:
    """A value as a path's text result."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
