"""When is an object ready? Pure predicates over an object as the API returned it.

The rules are those of `kubectl rollout status` (polymorphichelpers/rollout_status.go) and of Helm's `--wait`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.objects.manifests import Obj


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether an object is ready, and what is still missing in words."""

    ready: bool
    reason: str = ""


_READY = Readiness(True)


def readiness(obj: Obj) -> Readiness:
    """How far an object is; kinds that have nothing to wait for are ready at once."""
    rule = _RULES.get(str(obj.get("kind")))
    return rule(obj) if rule else _READY


def _observed(obj: Obj) -> bool:
    generation = obj.get("metadata", {}).get("generation", 0)
    return bool(obj.get("status", {}).get("observedGeneration", 0) >= generation)


def _deployment(obj: Obj) -> Readiness:
    status = obj.get("status", {})
    wanted = obj.get("spec", {}).get("replicas", 1)
    if not _observed(obj):
        return Readiness(False, "the controller has not seen the change yet")
    for condition in status.get("conditions", []):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Readiness(False, f"rollout is stuck: {condition.get('message', '')}")
    updated = status.get("updatedReplicas", 0)
    if updated < wanted:
        return Readiness(False, f"{updated} of {wanted} new replicas updated")
    if status.get("replicas", 0) > updated:
        return Readiness(False, f"{status['replicas'] - updated} old replicas are still there")
    available = status.get("availableReplicas", 0)
    return _count(available, wanted, "replicas available")


def _stateful_set(obj: Obj) -> Readiness:
    if not _observed(obj):
        return Readiness(False, "the controller has not seen the change yet")
    return _count(obj.get("status", {}).get("readyReplicas", 0), obj.get("spec", {}).get("replicas", 1), "pods ready")


def _daemon_set(obj: Obj) -> Readiness:
    if not _observed(obj):
        return Readiness(False, "the controller has not seen the change yet")
    status = obj.get("status", {})
    return _count(status.get("numberAvailable", 0), status.get("desiredNumberScheduled", 0), "pods available")


def _replica_set(obj: Obj) -> Readiness:
    return _count(obj.get("status", {}).get("readyReplicas", 0), obj.get("spec", {}).get("replicas", 1), "pods ready")


def _pod(obj: Obj) -> Readiness:
    status = obj.get("status", {})
    if status.get("phase") == "Succeeded" or _condition(obj, "Ready") == "True":
        return _READY
    return Readiness(False, pod_problem(obj) or f"phase {status.get('phase', 'unknown')}")


def _job(obj: Obj) -> Readiness:
    if _condition(obj, "Complete") == "True":
        return _READY
    if _condition(obj, "Failed") == "True":
        return Readiness(False, "the job failed")
    return Readiness(False, "the job has not completed")


def _node(obj: Obj) -> Readiness:
    return _READY if _condition(obj, "Ready") == "True" else Readiness(False, "node is not Ready")


def _count(have: int, wanted: int, what: str) -> Readiness:
    return _READY if have >= wanted else Readiness(False, f"{have} of {wanted} {what}")


def _condition(obj: Obj, kind: str) -> str:
    for condition in obj.get("status", {}).get("conditions", []):
        if condition.get("type") == kind:
            return str(condition.get("status"))
    return ""


def pod_problem(pod: Obj) -> str:
    """Why a pod does not run, from its container states and conditions; empty when nothing tells."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        for state in ("waiting", "terminated"):
            detail = container.get("state", {}).get(state)
            if detail and detail.get("reason") not in (None, "ContainerCreating", "PodInitializing", "Completed"):
                message = detail.get("message", "")
                return f"container {container['name']}: {detail['reason']}" + (f": {message}" if message else "")
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"not scheduled: {condition.get('message', condition.get('reason', ''))}"
    return ""


_RULES: dict[str, Callable[[Obj], Readiness]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "ReplicaSet": _replica_set,
    "Pod": _pod,
    "Job": _job,
    "Node": _node,
}
