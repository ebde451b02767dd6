"""CronJobs: a Job at every scheduled time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from labctl.embedded.clientset import Change, DeleteOptions, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.jobs import schedule
from labctl.embedded.controllers.jobs.status import COMPLETE, FAILED
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.owners import keys_for_owned
from labctl.embedded.controllers.recorder import reference
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import (
    WARNING,
    Create,
    Delete,
    Note,
    Plan,
    Recheck,
    Record,
    Wanted,
    update_status,
)

CRONJOBS, JOBS = "cronjobs.batch", "jobs.batch"
_SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MANY_MISSED = 100


@dataclass(frozen=True, slots=True)
class _Due:
    """The latest time that was not served, and how many there were; and the next one."""

    latest: datetime | None
    missed: int
    following: datetime | None


class CronJobController(BaseController):
    """Creates Jobs by the clock, and removes old ones."""

    name = "cronjob-controller"
    resources = frozenset({CRONJOBS, JOBS})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The CronJob, or the one a Job belongs to."""
        return keys_for_owned(change, view, CRONJOBS, lambda owner: None)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Take note of finished Jobs, clean up, start what is due, and look again at the next time."""
        owner = view.get(CRONJOBS, *key)
        if owner is None or meta.deleting(owner):
            return ()
        jobs = [job for job in view.owned(JOBS, meta.uid(owner)) if not meta.deleting(job)]
        plan, status = _take_note(owner, jobs)
        plan += _clean_up(owner, jobs)
        if meta.spec(owner).get("suspend"):
            return [*plan, *update_status(CRONJOBS, owner, status)]
        try:
            due = _due(owner, now)
        except (ValueError, ZoneInfoNotFoundError) as error:
            text = f"unparseable schedule: {meta.spec(owner).get('schedule')} : {error}"
            return [*plan, Record(owner, Note("UnparseableSchedule", text, WARNING))]
        started, status = _start(owner, status, due, now)
        plan += started
        plan += update_status(CRONJOBS, owner, status)
        if due.following is not None:
            plan.append(Recheck(due.following.timestamp()))
        return plan


def _ended(job: Obj) -> str:
    """How a Job ended: `Complete`, `Failed`, or empty when it runs."""
    return next((type_ for type_ in (COMPLETE, FAILED) if meta.is_true(meta.condition_of(job, type_))), "")


def _take_note(owner: Obj, jobs: Sequence[Obj]) -> tuple[list[Wanted], Obj]:
    status = dict(meta.status(owner))
    active = {entry["uid"]: entry for entry in status.pop("active", None) or ()}
    plan: list[Wanted] = []
    present = {meta.uid(job) for job in jobs}
    for job in jobs:
        outcome = _ended(job)
        if not outcome or meta.uid(job) not in active:
            continue
        del active[meta.uid(job)]
        text = f"Saw completed job: {meta.name(job)}, condition: {outcome}"
        plan.append(Record(owner, Note("SawCompletedJob", text)))
        finished = meta.status(job).get("completionTime")
        if outcome == COMPLETE and finished and finished > status.get("lastSuccessfulTime", ""):
            status["lastSuccessfulTime"] = finished
    for uid in [uid for uid in active if uid not in present]:
        text = f"Active job went missing: {active.pop(uid)['name']}"
        plan.append(Record(owner, Note("MissingJob", text)))
    for job in jobs:
        # The one that was just created, with the uid it has got.
        if not _ended(job) and meta.uid(job) not in active:
            active[meta.uid(job)] = reference(job)
    if active:
        status["active"] = list(active.values())
    return plan, status


def _clean_up(owner: Obj, jobs: Sequence[Obj]) -> list[Wanted]:
    """Delete the oldest finished Jobs beyond the history limits."""
    plan: list[Wanted] = []
    limits = ((COMPLETE, "successfulJobsHistoryLimit", 3), (FAILED, "failedJobsHistoryLimit", 1))
    for outcome, field, default in limits:
        limit = meta.spec(owner).get(field, default)
        ended = sorted((job for job in jobs if _ended(job) == outcome), key=_started)
        plan += [_delete(owner, job) for job in ended[: max(0, len(ended) - limit)]]
    return plan


def _started(job: Obj) -> tuple[str, str]:
    return meta.status(job).get("startTime") or "", meta.name(job)


def _delete(owner: Obj, job: Obj) -> Delete:
    note = Note("SuccessfulDelete", f"Deleted job {meta.name(job)}")
    return Delete(JOBS, job, DeleteOptions(propagation_policy="Background"), then=Record(owner, note))


def _zone(owner: Obj) -> tzinfo:
    name = meta.spec(owner).get("timeZone")
    return ZoneInfo(name) if name else UTC


def _due(owner: Obj, now: float) -> _Due:
    plan = schedule.parse(meta.spec(owner)["schedule"])
    zone = _zone(owner)
    current = datetime.fromtimestamp(now, zone)
    since = meta.parse_time(meta.status(owner).get("lastScheduleTime")) or meta.created(owner)
    deadline = meta.spec(owner).get("startingDeadlineSeconds")
    if deadline is not None:
        since = max(since, now - deadline)
    first = plan.after(datetime.fromtimestamp(since, zone))
    if first is None or first > current:
        return _Due(None, 0, first)
    latest, missed = _latest(plan, first, current)
    return _Due(latest, missed, plan.after(current))


def _latest(plan: schedule.Schedule | schedule.Every, first: datetime, current: datetime) -> tuple[datetime, int]:
    """The last scheduled time up to now, and how many there were since the first, estimated when they are many."""
    latest, missed = first, 1
    second = plan.after(first)
    if second is None or second > current:
        return latest, missed
    interval = second - first
    estimated = int((current - first) / interval) + 1
    if estimated > _MANY_MISSED:
        latest, missed = max(first, current - 2 * interval), estimated
    upcoming = plan.after(latest)
    while upcoming is not None and upcoming <= current:
        latest, missed = upcoming, missed + (estimated <= _MANY_MISSED)
        upcoming = plan.after(latest)
    return latest, missed


def _start(owner: Obj, status: Obj, due: _Due, now: float) -> tuple[list[Wanted], Obj]:
    plan: list[Wanted] = []
    if due.latest is None:
        return plan, status
    if due.missed > _MANY_MISSED:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        plan.append(Record(owner, Note("TooManyMissedTimes", text, WARNING)))
    policy = meta.spec(owner).get("concurrencyPolicy", "Allow")
    running = status.get("active") or []
    if policy == "Forbid" and running:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return [*plan, Record(owner, Note("JobAlreadyActive", text))], status
    if policy == "Replace":
        plan += [_delete(owner, _named(owner, entry)) for entry in running]
        status = {field: value for field, value in status.items() if field != "active"}
    job = _new_job(owner, due.latest)
    created = Record(owner, Note("SuccessfulCreate", "Created job {name}"))
    refused = Record(owner, Note("FailedCreate", "Error creating job: {error}", WARNING))
    plan.append(Create(JOBS, job, then=created, otherwise=refused, exists_is_fine=True))
    return plan, {**status, "lastScheduleTime": meta.rfc3339(due.latest.timestamp())}


def _named(owner: Obj, entry: Obj) -> Obj:
    return {"metadata": {"name": entry["name"], "namespace": meta.namespace(owner)}}


def _new_job(owner: Obj, when: datetime) -> Obj:
    template = meta.spec(owner)["jobTemplate"]
    given = template.get("metadata") or {}
    stamp = when.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{meta.name(owner)}-{int(when.timestamp()) // 60}",
            "namespace": meta.namespace(owner),
            **({"labels": given["labels"]} if given.get("labels") else {}),
            "annotations": {**(given.get("annotations") or {}), _SCHEDULED_AT: stamp},
            "ownerReferences": [meta.controller_reference(owner)],
        },
        "spec": template["spec"],
    }
