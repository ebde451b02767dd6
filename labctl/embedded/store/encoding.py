"""Objects as bytes: the JSON that is stored, sent in watch events and returned by GET."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

# encoding/json escapes these inside strings; outside of strings they do not occur in JSON.
_ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8, with the characters escaped that Go's encoding/json escapes.

    Raises:
        UnicodeEncodeError: A string holds a lone surrogate.
    """
    data = _encode(value).encode()
    for plain, escaped in _ESCAPES:
        if plain in data:
            data = data.replace(plain, escaped)
    return data
