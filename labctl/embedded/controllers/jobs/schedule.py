"""Cron schedules: five fields or a macro, as `robfig/cron` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_FARTHEST = timedelta(days=5 * 366)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is to happen.

    Attributes:
        minutes: Minutes of the hour.
        hours: Hours of the day.
        days: Days of the month.
        months: Months.
        weekdays: Days of the week, Sunday is 0.
        any_day: Whether the day of the month was left open (`*`).
        any_weekday: Whether the day of the week was left open.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment, in its time zone; None when there is none within five years."""
        candidate = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        latest = candidate + _FARTHEST
        while candidate < latest:
            if candidate.month not in self.months:
                candidate = (candidate.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._is_day(candidate):
                candidate = candidate.replace(hour=0, minute=0) + timedelta(days=1)
            elif candidate.hour not in self.hours:
                candidate = candidate.replace(minute=0) + timedelta(hours=1)
            elif candidate.minute not in self.minutes:
                candidate += timedelta(minutes=1)
            else:
                return candidate
        return None

    def _is_day(self, moment: datetime) -> bool:
        """When both day fields are given, one of them is enough."""
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return (day and weekday) if self.any_day or self.any_weekday else (day or weekday)


@dataclass(frozen=True, slots=True)
class Every:
    """`@every 90s`: at a fixed distance.

    Attributes:
        distance: The distance; at least a second.
    """

    distance: timedelta

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment."""
        return (moment + self.distance).replace(microsecond=0)


def parse(text: str) -> Schedule | Every:
    """Read a schedule.

    Raises:
        ValueError: It is none.
    """
    text = text.strip()
    if text.startswith("@every "):
        return Every(timedelta(seconds=max(1.0, _duration(text.removeprefix("@every ").strip()))))
    fields = _MACROS.get(text, text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text}")
    minute, hour, day, month, weekday = fields
    return Schedule(
        minutes=_field(minute, 0, 59, {}),
        hours=_field(hour, 0, 23, {}),
        days=_field(day, 1, 31, {}),
        months=_field(month, 1, 12, _MONTHS),
        weekdays=frozenset(number % 7 for number in _field(weekday, 0, 7, _DAYS)),
        any_day=day[0] in "*?",
        any_weekday=weekday[0] in "*?",
    )


def _duration(text: str) -> float:
    seconds, number = 0.0, ""
    for character in text:
        if character in _UNITS:
            seconds += float(number) * _UNITS[character]
            number = ""
        else:
            number += character
    if number:
        raise ValueError(f"not a duration: {text}")
    return seconds


def _field(text: str, lowest: int, highest: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if first in ("*", "?"):
            start, end = lowest, highest
        else:
            start = _number(first, names)
            end = _number(last, names) if dash else (highest if step else start)
        if not lowest <= start <= end <= highest or (step and int(step) < 1):
            raise ValueError(f"out of range: {text}")
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    return names[text.lower()] if text.lower() in names else int(text)
