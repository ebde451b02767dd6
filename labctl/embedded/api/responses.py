"""Answers as HTTP responses."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

from labctl.embedded.api.negotiation import JSON, YAML, Representation
from labctl.embedded.api.yamltext import dump_yaml
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.http.messages import Headers, Response
from labctl.embedded.store import encode

_CACHE = ("Cache-Control", "no-cache, private")
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def headers(content_type: str, warnings: Iterable[str] = ()) -> Headers:
    """The headers every answer has."""
    result: Headers = [("Audit-Id", str(uuid.uuid4())), _CACHE, ("Content-Type", content_type)]
    result += [("Warning", f"299 - {_quoted(text)}") for text in warnings]
    return result


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.encode("latin-1", "replace").decode("latin-1") + '"'


def pretty_json(value: Any) -> bytes:
    """Indented JSON as Go's `MarshalIndent` writes it."""
    return json.dumps(value, ensure_ascii=False, indent=2).translate(_ESCAPES).encode("utf-8", "surrogatepass")


def body(value: Any, shape: Representation) -> bytes:
    """A value in the representation that was asked for."""
    if shape.media_type == YAML:
        return dump_yaml(value)
    return pretty_json(value) if shape.pretty else encode(value) + b"\n"


def respond(value: Any, shape: Representation, status: int = 200, warnings: Iterable[str] = ()) -> Response:
    """An object as the answer."""
    return Response(status, headers(shape.media_type, warnings), body(value, shape))


def respond_bytes(data: bytes, status: int = 200, warnings: Iterable[str] = ()) -> Response:
    """Compact JSON that is ready to send."""
    return Response(status, headers(JSON, warnings), data + b"\n")


def respond_text(text: str, status: int = 200) -> Response:
    """Plain text, as the health checks answer."""
    found = headers("text/plain; charset=utf-8")
    found.append(("X-Content-Type-Options", "nosniff"))
    return Response(status, found, text.encode())


def respond_stream(stream: AsyncIterator[bytes], content_type: str = JSON, warnings: Iterable[str] = ()) -> Response:
    """A body that is sent piece by piece."""
    return Response(200, headers(content_type, warnings), stream)


def respond_error(error: ApiError, shape: Representation) -> Response:
    """A refusal as a Status."""
    status: Obj = error.status()
    code = status.pop("code")
    status["code"] = code
    if error.reason == "NotAcceptable":
        shape = Representation(pretty=True)
    response = respond(status, shape, error.code)
    if error.code == 403:
        response.headers.append(("X-Content-Type-Options", "nosniff"))
    if error.code in (429, 503):
        response.headers.append(("Retry-After", "1"))
    return response
