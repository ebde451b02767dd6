"""A Job's status: counters, conditions, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.jobs.template import is_indexed
from labctl.embedded.controllers.jobs.tracking import Tracked, format_indexes
from labctl.embedded.controllers.wanted import WARNING, Note, Record

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
_SUCCESS, _FAILURE = "SuccessCriteriaMet", "FailureTarget"
_REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
_LIMIT = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
_DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")


def is_finished(job: Obj) -> bool:
    """Whether the Job is over."""
    return any(meta.is_true(meta.condition_of(job, type_)) for type_ in (COMPLETE, FAILED))


def _condition(type_: str, status: str, reason: str, message: str, now: float) -> Obj:
    stamp = meta.rfc3339(now)
    found = {"type": type_, "status": status, "lastProbeTime": stamp, "lastTransitionTime": stamp}
    return {**found, "reason": reason, "message": message}


def terminal_condition(job: Obj) -> Obj | None:
    """The condition that has decided how the Job ends, if it was decided earlier."""
    for type_ in (_SUCCESS, _FAILURE):
        found = meta.condition_of(job, type_)
        if meta.is_true(found):
            return found
    return None


def verdict(job: Obj, *, succeeded: int, failed: int, active: Sequence[Obj], now: float) -> Obj | None:
    """Whether the Job has to end now, and why; None when it goes on."""
    spec = meta.spec(job)
    limit = spec.get("backoffLimit", 6)
    if failed > limit or _too_many_restarts(job, active, limit):
        return _condition(_FAILURE, "True", *_LIMIT, now)
    started, deadline = meta.status(job).get("startTime"), spec.get("activeDeadlineSeconds")
    if deadline is not None and started and not spec.get("suspend") and now >= meta.parse_time(started) + deadline:
        return _condition(_FAILURE, "True", *_DEADLINE, now)
    completions = spec.get("completions")
    enough = succeeded >= completions if completions is not None else succeeded > 0 and not active
    return _condition(_SUCCESS, "True", *_REACHED, now) if enough else None


def _too_many_restarts(job: Obj, active: Sequence[Obj], limit: int) -> bool:
    """With restartPolicy OnFailure the restarts of the running pods count."""
    if meta.spec(job)["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        entry.get("restartCount", 0)
        for pod in active
        if pods.phase(pod) in ("Running", "Pending")
        for group in ("initContainerStatuses", "containerStatuses")
        for entry in meta.status(pod).get(group) or ()
    )
    return bool(restarts > 0 if limit == 0 else restarts >= limit)


def status_of(job: Obj, tracked: Tracked, done: set[int], active: int, now: float) -> Obj:
    """The status with newly finished pods noted but not counted.

    Args:
        job: The Job.
        tracked: Its pods.
        done: Indexes that succeeded.
        active: How many pods are active now.
        now: Seconds since the epoch.
    """
    known = meta.status(job)
    kept = {field: known[field] for field in ("succeeded", "failed", "completionTime") if known.get(field)}
    for outcome, uids in tracked.noted.items():
        if uids:
            kept[outcome] = kept.get(outcome, 0) + len(uids)
    uncounted = {
        outcome: [*tracked.pending[outcome], *(meta.uid(pod) for pod in new)]
        for outcome, new in (("succeeded", tracked.succeeded), ("failed", tracked.failed))
    }
    found = {
        **kept,
        **_conditions(job, now),
        **_start(job, now),
        "terminating": sum(meta.deleting(pod) and not pods.is_finished(pod) for pod in tracked.pods),
        "ready": sum(pods.is_ready(pod) for pod in tracked.active),
        "uncountedTerminatedPods": {outcome: uids for outcome, uids in uncounted.items() if uids},
    }
    if active:
        found["active"] = active
    if is_indexed(job) and done:
        found["completedIndexes"] = format_indexes(done)
    return found


def _start(job: Obj, now: float) -> Obj:
    """The start time: kept, set when the Job may run, dropped while it is suspended."""
    if meta.spec(job).get("suspend"):
        return {}
    known = meta.status(job).get("startTime")
    resumed = meta.is_true(meta.condition_of(job, SUSPENDED))
    return {"startTime": known if known and not resumed else meta.rfc3339(now)}


def _conditions(job: Obj, now: float) -> Obj:
    conditions: list[Obj] = list(meta.status(job).get("conditions") or ())
    known = meta.condition(conditions, SUSPENDED)
    suspended = bool(meta.spec(job).get("suspend"))
    if suspended != meta.is_true(known) and (suspended or known is not None):
        reason, text = ("JobSuspended", "Job suspended") if suspended else ("JobResumed", "Job resumed")
        new = _condition(SUSPENDED, "True" if suspended else "False", reason, text, now)
        conditions = [*(entry for entry in conditions if entry["type"] != SUSPENDED), new]
    return {"conditions": conditions} if conditions else {}


def interim(status: Obj, condition: Obj) -> Obj:
    """The status with the condition that decides how the Job ends."""
    conditions: list[Obj] = status.get("conditions") or []
    if meta.condition(conditions, condition["type"]) is not None:
        return status
    return {**status, "conditions": [*conditions, condition]}


def finish(job: Obj, status: Obj, decided: Obj, now: float) -> tuple[Obj, Record]:
    """The final status, and the event that says so."""
    succeeded = decided["type"] == _SUCCESS
    last = _condition(COMPLETE if succeeded else FAILED, "True", decided["reason"], decided["message"], now)
    found = {**status, "conditions": [*(status.get("conditions") or ()), last]}
    if succeeded:
        found["completionTime"] = decided["lastTransitionTime"]
        return found, Record(job, Note("Completed", "Job completed"))
    return found, Record(job, Note(decided["reason"], decided["message"], WARNING))
