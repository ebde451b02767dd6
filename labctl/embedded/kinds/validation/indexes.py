"""Lists of a Job's indexes, such as `0,2-4`."""

from __future__ import annotations

import re

from labctl.embedded.kinds.field import quote


class _IntervalError(Exception):
    """Carries what is wrong."""


def indexes_problem(text: str, completions: int) -> tuple[int, str]:
    """How many indexes a list has, and what is wrong with it: indexes are below `completions` and in order."""
    total, last = 0, -1
    try:
        for part in text.split(",") if text else ():
            first, end = _interval(part, completions)
            if last >= first:
                return 0, f"non-increasing order, previous: {last}, current: {first}"
            total += end - first + 1
            last = end
    except _IntervalError as problem:
        return 0, str(problem)
    return total, ""


def _interval(text: str, completions: int) -> tuple[int, int]:
    limits = text.split("-")
    if len(limits) > 2:
        rule = "violates the requirement that an index interval can have at most two parts separated by '-'"
        raise _IntervalError(f"the fragment {quote(text)} {rule}")
    numbers = [_index(limit, completions) for limit in limits]
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        raise _IntervalError(f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}")
    return numbers[0], numbers[-1]


def _index(text: str, completions: int) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise _IntervalError(f"cannot convert string to integer for index: {quote(text)}")
    if int(text) >= completions:
        raise _IntervalError(f"too large index: {quote(text)}")
    return int(text)
