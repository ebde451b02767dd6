"""Request bodies: from bytes to an object of the kind that the path demands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from labctl.embedded.api.call import Call
from labctl.embedded.api.errors import bad_request, unsupported_body
from labctl.embedded.api.gojson import GoJsonError, decode, decode_with_duplicates
from labctl.embedded.api.negotiation import JSON, PROTOBUF, YAML
from labctl.embedded.api.protobuf.decoder import decode_object
from labctl.embedded.api.yamltext import load_yaml
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.wire import kind_struct

_ACCEPTED = (JSON, YAML, PROTOBUF)
_NO_KIND = "couldn't get version/kind; json parse error: "
_SHOWN = 30
_GO_TYPES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_TYPE_META = (
    'Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
    'Kind string "json:\\"kind,omitempty\\"" }'
)


class Checks(Protocol):
    """What the kinds say about the form of an object."""

    def type_error(self, resource: Resource, obj: Obj) -> str:
        """Go's words for the first value of a wrong type; empty when there is none."""

    def patch_type_error(self, resource: Resource, obj: Obj) -> str:
        """The same in the words that a strategic merge patch gets."""

    def unknown_fields(self, resource: Resource, obj: Obj) -> list[str]:
        """Paths of fields that the kind does not have."""


def media_type(call: Call) -> str:
    """The body's type, without parameters."""
    return (call.request.header("Content-Type") or "").partition(";")[0].strip().lower()


def read_value(call: Call) -> Any:
    """The body as a JSON value, from JSON or YAML; None when it is empty.

    Raises:
        ApiError: 413, 415, or 400 when it cannot be parsed.
    """
    kind = _accepted_type(call)
    data = call.body()
    if not data.strip():
        return None
    try:
        return _DECODERS[kind](data)
    except ValueError as error:
        raise bad_request(str(error)) from None


_DECODERS: dict[str, Callable[[bytes], Any]] = {JSON: decode, YAML: load_yaml, PROTOBUF: decode_object}


def _accepted_type(call: Call) -> str:
    kind = media_type(call) or JSON
    if kind not in _ACCEPTED:
        raise unsupported_body(_ACCEPTED)
    return kind


def read_object(call: Call, resource: Resource, checks: Checks, validation: str) -> Obj:
    """The body as an object of the resource.

    Args:
        call: The request.
        resource: Whose kind the body must be.
        checks: The kinds' rules about form.
        validation: `Strict` refuses unknown and duplicate fields, `Warn` warns, `Ignore` drops them.

    Raises:
        ApiError: 400, 413 or 415 with the API server's words.
    """
    value, duplicates = _parsed(call, resource)
    if not isinstance(value, dict):
        raise _unrecognized(resource, call.body(), f"{_NO_KIND}json: cannot unmarshal {_go(value)} into {_TYPE_META}")
    _check_kind(value, resource)
    problem = checks.type_error(resource, value)
    if problem:
        raise cannot_be_handled(value, resource, problem)
    if validation != "Ignore":
        found = [f'duplicate field "{path}"' for path in duplicates]
        found += [f'unknown field "{path}"' for path in checks.unknown_fields(resource, value)]
        if found and validation == "Strict":
            raise cannot_be_handled(value, resource, "strict decoding error: " + ", ".join(found))
        for text in found:
            call.warn(text)
    return value


def _parsed(call: Call, resource: Resource) -> tuple[Any, list[str]]:
    kind = _accepted_type(call)
    data = call.body()
    if not data.strip():
        raise _unrecognized(resource, data, "EOF")
    try:
        return decode_with_duplicates(data) if kind == JSON else (_DECODERS[kind](data), [])
    except GoJsonError as error:
        raise _unrecognized(resource, data, f"{_NO_KIND}{error}") from None
    except ValueError as error:
        raise _unrecognized(resource, data, str(error)) from None


def _unrecognized(resource: Resource, data: bytes, problem: str) -> ApiError:
    start = data[:_SHOWN]
    if not data:
        shown = "<empty>"
    else:
        shown = start.decode("utf-8", "replace") if data.startswith(b"{") else start.hex()
        shown += " ..." if len(data) > _SHOWN else ""
    return bad_request(f"the object provided is unrecognized (must be of type {resource.kind}): {problem} ({shown})")


def _go(value: Any) -> str:
    return _GO_TYPES.get(type(value), "null")


def _check_kind(value: Obj, resource: Resource) -> None:
    for name in ("apiVersion", "kind"):
        given = value.get(name)
        if given is not None and not isinstance(given, str):
            words = f"json: cannot unmarshal {_go(given)} into Go struct field .{name} of type string"
            raise bad_request(f"{_NO_KIND}{words}")
    version = value.get("apiVersion") or resource.api_version
    kind = value.get("kind") or resource.kind
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if kind != resource.kind:
        words = f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:110"'
        if kind_struct(version, kind):
            given, wanted = f"({resource.version}.{kind})", f"({_package(resource)}.{resource.kind})"
            words = f"converting {given} to {wanted}: unknown conversion"
        raise cannot_be_handled(value, resource, words)


def _package(resource: Resource) -> str:
    """The Go package of a group's internal types."""
    return resource.group.partition(".")[0] or "core"


def cannot_be_handled(value: Obj, resource: Resource, problem: str) -> ApiError:
    """400: the object has not the form of its kind."""
    kind = value.get("kind") or resource.kind
    return bad_request(f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {problem}')
