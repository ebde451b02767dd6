"""The OpenAPI documents of the built-in groups, made of `types.txt` and the descriptions.

They are large and seldom asked for: nothing of them is kept here, the caller may keep their JSON.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from importlib import resources as package_data
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import openapi_paths, wire
from labctl.embedded.kinds.openapi_names import SPECIAL_SCHEMAS, resource_schema, schema_name
from labctl.embedded.kinds.resources import BUILTIN, Resource
from labctl.embedded.kinds.wire import Field, Struct, Type

_FORMATS = {"int32": "int32", "int64": "int64", "uint8": "int32", "float64": "double"}
_ALWAYS = ("APIResourceList", "DeleteOptions", "Status", "WatchEvent")
_V2_SPECIAL: dict[str, Obj] = {
    "FieldsV1": {"type": "object"},
    "IntOrString": {"type": "string", "format": "int-or-string"},
    "JSON": {},
    "JSONSchemaPropsOrArray": {},
    "JSONSchemaPropsOrBool": {},
    "JSONSchemaPropsOrStringArray": {},
    "MicroTime": {"type": "string", "format": "date-time"},
    "Patch": {"type": "object"},
    "Quantity": {"type": "string"},
    "RawExtension": {"type": "object"},
    "Time": {"type": "string", "format": "date-time"},
}
_V3_SPECIAL: dict[str, Obj] = {
    **_V2_SPECIAL,
    "IntOrString": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
}
_ZEROS: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "uint8": 0, "float64": 0}


def openapi_v3(group_version: str) -> Obj:
    """The OpenAPI v3 document of one group version (`v1`, `apps/v1`): its kinds and their paths."""
    served = [resource for resource in BUILTIN if resource.api_version == group_version]
    schemas = _schemas_of(served, version=3)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": openapi_paths.v3(served),
        "components": {"schemas": schemas.finished(), "securitySchemes": {"BearerToken": _BEARER}},
    }


def openapi_v2(version: str = "unversioned") -> Obj:
    """The OpenAPI v2 document of all built-in groups; `version` is the server's (`v1.34.4+k3s1`)."""
    schemas = _schemas_of(BUILTIN, version=2)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": openapi_paths.v2(BUILTIN),
        "definitions": schemas.finished(),
        "securityDefinitions": {"BearerToken": _BEARER},
        "security": [{"BearerToken": []}],
    }


def _schemas_of(served: Sequence[Resource], version: int) -> _Schemas:
    """The schemas of resources, of their subresources' bodies, and of what every path refers to."""
    schemas = _Schemas(version=version)
    for resource in served:
        schemas.add_resource(resource)
    for body in openapi_paths.bodies(served):
        struct = wire.kind_struct(*body)
        if struct is not None:
            schemas.add(struct)
    schemas.add_common()
    return schemas


_BEARER = {"description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey"}


def _descriptions() -> dict[str, dict[str, str]]:
    data = package_data.files("labctl.embedded.kinds").joinpath("data/descriptions.json.gz").read_bytes()
    found: dict[str, dict[str, str]] = json.loads(gzip.decompress(data))
    return found


