"""The OpenAPI v2 document in protobuf, the only form in which kubectl asks for it.

Source: github.com/google/gnostic-models v0.7.0 `openapiv2/OpenAPIv2.proto`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""As clients ask for it."""
CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""As it is sent: `@` may not be in a media type."""

_Writer = Callable[[Any], bytes]


def encode_document(document: Mapping[str, Any]) -> bytes:
    """The document (a JSON value) as a `openapi.v2.Document` message."""
    return _message(document, _DOCUMENT, 16)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int) -> _Writer:
    return lambda value: _field(number, str(value).encode())


def _texts(number: int) -> _Writer:
    return lambda values: b"".join(_field(number, str(value).encode()) for value in values)


def _flag(number: int) -> _Writer:
    return lambda value: _varint(number << 3) + b"\x01" if value else b""


def _number(number: int) -> _Writer:
    return lambda value: _varint(number << 3) + _varint(value) if value else b""


def _any(value: Any) -> bytes:
    # JSON is YAML, which is what the message holds.
    return _field(2, json.dumps(value).encode())


def _anything(number: int) -> _Writer:
    return lambda value: _field(number, _any(value))


def _named(number: int, write: Callable[[Any], bytes]) -> _Writer:
    """A map as repeated name and value."""

    def entries(values: Mapping[str, Any]) -> Iterator[bytes]:
        for name, value in values.items():
            yield _field(number, _field(1, name.encode()) + _field(2, write(value)))

    return lambda values: b"".join(entries(values))


def _message(value: Mapping[str, Any], writers: Mapping[str, _Writer], extensions: int) -> bytes:
    parts: list[bytes] = []
    for key, item in value.items():
        writer = writers.get(key)
        if writer is not None:
            parts.append(writer(item))
        elif key.startswith("x-"):
            parts.append(_field(extensions, _field(1, key.encode()) + _field(2, _any(item))))
    return b"".join(parts)


def _schema(value: Mapping[str, Any]) -> bytes:
    return _message(value, _SCHEMA, 31)


def _additional(value: Any) -> bytes:
    if isinstance(value, bool):
        return _field(21, _varint(2 << 3) + (b"\x01" if value else b"\x00"))
    return _field(21, _field(1, _schema(value)))


def _types(value: Any) -> bytes:
    names = value if isinstance(value, list) else [value]
    return _field(22, b"".join(_field(1, name.encode()) for name in names))


_SCHEMA: dict[str, _Writer] = {
    "$ref": _text(1),
    "format": _text(2),
    "title": _text(3),
    "description": _text(4),
    "default": _anything(5),
    "exclusiveMaximum": _flag(8),
    "exclusiveMinimum": _flag(10),
    "maxLength": _number(11),
    "minLength": _number(12),
    "pattern": _text(13),
    "maxItems": _number(14),
    "minItems": _number(15),
    "uniqueItems": _flag(16),
    "maxProperties": _number(17),
    "minProperties": _number(18),
    "required": _texts(19),
    "enum": lambda values: b"".join(_field(20, _any(value)) for value in values),
    "additionalProperties": _additional,
    "type": _types,
    "items": lambda value: _field(23, _field(1, _schema(value))),
    "allOf": lambda values: b"".join(_field(24, _schema(value)) for value in values),
    "properties": lambda values: _field(25, _named(1, _schema)(values)),
}

_QUERY: dict[str, _Writer] = {
    "required": _flag(1),
    "in": _text(2),
    "description": _text(3),
    "name": _text(4),
    "type": _text(6),
    "format": _text(7),
    "uniqueItems": _flag(20),
}
_PATH: dict[str, _Writer] = {
    "required": _flag(1),
    "in": _text(2),
    "description": _text(3),
    "name": _text(4),
    "type": _text(5),
    "format": _text(6),
    "uniqueItems": _flag(19),
}
_BODY: dict[str, _Writer] = {
    "description": _text(1),
    "name": _text(2),
    "in": _text(3),
    "required": _flag(4),
    "schema": lambda value: _field(5, _schema(value)),
}


def _parameter(value: Mapping[str, Any]) -> bytes:
    """A ParametersItem."""
    match value.get("in"):
        case "body":
            inner = _field(1, _message(value, _BODY, 6))
        case "path":
            inner = _field(2, _field(4, _message(value, _PATH, 22)))
        case _:
            inner = _field(2, _field(3, _message(value, _QUERY, 23)))
    return _field(1, inner)


def _response(value: Mapping[str, Any]) -> bytes:
    """A ResponseValue."""
    writers: dict[str, _Writer] = {
        "description": _text(1),
        "schema": lambda schema: _field(2, _field(1, _schema(schema))),
    }
    return _field(1, _message(value, writers, 5))


_OPERATION: dict[str, _Writer] = {
    "tags": _texts(1),
    "summary": _text(2),
    "description": _text(3),
    "operationId": _text(5),
    "produces": _texts(6),
    "consumes": _texts(7),
    "parameters": lambda values: b"".join(_field(8, _parameter(value)) for value in values),
    "responses": lambda values: _field(9, _named(1, _response)(values)),
    "schemes": _texts(10),
}


def _operation(number: int) -> _Writer:
    return lambda value: _field(number, _message(value, _OPERATION, 13))


_PATH_ITEM: dict[str, _Writer] = {
    **{name: _operation(2 + index) for index, name in enumerate(("get", "put", "post", "delete", "options", "head"))},
    "patch": _operation(8),
    "parameters": lambda values: b"".join(_field(9, _parameter(value)) for value in values),
}
_INFO: dict[str, _Writer] = {"title": _text(1), "version": _text(2), "description": _text(3)}
_DOCUMENT: dict[str, _Writer] = {
    "swagger": _text(1),
    "info": lambda value: _field(2, _message(value, _INFO, 7)),
    "host": _text(3),
    "basePath": _text(4),
    "paths": lambda values: _field(8, _named(2, lambda item: _message(item, _PATH_ITEM, 10))(values)),
    "definitions": lambda values: _field(9, _named(1, _schema)(values)),
}
