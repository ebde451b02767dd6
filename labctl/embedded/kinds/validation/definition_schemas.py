"""Schemas of custom resources: structural, as the API server demands, and without what it does not support.

Source: ValidateStructural and ValidateCustomResourceDefinitionOpenAPISchema of apiextensions-apiserver. Rules in CEL
are not compiled here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_EMPTY_TEXTS = {
    "type": "must be empty to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "additionalProperties": "must be undefined to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}
_NOT_SUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_TYPE_MISSING = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}


def schema(root: Obj, path: str, *, has_status: bool) -> Iterator[Cause]:
    """The `openAPIV3Schema` of a version."""
    if has_status and root.get("type") not in (None, "", "object"):
        text = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        yield invalid_value(f"{path}.type", root["type"], text)
    if root.get("nullable"):
        yield forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    yield from sorted(_structural(root, path, "root"), key=str)
    yield from _openapi(root, path)


def _structural(node: Obj, path: str, level: str) -> Iterator[Cause]:
    kind = node.get("type", "")
    if kind == "array" and node.get("items") is None:
        yield required(f"{path}.items", "must be specified")
    yield from _children(node, path, level)
    preserves = bool(node.get("x-kubernetes-preserve-unknown-fields"))
    either, embedded = bool(node.get("x-kubernetes-int-or-string")), bool(node.get("x-kubernetes-embedded-resource"))
    if either and preserves:
        text = "must be false if x-kubernetes-int-or-string is true"
        yield invalid_value(f"{path}.x-kubernetes-preserve-unknown-fields", True, text)
    yield from _values(node, path, level)
    if embedded and kind != "object":
        text = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid_value(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)
    elif not kind and not either and not preserves:
        yield required(f"{path}.type", _TYPE_MISSING[level])
    if level == "root" and kind not in ("", "object"):
        yield invalid_value(f"{path}.type", kind, "must be object at the root")
    if level == "root" or embedded:
        yield from _own_metadata(node.get("properties") or {}, f"{path}.properties", is_root=level == "root")
    if embedded and not preserves and not node.get("properties"):
        text = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{path}.properties", text)


def _children(node: Obj, path: str, level: str) -> Iterator[Cause]:
    if isinstance(node.get("items"), dict):
        yield from _structural(node["items"], f"{path}.items", "item")
    for name, child in (node.get("properties") or {}).items():
        yield from _structural(child, f"{path}.properties[{name}]", "field")
    additional = node.get("additionalProperties")
    if additional is not None and level == "root":
        yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(additional, dict):
        yield from _structural(additional, f"{path}.additionalProperties", "field")


def _own_metadata(properties: Obj, path: str, *, is_root: bool) -> Iterator[Cause]:
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type") != "string":
            yield invalid_value(f"{path}[{name}].type", properties[name].get("type", ""), "must be string")
    metadata = properties.get("metadata")
    if metadata is None:
        return
    if metadata.get("type") != "object":
        yield invalid_value(f"{path}[metadata].type", metadata.get("type", ""), "must be object")
    named = set(metadata.get("properties") or ()) <= {"name", "generateName"}
    if is_root and not (named and set(metadata) <= {"type", "properties", "default"}):
        text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield forbidden(f"{path}[metadata]", text)


def _values(node: Obj, path: str, level: str, *, any_of_is_types: bool = False) -> Iterator[Cause]:
    """What may stand in a schema besides its structure."""
    first_of_all = (node.get("allOf") or [{}])[0].get("anyOf") == _INT_OR_STRING
    for junctor in _JUNCTORS:
        if junctor == "anyOf" and (any_of_is_types or node.get("anyOf") == _INT_OR_STRING):
            continue
        for index, child in enumerate(node.get(junctor) or ()):
            skip = junctor == "allOf" and index == 0 and first_of_all
            yield from _nested(child, f"{path}.{junctor}[{index}]", level, any_of_is_types=skip)
    if node.get("not") is not None:
        yield from _nested(node["not"], f"{path}.not", level)
    if node.get("pattern"):
        try:
            re.compile(node["pattern"])
        except re.error as error:
            text = f"must be a valid regular expression, but isn't: {error}"
            yield invalid_value(f"{path}.pattern", node["pattern"], text)


def _nested(node: Obj, path: str, level: str, *, any_of_is_types: bool = False) -> Iterator[Cause]:
    """A schema in a junctor, which only restricts values and has no structure of its own."""
    yield from _values(node, path, level, any_of_is_types=any_of_is_types)
    if isinstance(node.get("items"), dict):
        yield from _nested(node["items"], f"{path}.items", level)
    for name, child in (node.get("properties") or {}).items():
        yield from _nested(child, f"{path}.properties[{name}]", "field")
    for name, text in _EMPTY_TEXTS.items():
        if node.get(name):
            yield forbidden(f"{path}.{name}", text)
    if "metadata" in (node.get("properties") or ()):
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _openapi(node: Obj, path: str) -> Iterator[Cause]:
    kind = node.get("type", "")
    if kind and kind not in _TYPES:
        yield not_supported(f"{path}.type", kind, _TYPES)
    if kind == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    for name in _NOT_SUPPORTED:
        if node.get(name):
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    if isinstance(node.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if node.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", text)
    if node.get("additionalProperties") not in (None, True) and node.get("properties"):
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    yield from _extensions(node, path)
    yield from _rules(node, path)
    for at, child in _subschemas(node, path):
        yield from _openapi(child, at)


def _subschemas(node: Obj, path: str) -> Iterator[tuple[str, Obj]]:
    for name in ("additionalProperties", "not", "items"):
        if isinstance(node.get(name), dict):
            yield f"{path}.{name}", node[name]
    for name, child in (node.get("properties") or {}).items():
        yield f"{path}.properties[{name}]", child
    for junctor in _JUNCTORS:
        for index, child in enumerate(node.get(junctor) or ()):
            yield f"{path}.{junctor}[{index}]", child


def _extensions(node: Obj, path: str) -> Iterator[Cause]:
    map_type, list_type = node.get("x-kubernetes-map-type"), node.get("x-kubernetes-list-type")
    if node.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid_value(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    yield from _type_for(node, path, "x-kubernetes-map-type", "object")
    if map_type not in (None, "atomic", "granular"):
        yield not_supported(f"{path}.x-kubernetes-map-type", map_type, ("atomic", "granular"))
    yield from _type_for(node, path, "x-kubernetes-list-type", "array")
    if list_type not in (None, "atomic", "set", "map"):
        yield not_supported(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map"))
    keys = node.get("x-kubernetes-list-map-keys") or []
    if keys and list_type != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        at = f"{path}.x-kubernetes-list-type"
        yield required(at, text) if list_type is None else invalid_value(at, list_type, text)
    if list_type == "map":
        yield from _list_map(node, keys, path)


def _type_for(node: Obj, path: str, extension: str, wanted: str) -> Iterator[Cause]:
    kind = node.get("type", "")
    if node.get(extension) is not None and kind != wanted:
        text = f"must be {wanted} if {extension} is specified"
        yield invalid_value(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)


def _list_map(node: Obj, keys: list[str], path: str) -> Iterator[Cause]:
    at, items = f"{path}.x-kubernetes-list-map-keys", node.get("items")
    if not keys:
        yield required(at, "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        yield required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid_value(f"{path}.items.type", items.get("type", ""), text)
        return
    properties: dict[str, Any] = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in properties:
            yield invalid_value(at, keys, "entries must all be names of item properties")
        elif properties[key].get("type") in ("array", "object"):
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid_value(f"{path}.items.properties[{key}].type", "object", text)
        elif key not in (items.get("required") or ()) and "default" not in properties[key]:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{path}.items.properties[{key}].default", text)
        if key in keys[:index]:
            yield invalid_value(at, keys, "must not contain duplicate entries")


def _rules(node: Obj, path: str) -> Iterator[Cause]:
    for index, rule in enumerate(node.get("x-kubernetes-validations") or ()):
        at = f"{path}.x-kubernetes-validations[{index}]"
        text, message = rule.get("rule", "").strip(), rule.get("message", "")
        if not text:
            yield required(f"{at}.rule", "rule is not specified")
        elif message and not message.strip():
            yield invalid_value(f"{at}.message", message, "must be non-empty if specified")
        elif "\n" in message.strip():
            yield invalid_value(f"{at}.message", message, "must not contain line breaks")
        elif "\n" in text and not message.strip():
            yield required(f"{at}.message", "message must be specified if rule contains line breaks")
