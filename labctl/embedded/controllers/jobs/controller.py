"""Running a Job's pods until enough have succeeded, or too many failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.jobs import template, tracking
from labctl.embedded.controllers.jobs.status import (
    SUSPENDED,
    finish,
    interim,
    is_finished,
    status_of,
    terminal_condition,
    verdict,
)
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.owners import keys_for_owned
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Note, Plan, Recheck, Record, Update, Wanted, update_status

JOBS = "jobs.batch"
_BURST = 500


@dataclass(slots=True)
class Run:
    """A Job as it is looked at.

    Attributes:
        job: The Job.
        tracked: Its pods.
        done: Indexes that succeeded (Indexed only).
        now: Seconds since the epoch.
        scale: Factor on the delay after failures.
    """

    job: Obj
    tracked: tracking.Tracked
    done: set[int]
    now: float
    scale: float

    @property
    def succeeded(self) -> int:
        """How many pods (indexes) have succeeded, counted or not."""
        if template.is_indexed(self.job):
            return len(self.done)
        return self._total("succeeded", len(self.tracked.succeeded))

    @property
    def failed(self) -> int:
        """How many pods have failed, counted or not."""
        return self._total("failed", len(self.tracked.failed))

    def _total(self, outcome: str, new: int) -> int:
        counted: int = meta.status(self.job).get(outcome, 0)
        return counted + new + len(self.tracked.noted[outcome]) + len(self.tracked.pending[outcome])


class JobController(BaseController):
    """Runs Jobs."""

    name = "job-controller"
    resources = frozenset({JOBS, pods.PODS})

    def __init__(self, scale: float = 1.0) -> None:
        """Make a controller.

        Args:
            scale: Factor on the delay after failed pods.
        """
        self._scale = scale

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Job, or the one a pod belongs to, also when it is gone: its pods have to be let go."""
        if change.resource == pods.PODS and tracking.is_tracked(change.object):
            owner = meta.controller_of(change.object)
            if owner is not None and owner["kind"] == "Job":
                return ((meta.namespace(change.object), owner["name"]),)
        if change.resource == JOBS and change.type == "DELETED":
            return (meta.key(change.object),)
        return keys_for_owned(change, view, JOBS)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Count finished pods, start or stop others, and say how it stands."""
        job = view.get(JOBS, *key)
        if job is None or meta.deleting(job):
            return _let_go(view, key)
        claimed = pods.claim(view, pods.PODS, job, meta.spec(job).get("selector"))
        if claimed.changes:
            return claimed.changes
        if is_finished(job):
            return tracking.release(claimed.owned)
        tracked = tracking.sort_out(job, claimed.owned)
        run = Run(job, tracked, _done_indexes(job, claimed.owned), now, self._scale)
        return _plan(run)


def _let_go(view: View, key: Key) -> list[Wanted]:
    """The Job is gone or going: nothing is left to count its pods for."""
    orphans = []
    for pod in view.list(pods.PODS, key[0]):
        owner = meta.controller_of(pod)
        if owner is not None and owner["kind"] == "Job" and owner["name"] == key[1] and tracking.is_tracked(pod):
            job = view.by_uid(owner["uid"])
            if job is None or meta.deleting(job):
                orphans.append(pod)
    return tracking.release(orphans)


def _done_indexes(job: Obj, members: Iterable[Obj]) -> set[int]:
    if not template.is_indexed(job):
        return set()
    done = tracking.parse_indexes(meta.status(job).get("completedIndexes") or "")
    done.update(
        index
        for pod in members
        if pods.phase(pod) == "Succeeded" and tracking.is_tracked(pod) and (index := tracking.index_of(pod)) is not None
    )
    return {index for index in done if index < meta.spec(job).get("completions", 0)}


def _plan(run: Run) -> list[Wanted]:
    condition = terminal_condition(run.job) or verdict(
        run.job, succeeded=run.succeeded, failed=run.failed, active=run.tracked.active, now=run.now
    )
    if condition is not None:
        moves: list[Wanted] = [pods.delete(pod, run.job) for pod in run.tracked.active]
        return [*moves, *_account(run, condition, 0)]
    moves, active = _manage(run)
    plan = [*moves, *_account(run, None, active), *_suspension_event(run)]
    limit = meta.spec(run.job).get("activeDeadlineSeconds")
    started = meta.status(run.job).get("startTime")
    if limit is not None and started:
        plan.append(Recheck(meta.parse_time(started) + limit))
    return plan


def _suspended(run: Run) -> bool:
    return bool(meta.spec(run.job).get("suspend"))


def _suspension_event(run: Run) -> list[Wanted]:
    known = meta.is_true(meta.condition_of(run.job, SUSPENDED))
    if _suspended(run) and not known:
        return [Record(run.job, Note("Suspended", "Job suspended"))]
    if known and not _suspended(run):
        return [Record(run.job, Note("Resumed", "Job resumed"))]
    return []


def _manage(run: Run) -> tuple[list[Wanted], int]:
    """Pods to start or to stop, and how many are active then."""
    active = len(run.tracked.active)
    if _suspended(run):
        return [pods.delete(pod, run.job) for pod in run.tracked.active], 0
    wanted = _wanted_active(run)
    if active > wanted:
        chosen = pods.victims(run.tracked.active, (), active - wanted, run.now)
        return [pods.delete(pod, run.job) for pod in chosen], wanted
    missing = wanted - active
    if meta.spec(run.job).get("podReplacementPolicy") == "Failed":
        missing -= sum(meta.deleting(pod) and not pods.is_finished(pod) for pod in run.tracked.pods)
    if missing <= 0:
        return [], active
    when = tracking.retry_time(run.tracked, run.scale)
    if when > run.now:
        return [Recheck(when)], active
    created = [template.create(run.job, index) for index in _next_indexes(run, min(missing, _BURST))]
    return [*created], active + len(created)


def _wanted_active(run: Run) -> int:
    spec = meta.spec(run.job)
    parallelism: int = spec.get("parallelism", 1)
    if spec.get("completions") is None:
        return len(run.tracked.active) if run.succeeded else parallelism
    completions: int = spec["completions"]
    return max(0, min(completions - run.succeeded, parallelism))


def _next_indexes(run: Run, count: int) -> Iterator[int | None]:
    """The lowest indexes that neither succeeded nor are being worked at; None for each pod of a plain Job."""
    if not template.is_indexed(run.job):
        yield from (None for _ in range(count))
        return
    taken = run.done | {index for pod in run.tracked.active if (index := tracking.index_of(pod)) is not None}
    free = (index for index in range(meta.spec(run.job).get("completions", 0)) if index not in taken)
    for _, index in zip(range(count), free, strict=False):
        yield index


def _account(run: Run, condition: Obj | None, active: int) -> list[Wanted]:
    """Note newly finished pods, let them go, count them, and finish the Job when that is all there is to do."""
    noted = status_of(run.job, run.tracked, run.done, active, run.now)
    if condition is not None:
        noted = interim(noted, condition)
    plan = update_status(JOBS, run.job, noted)
    fresh = [*run.tracked.succeeded, *run.tracked.failed]
    waiting = {uid for uids in run.tracked.pending.values() for uid in uids}
    plan += tracking.release([*fresh, *(pod for pod in run.tracked.pods if meta.uid(pod) in waiting)])
    counted = _counted(run, noted)
    if condition is not None and not counted.get("terminating") and not _still_running(run):
        counted, event = finish(run.job, counted, condition, run.now)
        return [*plan, Update(JOBS, meta.with_status(run.job, counted), "status", then=event)]
    if counted != noted:
        plan.append(Update(JOBS, meta.with_status(run.job, counted), "status"))
    return plan


def _still_running(run: Run) -> bool:
    """Whether pods that were just told to stop have yet to do so."""
    return bool(run.tracked.active)


def _counted(run: Run, status: Obj) -> Obj:
    """The status after every noted pod has become a number."""
    uncounted = status.get("uncountedTerminatedPods") or {}
    counted = {**status, "uncountedTerminatedPods": {}}
    for outcome in ("succeeded", "failed"):
        total = status.get(outcome, 0) + len(uncounted.get(outcome) or ())
        if outcome == "succeeded" and template.is_indexed(run.job):
            total = len(run.done)
        if total:
            counted[outcome] = total
    return counted
