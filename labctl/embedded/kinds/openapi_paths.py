"""The paths of the OpenAPI documents: which verb is which method on which URL, with which query parameters.

Media types are those that the embedded API speaks. kubectl reads from them which kind lives at a path, and whether a
PATCH knows `fieldValidation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import wire
from labctl.embedded.kinds.openapi_names import META, resource_schema, schema_name
from labctl.embedded.kinds.resources import Resource, Subresource, subresource

_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = (
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
)
_SELECT = ("continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch")
_LIST = ("allowWatchBookmarks", *_SELECT, "sendInitialEvents", "timeoutSeconds", "watch")
_DELETE_COLLECTION = (*_SELECT, *_DELETE, "sendInitialEvents", "timeoutSeconds")
_PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_BODY_TYPES = ("application/json", "application/yaml")
_INTEGERS = frozenset({"gracePeriodSeconds", "limit", "timeoutSeconds"})
_BOOLEANS = frozenset(
    {
        "allowWatchBookmarks",
        "force",
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "orphanDependents",
        "sendInitialEvents",
        "watch",
    }
)
_STATUS = f"{META}.Status"
_METHODS = {"create": "post", "update": "put", "patch": "patch", "delete": "delete", "get": "get"}
_WORDS = {"create": "create", "update": "replace", "patch": "patch", "delete": "delete", "get": "read"}
_CONNECT = frozenset({"attach", "exec", "portforward", "proxy"})


@dataclass(frozen=True, slots=True)
class _Operation:
    """One method of one path.

    Attributes:
        path: URL with `{namespace}` and `{name}`.
        method: HTTP method in lower case.
        action: `x-kubernetes-action`.
        kind: Group, version and kind of what it works on.
        name: operationId.
        tag: Group and version.
        query: Query parameters.
        body: Schema name of the request body; empty without one.
        answer: Schema name of the answer.
    """

    path: str
    method: str
    action: str
    kind: tuple[str, str, str]
    name: str
    tag: str
    query: tuple[str, ...]
    body: str
    answer: str


def v3(served: Iterable[Resource]) -> Obj:
    """`paths` of a v3 document."""
    paths: Obj = {}
    for operation in _operations(served):
        item = paths.setdefault(operation.path, {"parameters": [_path_parameter(n) for n in _names(operation.path)]})
        item[operation.method] = _v3_operation(operation)
    return {path: paths[path] for path in sorted(paths)}


def v2(served: Iterable[Resource]) -> Obj:
    """`paths` of a v2 document."""
    paths: Obj = {}
    for operation in _operations(served):
        item = paths.setdefault(operation.path, {})
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "type": "string"} for name in _names(operation.path)
        ]
        item[operation.method] = _v2_operation(operation)
    return {path: paths[path] for path in sorted(paths)}


def bodies(served: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    """Version and kind of bodies of subresources that are not the resource's own (`autoscaling/v1` Scale)."""
    for resource in served:
        for name in resource.subresources:
            found = subresource(resource, name)
            if found is not None and found.group:
                yield f"{found.group}/{found.version}", found.kind


def _operations(served: Iterable[Resource]) -> Iterator[_Operation]:
    for resource in served:
        yield _discovery_operation(resource)
        yield from _resource_operations(resource)
        for name in resource.subresources:
            found = subresource(resource, name)
            if found is not None:
                yield from _subresource_operations(resource, found)


def _discovery_operation(resource: Resource) -> _Operation:
    """`GET /apis/GROUP/VERSION/`, the same for all resources of a version."""
    tag, prefix = _tag(resource)
    path = _collection(resource).removesuffix(f"/{resource.plural}").removesuffix("/namespaces/{namespace}") + "/"
    return _Operation(path, "get", "", ("", "", ""), f"get{prefix}APIResources", tag, (), "", f"{META}.APIResourceList")


def _resource_operations(resource: Resource) -> Iterator[_Operation]:
    schema = resource_schema(resource)
    collection = _collection(resource)
    item = f"{collection}/{{name}}"
    scope = "Namespaced" if resource.namespaced else ""
    tag, prefix = _tag(resource)
    if "list" in resource.verbs:
        listing = f"{schema}List"
        name = f"list{prefix}{scope}{resource.kind}"
        yield _Operation(collection, "get", "list", resource.gvk, name, tag, _LIST, "", listing)
        if resource.namespaced:
            everywhere = collection.replace("/namespaces/{namespace}", "")
            name = f"list{prefix}{resource.kind}ForAllNamespaces"
            yield _Operation(everywhere, "get", "list", resource.gvk, name, tag, _LIST, "", listing)
    if "deletecollection" in resource.verbs:
        name, options = f"delete{prefix}Collection{scope}{resource.kind}", f"{META}.DeleteOptions"
        yield _Operation(
            collection, "delete", "deletecollection", resource.gvk, name, tag, _DELETE_COLLECTION, options, _STATUS
        )
    for verb in ("create", "get", "update", "patch", "delete"):
        if verb in resource.verbs:
            path = collection if verb == "create" else item
            yield _operation(path, verb, resource.gvk, f"{prefix}{scope}{resource.kind}", tag, schema)


