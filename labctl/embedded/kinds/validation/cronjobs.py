"""CronJobs.

Source: pkg/apis/batch/validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid_value, not_supported, required
from labctl.embedded.kinds.validation import jobs, schedules
from labctl.embedded.kinds.validation.formats import not_negative, not_negative_fields

_CONCURRENCY = ("Allow", "Forbid", "Replace")


def cron_job(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A CronJob."""
    spec = obj["spec"]
    before: Obj | None = old["spec"] if old is not None else None
    yield from _schedule(spec, before)
    yield from not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    if before is None or before.get("timeZone") != spec.get("timeZone"):
        yield from _time_zone(spec.get("timeZone"))
    policy = spec.get("concurrencyPolicy", "")
    if not policy:
        yield required("spec.concurrencyPolicy")
    elif policy not in _CONCURRENCY:
        yield not_supported("spec.concurrencyPolicy", policy, _CONCURRENCY)
    yield from _job_template(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")
    yield from not_negative_fields("spec", spec, "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    name = obj["metadata"].get("name", "")
    if old is None and len(name) > 52:
        # The controller appends a hyphen and ten digits.
        yield invalid_value("metadata.name", name, "must be no more than 52 characters")


def _schedule(spec: Obj, before: Obj | None) -> Iterator[Cause]:
    schedule, path = spec.get("schedule", ""), "spec.schedule"
    if not schedule:
        yield required(path)
        return
    problem = schedules.schedule_problem(schedule)
    if problem:
        yield invalid_value(path, schedule, problem)
    if "TZ" in schedule:
        if before is None or "TZ" not in before.get("schedule", ""):
            text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            yield invalid_value(path, schedule, text)
        elif spec.get("timeZone") is not None:
            text = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
            yield invalid_value(path, schedule, text)


def _time_zone(zone: Any) -> Iterator[Cause]:
    if zone is None:
        return
    problem = schedules.zone_problem(zone) if zone else "timeZone must be nil or non-empty string"
    if problem:
        yield invalid_value("spec.timeZone", zone, problem)


def _job_template(spec: Obj, path: str) -> Iterator[Cause]:
    yield from jobs.job_spec(spec, path)
    if spec.get("selector") is not None:
        yield invalid_value(f"{path}.selector", spec["selector"], "`selector` will be auto-generated")
    if spec.get("manualSelector"):
        yield not_supported(f"{path}.manualSelector", spec["manualSelector"], ("nil", "false"))
