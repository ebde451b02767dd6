"""Scheduling as a controller: one pod at a time, retried when something that could help has changed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods, selectors
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.scheduler import hints
from labctl.embedded.controllers.scheduler.affinity import Affinity
from labctl.embedded.controllers.scheduler.filters import Filter, Objection, filters, required_affinity_matches
from labctl.embedded.controllers.scheduler.scores import scores
from labctl.embedded.controllers.scheduler.spread import Spread
from labctl.embedded.controllers.scheduler.state import NodeState, RequestMemo, node_states
from labctl.embedded.controllers.scheduler.volumes import claims_of
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.volumes import CLAIMS
from labctl.embedded.controllers.wanted import WARNING, Note, Plan, Record, Update, Wanted

NODES = "nodes"


class Scheduler(BaseController):
    """Binds pods that name the default scheduler to nodes."""

    name = hints.OWN_NAME
    resources = frozenset({pods.PODS, NODES, CLAIMS})

    def __init__(self, choose: random.Random) -> None:
        """Make a scheduler.

        Args:
            choose: Decides between equally good nodes.
        """
        self._choose = choose
        self._requests = RequestMemo()

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """A pod without a node; every such pod that a change of a node or of another pod may help."""
        if change.resource == pods.PODS and hints.is_waiting(change.object):
            return (meta.key(change.object),) if hints.is_worth_a_try(change) else ()
        helped = {CLAIMS: hints.helped_by_claim, NODES: hints.helped_by_node, pods.PODS: hints.helped_by_pod}
        return tuple(meta.key(pod) for pod in helped[change.resource](change, hints.waiting(view)))

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Bind the pod to the best possible node, or say why there is none."""
        pod = view.get(pods.PODS, *key)
        if pod is None or not hints.is_waiting(pod):
            return ()
        if meta.spec(pod).get("schedulingGates"):
            return _report(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates", now)
        states, claims = node_states(view, self._requests), claims_of(view, pod)
        if claims.obstacle:
            return _unschedulable(pod, [Objection(())] * len(states), now, claims.obstacle)
        affinity = Affinity(pod, states, view)
        spread = Spread(pod, states, _siblings(view, pod), required_affinity_matches)
        objections = [_first_objection(pod, state, filters(pod, states, affinity, spread)) for state in states]
        possible = [state for state, objection in zip(states, objections, strict=True) if objection is None]
        if not possible:
            return _unschedulable(pod, [entry for entry in objections if entry is not None], now)
        node = self._best(pod, possible, affinity, spread)
        # A pod with claims to be bound is assigned after that, when the claims' change brings it here again.
        return claims.choose(meta.name(node)) if claims.unbound else _bind(pod, node, now)

    def _best(self, pod: Obj, possible: Sequence[NodeState], affinity: Affinity, spread: Spread) -> Obj:
        if len(possible) == 1:
            return possible[0].node
        values = scores(pod, possible, affinity, spread)
        highest = max(values)
        return self._choose.choice(
            [state.node for state, value in zip(possible, values, strict=True) if value == highest]
        )


def _first_objection(pod: Obj, state: NodeState, tests: Iterable[Filter]) -> Objection | None:
    return next((found for test in tests if (found := test(pod, state)) is not None), None)


def _siblings(view: View, pod: Obj) -> Obj | None:
    """A selector for the pods that belong together with this one: by its Services, else by its controller."""
    labels: dict[str, str] = {}
    for service in view.list("services", meta.namespace(pod)):
        chosen = meta.spec(service).get("selector")
        if selectors.matches_map(chosen, meta.labels(pod)):
            labels |= chosen or {}
    owner = meta.controller_of(pod)
    controller = view.by_uid(owner["uid"]) if owner else None
    selector = meta.spec(controller).get("selector") if controller else None
    expressions: list[Obj] = []
    if isinstance(selector, dict):
        is_label_selector = "matchLabels" in selector or "matchExpressions" in selector
        labels |= (selector.get("matchLabels") or {}) if is_label_selector else selector
        expressions = (selector.get("matchExpressions") or []) if is_label_selector else []
    if not labels and not expressions:
        return None
    return {"matchLabels": labels, "matchExpressions": expressions}


def _condition(pod: Obj, status: str, reason: str, message: str, now: float) -> list[Obj]:
    known = meta.condition_of(pod, "PodScheduled")
    since = known["lastTransitionTime"] if known and known["status"] == status else meta.rfc3339(now)
    new: Obj = {"type": "PodScheduled", "status": status, "lastProbeTime": None, "lastTransitionTime": since}
    if status == "False":
        new |= {"observedGeneration": meta.generation(pod), "reason": reason, "message": message}
    others = [entry for entry in meta.status(pod).get("conditions") or () if entry["type"] != "PodScheduled"]
    return [*others, new]


def _report(pod: Obj, reason: str, message: str, now: float) -> list[Wanted]:
    """Say in the pod's condition that it is not scheduled."""
    known = meta.condition_of(pod, "PodScheduled")
    if known and (known["status"], known.get("reason"), known.get("message")) == ("False", reason, message):
        return []
    conditions = _condition(pod, "False", reason, message, now)
    return [Update(pods.PODS, meta.with_status(pod, {**meta.status(pod), "conditions": conditions}), "status")]


def _unschedulable(pod: Obj, objections: Sequence[Objection], now: float, obstacle: str = "") -> list[Wanted]:
    message = explain(objections, obstacle)
    event = Record(pod, Note("FailedScheduling", message, WARNING), action="Scheduling")
    return [event, *_report(pod, "Unschedulable", message, now)]


def explain(objections: Sequence[Objection], obstacle: str = "") -> str:
    """The text of FailedScheduling: reasons with the number of nodes, and what preemption could do.

    Args:
        objections: One for each node.
        obstacle: What keeps the pod from every node, whatever it is like.
    """
    if not objections:
        return "no nodes available to schedule pods"
    total = len(objections)
    reasons = Counter(reason for objection in objections for reason in objection.reasons)
    listed = obstacle or ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    unhelpful = sum(objection.final for objection in objections)
    outcomes = {
        "No preemption victims found for incoming pod": total - unhelpful,
        "Preemption is not helpful for scheduling": unhelpful,
    }
    preemption = ", ".join(sorted(f"{count} {reason}" for reason, count in outcomes.items() if count))
    return (
        f"0/{total} nodes are available: {listed}. no new claims to deallocate,"
        f" preemption: 0/{total} nodes are available: {preemption}."
    )


def _bind(pod: Obj, node: Obj, now: float) -> list[Wanted]:
    text = f"Successfully assigned {meta.namespace(pod)}/{meta.name(pod)} to {meta.name(node)}"
    bound = meta.with_spec(pod, nodeName=meta.name(node))
    bound = meta.with_status(bound, {**meta.status(pod), "conditions": _condition(pod, "True", "", "", now)})
    event = Record(pod, Note("Scheduled", text), action="Binding")
    return [Update(pods.PODS, bound, "binding", then=event)]
