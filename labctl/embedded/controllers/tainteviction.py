"""Pods that do not tolerate a NoExecute taint of their node are deleted, at once or when their toleration runs out.

Source of the rules: `pkg/controller/tainteviction`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, DeleteOptions, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.taints import NO_EXECUTE, NOT_READY, UNREACHABLE, taints, tolerated_by, tolerations
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Delete, Note, Plan, Recheck, Record, Update, Wanted

NODES = "nodes"
_CONDITION = "DisruptionTarget"
_FOREVER = float("inf")
_SLOW = (NOT_READY, UNREACHABLE)


class TaintEvictionController(BaseController):
    """Evicts pods from tainted nodes."""

    name = "taint-eviction-controller"
    resources = frozenset({NODES, pods.PODS})

    def __init__(self, scale: float) -> None:
        """Make a controller.

        Args:
            scale: Factor on the time for which not-ready and unreachable nodes are tolerated.
        """
        self._scale = scale

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The pods of a node whose taints changed, or a pod that came to a tainted node."""
        if change.resource == NODES:
            before = taints(change.previous) if change.previous is not None else []
            changed = before != taints(change.object)
            return tuple(meta.key(pod) for pod in view.on_node(meta.name(change.object))) if changed else ()
        node = view.get(NODES, "", meta.spec(change.object).get("nodeName") or "")
        return (meta.key(change.object),) if node is not None and taints(node) else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Delete the pod, or look again when its time is over."""
        pod = view.get(pods.PODS, *key)
        node = view.get(NODES, "", meta.spec(pod).get("nodeName") or "") if pod is not None else None
        if pod is None or node is None or meta.deleting(pod):
            return ()
        due = self._due(pod, [taint for taint in taints(node) if taint["effect"] == NO_EXECUTE], now)
        if due == _FOREVER:
            return ()
        return (Recheck(due),) if due > now else _evict(pod, now)

    def _due(self, pod: Obj, wanted: list[Obj], now: float) -> float:
        """When the pod has to go: after the shortest toleration of any of the taints."""
        due = _FOREVER
        for taint in wanted:
            covering = [entry for entry in tolerations(pod) if tolerated_by(entry, taint)]
            if not covering:
                return now
            limits = [entry["tolerationSeconds"] for entry in covering if entry.get("tolerationSeconds") is not None]
            if limits:
                added = meta.parse_time(taint.get("timeAdded")) or now
                scale = self._scale if taint["key"] in _SLOW else 1.0
                due = min(due, added + max(0, min(limits)) * scale)
        return due


def _evict(pod: Obj, now: float) -> list[Wanted]:
    condition = {
        "type": _CONDITION,
        "observedGeneration": meta.generation(pod),
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": meta.rfc3339(now),
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    others = [entry for entry in meta.status(pod).get("conditions") or () if entry["type"] != _CONDITION]
    marked = meta.with_status(pod, {**meta.status(pod), "conditions": [*others, condition]})
    text = f"Marking for deletion Pod {meta.namespace(pod)}/{meta.name(pod)}"
    return [
        Record(pod, Note("TaintManagerEviction", text)),
        Update(pods.PODS, marked, "status"),
        Delete(pods.PODS, pod, DeleteOptions(preconditions={"uid": meta.uid(pod)})),
    ]
