"""Why a node cannot take a pod, in the scheduler's own words. An empty answer: it can.

The filters run in this order and the first that objects decides, as in the default profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, selectors
from labctl.embedded.controllers.scheduler.affinity import Affinity
from labctl.embedded.controllers.scheduler.spread import Spread
from labctl.embedded.controllers.scheduler.state import NodeState
from labctl.embedded.controllers.taints import NO_EXECUTE, NO_SCHEDULE, UNSCHEDULABLE, tolerates, untolerated


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a node is not possible.

    Attributes:
        reasons: Each counted on its own in the event's text.
        final: Whether removing pods from the node would not help.
    """

    reasons: tuple[str, ...]
    final: bool = True


def unschedulable(pod: Obj, state: NodeState) -> Objection | None:
    """NodeUnschedulable: a cordoned node."""
    if not meta.spec(state.node).get("unschedulable"):
        return None
    taint = {"key": UNSCHEDULABLE, "effect": NO_SCHEDULE}
    return None if tolerates(pod, taint) else Objection(("node(s) were unschedulable",))


def node_name(pod: Obj, state: NodeState) -> Objection | None:
    """NodeName: the pod asks for one node by name."""
    wanted = meta.spec(pod).get("nodeName")
    return Objection(("node(s) didn't match the requested node name",)) if wanted and wanted != state.name else None


def taint_toleration(pod: Obj, state: NodeState) -> Objection | None:
    """TaintToleration: the first taint the pod does not tolerate."""
    taint = untolerated(pod, state.node, (NO_SCHEDULE, NO_EXECUTE))
    if taint is None:
        return None
    return Objection((f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}",))


def node_affinity(pod: Obj, state: NodeState) -> Objection | None:
    """NodeAffinity: nodeSelector and required node affinity."""
    if required_affinity_matches(pod, state.node):
        return None
    return Objection(("node(s) didn't match Pod's node affinity/selector",))


def required_affinity_matches(pod: Obj, node: Obj) -> bool:
    """Whether a node fulfils a pod's nodeSelector and required node affinity."""
    spec = meta.spec(pod)
    labels = meta.labels(node)
    if any(labels.get(label) != value for label, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or selectors.matches_node_terms(required.get("nodeSelectorTerms") or [], node)


def named_nodes(pod: Obj) -> set[str] | None:
    """The only nodes a pod asks for by name (a DaemonSet's pods do), before any filter; None when it does not."""
    affinity = (meta.spec(pod).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    names: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        wanted = [
            set(field["values"])
            for field in term.get("matchFields") or ()
            if field["key"] == "metadata.name" and field["operator"] == "In"
        ]
        if not wanted:
            return None
        names |= set.intersection(*wanted)
    return names or None


def node_ports(pod: Obj, state: NodeState) -> Objection | None:
    """NodePorts: a host port that is taken."""
    wanted = set(_host_ports(pod))
    if wanted and any(
        _conflict(port, taken) for other in state.pods for taken in _host_ports(other) for port in wanted
    ):
        return Objection(("node(s) didn't have free ports for the requested pod ports",), final=False)
    return None


def _host_ports(pod: Obj) -> Iterable[tuple[str, str, int]]:
    for container in meta.spec(pod).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), port["hostPort"]  # noqa: S104


def _conflict(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    everywhere = "0.0.0.0"  # noqa: S104  compared, never bound
    return one[1:] == other[1:] and (one[0] == other[0] or everywhere in (one[0], other[0]))


def fit(pod: Obj, state: NodeState) -> Objection | None:
    """NodeResourcesFit: number of pods, CPU, memory and whatever else is asked for."""
    available, used = state.allocatable, state.used
    reasons, hopeless = [], False
    limit = available.get("pods")
    if limit is not None and (len(state.pods) + 1) * 1000 > limit:
        reasons.append("Too many pods")
    for name, amount in state.memo.plain(pod).items():
        have = available.get(name, 0)
        if amount and amount > have - used.get(name, 0):
            reasons.append(f"Insufficient {name}")
            hopeless |= amount > have
    return Objection(tuple(reasons), final=hopeless) if reasons else None


Filter = Callable[[Obj, NodeState], Objection | None]


def filters(pod: Obj, states: Sequence[NodeState], affinity: Affinity, spread: Spread) -> tuple[Filter, ...]:
    """The filters for one pod, in the order of the default profile."""
    names = named_nodes(pod)

    def narrowed(_: Obj, state: NodeState) -> Objection | None:
        if names is None or state.name in names:
            return None
        return Objection(("node(s) didn't satisfy plugin(s) [NodeAffinity]",))

    def spreading(_: Obj, state: NodeState) -> Objection | None:
        reason = spread.objection(state)
        return Objection((reason,), final=reason.endswith("(missing required label)")) if reason else None

    def inter_pod(_: Obj, state: NodeState) -> Objection | None:
        reason = affinity.objection(state)
        if not reason:
            return None
        return Objection((reason,), final=reason == "node(s) didn't match pod affinity rules")

    return (narrowed, unschedulable, node_name, taint_toleration, node_affinity, node_ports, fit, spreading, inter_pod)
