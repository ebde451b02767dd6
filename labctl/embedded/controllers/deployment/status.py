"""A Deployment's status: counters and conditions."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.deployment.sync import DEPLOYMENTS, Sync, counter, total
from labctl.embedded.controllers.wanted import Recheck, update_status

_UNLIMITED = 2**31 - 1
_COMPLETE = "NewReplicaSetAvailable"
_TIMED_OUT = "ProgressDeadlineExceeded"


def _set(conditions: list[Obj], new: Obj) -> list[Obj]:
    """Replace the condition of a type. Same status and reason: the old one stays as it is."""
    known = meta.condition(conditions, new["type"])
    if known is not None and (known["status"], known.get("reason")) == (new["status"], new.get("reason")):
        return conditions
    if known is not None and known["status"] == new["status"]:
        new = {**new, "lastTransitionTime": known["lastTransitionTime"]}
    return [*_without(conditions, new["type"]), new]


def _without(conditions: list[Obj], type_: str) -> list[Obj]:
    return [entry for entry in conditions if entry["type"] != type_]


def _condition(type_: str, status: str, reason: str, message: str, now: float) -> Obj:
    stamp = meta.rfc3339(now)
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def add_condition(deployment: Obj, type_: str, status: str, reason: str, message: str, now: float) -> Obj:
    """A copy of the Deployment with one condition set."""
    conditions = _set(meta.status(deployment).get("conditions") or [], _condition(type_, status, reason, message, now))
    return meta.with_status(deployment, {**meta.status(deployment), "conditions": conditions})


def _counted(sync: Sync) -> Obj:
    deployment = sync.deployment
    available = sum(counter(entry, "availableReplicas") for entry in sync.all)
    counters = {
        "observedGeneration": meta.generation(deployment),
        "replicas": sum(counter(entry, "replicas") for entry in sync.all),
        "updatedReplicas": counter(sync.new, "replicas") if sync.new else 0,
        "readyReplicas": sum(counter(entry, "readyReplicas") for entry in sync.all),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total(sync.all) - available),
    }
    if available >= sync.replicas - sync.max_unavailable:
        verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        verdict = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    conditions = _set(meta.status(deployment).get("conditions") or [], _condition("Available", *verdict, sync.now))
    known = meta.status(deployment).get("collisionCount")
    return {
        **{field: count for field, count in counters.items() if count},
        "conditions": conditions,
        **({"collisionCount": known} if known is not None else {}),
    }


def report(sync: Sync) -> None:
    """Bring the counters up to date without judging progress (paused, scaling, being deleted)."""
    sync.plan += update_status(DEPLOYMENTS, sync.deployment, _counted(sync))


def report_rollout(sync: Sync) -> None:
    """Bring counters and the Progressing condition up to date."""
    status = _counted(sync)
    limit = meta.spec(sync.deployment).get("progressDeadlineSeconds", _UNLIMITED)
    if limit == _UNLIMITED:
        status["conditions"] = _without(status["conditions"], "Progressing")
    else:
        status["conditions"] = _progress(sync, status, limit)
    failure = _replica_failure(sync)
    status["conditions"] = _without(status["conditions"], "ReplicaFailure")
    if failure is not None:
        known = meta.condition_of(sync.deployment, "ReplicaFailure")
        status["conditions"] = _set([*status["conditions"], *([known] if known else [])], failure)
    update = update_status(DEPLOYMENTS, sync.deployment, status)
    sync.plan += update
    if not update:
        _recheck_deadline(sync, status, limit)


def _progress(sync: Sync, status: Obj, limit: float) -> list[Obj]:
    conditions: list[Obj] = status["conditions"]
    known = meta.condition_of(sync.deployment, "Progressing")
    settled = known is not None and known.get("reason") == _COMPLETE
    if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions
    subject = f'ReplicaSet "{meta.name(sync.new)}"' if sync.new else f'Deployment "{meta.name(sync.deployment)}"'
    if is_complete(sync, status):
        text = f"{subject} has successfully progressed."
        return _set(conditions, _condition("Progressing", "True", _COMPLETE, text, sync.now))
    if _has_progressed(sync, status):
        new = _condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", sync.now)
        if known is not None and known["status"] == "True":
            new["lastTransitionTime"] = known["lastTransitionTime"]
        return [*_without(conditions, "Progressing"), new]
    if _has_timed_out(known, limit, sync.now):
        text = f"{subject} has timed out progressing."
        return _set(conditions, _condition("Progressing", "False", _TIMED_OUT, text, sync.now))
    return conditions


def is_complete(sync: Sync, status: Obj) -> bool:
    """Whether every wanted pod is of the new template and available, and no other is left."""
    wanted = sync.replicas
    return all(
        status.get(field, 0) == wanted for field in ("updatedReplicas", "replicas", "availableReplicas")
    ) and status.get("observedGeneration", 0) >= meta.generation(sync.deployment)


def _has_progressed(sync: Sync, status: Obj) -> bool:
    before = meta.status(sync.deployment)

    def old_pods(entry: Obj) -> int:
        found: int = entry.get("replicas", 0) - entry.get("updatedReplicas", 0)
        return found

    return any(
        status.get(field, 0) > before.get(field, 0)
        for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    ) or old_pods(status) < old_pods(before)


def _has_timed_out(known: Obj | None, limit: float, now: float) -> bool:
    if known is None or known.get("reason") == _COMPLETE:
        return False
    return known.get("reason") == _TIMED_OUT or meta.parse_time(known.get("lastUpdateTime")) + limit < now


def _replica_failure(sync: Sync) -> Obj | None:
    """The failure condition of a ReplicaSet, the new one's first."""
    for entry in ([sync.new] if sync.new else []) + sync.old:
        if (found := meta.condition_of(entry, "ReplicaFailure")) is not None:
            return {"lastUpdateTime": found["lastTransitionTime"], **found}
    return None


def _recheck_deadline(sync: Sync, status: Obj, limit: float) -> None:
    known = meta.condition_of(sync.deployment, "Progressing")
    if limit == _UNLIMITED or known is None or is_complete(sync, status):
        return
    if known.get("reason") not in (_TIMED_OUT, _COMPLETE):
        # A second more, because the condition's time has whole seconds only.
        sync.plan.append(Recheck(meta.parse_time(known.get("lastUpdateTime")) + limit + 1))


def note_pause(sync: Sync) -> None:
    """Say in the Progressing condition that the Deployment was paused or resumed: no deadline runs meanwhile."""
    spec, known = meta.spec(sync.deployment), meta.condition_of(sync.deployment, "Progressing")
    if spec.get("progressDeadlineSeconds", _UNLIMITED) == _UNLIMITED:
        return
    reason = known.get("reason") if known else None
    if reason == _TIMED_OUT:
        return
    changed = sync.deployment
    if spec.get("paused") and reason != "DeploymentPaused":
        changed = add_condition(changed, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", sync.now)
    elif not spec.get("paused") and reason == "DeploymentPaused":
        changed = add_condition(
            changed, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", sync.now
        )
    sync.plan += update_status(DEPLOYMENTS, sync.deployment, meta.status(changed))
    sync.deployment = changed
