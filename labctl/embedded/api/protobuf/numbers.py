"""Which protobuf field numbers the API's types give their fields."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources as package_data

from labctl.embedded.kinds.wire import Field, Struct, all_structs

Numbers = dict[int, "Field | Numbers"]
"""Fields of a message by number; a nested table is an embedded struct, whose fields stand in the object itself."""


@cache
def numbers(package: str, name: str) -> Numbers:
    """The field numbers of a struct."""
    struct = all_structs()[f"{package}.{name}"]
    listed = _listed().get(f"{package}.{name}")
    return _table(struct, listed if listed is not None else list(_sequence(struct)))


def _sequence(struct: Struct) -> Iterator[str]:
    first = [field.name for field in struct.fields[:2]]
    skipped = 2 if set(first) == {"kind", "apiVersion"} else 0
    for index in range(len(struct.fields)):
        yield "-" if index < skipped else str(index + 1 - skipped)


def _table(struct: Struct, listed: list[str]) -> Numbers:
    table: Numbers = {}
    for field, path in zip(struct.fields, listed, strict=True):
        if path == "-":
            continue
        *outer, last = (int(part) for part in path.split("."))
        place = table
        for number in outer:
            nested = place.setdefault(number, {})
            assert isinstance(nested, dict)
            place = nested
        place[last] = field
    return table


@cache
def _listed() -> dict[str, list[str]]:
    text = package_data.files("labctl.embedded.api.protobuf").joinpath("numbers.txt").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: [number for word in words for number in _expanded(word)] for name, *words in rows}


def _expanded(word: str) -> Iterator[str]:
    first, dots, last = word.partition("..")
    if not dots:
        yield word
        return
    prefix, point, start = first.rpartition(".")
    for number in range(int(start), int(last) + 1):
        yield f"{prefix}{point}{number}"
