"""Helm values: merged as Helm merges them, read from `--set` as Helm reads it, with the origin of every one."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labctl.errors import UsageError

Values = dict[str, Any]
ValuePath = tuple[str, ...]


def merge_values(*layers: Mapping[str, Any]) -> Values:
    """Lay values over one another: mappings are merged, everything else (lists too) is replaced by the later layer.

    A null stays in the result: it removes the chart's own default later (see `coalesce`), as with `helm -f a -f b`.
    """
    result: Values = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            if isinstance(below, dict) and isinstance(value, Mapping):
                result[key] = merge_values(below, value)
            else:
                result[key] = copy.deepcopy(value)
    return result


def coalesce(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Values:
    """Lay values over a chart's defaults; a null removes the default.

    Source: Helm's documentation, "Deleting a default key".
    """
    result: Values = {}
    for key in dict.fromkeys((*defaults, *values)):
        if key not in values:
            result[key] = copy.deepcopy(defaults[key])
        elif isinstance(values[key], Mapping):
            below = defaults.get(key)
            result[key] = coalesce(values[key], below if isinstance(below, Mapping) else {})
        elif values[key] is not None:
            result[key] = copy.deepcopy(values[key])
    return result


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place, and its name for `labctl ingress values`: a file, `--set`, cluster.yaml, the study."""

    name: str
    values: Mapping[str, Any]


def origins(layers: Sequence[Layer]) -> dict[ValuePath, str]:
    """For every value of the merged layers, the name of the layer that it came from."""
    found: dict[ValuePath, str] = {}
    for layer in layers:
        for path, _ in leaves(layer.values):
            for other in [known for known in found if known[: len(path)] == path or path[: len(known)] == known]:
                del found[other]
            found[path] = layer.name
    return found


def leaves(values: Mapping[str, Any], path: ValuePath = ()) -> Iterator[tuple[ValuePath, Any]]:
    """Every value that is no mapping (or an empty one) with its path."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


_INT = re.compile(r"-?(0|[1-9]\d*)")
_INDEX = re.compile(r"(?P<name>[^\[\]]*)(?P<indexes>(\[\d+\])*)")
MAX_INDEX = 65536
"""Helm's own bound for a list index in `--set`."""


def parse_set(text: str, *, as_text: bool = False) -> Values:
    r"""Read one `--set` argument: `a.b=1,c[0].d=x,e={p,q}`, with `\` before a dot, comma or brace that is meant.

    Args:
        text: What follows `--set`.
        as_text: Keep every value as text, as `--set-string` does.

    Raises:
        UsageError: It cannot be read.
    """
    result: Values = {}
    for item in _split(text, ","):
        name, equals, value = _partition(item, "=")
        if not equals or not name:
            raise UsageError(
                f"--set {text}: {item!r} is not KEY=VALUE", hint=r"a comma that belongs to a value is written \,"
            )
        _assign(result, _keys(text, name), _value(value, as_text=as_text))
    return result


def _split(text: str, separator: str) -> list[str]:
    """Split at a separator that is neither escaped nor inside braces; escapes stay."""
    parts, depth, start, index = [], 0, 0, 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif char == "{":
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
        elif char == separator and not depth:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    return [*parts, text[start:]]


def _partition(text: str, separator: str) -> tuple[str, str, str]:
    first, *rest = _split(text, separator)
    return first, separator if rest else "", separator.join(rest)


def _keys(text: str, name: str) -> list[str | int]:
    keys: list[str | int] = []
    for part in _split(name, "."):
        match = _INDEX.fullmatch(part)
        if match is None or not (match["name"] or match["indexes"]):
            raise UsageError(f"--set {text}: {name!r} is not a path of keys such as controller.service.type")
        if match["name"]:
            keys.append(_unescape(match["name"]))
        keys.extend(int(index) for index in re.findall(r"\d+", match["indexes"]))
    if any(isinstance(key, int) and key > MAX_INDEX for key in keys):
        raise UsageError(f"--set {text}: a list index may be at most {MAX_INDEX}")
    return keys


def _value(text: str, *, as_text: bool) -> Any:
    if text.startswith("{") and text.endswith("}"):
        inner = text[1:-1]
        return [_value(item, as_text=as_text) for item in _split(inner, ",")] if inner else []
    plain = _unescape(text)
    if as_text:
        return plain
    words = {"true": True, "false": False, "null": None}
    if plain in words:
        return words[plain]
    return int(plain) if _INT.fullmatch(plain) else plain


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _assign(target: Any, keys: list[str | int], value: Any) -> None:
    for key, following in pairwise(keys):
        target = _step(target, key, [] if isinstance(following, int) else {})
    _put(target, keys[-1], value)


def _step(target: Any, key: str | int, empty: Any) -> Any:
    found = target.get(key) if isinstance(key, str) else target[key] if key < len(target) else None
    if not isinstance(found, type(empty)):
        found = empty
        _put(target, key, found)
    return found


def _put(target: Any, key: str | int, value: Any) -> None:
    if isinstance(key, int):
        target.extend([None] * (key + 1 - len(target)))
    target[key] = value
