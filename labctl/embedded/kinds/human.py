"""Times, labels and lists as the API server words them in Tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from labctl.embedded.clientset import Obj

_DAY = 24
_YEAR = 365 * _DAY


def parse_time(text: str) -> datetime:
    """A `metav1.Time` or `MicroTime`."""
    return datetime.fromisoformat(text).astimezone(UTC)


def age(text: str | None, now: datetime) -> str:
    """How long ago a time is; `<unknown>` when there is none."""
    return duration(now - parse_time(text)) if text else "<unknown>"


def duration(elapsed: timedelta) -> str:
    """`duration.HumanDuration`: two units at most, coarser the longer it is: `45s`, `3m20s`, `27h`, `5d3h`, `2y10d`."""
    total = elapsed.total_seconds()
    seconds = int(total)
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 2 * _DAY:
        return f"{hours}h"
    if hours < 8 * _DAY:
        return _two(hours // _DAY, "d", hours % _DAY, "h")
    if hours < 2 * _YEAR:
        return f"{hours // _DAY}d"
    if hours < 8 * _YEAR:
        return _two(hours // _YEAR, "y", hours // _DAY % 365, "d")
    return f"{hours // _YEAR}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def labels(pairs: Obj | None) -> str:
    """`a=b,c=d`, sorted; `<none>` without any."""
    return ",".join(f"{key}={pairs[key]}" for key in sorted(pairs)) if pairs else "<none>"


def selector(label_selector: Any) -> str:
    """A LabelSelector in kubectl's syntax, sorted by key; empty for one that selects all or nothing."""
    if not label_selector:
        return ""
    parts = [(key, f"{key}={value}") for key, value in label_selector.get("matchLabels", {}).items()]
    parts += [(item["key"], _requirement(item)) for item in label_selector.get("matchExpressions", ())]
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def selector_or_none(label_selector: Any) -> str:
    """The same with `<none>` for an empty one (`metav1.FormatLabelSelector`)."""
    return selector(label_selector) or "<none>"


def _requirement(requirement: Obj) -> str:
    key, operator = requirement["key"], requirement["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return key if operator == "Exists" else f"!{key}"
    values = ",".join(sorted(requirement.get("values", ())))
    return f"{key} {'in' if operator == 'In' else 'notin'} ({values})"


def some(items: Iterable[str], limit: int = 3, *, empty: str = "<unset>") -> str:
    """The first items and how many more there are."""
    listed = list(items)
    text = ",".join(listed[:limit])
    if len(listed) > limit:
        return f"{text} + {len(listed) - limit} more..."
    return text or empty
