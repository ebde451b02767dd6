"""What is wrong with a CronJob's schedule or time zone.

Source: the parser robfig/cron v3 (`ParseStandard`), whose words the API server repeats, and `time.LoadLocation`.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass

from labctl.embedded.kinds.field import quote

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = "@every "
_UNITS = frozenset({"ns", "us", "µs", "μs", "ms", "s", "m", "h"})
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)", re.ASCII)
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (_Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31), _Bounds(1, 12, _MONTHS), _Bounds(0, 6, _DAYS))


class _ScheduleError(Exception):
    """Carries the parser's words."""


def schedule_problem(schedule: str) -> str:
    """What is wrong with a schedule of five fields, or a descriptor; empty when nothing is."""
    try:
        _parse(schedule)
    except _ScheduleError as problem:
        return str(problem)
    return ""


def zone_problem(name: str) -> str:
    """What is wrong with the name of a time zone; empty when nothing is."""
    parts = name.split("/")
    if any(part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part) for part in parts):
        return f"unknown time zone {name}"
    if name.lower() == "local":
        return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
    return "" if _zone_exists(name) else f"unknown time zone {name}"


def _zone_exists(name: str) -> bool:
    if name == "UTC":
        return True
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _parse(text: str) -> None:
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, _, text = text.partition(" ")
        zone = zone.partition("=")[2]
        if zone not in ("", "Local") and not _zone_exists(zone):
            raise _ScheduleError(f"provided bad location {zone}: unknown time zone {zone}")
        text = text.strip()
    if text.startswith("@"):
        _descriptor(text)
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        shown = f"[{' '.join(fields)}]"
        raise _ScheduleError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: {shown}")
    for field, bounds in zip(fields, _FIELDS, strict=True):
        for expression in filter(None, field.split(",")):
            _range(expression, bounds)


def _descriptor(text: str) -> None:
    if text in _DESCRIPTORS:
        return
    if not text.startswith(_EVERY):
        raise _ScheduleError(f"unrecognized descriptor: {text}")
    duration = text[len(_EVERY) :]
    problem = _duration_problem(duration)
    if problem:
        raise _ScheduleError(f"failed to parse duration {duration}: time: {problem}")


def _duration_problem(text: str) -> str:
    """What Go's `time.ParseDuration` has against a text."""
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return ""
    position = 0
    while position < len(rest):
        match = _DURATION_PART.match(rest, position)
        if match is None:
            break
        if not match[2]:
            return f"missing unit in duration {quote(text)}"
        if match[2] not in _UNITS:
            return f"unknown unit {quote(match[2])} in duration {quote(text)}"
        position = match.end()
    return "" if rest and position == len(rest) else f"invalid duration {quote(text)}"


def _range(expression: str, bounds: _Bounds) -> None:
    """`*`, `?`, `number` or `number-number`, and perhaps `/step`."""
    span, *steps = expression.split("/")
    ends = span.split("-")
    if ends[0] in ("*", "?"):
        start, end = bounds.low, bounds.high
    else:
        start = end = _number(ends[0], bounds)
        if len(ends) == 2:
            end = _number(ends[1], bounds)
        elif len(ends) > 2:
            raise _ScheduleError(f"too many hyphens: {expression}")
    if len(steps) > 1:
        raise _ScheduleError(f"too many slashes: {expression}")
    step = _plain_number(steps[0]) if steps else 1
    if steps and len(ends) == 1:
        end = bounds.high
    _within(expression, start, end, step, bounds)


def _within(expression: str, start: int, end: int, step: int, bounds: _Bounds) -> None:
    if start < bounds.low:
        raise _ScheduleError(f"beginning of range ({start}) below minimum ({bounds.low}): {expression}")
    if end > bounds.high:
        raise _ScheduleError(f"end of range ({end}) above maximum ({bounds.high}): {expression}")
    if start > end:
        raise _ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {expression}")
    if step == 0:
        raise _ScheduleError(f"step of range should be a positive number: {expression}")


def _number(text: str, bounds: _Bounds) -> int:
    name = text.lower()
    return bounds.low + bounds.names.index(name) if name in bounds.names else _plain_number(text)


def _plain_number(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise _ScheduleError(f"failed to parse int from {text}: strconv.Atoi: parsing {quote(text)}: invalid syntax")
    number = int(text)
    if number < 0:
        raise _ScheduleError(f"negative number ({number}) not allowed: {text}")
    return number
