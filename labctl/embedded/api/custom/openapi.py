"""The OpenAPI v3 documents of custom kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from labctl.embedded.api.custom.kinds import CustomKind
from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource

_SCHEMAS = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized "
    f"schemas to the latest internal value, and may reject unrecognized values. More info: {_CONVENTIONS}#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this from the "
    f"endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: {_CONVENTIONS}#types-kinds"
)
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_WRITE = ("dryRun", "fieldManager", "fieldValidation")


def document(kinds: Sequence[CustomKind], builtin: Callable[[str], Obj]) -> Obj:
    """The document of a group version.

    Args:
        kinds: Its kinds.
        builtin: Makes the document of a built-in group version, from which the common schemas are taken.
    """
    schemas: Obj = {}
    paths: Obj = {}
    for kind in kinds:
        name = schema_name(kind.resource)
        schemas[name] = _object_schema(kind)
        schemas[f"{name}List"] = _list_schema(kind, name)
        paths |= _paths(kind.resource, name)
    common = builtin("v1")["components"]["schemas"]
    roots = [f"{_META}.{name}" for name in ("ObjectMeta", "ListMeta", "Status", "DeleteOptions", "Patch")]
    schemas |= _closure(roots, common)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {"schemas": {name: schemas[name] for name in sorted(schemas)}},
    }


def schema_name(resource: Resource) -> str:
    """`Widget` of `lab.example.com/v1` is `com.example.lab.v1.Widget`."""
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def _kinds_of(resource: Resource, kind: str = "") -> Obj:
    return {"group": resource.group, "version": resource.version, "kind": kind or resource.kind}


def _object_schema(kind: CustomKind) -> Obj:
    schema: Obj = copy(kind.schema) or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = {
        "apiVersion": {"description": _API_VERSION, "type": "string"},
        "kind": {"description": _KIND, "type": "string"},
        "metadata": {"description": _METADATA, "allOf": [{"$ref": f"{_SCHEMAS}{_META}.ObjectMeta"}]},
    }
    schema["properties"] = {**(schema.get("properties") or {}), **properties}
    return schema | {"x-kubernetes-group-version-kind": [_kinds_of(kind.resource)]}


def _list_schema(kind: CustomKind, name: str) -> Obj:
    return {
        "description": f"{kind.resource.kind}List is a list of {kind.resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "items": {"type": "array", "items": {"$ref": _SCHEMAS + name}},
            "kind": {"description": _KIND, "type": "string"},
            "metadata": {"allOf": [{"$ref": f"{_SCHEMAS}{_META}.ListMeta"}]},
        },
        "x-kubernetes-group-version-kind": [_kinds_of(kind.resource, kind.list_kind)],
    }


def _paths(resource: Resource, name: str) -> Obj:
    place = f"/apis/{resource.api_version}"
    collection = (
        f"{place}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{place}/{resource.plural}"
    )
    collection_actions = {"get": "list", "post": "post", "delete": "deletecollection"}
    item_actions = {"get": "get", "put": "put", "patch": "patch", "delete": "delete"}
    paths: Obj = {collection: {m: _operation(resource, a, m, name) for m, a in collection_actions.items()}}
    paths[f"{collection}/{{name}}"] = {m: _operation(resource, a, m, name) for m, a in item_actions.items()}
    for subresource in resource.subresources:
        methods = {m: item_actions[m] for m in ("get", "put", "patch")}
        paths[f"{collection}/{{name}}/{subresource}"] = {
            m: _operation(resource, a, m, name) for m, a in methods.items()
        }
    return paths


def _operation(resource: Resource, action: str, method: str, name: str) -> Obj:
    reference = {"schema": {"$ref": _SCHEMAS + (f"{name}List" if action == "list" else name)}}
    answer = {"description": "OK", "content": {"application/json": reference, "application/yaml": reference}}
    operation: Obj = {"x-kubernetes-action": action, "x-kubernetes-group-version-kind": _kinds_of(resource)}
    operation["responses"] = {"200": answer}
    if method in ("post", "put", "patch"):
        names = (*_WRITE, "force") if method == "patch" else _WRITE
        operation["parameters"] = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names]
        types = _PATCHES if method == "patch" else ("application/json", "application/yaml")
        body = {"schema": {"$ref": f"{_SCHEMAS}{_META}.Patch"}} if method == "patch" else reference
        operation["requestBody"] = {"content": dict.fromkeys(types, body)}
    return operation


def _closure(roots: Iterable[str], schemas: Obj) -> Obj:
    """Schemas with all that they refer to."""
    found: Obj = {}
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in found or name not in schemas:
            continue
        found[name] = schemas[name]
        pending += _references(schemas[name])
    return found


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix(_SCHEMAS)
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
