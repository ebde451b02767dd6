"""The API server's own Service: it looks every ten seconds whether it is there, and creates it again.

Source of the rules: `pkg/controlplane/controller/kubernetesservice`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Create, Plan

LOOK = 5.0
"""Seconds after which a deleted one is missed: half of the ten between two looks."""


class KubernetesServiceController(BaseController):
    """Creates the Service `kubernetes`, its Endpoints and its EndpointSlice again when somebody deleted them."""

    name = "kubernetes-service-controller"

    def __init__(self, objects: Sequence[tuple[str, Obj]], time_scale: float) -> None:
        """Make a controller.

        Args:
            objects: What is to be there, with its resource.
            time_scale: Factor on the time until it is missed.
        """
        self._objects = {(resource, meta.key(obj)): obj for resource, obj in objects}
        self.resources = frozenset(resource for resource, _ in objects)
        self.delay = LOOK * time_scale

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """One of them that was deleted."""
        key = meta.key(change.object)
        return (key,) if change.type is ChangeType.DELETED and (change.resource, key) in self._objects else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create what is missing."""
        return tuple(
            Create(resource, obj, exists_is_fine=True)
            for (resource, known), obj in self._objects.items()
            if known == key and view.get(resource, *key) is None
        )
