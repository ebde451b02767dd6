from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers.jobs import CronJobController, TTLAfterFinishedController
from labctl.embedded.controllers.jobs.schedule import parse
from labctl.embedded.controllers.meta import rfc3339
from labctl.embedded.controllers.view import Cache
from labctl.embedded.controllers.wanted import Create, Delete, Recheck, Record, Update, Wanted

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC).timestamp()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("* * * * *", "2026-11-21T10:15:30", "2026-11-21T10:16:00"),
        ("*/15 * * * *", "2026-11-21T10:15:00", "2026-11-21T10:30:00"),
        ("0 3 * * *", "2026-11-21T03:00:00", "2026-11-22T03:00:00"),
        ("30 9-17/4 * * *", "2026-11-21T09:30:00", "2026-11-21T13:30:00"),
        ("0 0 1 * *", "2026-11-21T00:00:00", "2026-12-01T00:00:00"),
        ("0 0 29 2 *", "2026-11-21T00:00:00", "2028-02-29T00:00:00"),
        ("0 12 * * mon-fri", "2026-11-21T00:00:00", "2026-11-23T12:00:00"),
        ("0 0 13 * fri", "2026-11-21T00:00:00", "2026-11-27T00:00:00"),
        ("0 0 * * 7", "2026-11-21T00:00:00", "2026-11-22T00:00:00"),
        ("@hourly", "2026-11-21T23:10:00", "2026-11-22T00:00:00"),
        ("@every 90s", "2026-11-21T10:00:00", "2026-11-21T10:01:30"),
    ],
)
def test_a_schedule_knows_its_next_time(schedule: str, after: str, expected: str) -> None:
    assert parse(schedule).after(_time(after)) == _time(expected)


def test_a_time_that_never_comes_is_none() -> None:
    assert parse("0 0 31 2 *").after(_time("2026-11-21T00:00:00")) is None


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* * * * * *", "x * * * *", "*/0 * * * *", "5-1 * * * *"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


def _cron_job(schedule: str = "*/5 * * * *", **spec: Any) -> Obj:
    created = rfc3339(MIDNIGHT - 60)
    metadata = {"name": "cj", "namespace": "default", "uid": "c1", "creationTimestamp": created, "resourceVersion": "1"}
    template = {"spec": {"template": {"spec": {}}}, "metadata": {"labels": {"a": "b"}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata,
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
        "status": {},
    }


def _job(name: str, outcome: str = "", started: float = MIDNIGHT) -> Obj:
    conditions = [{"type": outcome, "status": "True", "lastTransitionTime": rfc3339(MIDNIGHT)}] if outcome else []
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "cj", "uid": "c1", "controller": True}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default", "uid": name, "ownerReferences": [owner]},
        "spec": {},
        "status": {"startTime": rfc3339(started), "completionTime": rfc3339(started + 5), "conditions": conditions},
    }


def _plan(now: float, *objects: Obj) -> Sequence[Wanted]:
    view = Cache()
    for obj in objects:
        resource = "cronjobs.batch" if obj["kind"] == "CronJob" else "jobs.batch"
        view.observe(Change(ChangeType.ADDED, resource, obj))
    return CronJobController().reconcile(view, ("default", "cj"), now)


def _created(plan: Sequence[Wanted]) -> list[str]:
    return [step.object["metadata"]["name"] for step in plan if isinstance(step, Create)]


def test_at_its_time_a_job_is_created_and_named_after_that_time() -> None:
    plan = _plan(MIDNIGHT + 301, _cron_job())
    create, update, recheck = plan
    assert isinstance(create, Create)
    assert isinstance(update, Update)
    due = MIDNIGHT + 300
    assert create.object["metadata"]["name"] == f"cj-{int(due) // 60}"
    assert create.object["metadata"]["labels"] == {"a": "b"}
    stamp = create.object["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert stamp == "2026-11-21T00:05:00Z"
    assert update.object["status"] == {"lastScheduleTime": rfc3339(due)}
    assert recheck == Recheck(MIDNIGHT + 600)


def test_before_its_time_it_only_waits() -> None:
    assert list(_plan(MIDNIGHT - 30, _cron_job())) == [Recheck(MIDNIGHT)]


def test_of_many_missed_times_only_the_last_is_made_up_for() -> None:
    plan = _plan(MIDNIGHT + 100 * 86400 + 10, _cron_job())
    assert _created(plan) == [f"cj-{int(MIDNIGHT + 100 * 86400) // 60}"]
    assert [step.note.reason for step in plan if isinstance(step, Record)] == ["TooManyMissedTimes"]


def test_too_late_is_too_late() -> None:
    assert _created(_plan(MIDNIGHT + 250, _cron_job(startingDeadlineSeconds=100))) == []


def test_the_schedule_is_read_in_its_time_zone() -> None:
    plan = _plan(MIDNIGHT, _cron_job("0 12 * * *", timeZone="Asia/Seoul"))
    noon = datetime(2026, 11, 21, 12, tzinfo=ZoneInfo("Asia/Seoul")).timestamp()
    assert plan[-1] == Recheck(noon)


@pytest.mark.parametrize(
    ("policy", "created", "deleted"), [("Allow", True, []), ("Forbid", False, []), ("Replace", True, ["running"])]
)
def test_the_concurrency_policy_decides_about_a_running_job(policy: str, created: bool, deleted: list[str]) -> None:
    plan = _plan(MIDNIGHT + 1, _cron_job(concurrencyPolicy=policy), _job("running"))
    assert bool(_created(plan)) is created
    assert [step.object["metadata"]["name"] for step in plan if isinstance(step, Delete)] == deleted


def test_finished_jobs_are_noted_and_the_oldest_removed() -> None:
    owner = _cron_job("0 0 1 1 *", successfulJobsHistoryLimit=1)
    owner["status"] = {"active": [{"name": "b", "uid": "b"}]}
    plan = _plan(MIDNIGHT, owner, _job("a", "Complete", MIDNIGHT - 100), _job("b", "Complete", MIDNIGHT - 50))
    notes = [step.note.message for step in plan if isinstance(step, Record)]
    assert notes == ["Saw completed job: b, condition: Complete"]
    assert [step.object["metadata"]["name"] for step in plan if isinstance(step, Delete)] == ["a"]
    status = next(step.object["status"] for step in plan if isinstance(step, Update))
    assert status == {"lastSuccessfulTime": rfc3339(MIDNIGHT - 45)}


def test_a_suspended_cron_job_does_nothing() -> None:
    assert list(_plan(MIDNIGHT + 301, _cron_job(suspend=True))) == []


def test_a_finished_job_goes_when_its_time_to_live_is_over() -> None:
    job = _job("j", "Complete")
    job["spec"] = {"ttlSecondsAfterFinished": 60}
    view = Cache()
    view.observe(Change(ChangeType.ADDED, "jobs.batch", job))
    controller = TTLAfterFinishedController()
    assert list(controller.reconcile(view, ("default", "j"), MIDNIGHT + 59)) == [Recheck(MIDNIGHT + 60)]
    (delete,) = controller.reconcile(view, ("default", "j"), MIDNIGHT + 60)
    assert isinstance(delete, Delete)
    assert delete.options.propagation_policy == "Foreground"
