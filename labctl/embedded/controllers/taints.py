"""Taints and tolerations. Source of the rules: `k8s.io/component-helpers/scheduling/corev1`."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta

NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "PreferNoSchedule", "NoExecute"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def tolerations(pod: Obj) -> list[Obj]:
    """`spec.tolerations`, perhaps empty."""
    found: list[Obj] = meta.spec(pod).get("tolerations") or []
    return found


def taints(node: Obj) -> list[Obj]:
    """`spec.taints`, perhaps empty."""
    found: list[Obj] = meta.spec(node).get("taints") or []
    return found


def tolerated_by(toleration: Obj, taint: Obj) -> bool:
    """Whether one toleration covers one taint."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def tolerates(pod: Obj, taint: Obj) -> bool:
    """Whether a pod tolerates a taint."""
    return any(tolerated_by(toleration, taint) for toleration in tolerations(pod))


def untolerated(pod: Obj, node: Obj, effects: Iterable[str]) -> Obj | None:
    """The first taint of a node, of one of these effects, that a pod does not tolerate."""
    wanted = tuple(effects)
    return next((taint for taint in taints(node) if taint["effect"] in wanted and not tolerates(pod, taint)), None)
