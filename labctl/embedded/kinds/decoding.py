"""What Go's JSON decoder says about a body that does not fit the API's structs.

Source: sigs.k8s.io/json (encoding/json's errors, with unknown fields told by their path).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import quantity
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.wire import OPAQUE, Struct, Type, struct_of

_RANGES = {"int32": 2**31, "int64": 2**63, "uint8": 2**8}
_BASE64 = re.compile(r"[A-Za-z0-9+/]", re.ASCII)
# The pieces of an RFC 3339 time, with the part of Go's reference time each one stands for.
_TIME_PIECES = (
    (r"\d{4}", "2006"),
    ("-", "-"),
    (r"\d\d", "01"),
    ("-", "-"),
    (r"\d\d", "02"),
    ("T", "T"),
    (r"\d\d", "15"),
    (":", ":"),
    (r"\d\d", "04"),
    (":", ":"),
    (r"\d\d", "05"),
    (r"(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)", "Z07:00"),
)
_TIME_LAYOUTS = {"Time": "2006-01-02T15:04:05Z07:00", "MicroTime": "2006-01-02T15:04:05.000000Z07:00"}


class _HardError(Exception):
    """An error of a type's own decoder: it ends the decoding and is the one that is told."""


def type_errors(resource: Resource, obj: Obj) -> list[str]:
    """Why a body cannot be decoded: at most one message, the one the API server gives; none for custom resources.

    For example `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
    """
    struct = struct_of(resource)
    return struct_type_errors(struct, obj) if struct is not None else []


def struct_type_errors(struct: Struct, obj: Obj) -> list[str]:
    """The same for the struct of a body that is no resource (`Eviction`, `DeleteOptions`)."""
    try:
        return list(_struct(struct, obj, ()))[:1]
    except _HardError as error:
        return [str(error)]


def unknown_fields(resource: Resource, obj: Obj) -> list[str]:
    """Paths of the fields that the kind does not have, in the order of the body: `spec.containers[0].imagee`."""
    struct = struct_of(resource)
    return list(_unknown(struct, obj, "")) if struct is not None else []


def _struct(struct: Struct, value: Obj, path: tuple[str, ...]) -> Iterator[str]:
    for name, item in value.items():
        member = struct.by_name.get(name)
        if member is not None and item is not None:
            yield from _value(member.type, item, struct.name, (*path, name))


def _value(kind: Type, value: Any, owner: str, path: tuple[str, ...]) -> Iterator[str]:
    """Mismatches within one value; `owner` is the Go struct that the innermost field belongs to."""
    if value is None or kind.kind in OPAQUE:
        return
    if kind.kind in _OWN_DECODERS:
        _OWN_DECODERS[kind.kind](kind.kind, value)
    elif kind.kind == "bytes" and isinstance(value, str):
        yield from _base64(value)
    elif not _fits(kind, value):
        field = f"{owner}.{'.'.join(path)}"
        yield f"json: cannot unmarshal {_called(kind, value)} into Go struct field {field} of type {kind.go}"
    elif kind.kind == "struct" and kind.struct is not None:
        yield from _struct(kind.struct, value, path)
    elif kind.element is not None:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _value(kind.element, item, owner, path)


def _fits(kind: Type, value: Any) -> bool:
    if kind.kind in ("struct", "map"):
        return isinstance(value, dict)
    if kind.kind in ("list", "bytes"):
        return isinstance(value, list)
    if kind.kind in _RANGES:
        low = 0 if kind.kind == "uint8" else -_RANGES[kind.kind]
        return _is_int(value) and low <= value < _RANGES[kind.kind]
    if kind.kind == "float64":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, bool if kind.kind == "bool" else str)


def _called(kind: Type, value: Any) -> str:
    """What Go calls a JSON value; a number that only does not fit is told with its digits."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return f"number {json.dumps(value)}" if kind.kind in _RANGES else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _base64(text: str) -> Iterator[str]:
    at = _illegal_base64(text)
    if at is not None:
        yield f"illegal base64 data at input byte {at}"


def _illegal_base64(text: str) -> int | None:
    """Index at which Go's decoder gives up; None when the text is base64."""
    held = 0
    letters = [(index, char) for index, char in enumerate(text) if char not in "\r\n"]
    for position, (index, char) in enumerate(letters):
        if char == "=":
            return _illegal_padding(letters, position, held, len(text))
        if not _BASE64.match(char):
            return index
        held = (held + 1) % 4
    return len(text) - held if held else None


def _illegal_padding(letters: list[tuple[int, str]], position: int, held: int, length: int) -> int | None:
    if held < 2:
        return letters[position][0]
    wanted = 4 - held
    for offset in range(1, wanted):
        if position + offset >= len(letters):
            return length
        if letters[position + offset][1] != "=":
            return letters[position + offset][0] - 1
    rest = position + wanted
    return letters[rest][0] if rest < len(letters) else None


def _quantity(_kind: str, value: Any) -> None:
    try:
        quantity.canonical(value.strip() if isinstance(value, str) else json.dumps(value))
    except quantity.QuantityError as error:
        raise _HardError(str(error)) from error


def _int_or_string(_kind: str, value: Any) -> None:
    if isinstance(value, str) or (_is_int(value) and -(2**31) <= value < 2**31):
        return
    called = _called(Type("int32", "int32"), value)
    raise _HardError(f"json: cannot unmarshal {called} into Go value of type int32")


def _time(kind: str, value: Any) -> None:
    if not isinstance(value, str):
        called = _called(Type("string", "string"), value)
        raise _HardError(f"json: cannot unmarshal {called} into Go value of type string")
    rest = value
    for pattern, element in _TIME_PIECES:
        match = re.match(pattern, rest, re.ASCII)
        if match is None:
            text = f'parsing time "{value}" as "{_TIME_LAYOUTS[kind]}": cannot parse "{rest}" as "{element}"'
            raise _HardError(text)
        rest = rest[match.end() :]
    if rest:
        raise _HardError(f'parsing time "{value}": extra text: "{rest}"')


_OWN_DECODERS = {"Quantity": _quantity, "IntOrString": _int_or_string, "Time": _time, "MicroTime": _time}


def _unknown(struct: Struct, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        at = f"{path}.{name}" if path else name
        member = struct.by_name.get(name)
        if member is None:
            yield at
        else:
            yield from _unknown_in(member.type, item, at)


def _unknown_in(kind: Type, value: Any, path: str) -> Iterator[str]:
    if kind.kind == "struct" and kind.struct is not None:
        yield from _unknown(kind.struct, value, path)
    elif kind.kind == "list" and kind.element is not None and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_in(kind.element, item, f"{path}[{index}]")
    elif kind.kind == "map" and kind.element is not None and isinstance(value, dict):
        for key, item in value.items():
            yield from _unknown_in(kind.element, item, f"{path}.{key}")