class _Schemas:
    """Collects the schemas of types and of all that they use."""

    def __init__(self, *, version: int) -> None:
        self._v3 = version == 3
        self._prefix = "#/components/schemas/" if self._v3 else "#/definitions/"
        self._texts = _descriptions()
        self._found: dict[str, Obj] = {}

    def finished(self) -> dict[str, Obj]:
        """All schemas, sorted by name."""
        return {name: self._found[name] for name in sorted(self._found)}

    def add_resource(self, resource: Resource) -> None:
        """A kind and its list."""
        struct = wire.struct_of(resource)
        assert struct is not None
        self.add(struct)
        if "list" in resource.verbs:
            self._add_list(resource)

    def add_common(self) -> None:
        """What every document has: options, statuses, patches."""
        for name in _ALWAYS:
            self.add(wire.all_structs()[f"meta.{name}"])
        self._special("Patch")

    def add(self, struct: Struct) -> str:
        """A struct and everything it refers to; returns its schema name."""
        key = f"{struct.package}.{struct.name}"
        name = schema_name(key)
        if name not in self._found:
            schema = self._found[name] = {}
            schema.update(self._struct(struct, self._texts.get(name, {})))
        return name

    def _struct(self, struct: Struct, texts: dict[str, str]) -> Obj:
        schema: Obj = {"description": texts[""]} if texts.get("") else {}
        schema["type"] = "object"
        required = [member.name for member in struct.fields if member.required]
        if required:
            schema["required"] = required
        properties = {member.name: self._property(member, texts.get(member.name, "")) for member in struct.fields}
        if properties:
            schema["properties"] = {name: properties[name] for name in sorted(properties)}
        if struct.atomic:
            schema["x-kubernetes-map-type"] = "atomic"
        if struct.union is not None:
            discriminator, members = struct.union
            fields = {name: name[0].upper() + name[1:] for name in members}
            schema["x-kubernetes-unions"] = [{"discriminator": discriminator, "fields-to-discriminateBy": fields}]
        kinds = _group_version_kinds(struct)
        if kinds:
            schema["x-kubernetes-group-version-kind"] = kinds
        return schema

    def _property(self, member: Field, text: str) -> Obj:
        schema = self._type(member.type, described=bool(text), default=not member.pointer)
        if text:
            schema["description"] = text
        if self._v3 and not member.pointer and member.written and member.type.kind in _ZEROS:
            schema["default"] = _ZEROS[member.type.kind]
        if self._v3 and member.default is not None:
            schema["default"] = member.default
        return schema | _extensions(member)

    def _type(self, kind: Type, *, described: bool, default: bool) -> Obj:
        """A type's schema; `default` says that a struct there is a value, which defaults to the empty object."""
        if kind.kind == "list" and kind.element is not None:
            return {"type": "array", "items": self._element(kind.element)}
        if kind.kind == "map" and kind.element is not None:
            return {"type": "object", "additionalProperties": self._element(kind.element)}
        if kind.kind == "struct" and kind.struct is not None:
            return self._reference(self.add(kind.struct), described=described, default=default)
        if kind.kind in SPECIAL_SCHEMAS:
            return self._reference(self._special(kind.kind), described=described, default=False)
        return _scalar(kind)

    def _element(self, kind: Type) -> Obj:
        schema = self._type(kind, described=False, default=True)
        if self._v3 and kind.kind in _ZEROS:
            schema["default"] = _ZEROS[kind.kind]
        return schema

    def _reference(self, name: str, *, described: bool, default: bool) -> Obj:
        reference: Obj = {"$ref": self._prefix + name}
        if not self._v3 or not (described or default):
            return reference
        # Siblings of $ref are ignored in v3.
        return {"allOf": [reference], "default": {}} if default else {"allOf": [reference]}

    def _special(self, kind: str) -> str:
        name = SPECIAL_SCHEMAS[kind]
        if name not in self._found:
            text = self._texts.get(name, {}).get("", "")
            shape = (_V3_SPECIAL if self._v3 else _V2_SPECIAL)[kind]
            self._found[name] = {"description": text, **shape} if text else dict(shape)
        return name

    def _add_list(self, resource: Resource) -> None:
        name = resource_schema(resource)
        texts = self._texts.get(f"{name}List", {})
        meta = Struct("", "", [])
        items = Type("list", "", Type("struct", "", struct=wire.struct_of(resource)))
        list_meta = Type("struct", "", struct=wire.all_structs()["meta.ListMeta"])
        meta.fields = [
            Field("apiVersion", Type("string", "string")),
            Field("items", items, required=True, written=True),
            Field("kind", Type("string", "string")),
            Field("metadata", list_meta),
        ]
        schema = self._found[f"{name}List"] = self._struct(meta, texts)
        kind = {"group": resource.group, "kind": f"{resource.kind}List", "version": resource.version}
        schema["x-kubernetes-group-version-kind"] = [kind]


def _scalar(kind: Type) -> Obj:
    if kind.kind == "bytes":
        return {"type": "string", "format": "byte"}
    if kind.kind == "any":
        return {"type": "object"}
    name = {"string": "string", "bool": "boolean", "float64": "number"}.get(kind.kind, "integer")
    schema: Obj = {"type": name}
    if kind.kind in _FORMATS:
        schema["format"] = _FORMATS[kind.kind]
    if kind.enum:
        schema["enum"] = list(kind.enum)
    return schema


def _extensions(member: Field) -> Obj:
    found: Obj = {}
    if member.list_keys:
        found["x-kubernetes-list-map-keys"] = list(member.list_keys)
    if member.list_type:
        what = "map-type" if member.type.kind == "map" or member.list_type == "granular" else "list-type"
        found[f"x-kubernetes-{what}"] = member.list_type
    if member.merge_key:
        found["x-kubernetes-patch-merge-key"] = member.merge_key
    if member.patch_strategy:
        found["x-kubernetes-patch-strategy"] = member.patch_strategy
    return found


def _group_version_kinds(struct: Struct) -> list[Obj]:
    if struct.package == "meta":
        return [{"group": "", "kind": struct.name, "version": "v1"}] if struct.name in _ALWAYS else []
    for resource in BUILTIN:
        if wire.struct_of(resource) is struct:
            return [{"group": resource.group, "kind": resource.kind, "version": resource.version}]
    return []
