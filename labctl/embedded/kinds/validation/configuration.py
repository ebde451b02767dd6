"""ConfigMaps and Secrets.

Source: pkg/apis/core/validation.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, quote, required, too_long
from labctl.embedded.kinds.validation.formats import all_of, config_key, immutable

_LARGEST = 1024 * 1024
_FROZEN = "field is immutable when `immutable` is set"
_SERVICE_ACCOUNT = "kubernetes.io/service-account.name"
_DOCKER_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def config_map(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ConfigMap."""
    data, binary = obj.get("data", {}), obj.get("binaryData", {})
    yield from _frozen(obj, old, "data", "binaryData")
    for key in data:
        yield from all_of(f"data[{key}]", key, config_key)
        if key in binary:
            yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary:
        yield from all_of(f"binaryData[{key}]", key, config_key)
    if sum(len(value.encode()) for value in data.values()) + _decoded_size(binary) > _LARGEST:
        yield too_long("", _LARGEST)


def secret(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Secret."""
    data, kind = obj.get("data", {}), obj.get("type", "")
    if old is not None:
        yield from immutable("type", kind, old.get("type"))
    yield from _frozen(obj, old, "data")
    for key in data:
        yield from all_of(f"data[{key}]", key, config_key)
    if _decoded_size(data) > _LARGEST:
        yield too_long("data", _LARGEST)
    if kind == "kubernetes.io/service-account-token":
        if not obj["metadata"].get("annotations", {}).get(_SERVICE_ACCOUNT):
            yield required(f"metadata.annotations[{_SERVICE_ACCOUNT}]")
    elif kind in _DOCKER_KEYS:
        yield from _json_value(data, _DOCKER_KEYS[kind])
    else:
        yield from _needed_keys(data, kind)


def _needed_keys(data: Obj, kind: str) -> Iterator[Cause]:
    needed: tuple[str, ...] = ()
    if kind == "kubernetes.io/tls":
        needed = tuple(key for key in ("tls.crt", "tls.key") if key not in data)
    elif kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        needed = ("username", "password")
    elif kind == "kubernetes.io/ssh-auth" and not data.get("ssh-privatekey"):
        needed = ("ssh-privatekey",)
    for key in needed:
        yield required(f"data[{key}]")


def _json_value(data: Obj, key: str) -> Iterator[Cause]:
    if key not in data:
        yield required(f"data[{key}]")
        return
    problem = _json_problem(base64.b64decode(data[key]))
    if problem:
        yield invalid_value(f"data[{key}]", "<secret contents redacted>", problem)


def _json_problem(raw: bytes) -> str:
    """What Go's JSON decoder says about a text that should be an object."""
    text = raw.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            return "unexpected end of JSON input"
        return f"invalid character {_character(text[error.pos])} looking for beginning of value"
    if isinstance(value, dict) or value is None:
        return ""
    kinds = {str: "string", list: "array", bool: "bool"}
    found = kinds.get(type(value), "number")
    return f"json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"


def _character(char: str) -> str:
    return r"'\''" if char == "'" else "'\"'" if char == '"' else f"'{quote(char)[1:-1]}'"


def _frozen(obj: Obj, old: Obj | None, *names: str) -> Iterator[Cause]:
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden("immutable", _FROZEN)
    for name in names:
        if obj.get(name, {}) != old.get(name, {}):
            yield forbidden(name, _FROZEN)


def _decoded_size(data: Obj) -> int:
    return sum(len(value) * 3 // 4 - value.count("=") for value in data.values() if value)
