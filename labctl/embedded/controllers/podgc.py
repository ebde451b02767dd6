"""Pods on nodes that do not exist are marked failed and removed. Source of the rules: `pkg/controller/podgc`."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, DeleteOptions, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Delete, Plan, Recheck, Update

_QUARANTINE = 40.0


class PodGarbageCollector(BaseController):
    """Removes orphaned pods some time after their node went."""

    name = "pod-garbage-collector"
    resources = frozenset({pods.PODS, "nodes"})

    def __init__(self, scale: float) -> None:
        """Make a controller.

        Args:
            scale: Factor on the 40 s for which a node may come back.
        """
        self._wait = _QUARANTINE * scale
        # When each pod's node was first missed; nothing in the objects tells.
        self._missed: dict[Key, float] = {}

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """A pod whose node is missing, or the pods of a node that came or went."""
        if change.resource == "nodes":
            known = change.type == "MODIFIED"
            return () if known else tuple(meta.key(pod) for pod in view.on_node(meta.name(change.object)))
        node = meta.spec(change.object).get("nodeName")
        return (meta.key(change.object),) if node and view.get("nodes", "", node) is None else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Remove the pod when its node has been missing for long enough."""
        pod = view.get(pods.PODS, *key)
        if pod is None or view.get("nodes", "", meta.spec(pod).get("nodeName") or "") is not None:
            self._missed.pop(key, None)
            return ()
        due = self._missed.setdefault(key, now) + self._wait
        if due > now:
            return (Recheck(due),)
        gone = Delete(pods.PODS, pod, DeleteOptions(grace_period_seconds=0, preconditions={"uid": meta.uid(pod)}))
        return (gone,) if pods.is_finished(pod) else (Update(pods.PODS, _failed(pod, now), "status"), gone)


def _failed(pod: Obj, now: float) -> Obj:
    condition = {
        "type": "DisruptionTarget",
        "observedGeneration": meta.generation(pod),
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": meta.rfc3339(now),
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
    }
    others = [entry for entry in meta.status(pod).get("conditions") or () if entry["type"] != "DisruptionTarget"]
    return meta.with_status(pod, {**meta.status(pod), "phase": "Failed", "conditions": [*others, condition]})
