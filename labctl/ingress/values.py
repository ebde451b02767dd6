"""Helm values: merged as Helm merges them, with the origin of every one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.config.positions import Document

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
    """Values from one place.

    Attributes:
        name: What `labctl ingress values` calls the place: a file, cluster.yaml, the study.
        values: The Helm values.
        document: The YAML they were read from, where lines are known.
        prefix: Where in the document they are.
    """

    name: str
    values: Mapping[str, Any]
    document: Document | None = None
    prefix: ValuePath = ()

    def place(self, path: ValuePath) -> str:
        """Where a value of this layer stands: `file:line`, or the layer's name."""
        if self.document is None:
            return self.name
        position = self.document.position((*self.prefix, *path), key=True)
        return f"{self.name}:{position.line}"


Origins = dict[ValuePath, str]


def origins(layers: Sequence[Layer]) -> Origins:
    """For every value of the merged layers, the place that it came from."""
    found: Origins = {}
    for layer in layers:
        for path, _ in leaves(layer.values):
            note_origin(found, path, layer.place(path))
    return found


def note_origin(found: Origins, path: ValuePath, place: str) -> None:
    """A value at `path` now comes from `place`; what it covers, or was a part of, no longer counts."""
    for other in [known for known in found if known[: len(path)] == path or path[: len(known)] == known]:
        del found[other]
    found[path] = place


def leaves(values: Mapping[str, Any], path: ValuePath = ()) -> Iterator[tuple[ValuePath, Any]]:
    """Every value that is no mapping (or an empty one) with its path."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value
