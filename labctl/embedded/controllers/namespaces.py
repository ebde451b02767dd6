"""Namespaces: a deleted one is emptied, then let go.

Source of the rules and texts: `pkg/controller/namespace/deletion`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Delete, Plan, Update, Wanted, update_status

NAMESPACES = "namespaces"
_KUBERNETES = "kubernetes"


class NamespaceController(BaseController):
    """Deletes everything in a namespace that is being deleted, then takes its finalizer off."""

    name = "namespace-controller"

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The namespace, or the one whose content changed while it is being deleted."""
        if change.resource == NAMESPACES:
            return (("", meta.name(change.object)),) if meta.deleting(change.object) else ()
        inside = meta.namespace(change.object)
        owner = view.get(NAMESPACES, "", inside) if inside else None
        return (("", inside),) if owner is not None and meta.deleting(owner) else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Delete what is there; when nothing is left, finalize."""
        namespace = view.get(NAMESPACES, *key)
        if namespace is None or not meta.deleting(namespace):
            return ()
        contents = list(view.contents(meta.name(namespace)))
        if not contents:
            return _finalize(namespace)
        # Events last: they are what the deletion of the others still writes.
        contents.sort(key=lambda entry: entry[0] == "events")
        plan: list[Wanted] = [Delete(resource, obj) for resource, obj in contents if not meta.deleting(obj)]
        left = [(resource, obj) for resource, obj in contents if meta.deleting(obj)]
        status = {**meta.status(namespace), "phase": "Terminating", "conditions": _conditions(namespace, left, now)}
        return plan if plan else update_status(NAMESPACES, namespace, status)


def _finalize(namespace: Obj) -> list[Wanted]:
    left = [entry for entry in meta.spec(namespace).get("finalizers") or () if entry != _KUBERNETES]
    if left == (meta.spec(namespace).get("finalizers") or []):
        return []
    spec = {field: value for field, value in meta.spec(namespace).items() if field != "finalizers"}
    if left:
        spec["finalizers"] = left
    return [Update(NAMESPACES, {**namespace, "spec": spec}, "finalize")]


def _conditions(namespace: Obj, left: list[tuple[str, Obj]], now: float) -> list[Obj]:
    kinds = Counter(_group_resource(resource) for resource, _ in left)
    holders = Counter(entry for _, obj in left for entry in meta.finalizers(obj))
    remaining = ", ".join(f"{kind} has {count} resource instances" for kind, count in sorted(kinds.items()))
    finalizers = ", ".join(f"{entry} in {count} resource instances" for entry, count in sorted(holders.items()))
    return [
        _condition(namespace, "NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered", _DISCOVERED, now),
        _condition(
            namespace, "NamespaceDeletionGroupVersionParsingFailure", False, "ParsedGroupVersions", _PARSED, now
        ),
        _condition(namespace, "NamespaceDeletionContentFailure", False, "ContentDeleted", _DELETED, now),
        _condition(
            namespace,
            "NamespaceContentRemaining",
            bool(left),
            "SomeResourcesRemain" if left else "ContentRemoved",
            f"Some resources are remaining: {remaining}" if left else "All content successfully removed",
            now,
        ),
        _condition(
            namespace,
            "NamespaceFinalizersRemaining",
            bool(holders),
            "SomeFinalizersRemain" if holders else "ContentHasNoFinalizers",
            f"Some content in the namespace has finalizers remaining: {finalizers}"
            if holders
            else "All content-preserving finalizers finished",
            now,
        ),
    ]


_DISCOVERED = "All resources successfully discovered"
_PARSED = "All legacy kube types successfully parsed"
_DELETED = "All content successfully deleted, may be waiting on finalization"


def _group_resource(resource: str) -> str:
    """As Go prints a GroupResource: core ones end in a point."""
    return resource if "." in resource else f"{resource}."


def _condition(namespace: Obj, type_: str, holds: bool, reason: str, message: str, now: float) -> Obj:
    status = "True" if holds else "False"
    known = meta.condition_of(namespace, type_)
    since = known["lastTransitionTime"] if known is not None and known["status"] == status else meta.rfc3339(now)
    return {"type": type_, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
