"""The rules of custom kinds, and those of all kinds together."""

from __future__ import annotations

from typing import Any

from labctl.embedded.api.custom import rules, schemas
from labctl.embedded.api.custom.definitions import CustomKinds
from labctl.embedded.api.custom.kinds import CustomKind
from labctl.embedded.api.fields.sets import FieldSet, of_paths
from labctl.embedded.api.fields.shapes import Shape
from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.api.kindrules import BuiltinRules
from labctl.embedded.api.scale import ScalePaths
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import codec, schema, validation, wire
from labctl.embedded.kinds.field import Cause
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.strategy import Strategy

_STATUS = of_paths(("status",))
_NOT_STATUS = of_paths(("spec",), ("metadata",))
_BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
_UNCHECKED = Cause(
    "FieldValueInvalid",
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


class AllRules(BuiltinRules):
    """Implements `Rules` and `Checks` for every served kind.

    Args:
        strategy: The strategies, which know custom kinds as far as all of them are alike.
        kinds: The custom kinds.
    """

    def __init__(self, strategy: Strategy, kinds: CustomKinds) -> None:
        super().__init__(strategy)
        self.kinds = kinds

    def defaults(self, resource: Resource, obj: Obj) -> None:
        """See `Rules.defaults`."""
        custom = self.kinds.get(resource)
        if custom is None:
            super().defaults(resource, obj)
            return
        obj["metadata"] = codec.round_trip(_metadata_struct(), obj.get("metadata") or {})
        if custom.schema:
            schemas.prune(obj, custom.schema)
            schemas.set_defaults(obj, custom.schema)

    def reorder(self, resource: Resource, obj: Obj) -> None:
        """See `Rules.reorder`. Custom objects are maps, which Go writes sorted."""
        if self.kinds.get(resource) is None:
            super().reorder(resource, obj)
            return
        ordered = _sorted(obj)
        obj.clear()
        obj.update(ordered)

    def validate(self, resource: Resource, new: Obj, old: Obj | None) -> None:
        """See `Rules.validate`."""
        custom = self.kinds.get(resource)
        if custom is None:
            super().validate(resource, new, old)
            return
        causes = [*validation.validate(resource, new, old), *_problems(custom, new, old)]
        if causes:
            raise validation.invalid(resource, new["metadata"].get("name", ""), causes)

    def shape(self, resource: Resource) -> Shape:
        """See `Rules.shape`."""
        custom = self.kinds.get(resource)
        return custom.shape if custom else super().shape(resource)

    def empty(self, resource: Resource) -> Obj:
        """See `Rules.empty`."""
        return {} if self.kinds.get(resource) else super().empty(resource)

    def ignored_fields(self, resource: Resource, subresource: str) -> FieldSet:
        """See `Rules.ignored_fields`."""
        if self.kinds.get(resource) is None:
            return super().ignored_fields(resource, subresource)
        if subresource == "status":
            return _NOT_STATUS
        return _STATUS if "status" in resource.subresources else {}

    def scale_paths(self, resource: Resource) -> ScalePaths:
        """See `Rules.scale_paths`."""
        custom = self.kinds.get(resource)
        if custom is None or custom.scale is None:
            return super().scale_paths(resource)
        names = ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
        spec, status, selector = (tuple(filter(None, (custom.scale.get(name) or "").split("."))) for name in names)
        return ScalePaths(spec, status, selector)

    def type_error(self, resource: Resource, obj: Obj) -> str:
        """See `Checks.type_error`. The schema of a custom kind is checked later; its metadata must be readable."""
        if self.kinds.get(resource) is None:
            return super().type_error(resource, obj)
        metadata = obj.get("metadata")
        if metadata is None:
            return ""
        if not isinstance(metadata, dict):
            return "json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta"
        found = schema.struct_type_errors(_metadata_struct(), metadata)
        return found[0] if found else ""

    def unknown_fields(self, resource: Resource, obj: Obj) -> list[str]:
        """See `Checks.unknown_fields`."""
        custom = self.kinds.get(resource)
        if custom is None:
            return super().unknown_fields(resource, obj)
        return sorted(schemas.prune(copy(obj), custom.schema, keep=True)) if custom.schema else []


def _metadata_struct() -> wire.Struct:
    return wire.all_structs()["meta.ObjectMeta"]


def _problems(custom: CustomKind, new: Obj, old: Obj | None) -> list[Cause]:
    if not custom.schema:
        return []
    causes = schemas.validate(new, custom.schema)
    if not rules.has_rules(custom.schema):
        return causes
    if any(cause.type_ in _BLOCKING for cause in causes):
        return [*causes, _UNCHECKED]
    return [*causes, *rules.check(new, old, custom.schema)]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
