"""The garbage collector: what belongs to nobody any more goes, in the way the deletion asked for.

Source of the rules: `pkg/controller/garbagecollector`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, ChangeType, DeleteOptions, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Delete, Plan, Update, Wanted
from labctl.embedded.kinds.resources import find_kind

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_CRDS = "customresourcedefinitions.apiextensions.k8s.io"


class GarbageCollector(BaseController):
    """Deletes dependents of deleted owners; carries out foreground deletion and orphaning. Looks at every resource."""

    name = "garbage-collector-controller"

    def __init__(self, delay: float = 0.0) -> None:
        """Make a controller.

        Args:
            delay: Seconds between a change and what it does about it.
        """
        self.delay = delay

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The object when its owners or finalizers matter, and whoever depends on it when it is gone."""
        obj = change.object
        found: list[Key] = []
        if change.type is ChangeType.DELETED:
            found += [_key(resource, dependent) for resource, dependent in view.dependents(meta.uid(obj))]
            found += _waiting_owners(obj, view)
        elif _matters(obj, change.previous):
            found.append(_key(change.resource, obj))
            found += _waiting_owners(obj, view)
        return found

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """What the object's owners, or its own deletion, ask for."""
        resource, namespace, name = key
        obj = view.get(resource, namespace, name)
        if obj is None:
            return ()
        if meta.deleting(obj):
            if ORPHAN in meta.finalizers(obj):
                return _orphan_dependents(view, resource, obj)
            if FOREGROUND in meta.finalizers(obj):
                return _delete_dependents(view, resource, obj)
            return ()
        return _judge(view, resource, obj) if meta.owner_references(obj) else ()


def _key(resource: str, obj: Obj) -> Key:
    return resource, meta.namespace(obj), meta.name(obj)


def _matters(obj: Obj, before: Obj | None) -> bool:
    if before is None:
        return bool(meta.owner_references(obj)) or meta.deleting(obj)
    return (meta.owner_references(before), meta.finalizers(before), meta.deleting(before)) != (
        meta.owner_references(obj),
        meta.finalizers(obj),
        meta.deleting(obj),
    )


def _waiting_owners(obj: Obj, view: View) -> list[Key]:
    """Owners in foreground deletion that may have waited for this object."""
    found = []
    for reference in meta.owner_references(obj):
        owner = view.by_uid(reference["uid"])
        resource = _resource(reference, view)
        if owner is not None and resource and meta.deleting(owner) and FOREGROUND in meta.finalizers(owner):
            found.append(_key(resource, owner))
    return found


def _resource(reference: Obj, view: View) -> str | None:
    """The resource an owner reference points to; None when the cluster does not know its kind."""
    api_version, kind = reference["apiVersion"], reference["kind"]
    builtin = find_kind(api_version, kind)
    if builtin is not None:
        return builtin.key
    group = api_version.partition("/")[0]
    for definition in view.list(_CRDS):
        spec = meta.spec(definition)
        if spec.get("group") == group and (spec.get("names") or {}).get("kind") == kind:
            return meta.name(definition)
    return None


def _judge(view: View, resource: str, obj: Obj) -> list[Wanted]:
    """Delete an object whose owners are all gone; drop references to gone owners when others remain."""
    solid, dangling, waiting = [], [], []
    for reference in meta.owner_references(obj):
        owner = view.by_uid(reference["uid"])
        if owner is None and _resource(reference, view) is not None:
            dangling.append(reference)
        elif owner is not None and meta.deleting(owner) and FOREGROUND in meta.finalizers(owner):
            waiting.append(reference)
        else:
            solid.append(reference)
    if solid:
        if not dangling and not waiting:
            return []
        return [Update(resource, meta.with_metadata(obj, ownerReferences=solid))]
    if waiting and view.dependents(meta.uid(obj)):
        return [_delete(resource, obj, "Foreground")]
    return [_delete(resource, obj, _policy(obj))]


def _policy(obj: Obj) -> str:
    if ORPHAN in meta.finalizers(obj):
        return "Orphan"
    return "Foreground" if FOREGROUND in meta.finalizers(obj) else "Background"


def _delete(resource: str, obj: Obj, policy: str) -> Delete:
    return Delete(resource, obj, DeleteOptions(propagation_policy=policy, preconditions={"uid": meta.uid(obj)}))


def _orphan_dependents(view: View, resource: str, owner: Obj) -> list[Wanted]:
    """Take the owner out of its dependents, then let it go."""
    plan: list[Wanted] = []
    for kind, obj in view.dependents(meta.uid(owner)):
        left = [reference for reference in meta.owner_references(obj) if reference["uid"] != meta.uid(owner)]
        plan.append(Update(kind, meta.with_metadata(obj, ownerReferences=left or None)))
    return [*plan, Update(resource, meta.without_finalizer(owner, ORPHAN))]


def _delete_dependents(view: View, resource: str, owner: Obj) -> list[Wanted]:
    """Delete what depends on the owner; let it go when nothing is left that blocks its deletion."""
    blocking = [
        (kind, obj)
        for kind, obj in view.dependents(meta.uid(owner))
        if any(
            reference["uid"] == meta.uid(owner) and reference.get("blockOwnerDeletion")
            for reference in meta.owner_references(obj)
        )
    ]
    if not blocking:
        return [Update(resource, meta.without_finalizer(owner, FOREGROUND))]
    return [step for kind, obj in blocking if not meta.deleting(obj) for step in _judge(view, kind, obj)]
