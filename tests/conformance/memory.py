"""A Clientset in memory: just enough of an API for the controller, without defaulting, validation or a disk."""

from __future__ import annotations

import copy
import itertools
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from labctl.embedded.clientset import ApiError, Change, ChangeType, DeleteOptions, Obj

_CLUSTER_SCOPED = frozenset({"namespaces", "nodes", "ingressclasses.networking.k8s.io"})
_NO_OPTIONS = DeleteOptions()
_KINDS = {
    "ConfigMap": "configmaps",
    "EndpointSlice": "endpointslices.discovery.k8s.io",
    "Ingress": "ingresses.networking.k8s.io",
    "IngressClass": "ingressclasses.networking.k8s.io",
    "Namespace": "namespaces",
    "Node": "nodes",
    "Pod": "pods",
    "Secret": "secrets",
    "Service": "services",
}


def resource_of(obj: Obj) -> str:
    """`plural` or `plural.group` of an object's kind."""
    return _KINDS[obj["kind"]]


class MemoryClientset:
    """Objects by resource, namespace and name.

    Args:
        now: The creation time of the next object (`creationTimestamp`).
    """

    def __init__(self, now: Callable[[], str]) -> None:
        self._now = now
        self._objects: dict[str, dict[tuple[str, str], Obj]] = {}
        self._versions = itertools.count(1)
        self._subscribers: list[Callable[[Change], None]] = []

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """See Clientset."""
        return self._objects.get(resource, {}).get((namespace, name))

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        """See Clientset."""
        found = self._objects.get(resource, {})
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def create(self, resource: str, obj: Obj) -> Obj:
        """See Clientset."""
        stored = copy.deepcopy(obj)
        metadata = stored["metadata"]
        if resource in _CLUSTER_SCOPED:
            metadata.pop("namespace", None)
        else:
            metadata.setdefault("namespace", "default")
        key = (metadata.get("namespace", ""), metadata["name"])
        if key in self._objects.get(resource, {}):
            raise ApiError(409, "AlreadyExists", f'{resource} "{key[1]}" already exists')
        metadata["uid"] = str(uuid.uuid4())
        metadata.setdefault("creationTimestamp", self._now())
        return self._commit(ChangeType.ADDED, resource, key, stored, None)

    def update(self, resource: str, obj: Obj, *, subresource: str = "") -> Obj:
        """See Clientset."""
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        before = self._objects.get(resource, {}).get(key)
        if before is None:
            raise ApiError(404, "NotFound", f'{resource} "{key[1]}" not found')
        stored = copy.deepcopy(before if subresource else obj)
        if subresource:
            stored[subresource] = copy.deepcopy(obj.get(subresource))
        for kept in ("uid", "creationTimestamp", "resourceVersion"):
            stored["metadata"][kept] = before["metadata"][kept]
        if stored == before:
            return before
        return self._commit(ChangeType.MODIFIED, resource, key, stored, before)

    def apply(self, obj: Obj) -> Obj:
        """Create or replace."""
        resource = resource_of(obj)
        metadata: Mapping[str, Any] = obj["metadata"]
        namespace = "" if resource in _CLUSTER_SCOPED else metadata.get("namespace", "default")
        if self.get(resource, namespace, metadata["name"]) is None:
            return self.create(resource, obj)
        return self.update(resource, {**obj, "metadata": {**metadata, "namespace": namespace}})

    def delete(self, resource: str, namespace: str, name: str, options: DeleteOptions = _NO_OPTIONS) -> Obj:
        """See Clientset."""
        del options
        before = self._objects.get(resource, {}).pop((namespace, name), None)
        if before is None:
            raise ApiError(404, "NotFound", f'{resource} "{name}" not found')
        self._publish(Change(ChangeType.DELETED, resource, before))
        return before

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """See Clientset."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _commit(self, kind: ChangeType, resource: str, key: tuple[str, str], stored: Obj, before: Obj | None) -> Obj:
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        self._objects.setdefault(resource, {})[key] = stored
        self._publish(Change(kind, resource, stored, before))
        return stored

    def _publish(self, change: Change) -> None:
        for subscriber in list(self._subscribers):
            subscriber(change)
