"""What follows from a pod alone: its quality-of-service class, its first status, selectors that name its own labels."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import quantity

_QOS_RESOURCES = ("cpu", "memory")


def initial_status(pod: Obj) -> Obj:
    """The status of a pod that was just created."""
    status: Obj = {"phase": "Pending"}
    if pod["spec"].get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": None,
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    status["qosClass"] = qos_class(pod)
    return status


def merge_label_keys(pod: Obj) -> None:
    """Add what `matchLabelKeys` and `mismatchLabelKeys` stand for to the selectors beside them, in place."""
    labels = pod["metadata"].get("labels", {})
    for term in _selecting_terms(pod["spec"]):
        selector = term.get("labelSelector")
        if selector is None:
            continue
        for name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
            for key in term.get(name, ()):
                if key in labels:
                    wanted = {"key": key, "operator": operator, "values": [labels[key]]}
                    selector.setdefault("matchExpressions", []).append(wanted)


def _selecting_terms(spec: Obj) -> Iterator[Obj]:
    for name in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(name) or {}
        for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution", ()):
            yield weighted["podAffinityTerm"]
        yield from affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ())
    yield from spec.get("topologySpreadConstraints", ())


def qos_class(pod: Obj) -> str:
    """`BestEffort`, `Burstable` or `Guaranteed`.

    Source: pkg/apis/core/helper/qos: amounts of cpu and memory that are not zero, pod-level ones if there are any.
    """
    spec: Obj = pod["spec"]
    if spec.get("resources"):
        return _class_of([spec["resources"]])
    containers = (*(spec.get("containers") or ()), *spec.get("initContainers", ()))
    return _class_of([container.get("resources") or {} for container in containers])


def _class_of(resources: list[Obj]) -> str:
    requests = [_amounts(item.get("requests", {})) for item in resources]
    limits = [_amounts(item.get("limits", {})) for item in resources]
    if not any(requests) and not any(limits):
        return "BestEffort"
    complete = all(len(item) == len(_QOS_RESOURCES) for item in limits)
    return "Guaranteed" if complete and _total(requests) == _total(limits) else "Burstable"


def _amounts(listed: Obj) -> dict[str, Fraction]:
    found = {name: quantity.parse(str(listed[name])) for name in _QOS_RESOURCES if name in listed}
    return {name: amount for name, amount in found.items() if amount}


def _total(items: list[dict[str, Fraction]]) -> dict[str, Fraction]:
    return {name: sum((item.get(name, Fraction(0)) for item in items), Fraction(0)) for name in _QOS_RESOURCES}
