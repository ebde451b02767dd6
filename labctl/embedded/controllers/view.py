"""The controllers' view of the cluster: every object, indexed, kept up to date by the watch.

Because a write is synchronous and its watch event comes right after the commit, the view is never behind: there are
no expectations to keep as in client-go's informers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import meta

Place = tuple[str, str, str]
"""Where an object is: (resource, namespace, name)."""


_ADOPTABLE = frozenset({"pods", "replicasets.apps", "controllerrevisions.apps"})


class View(Protocol):
    """Observed objects. They are shared: never change one."""

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """The object, or None."""

    def list(self, resource: str, namespace: str | None = None) -> Sequence[Obj]:
        """All objects of a resource, of one namespace when given, in order of their creation."""

    def owned(self, resource: str, uid: str) -> Sequence[Obj]:
        """The objects of a resource with an owner reference to `uid`, in order of their creation."""

    def dependents(self, uid: str) -> Sequence[tuple[str, Obj]]:
        """Every object with an owner reference to `uid`, with its resource."""

    def orphans(self, resource: str, namespace: str) -> Sequence[Obj]:
        """The pods, ReplicaSets or ControllerRevisions of a namespace that have no controller."""

    def on_node(self, node: str) -> Sequence[Obj]:
        """The pods that are assigned to a node; those that wait for one under the empty name."""

    def by_uid(self, uid: str) -> Obj | None:
        """The object with a uid."""

    def contents(self, namespace: str) -> Iterator[tuple[str, Obj]]:
        """Every object in a namespace, with its resource."""


class Cache:
    """The view's implementation: dictionaries that `observe` keeps."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, dict[str, Obj]]] = {}
        self._by_uid: dict[str, Place] = {}
        self._dependents: dict[str, dict[Place, None]] = {}
        self._pods_on: dict[str, dict[Place, None]] = {}
        self._orphans: dict[str, dict[Place, None]] = {}

    def fill(self, resource: str, objects: Iterable[Obj]) -> None:
        """Take over a list of objects."""
        for obj in sorted(objects, key=lambda entry: entry["metadata"].get("creationTimestamp") or ""):
            self._put(resource, obj)

    def observe(self, change: Change) -> None:
        """Take over one watch event."""
        resource, obj = change.resource, change.object
        previous = self.get(resource, meta.namespace(obj), meta.name(obj))
        if change.type is ChangeType.DELETED:
            if previous is not None:
                self._unlink(resource, previous)
                self._remove(resource, previous)
        elif previous is None:
            self._put(resource, obj)
        elif _links(resource, previous) == _links(resource, obj):
            # Replaced in place, so that everything stays in the order of creation.
            self._objects[resource][meta.namespace(obj)][meta.name(obj)] = obj
        else:
            self._unlink(resource, previous)
            self._put(resource, obj)

    def _remove(self, resource: str, obj: Obj) -> None:
        namespaces = self._objects[resource]
        members = namespaces[meta.namespace(obj)]
        del members[meta.name(obj)]
        if not members:
            del namespaces[meta.namespace(obj)]

    def _put(self, resource: str, obj: Obj) -> None:
        place = (resource, meta.namespace(obj), meta.name(obj))
        self._objects.setdefault(resource, {}).setdefault(place[1], {})[place[2]] = obj
        self._by_uid[meta.uid(obj)] = place
        for reference in meta.owner_references(obj):
            self._dependents.setdefault(reference["uid"], {})[place] = None
        if resource == "pods":
            self._pods_on.setdefault(_node_of(obj), {})[place] = None
        if _is_orphan(resource, obj):
            self._orphans.setdefault(f"{resource}/{place[1]}", {})[place] = None

    def _unlink(self, resource: str, obj: Obj) -> None:
        place = (resource, meta.namespace(obj), meta.name(obj))
        self._by_uid.pop(meta.uid(obj), None)
        for reference in meta.owner_references(obj):
            _discard(self._dependents, reference["uid"], place)
        if resource == "pods":
            _discard(self._pods_on, _node_of(obj), place)
        _discard(self._orphans, f"{resource}/{place[1]}", place)

    def _at(self, place: Place) -> Obj:
        resource, namespace, name = place
        return self._objects[resource][namespace][name]

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """The object, or None."""
        return self._objects.get(resource, {}).get(namespace, {}).get(name)

    def list(self, resource: str, namespace: str | None = None) -> Sequence[Obj]:
        """All objects of a resource, of one namespace when given."""
        namespaces = self._objects.get(resource, {})
        if namespace is not None:
            return list(namespaces.get(namespace, {}).values())
        return [obj for members in namespaces.values() for obj in members.values()]

    def owned(self, resource: str, uid: str) -> Sequence[Obj]:
        """The objects of a resource with an owner reference to `uid`."""
        return [self._at(place) for place in self._dependents.get(uid, ()) if place[0] == resource]

    def dependents(self, uid: str) -> Sequence[tuple[str, Obj]]:
        """Every object with an owner reference to `uid`, with its resource."""
        return [(place[0], self._at(place)) for place in self._dependents.get(uid, ())]

    def orphans(self, resource: str, namespace: str) -> Sequence[Obj]:
        """The pods, ReplicaSets or ControllerRevisions of a namespace that have no controller."""
        return [self._at(place) for place in self._orphans.get(f"{resource}/{namespace}", ())]

    def on_node(self, node: str) -> Sequence[Obj]:
        """The pods that are assigned to a node; those that wait for one under the empty name."""
        return [self._at(place) for place in self._pods_on.get(node, ())]

    def by_uid(self, uid: str) -> Obj | None:
        """The object with a uid."""
        place = self._by_uid.get(uid)
        return self._at(place) if place else None

    def contents(self, namespace: str) -> Iterator[tuple[str, Obj]]:
        """Every object in a namespace, with its resource."""
        for resource, namespaces in list(self._objects.items()):
            for obj in list(namespaces.get(namespace, {}).values()):
                yield resource, obj

    def everything(self) -> Iterator[tuple[str, Obj]]:
        """Every object, with its resource."""
        for resource, namespaces in list(self._objects.items()):
            for members in list(namespaces.values()):
                for obj in list(members.values()):
                    yield resource, obj


def _node_of(pod: Obj) -> str:
    return meta.spec(pod).get("nodeName") or ""


def _is_orphan(resource: str, obj: Obj) -> bool:
    return resource in _ADOPTABLE and meta.controller_of(obj) is None


def _links(resource: str, obj: Obj) -> tuple[object, ...]:
    node = _node_of(obj) if resource == "pods" else None
    return meta.uid(obj), node, obj["metadata"].get("ownerReferences")


def _discard(index: dict[str, dict[Place, None]], entry: str, place: Place) -> None:
    members = index.get(entry)
    if members is not None:
        members.pop(place, None)
        if not members:
            del index[entry]
