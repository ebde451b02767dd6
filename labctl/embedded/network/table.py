"""Services, EndpointSlices and what else the network follows, as the API has them now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from labctl.embedded.clientset import Change, ChangeType, Clientset, Obj
from labctl.embedded.network.plan import key, owner

SERVICES = "services"
SLICES = "endpointslices.discovery.k8s.io"
NAMESPACES = "namespaces"


@dataclass(slots=True)
class ServiceTable:
    """A view of the API that its changes keep up to date.

    Attributes:
        services: By `namespace/name`.
        slices: The EndpointSlices of each Service, by the Service's `namespace/name` and their own name.
        namespaces: Their names.
    """

    services: dict[str, Obj] = field(default_factory=dict)
    slices: dict[str, dict[str, Obj]] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=set)

    def follow(self, clientset: Clientset, changed: Callable[[str], None]) -> Callable[[], None]:
        """Take in what there is and every later change; returns how to stop.

        Args:
            clientset: The API.
            changed: Called with the `namespace/name` of a Service when it or one of its EndpointSlices is new,
                different or gone.
        """

        def observe(change: Change) -> None:
            self._observe(change.resource, change.object, changed, gone=change.type is ChangeType.DELETED)

        unsubscribe = clientset.subscribe(observe)
        for resource in (NAMESPACES, SERVICES, SLICES):
            for obj in clientset.list(resource):
                self._observe(resource, obj, changed, gone=False)
        return unsubscribe

    def slices_of(self, service: str) -> Iterable[Obj]:
        """The EndpointSlices of a Service."""
        return self.slices.get(service, {}).values()

    def _observe(self, resource: str, obj: Obj, changed: Callable[[str], None], *, gone: bool) -> None:
        if resource == SERVICES:
            self._keep_service(key(obj), obj, gone=gone)
            changed(key(obj))
        elif resource == SLICES:
            self._keep_slice(owner(obj), obj, gone=gone)
            changed(owner(obj))
        elif resource == NAMESPACES:
            name = obj["metadata"]["name"]
            self.namespaces.discard(name) if gone else self.namespaces.add(name)

    def _keep_service(self, name: str, service: Obj, *, gone: bool) -> None:
        if gone:
            self.services.pop(name, None)
        else:
            self.services[name] = service

    def _keep_slice(self, service: str, entry: Obj, *, gone: bool) -> None:
        slices = self.slices.setdefault(service, {})
        if gone:
            slices.pop(entry["metadata"]["name"], None)
            if not slices:
                del self.slices[service]
        else:
            slices[entry["metadata"]["name"]] = entry
