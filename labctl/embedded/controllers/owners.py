"""Which owners to look at because an owned object changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, selectors
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View


def selector_of(owner: Obj) -> Obj | None:
    """`spec.selector` as a label selector."""
    found: Obj | None = meta.spec(owner).get("selector")
    return found


def keys_for_owned(
    change: Change, view: View, resource: str, selector: Callable[[Obj], Obj | None] = selector_of
) -> Iterable[Key]:
    """Keys of a controller that owns objects: the owner itself, or the owners a changed object has, had or might get.

    Args:
        change: What changed: an owner, or an object that it may own.
        view: What is observed.
        resource: The owners' resource.
        selector: How an owner selects what it owns.
    """
    if change.resource == resource:
        return (meta.key(change.object),)
    found: dict[Key, None] = {}
    for obj in (change.object, change.previous):
        if obj is None:
            continue
        owner = _owner_key(obj, view, resource)
        if owner is not None:
            found[owner] = None
        elif meta.controller_of(obj) is None and (obj is change.object) and _may_be_adopted(change):
            found.update(dict.fromkeys(_selecting(obj, view, resource, selector)))
    return found


def _owner_key(obj: Obj, view: View, resource: str) -> Key | None:
    reference = meta.controller_of(obj)
    if reference is None:
        return None
    owner = view.get(resource, meta.namespace(obj), reference["name"])
    return meta.key(owner) if owner is not None and meta.uid(owner) == reference["uid"] else None


def _may_be_adopted(change: Change) -> bool:
    """An orphan is worth a search when it is new or its labels or owners changed."""
    before = change.previous
    return before is None or (meta.labels(before), meta.owner_references(before)) != (
        meta.labels(change.object),
        meta.owner_references(change.object),
    )


def _selecting(obj: Obj, view: View, resource: str, selector: Callable[[Obj], Obj | None]) -> Iterator[Key]:
    for owner in view.list(resource, meta.namespace(obj)):
        if selectors.matches(selector(owner), meta.labels(obj)):
            yield meta.key(owner)
