"""The rules of the built-in kinds, as the registry and the request handlers use them."""

from __future__ import annotations

import re

from labctl.embedded.api.custom import rules
from labctl.embedded.api.fields.sets import FieldSet, of_paths
from labctl.embedded.api.fields.shapes import UNTYPED, Shape, shape_of_struct
from labctl.embedded.api.scale import BUILTIN_SCALE, ScalePaths
from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.kinds import codec, defaulting, limits, schema, validation, wire
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.strategy import Strategy

_STATUS = of_paths(("status",))
_SPEC = of_paths(("spec",))
_NOT_STATUS = {
    "Pod": of_paths(("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences")),
    "Deployment": of_paths(("spec",), ("metadata", "labels")),
    "CustomResourceDefinition": of_paths(("spec",), ("metadata",)),
}


class BuiltinRules:
    """Implements `Rules` and `Checks` for built-in kinds, with the knowledge in `kinds`."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy

    def defaults(self, resource: Resource, obj: Obj) -> None:
        """See `Rules.defaults`."""
        defaulting.apply_defaults(resource, obj)

    def reorder(self, resource: Resource, obj: Obj) -> None:
        """See `Rules.reorder`."""
        defaulting.reorder(resource, obj)

    def prepare_for_create(self, resource: Resource, obj: Obj, state: Clientset) -> None:
        """See `Rules.prepare_for_create`."""
        self._strategy.prepare_for_create(resource, obj, state)

    def admit_new(self, resource: Resource, obj: Obj, state: Clientset) -> None:
        """See `Rules.admit_new`."""
        limits.check(resource, obj, state)

    def prepare_for_update(self, resource: Resource, new: Obj, old: Obj, state: Clientset) -> None:
        """See `Rules.prepare_for_update`."""
        self._strategy.prepare_for_update(resource, new, old, state)

    def prepare_for_subresource(self, resource: Resource, new: Obj, old: Obj, subresource: str) -> None:
        """See `Rules.prepare_for_subresource`."""
        if subresource in ("finalize",):
            _only_finalizers(new, old)
        elif subresource == "ephemeralcontainers":
            self._strategy.prepare_for_ephemeral_containers(new, old)
        else:
            self._strategy.prepare_for_status_update(resource, new, old)

    def prepare_for_delete(self, resource: Resource, name: str) -> None:
        """See `Rules.prepare_for_delete`."""
        self._strategy.prepare_for_delete(resource, name)

    def validate(self, resource: Resource, new: Obj, old: Obj | None) -> None:
        """See `Rules.validate`."""
        causes = validation.validate(resource, new, old)
        if causes:
            raise validation.invalid(resource, new["metadata"].get("name", ""), causes)

    def shape(self, resource: Resource) -> Shape:
        """See `Rules.shape`."""
        struct = wire.struct_of(resource)
        return shape_of_struct(struct) if struct else UNTYPED

    def empty(self, resource: Resource) -> Obj:
        """See `Rules.empty`."""
        struct = wire.struct_of(resource)
        return codec.round_trip(struct, {}) if struct else {}

    def ignored_fields(self, resource: Resource, subresource: str) -> FieldSet:
        """See `Rules.ignored_fields`."""
        if subresource == "status":
            return _NOT_STATUS.get(resource.kind, _SPEC)
        if subresource == "finalize":
            return _STATUS
        return _STATUS if "status" in resource.subresources else {}

    def scale_paths(self, resource: Resource) -> ScalePaths:
        """See `Rules.scale_paths`."""
        del resource
        return BUILTIN_SCALE

    def warnings(self, resource: Resource, obj: Obj) -> list[str]:
        """See `Rules.warnings`."""
        if resource.kind != "CustomResourceDefinition":
            return []
        return [
            f"labctl does not evaluate this rule, it will not be enforced: {text}"
            for version in obj["spec"].get("versions") or ()
            for text in rules.unsupported((version.get("schema") or {}).get("openAPIV3Schema") or {})
        ]

    def type_error(self, resource: Resource, obj: Obj) -> str:
        """See `Checks.type_error`."""
        found = schema.type_errors(resource, obj)
        return found[0] if found else ""

    def patch_type_error(self, resource: Resource, obj: Obj) -> str:
        """See `Checks.patch_type_error`."""
        return conversion_error(self.type_error(resource, obj))

    def unknown_fields(self, resource: Resource, obj: Obj) -> list[str]:
        """See `Checks.unknown_fields`."""
        return schema.unknown_fields(resource, obj)


def _only_finalizers(new: Obj, old: Obj) -> None:
    """`namespaces/finalize` changes `spec.finalizers` alone."""
    finalizers = (new.get("spec") or {}).get("finalizers")
    metadata = new["metadata"]
    new.clear()
    new.update({**old, "metadata": metadata})
    new["spec"] = {**(old.get("spec") or {}), "finalizers": finalizers} if finalizers else {}


def conversion_error(problem: str) -> str:
    """A decoder's complaint as a strategic merge patch words it, which is converted, not decoded.

    Source: k8s.io/apimachinery v0.34.4 `pkg/runtime/converter.go`.
    """
    match = re.search(r"cannot unmarshal (\w+).* of type (\S+)$", problem)
    if match is None:
        return problem
    given, wanted = _GO_VALUES.get(match[1], match[1]), match[2]
    if wanted.startswith("map["):
        return f"cannot restore map from {given}"
    if wanted.startswith("[]"):
        return f"cannot restore slice from {given}"
    if "." in wanted:
        return f"cannot restore struct from: {given}"
    return f"unrecognized type: {wanted}"


_GO_VALUES = {"object": "map", "array": "slice", "number": "int64"}
