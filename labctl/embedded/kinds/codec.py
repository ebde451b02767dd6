"""What decoding into the API's Go structs and writing them again does to an object.

Unknown fields and nulls go, empty values that `omitempty` leaves out go, values that are always written appear, and
quantities, times and base64 get their canonical text. The result has the struct's field order, maps are sorted: the
order of the API server's own JSON.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import quantity
from labctl.embedded.kinds.wire import OPAQUE, Field, Struct, Type

_ZERO: dict[str, Any] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "uint8": 0,
    "float64": 0,
    "Quantity": "0",
    "IntOrString": 0,
}
# `omitempty` leaves out no struct, and Go implements these as structs; creationTimestamp is `omitzero`.
_GO_STRUCTS = frozenset({"struct", "Time", "MicroTime", "Quantity", "IntOrString"})
_UTC_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z$", re.ASCII)


def round_trip(struct: Struct, value: Obj) -> Obj:
    """The object as the API server would write it after reading it. The argument is not changed.

    It must have passed `decoding.type_errors`: values of a wrong type are kept as they are.
    """
    result: Obj = {}
    get = value.get
    for member in struct.fields:
        given = get(member.name)
        if given is None:
            _absent(member, result)
            continue
        canonical = _value(member.type, given)
        if member.default and not canonical and not member.pointer:
            canonical = member.default
        if canonical or member.pointer or (canonical == 0 and member.type.kind == "IntOrString"):
            result[member.name] = canonical
        elif member.written or member.type.kind == "struct":
            # Protobuf, the storage's format, does not tell an empty list or map from none.
            result[member.name] = None if member.type.kind in ("list", "map") else canonical
    return result


def zero(kind: Type) -> Any:
    """A type's zero value as Go writes it: null for lists, maps and times, an empty object for a struct."""
    if kind.kind == "struct" and kind.struct is not None:
        return round_trip(kind.struct, {})
    return _ZERO.get(kind.kind)


def _absent(member: Field, result: Obj) -> None:
    if member.default is not None and (member.default or member.pointer):
        result[member.name] = member.default
    elif member.written:
        result[member.name] = None if member.pointer else zero(member.type)
    elif not member.pointer and member.type.kind in _GO_STRUCTS and member.name != "creationTimestamp":
        result[member.name] = zero(member.type)


def _value(kind: Type, value: Any) -> Any:
    if kind.kind == "struct":
        return round_trip(kind.struct, value) if kind.struct is not None and isinstance(value, dict) else value
    if kind.kind == "list":
        return _elements(kind.element, value) if kind.element is not None and isinstance(value, list) else value
    if kind.kind == "map":
        return _entries(kind, value) if isinstance(value, dict) else value
    convert = _CANONICAL.get(kind.kind)
    return convert(value) if convert is not None else value


def _elements(element: Type, values: list[Any]) -> list[Any]:
    if element.kind == "string":
        return ["" if item is None else item for item in values]
    return [zero(element) if item is None and element.kind not in OPAQUE else _value(element, item) for item in values]


def _entries(kind: Type, value: Obj) -> Obj:
    element = kind.element
    assert element is not None
    if element.kind == "string":
        return {key: "" if value[key] is None else value[key] for key in sorted(value)}
    if kind.go == "v1.ResourceList":
        return {key: "0" if value[key] is None else _milli(value[key]) for key in sorted(value)}
    return {key: zero(element) if value[key] is None else _value(element, value[key]) for key in sorted(value)}


def _milli(value: Any) -> str:
    """A resource amount, rounded up to thousandths (a default of every ResourceList)."""
    text = _quantity(value)
    if text.endswith(("u", "n")):
        return quantity.format_value(quantity.round_up(quantity.parse(text), 1000))
    return text


def _quantity(value: Any) -> str:
    try:
        return quantity.canonical(str(value).strip())
    except quantity.QuantityError:
        return str(value)


def _time(value: Any) -> Any:
    return _moment(value, micro=False)


def _micro_time(value: Any) -> Any:
    return _moment(value, micro=True)


def _moment(value: Any, *, micro: bool) -> Any:
    if not isinstance(value, str):
        return value
    simple = _UTC_TIME.match(value)
    if simple:
        return f"{simple[1]}.{(simple[2] or '')[:6]:0<6}Z" if micro else f"{simple[1]}Z"
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        return value
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}Z" if micro else f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def _bytes(value: Any) -> Any:
    if isinstance(value, str) and ("\n" in value or "\r" in value):
        try:
            return base64.b64encode(base64.b64decode(value.replace("\r", "").replace("\n", ""), validate=True)).decode()
        except binascii.Error:
            return value
    return value


def _float(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_CANONICAL: dict[str, Callable[[Any], Any]] = {
    "Quantity": _quantity,
    "Time": _time,
    "MicroTime": _micro_time,
    "bytes": _bytes,
    "float64": _float,
}
