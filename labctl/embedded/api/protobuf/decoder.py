"""Decodes Kubernetes' protobuf encoding of objects into JSON values.

Source: k8s.io/apimachinery v0.34.4 `pkg/runtime/serializer/protobuf`; https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import base64
import json
import struct as binary
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from labctl.embedded.api.protobuf.numbers import Numbers, numbers
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.wire import Field, Struct, Type, all_structs, kind_struct

PREFIX = b"k8s\x00"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Raw = int | bytes


class ProtobufError(ValueError):
    """The bytes are not the encoding of an object that is known here."""


def decode_object(data: bytes) -> Obj:
    """An object (the body of a request with `Content-Type: application/vnd.kubernetes.protobuf`) as JSON.

    Raises:
        ProtobufError: It is not the encoding of a kind that is known.
    """
    if not data.startswith(PREFIX):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = dict(_fields(data[len(PREFIX) :]))
    meta = dict(_fields(_bytes(envelope.get(1, b""))))
    api_version, kind = _text(meta.get(1, b"")), _text(meta.get(2, b""))
    # Every group has DeleteOptions under its own name; the type is one.
    known = all_structs()["meta.DeleteOptions"] if kind == "DeleteOptions" else kind_struct(api_version, kind)
    if known is None:
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
    obj = _message(_bytes(envelope.get(2, b"")), known)
    return {"kind": kind, "apiVersion": api_version, **obj}


def _fields(data: bytes) -> Iterator[tuple[int, _Raw]]:
    """The fields of a message: number and raw value."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, end + 1)
        if at + length > end:
            raise ProtobufError("unexpected EOF")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, at
        shift += 7
    raise ProtobufError("unexpected EOF" if at >= len(data) else "integer overflow")


def _bytes(value: _Raw) -> bytes:
    if not isinstance(value, bytes):
        raise ProtobufError("wrong wireType")
    return value


def _integer(value: _Raw) -> int:
    if not isinstance(value, int):
        raise ProtobufError("wrong wireType")
    return value - (1 << 64) if value >= 1 << 63 else value


def _text(value: _Raw) -> str:
    return _bytes(value).decode("utf-8", "replace")


def _message(data: bytes, struct: Struct) -> Obj:
    result: Obj = {}
    _read_into(result, data, numbers(struct.package, struct.name))
    return result


def _read_into(result: Obj, data: bytes, table: Numbers) -> None:
    for number, raw in _fields(data):
        target = table.get(number)
        if target is None:
            continue
        if isinstance(target, dict):
            _read_into(result, _bytes(raw), target)
        else:
            _read_field(result, target, raw)


def _read_field(result: Obj, field: Field, raw: _Raw) -> None:
    kind = field.type
    if kind.kind == "list" and kind.element is not None:
        if kind.go.startswith("[]"):
            result.setdefault(field.name, []).append(_value(kind.element, raw))
        else:
            # Named slices (Verbs, ExtraValue) are messages with the items in field 1.
            result[field.name] = [_value(kind.element, item) for _, item in _fields(_bytes(raw))]
    elif kind.kind == "map" and kind.element is not None:
        key, value = _entry(kind.element, _bytes(raw))
        result.setdefault(field.name, {})[key] = value
    else:
        value = _value(kind, raw)
        # The encoding writes every scalar that is no pointer, empty ones too.
        if value or field.pointer or kind.kind not in ("string", "bool", "int32", "int64", "Time", "MicroTime"):
            result[field.name] = value


def _entry(element: Type, data: bytes) -> tuple[str, Any]:
    pair = dict(_fields(data))
    raw = pair.get(2, 0 if element.kind in ("bool", "int32", "int64") else b"")
    return _text(pair.get(1, b"")), _value(element, raw)


def _value(kind: Type, raw: _Raw) -> Any:
    if kind.kind == "struct" and kind.struct is not None:
        return _message(_bytes(raw), kind.struct)
    if kind.kind == "list" and kind.element is not None:
        return [_value(kind.element, item) for _, item in _fields(_bytes(raw))]
    reader = _READERS.get(kind.kind)
    if reader is None:
        raise ProtobufError(f"{kind.go} cannot be read from protobuf here; send JSON")
    return reader(raw)


def _moment(raw: _Raw) -> datetime | None:
    parts = dict(_fields(_bytes(raw)))
    if not parts:
        return None
    return _EPOCH + timedelta(seconds=_integer(parts.get(1, 0)), microseconds=_integer(parts.get(2, 0)) // 1000)


def _time(raw: _Raw) -> str | None:
    moment = _moment(raw)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


def _micro_time(raw: _Raw) -> str | None:
    moment = _moment(raw)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" if moment else None


def _quantity(raw: _Raw) -> str:
    return _text(dict(_fields(_bytes(raw))).get(1, b""))


def _int_or_string(raw: _Raw) -> int | str:
    parts = dict(_fields(_bytes(raw)))
    return _text(parts.get(3, b"")) if parts.get(1) else _integer(parts.get(2, 0))


def _duration(raw: _Raw) -> str:
    nanoseconds = _integer(dict(_fields(_bytes(raw))).get(1, 0))
    return f"{nanoseconds / 1e9:g}s"


def _json(raw: _Raw) -> Any:
    text = _bytes(dict(_fields(_bytes(raw))).get(1, b""))
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise ProtobufError("an embedded value is not JSON") from None


def _float(raw: _Raw) -> float:
    (value,) = binary.unpack("<d", _bytes(raw))
    return float(value)


_READERS: dict[str, Callable[[_Raw], Any]] = {
    "string": _text,
    "bool": lambda raw: bool(_integer(raw)),
    "int32": _integer,
    "int64": _integer,
    "uint8": _integer,
    "float64": _float,
    "bytes": lambda raw: base64.b64encode(_bytes(raw)).decode(),
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "Duration": _duration,
    "RawExtension": _json,
    "FieldsV1": _json,
    "JSON": _json,
}
