"""What an installation would change: the objects that are wanted against those that are there, as far as both speak.

A live object has more than was asked for (defaults, status, what controllers write). It is cut down to the fields
that the wanted object, or the one installed before it, names; what is left is compared as YAML.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from labctl.ingress.record import is_secret
from labctl.objects.manifests import Obj, describe

ObjectKey = tuple[str, str, str, str]
Lookup = Callable[[Obj], Obj | None]


class Change(StrEnum):
    """What happens to an object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that would change, and how, as lines of a unified diff."""

    change: Change
    name: str
    lines: tuple[str, ...]


def object_key(obj: Obj) -> ObjectKey:
    """Group, kind, namespace and name."""
    metadata = obj["metadata"]
    group = str(obj["apiVersion"]).rpartition("/")[0]
    return group, str(obj["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])


def differences(wanted: Sequence[Obj], before: Sequence[Obj], live: Lookup) -> tuple[Difference, ...]:
    """Every object that would change.

    Args:
        wanted: The objects that are to be there.
        before: Those that the last installation made; what is no longer wanted of them goes.
        live: Looks an object up on the cluster.
    """
    earlier = {object_key(obj): obj for obj in before}
    kept = {object_key(obj) for obj in wanted}
    gone = [obj for key, obj in earlier.items() if key not in kept]
    return tuple(found for found in (*_changed(wanted, earlier, live), *_removed(gone, live)) if found)


def _changed(wanted: Sequence[Obj], earlier: Mapping[ObjectKey, Obj], live: Lookup) -> Iterator[Difference | None]:
    for obj in wanted:
        found = live(obj)
        if found is None:
            yield Difference(Change.CREATE, describe(obj), tuple(_lines({}, obj)))
            continue
        shapes = [shape for shape in (obj, earlier.get(object_key(obj))) if shape is not None]
        lines = tuple(_lines(cut(found, shapes), obj))
        if lines:
            yield Difference(Change.UPDATE, describe(obj), lines)


def _removed(gone: Sequence[Obj], live: Lookup) -> Iterator[Difference | None]:
    for obj in gone:
        found = live(obj)
        if found is not None:
            yield Difference(Change.DELETE, describe(obj), tuple(_lines(cut(found, [obj]), {})))


def cut(live: Any, shapes: Sequence[Any]) -> Any:
    """What of a live value the shapes speak of; entries of lists are found by name, else by place."""
    if isinstance(live, Mapping):
        found = {}
        for key in live:
            below = [shape[key] for shape in shapes if isinstance(shape, Mapping) and key in shape]
            if below:
                found[key] = cut(live[key], below)
        return found
    if isinstance(live, list):
        lists = [shape for shape in shapes if isinstance(shape, list)]
        return [cut(item, _partners(item, index, lists)) for index, item in enumerate(live)]
    return live


def _partners(item: Any, index: int, lists: Sequence[list[Any]]) -> list[Any]:
    found: list[Any] = []
    for entries in lists:
        name = item.get("name") if isinstance(item, Mapping) else None
        same = [entry for entry in entries if name and isinstance(entry, Mapping) and entry.get("name") == name]
        found += same[:1] or (entries[index : index + 1] if not name else [])
    return found or [item]


def _lines(before: Any, after: Any) -> Iterator[str]:
    old, new = (_text(value) for value in (before, after))
    for line in difflib.unified_diff(old, new, "is", "would be", lineterm="", n=2):
        if not line.startswith(("---", "+++")):
            yield line


def _text(value: Any) -> list[str]:
    if not value:
        return []
    if is_secret(value):
        value = {key: _masked(part) if key in ("data", "stringData") else part for key, part in value.items()}
    plain = json.loads(json.dumps(_filled(value)))  # without YAML's anchors
    return yaml.safe_dump(plain, sort_keys=True, width=1000).splitlines()


def _masked(data: Mapping[str, Any]) -> dict[str, str]:
    """Values of a Secret, told apart but not shown."""
    from hashlib import sha256

    return {key: f"*** ({sha256(str(value).encode()).hexdigest()[:8]})" for key, value in data.items()}


def _filled(value: Any) -> Any:
    """The value without what means the same as nothing, which the API leaves out: null, 0, false and empty ones."""
    if isinstance(value, Mapping):
        below = {key: _filled(part) for key, part in value.items()}
        return {key: part for key, part in below.items() if part not in (None, 0, False, "", {}, [])}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return value
