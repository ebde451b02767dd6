"""Nodes that stop renewing their lease: NotReady, tainted, their pods marked not ready.

Source of the rules and texts: `pkg/controller/nodelifecycle`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.taints import (
    NO_EXECUTE,
    NO_SCHEDULE,
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    taints,
)
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import WARNING, Note, Plan, Recheck, Record, Update, Wanted

NODES, LEASES = "nodes", "leases.coordination.k8s.io"
LEASE_NAMESPACE = "kube-node-lease"
_K3S_FINALIZER = "wrangler.cattle.io/node"
_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_SILENT = ("NodeStatusUnknown", "Kubelet stopped posting node status.")


class NodeLifecycleController(BaseController):
    """Judges nodes by their leases, and taints them by their conditions."""

    name = "node-controller"
    resources = frozenset({NODES, LEASES})

    def __init__(self, grace: float, since: float) -> None:
        """Make a controller.

        Args:
            grace: Seconds without a renewal after which a node is unknown.
            since: When it began to watch, seconds since the epoch: it cannot tell what was before.
        """
        self._grace = grace
        self._since = since

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The node, or the one whose lease was renewed."""
        if change.resource == LEASES and meta.namespace(change.object) != LEASE_NAMESPACE:
            return ()
        return (("", meta.name(change.object)),)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Conditions first, then the taints that follow from them, then the pods."""
        node = view.get(NODES, *key)
        if node is None:
            return ()
        if meta.deleting(node):
            # k3s forgets the node's password and address here; nothing of that exists.
            held = _K3S_FINALIZER in meta.finalizers(node)
            return (Update(NODES, meta.without_finalizer(node, _K3S_FINALIZER)),) if held else ()
        expires = self._expiry(view, node)
        plan: list[Wanted] = [Recheck(expires)] if expires > now else []
        judged = node if expires > now else _silent(node, now)
        if judged is not node:
            plan.append(Update(NODES, judged, "status", then=_status_event(node)))
        wanted = _wanted_taints(judged, now)
        if wanted != taints(judged):
            plan.append(Update(NODES, _with_taints(judged, wanted)))
        if not _is_ready(judged):
            plan += _mark_pods(view, judged, now)
        return plan

    def _expiry(self, view: View, node: Obj) -> float:
        lease = view.get(LEASES, LEASE_NAMESPACE, meta.name(node))
        ready = meta.condition_of(node, "Ready") or {}
        heard = (
            meta.parse_time(meta.spec(lease).get("renewTime")) if lease is not None else 0.0,
            meta.parse_time(ready.get("lastHeartbeatTime")) if ready.get("status") != "Unknown" else 0.0,
            meta.created(node),
            self._since,
        )
        return max(heard) + self._grace


def _is_ready(node: Obj) -> bool:
    return meta.is_true(meta.condition_of(node, "Ready"))


def _status_event(node: Obj) -> Record | None:
    if not _is_ready(node):
        return None
    return Record(node, Note("NodeNotReady", f"Node {meta.name(node)} status is now: NodeNotReady"))


def _silent(node: Obj, now: float) -> Obj:
    """The node with all conditions unknown; itself when they are."""
    reason, message = _SILENT
    known: list[Obj] = meta.status(node).get("conditions") or []
    unknown = {"status": "Unknown", "reason": reason, "message": message, "lastTransitionTime": meta.rfc3339(now)}
    judged = ("Ready", *_PRESSURES)
    conditions = [
        {**entry, **unknown} if entry["type"] in judged and entry["status"] != "Unknown" else entry for entry in known
    ]
    if conditions == known:
        return node
    return meta.with_status(node, {**meta.status(node), "conditions": conditions})


def _wanted_taints(node: Obj, now: float) -> list[Obj]:
    """The node's taints with those that follow from its conditions and nothing else of that kind."""
    ours = {NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURES.values()}
    wanted = [(key, NO_SCHEDULE) for key in _condition_keys(node)]
    ready = (meta.condition_of(node, "Ready") or {}).get("status")
    if ready in ("False", "Unknown"):
        wanted.insert(0, (NOT_READY if ready == "False" else UNREACHABLE, NO_EXECUTE))
    found = [taint for taint in taints(node) if taint["key"] not in ours or (taint["key"], taint["effect"]) in wanted]
    present = {(taint["key"], taint["effect"]) for taint in found}
    for key, effect in wanted:
        if (key, effect) not in present:
            found.append({"key": key, "effect": effect, "timeAdded": meta.rfc3339(now)})
    return found


def _condition_keys(node: Obj) -> list[str]:
    ready = (meta.condition_of(node, "Ready") or {}).get("status")
    keys = {"False": [NOT_READY], "Unknown": [UNREACHABLE]}.get(ready or "", [])
    keys = keys + [key for type_, key in _PRESSURES.items() if meta.is_true(meta.condition_of(node, type_))]
    return [*keys, UNSCHEDULABLE] if meta.spec(node).get("unschedulable") else keys


def _with_taints(node: Obj, wanted: list[Obj]) -> Obj:
    spec = {field: value for field, value in meta.spec(node).items() if field != "taints"}
    return {**node, "spec": {**spec, "taints": wanted} if wanted else spec}


def _mark_pods(view: View, node: Obj, now: float) -> list[Wanted]:
    """Pods of a node that is not ready are not ready either, whatever they said last."""
    plan: list[Wanted] = []
    for pod in view.on_node(meta.name(node)):
        ready = meta.condition_of(pod, "Ready")
        if ready is None or not meta.is_true(ready):
            continue
        conditions = [
            {**entry, "status": "False", "lastTransitionTime": meta.rfc3339(now)} if entry is ready else entry
            for entry in meta.status(pod)["conditions"]
        ]
        event = Record(pod, Note("NodeNotReady", "Node is not ready", WARNING))
        changed = meta.with_status(pod, {**meta.status(pod), "conditions": conditions})
        plan.append(Update(pods.PODS, changed, "status", then=event))
    return plan


class NodeGreeter(BaseController):
    """Says that a node has joined the cluster: once as the cloud's node controller, once as the cluster's."""

    resources = frozenset({NODES})

    def __init__(self, name: str, note: Note) -> None:
        """Make a controller.

        Args:
            name: Who says it.
            note: What it says; `{node}` stands for the node's name.
        """
        self.name = name
        self._note = note

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """A node that is new, or that this process has not seen before."""
        return (("", meta.name(change.object)),) if change.type is ChangeType.ADDED else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Greet it."""
        node = view.get(NODES, *key)
        if node is None:
            return ()
        text = self._note.message.replace("{node}", meta.name(node))
        return (Record(node, Note(self._note.reason, text)),)


def greeters() -> tuple[NodeGreeter, NodeGreeter]:
    """Both, in the order in which they speak."""
    synced = Note("Synced", "Node synced successfully")
    registered = Note("RegisteredNode", "Node {node} event: Registered Node {node} in Controller")
    return NodeGreeter("cloud-node-controller", synced), NodeGreeter("node-controller", registered)
