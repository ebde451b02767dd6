"""The rules of the built-in kinds, as the registry and the request handlers use them."""

from __future__ import annotations

from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.kinds import defaulting, schema, validation
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.strategy import Strategy


class BuiltinRules:
    """Implements `Rules` and `Checks` with the knowledge in `kinds`."""

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

    def prepare_for_update(self, resource: Resource, new: Obj, old: Obj, state: Clientset) -> None:
        """See `Rules.prepare_for_update`."""
        self._strategy.prepare_for_update(resource, new, old, state)

    def prepare_for_subresource(self, resource: Resource, new: Obj, old: Obj, subresource: str) -> None:
        """See `Rules.prepare_for_subresource`."""
        if subresource in ("finalize",):
            _only_finalizers(new, old)
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

    def type_error(self, resource: Resource, obj: Obj) -> str:
        """See `Checks.type_error`."""
        found = schema.type_errors(resource, obj)
        return found[0] if found else ""

    def patch_type_error(self, resource: Resource, obj: Obj) -> str:
        """See `Checks.patch_type_error`."""
        return self.type_error(resource, obj)

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
