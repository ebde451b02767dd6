"""PodDisruptionBudgets: how many pods may be evicted now. Source of the rules: `pkg/controller/disruption`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods, selectors
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.numbers import scaled
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Note, Plan, Recheck, Record, Wanted, update_status

BUDGETS = "poddisruptionbudgets.policy"
_CONDITION = "DisruptionAllowed"
_DELETION_TIMEOUT = 120.0


class DisruptionController(BaseController):
    """Keeps the status of PodDisruptionBudgets."""

    name = "controllermanager"
    resources = frozenset({BUDGETS, pods.PODS, "deployments.apps", "replicasets.apps", "statefulsets.apps"})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The budget, those for a changed pod, or those of the namespace when a workload changed its size."""
        if change.resource == BUDGETS:
            return (meta.key(change.object),)
        budgets = view.list(BUDGETS, meta.namespace(change.object))
        if change.resource != pods.PODS:
            return tuple(meta.key(budget) for budget in budgets) if _resized(change) else ()
        return tuple(meta.key(budget) for budget in budgets if _selects(budget, change))

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Count the healthy pods and what may be missing of them."""
        budget = view.get(BUDGETS, *key)
        if budget is None or meta.deleting(budget):
            return ()
        selector = meta.spec(budget).get("selector")
        members = [pod for pod in view.list(pods.PODS, key[0]) if selectors.matches(selector, meta.labels(pod))]
        expected, desired = _expected(view, budget, members)
        evicting = _evicting(budget, members, now)
        healthy = sum(
            pods.is_ready(pod) and not meta.deleting(pod) and meta.name(pod) not in evicting for pod in members
        )
        allowed = max(0, healthy - desired) if expected > 0 else 0
        plan: list[Wanted] = []
        if not members and meta.status(budget).get("observedGeneration") != meta.generation(budget):
            plan.append(Record(budget, Note("NoPods", "No matching pods found")))
        status = {
            **({"disruptedPods": evicting} if evicting else {}),
            "observedGeneration": meta.generation(budget),
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": [_condition(budget, allowed > 0, now)],
        }
        plan += update_status(BUDGETS, budget, status)
        if evicting:
            plan.append(Recheck(min(meta.parse_time(when) for when in evicting.values()) + _DELETION_TIMEOUT))
        return plan


def _resized(change: Change) -> bool:
    before = change.previous
    return before is None or meta.spec(before).get("replicas") != meta.spec(change.object).get("replicas")


def _selects(budget: Obj, change: Change) -> bool:
    selector = meta.spec(budget).get("selector")
    states = (change.object, change.previous)
    return any(selectors.matches(selector, meta.labels(pod)) for pod in states if pod is not None)


def _evicting(budget: Obj, members: Sequence[Obj], now: float) -> dict[str, str]:
    """Pods whose eviction was granted and has not been seen yet."""
    waiting = {meta.name(pod) for pod in members if not meta.deleting(pod)}
    known: dict[str, str] = meta.status(budget).get("disruptedPods") or {}
    return {
        name: when
        for name, when in known.items()
        if name in waiting and meta.parse_time(when) + _DELETION_TIMEOUT > now
    }


def _expected(view: View, budget: Obj, members: Sequence[Obj]) -> tuple[int, int]:
    """How many pods there should be, and how many of them healthy."""
    spec = meta.spec(budget)
    if spec.get("maxUnavailable") is not None:
        expected = _scale(view, members)
        return expected, max(0, expected - scaled(spec["maxUnavailable"], expected, round_up=True))
    wanted = spec.get("minAvailable", 1)
    if isinstance(wanted, int):
        return len(members), wanted
    expected = _scale(view, members)
    return expected, scaled(wanted, expected, round_up=True)


def _scale(view: View, members: Sequence[Obj]) -> int:
    """The sizes of the workloads that own the pods."""
    owners: dict[str, Obj] = {}
    for pod in members:
        owner = _workload(view, pod)
        if owner is not None:
            owners[meta.uid(owner)] = owner
    return sum(meta.spec(owner).get("replicas", 1) for owner in owners.values())


def _workload(view: View, pod: Obj) -> Obj | None:
    """The topmost controller with a size: a Deployment rather than its ReplicaSet."""
    found: Obj | None = None
    reference = meta.controller_of(pod)
    while reference is not None:
        owner = view.by_uid(reference["uid"])
        if owner is None or "replicas" not in meta.spec(owner):
            break
        found, reference = owner, meta.controller_of(owner)
    return found


def _condition(budget: Obj, allowed: bool, now: float) -> Obj:
    status = "True" if allowed else "False"
    known = meta.condition_of(budget, _CONDITION)
    since = known["lastTransitionTime"] if known is not None and known["status"] == status else meta.rfc3339(now)
    return {
        "type": _CONDITION,
        "status": status,
        "observedGeneration": meta.generation(budget),
        "lastTransitionTime": since,
        "reason": "SufficientPods" if allowed else "InsufficientPods",
        "message": "",
    }