def _subresource_operations(resource: Resource, found: Subresource) -> Iterator[_Operation]:
    path = f"{_collection(resource)}/{{name}}/{found.name}"
    scope = "Namespaced" if resource.namespaced else ""
    tag, prefix = _tag(resource)
    kind = (found.group or resource.group, found.version or resource.version, found.kind)
    struct = wire.kind_struct("/".join(part for part in kind[:2] if part), found.kind)
    schema = schema_name(f"{struct.package}.{struct.name}") if struct is not None else ""
    title = found.name[0].upper() + found.name[1:]
    for verb in found.verbs:
        if found.name in _CONNECT:
            method = _METHODS[verb]
            name = f"connect{prefix}{method.capitalize()}{scope}{resource.kind}{title}"
            yield _Operation(path, method, "connect", kind, name, tag, (), "", "")
        else:
            answer = "" if found.name == "log" else schema
            yield _operation(path, verb, kind, f"{prefix}{scope}{resource.kind}{title}", tag, answer)


def _operation(path: str, verb: str, kind: tuple[str, str, str], name: str, tag: str, schema: str) -> _Operation:
    query = {"create": _WRITE, "update": _WRITE, "patch": (*_WRITE, "force"), "delete": _DELETE}.get(verb, ())
    body = {"create": schema, "update": schema, "patch": f"{META}.Patch", "delete": f"{META}.DeleteOptions"}
    answer = _STATUS if verb == "delete" else schema
    action = {"create": "post", "update": "put"}.get(verb, verb)
    return _Operation(
        path, _METHODS[verb], action, kind, f"{_WORDS[verb]}{name}", tag, query, body.get(verb, ""), answer
    )


def _collection(resource: Resource) -> str:
    root = f"/apis/{resource.group}" if resource.group else "/api"
    namespace = "/namespaces/{namespace}" if resource.namespaced else ""
    return f"{root}/{resource.version}{namespace}/{resource.plural}"


def _tag(resource: Resource) -> tuple[str, str]:
    """The tag of a group version (`apps_v1`) and how operation names spell it (`AppsV1`)."""
    words = (resource.group or "core").removesuffix(".k8s.io").split(".")
    group = words[0] + "".join(word.capitalize() for word in words[1:])
    return f"{group}_{resource.version}", f"{group[0].upper()}{group[1:]}{resource.version.capitalize()}"


def _names(path: str) -> list[str]:
    return [name for name in ("name", "namespace") if f"{{{name}}}" in path]


def _path_parameter(name: str) -> Obj:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


def _parameter_type(name: str) -> str:
    return "integer" if name in _INTEGERS else "boolean" if name in _BOOLEANS else "string"


def _v3_operation(operation: _Operation) -> Obj:
    made = _common(operation)
    made["parameters"] = [
        {"name": name, "in": "query", "schema": {"type": _parameter_type(name), "uniqueItems": True}}
        for name in operation.query
    ]
    if operation.body:
        types = _PATCH_TYPES if operation.method == "patch" else ("*/*",)
        reference = {"schema": {"$ref": f"#/components/schemas/{operation.body}"}}
        made["requestBody"] = {"content": dict.fromkeys(types, reference)}
        if operation.method in ("post", "put", "patch"):
            made["requestBody"]["required"] = True
    good: Obj = {"description": "OK"}
    if operation.answer:
        reference = {"schema": {"$ref": f"#/components/schemas/{operation.answer}"}}
        good["content"] = dict.fromkeys(_BODY_TYPES, reference)
    made["responses"] = dict.fromkeys(_codes(operation), good) | {"401": {"description": "Unauthorized"}}
    return made


def _v2_operation(operation: _Operation) -> Obj:
    made = _common(operation)
    made["consumes"] = list(_PATCH_TYPES) if operation.method == "patch" else ["*/*"]
    made["produces"] = list(_BODY_TYPES)
    made["schemes"] = ["https"]
    made["parameters"] = [
        {"name": name, "in": "query", "type": _parameter_type(name), "uniqueItems": True} for name in operation.query
    ]
    if operation.body:
        body: Obj = {"name": "body", "in": "body", "schema": {"$ref": f"#/definitions/{operation.body}"}}
        if operation.method in ("post", "put", "patch"):
            body["required"] = True
        made["parameters"].insert(0, body)
    good: Obj = {"description": "OK"}
    if operation.answer:
        good["schema"] = {"$ref": f"#/definitions/{operation.answer}"}
    made["responses"] = dict.fromkeys(_codes(operation), good) | {"401": {"description": "Unauthorized"}}
    return made


def _codes(operation: _Operation) -> tuple[str, ...]:
    codes = {"post": ("200", "201", "202"), "put": ("200", "201"), "patch": ("200", "201"), "delete": ("200", "202")}
    return codes.get(operation.method, ("200",)) if operation.action != "connect" else ("200",)


def _common(operation: _Operation) -> Obj:
    group, version, kind = operation.kind
    made: Obj = {"operationId": operation.name, "tags": [operation.tag]}
    if operation.action:
        made["x-kubernetes-action"] = operation.action
        made["x-kubernetes-group-version-kind"] = {"group": group, "version": version, "kind": kind}
    return made
