"""Judging what is text: a command's output, a log's lines, an object's fields. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from labctl.model.lab import OutputExpectation
from labctl.model.reference import field_values
from labctl.model.report import Hits, Verdict
from labctl.objects.manifests import Obj
from labctl.verdict.spread import judge_spread, spread_of

SHOWN_LINES = 4
"""Lines of an output that a verdict shows."""

Expand = Callable[[str], tuple[str, ...]]
"""From a regular expression with references to those it stands for on this cluster."""


def judge_output(
    expect: OutputExpectation,
    text: str,
    *,
    count: str = "",
    exit_code: int | None = None,
    members: tuple[str, ...] = (),
    expand: Expand = lambda pattern: (pattern,),
    confidence: float = 0.999,
) -> tuple[Verdict, tuple[Hits, ...]]:
    """Judge a command's output or a log.

    Args:
        expect: What must be seen.
        text: What was written.
        count: Regular expression; what its first group (or all of it) finds is counted.
        exit_code: The command's.
        members: The pods that must all take part in the split.
        expand: Fills in references.
        confidence: Of a split's judgement.
    """
    found = Counter(_finds(count, text)) if count else Counter[str]()
    broken = [*_broken(expect, text, exit_code, expand), *_miscounted(expect, sum(found.values()), count)]
    if broken:
        return Verdict(False, "exact", "; ".join(broken), None, confidence), _hits(found, {})
    if expect.split is None:
        return Verdict(True, "exact", _held(expect, text, found, count), None, confidence), _hits(found, {})
    spread = spread_of(expect.split, found, members)
    return judge_spread(expect.split, spread, confidence), _hits(spread.counts, spread.shares)


def judge_fields(
    fields: Mapping[str, str], obj: Obj | None, what: str, expand: Expand, confidence: float = 0.999
) -> Verdict:
    """Judge an object: each path's values against its regular expression; the empty one demands that there is none."""
    if obj is None:
        return Verdict(False, "exact", f"there is no {what}", None, confidence)
    broken, seen = [], []
    for path, pattern in fields.items():
        values = field_values(obj, path)
        shown = ", ".join(values) or "not set"
        seen.append(f"{path}: {shown}")
        if not pattern:
            if any(values):
                broken.append(f"{path} of {what} is {shown}, and must not be set")
        elif not values or not all(any(re.fullmatch(form, value) for form in expand(pattern)) for value in values):
            broken.append(f"{path} of {what} is {shown}, expected {' or '.join(expand(pattern))}")
    return Verdict(not broken, "exact", "; ".join(broken or seen), None, confidence)


def _finds(count: str, text: str) -> Iterator[str]:
    for found in re.finditer(count, text, re.MULTILINE):
        yield found.group(1) if found.re.groups else found.group(0)


def _broken(expect: OutputExpectation, text: str, exit_code: int | None, expand: Expand) -> Iterator[str]:
    if expect.exit_code is not None and exit_code is not None and exit_code != expect.exit_code:
        yield f"exit code {exit_code}, expected {expect.exit_code}: {_shown(text)}"
    for pattern in expect.output:
        for form in expand(pattern):
            if not re.search(form, text, re.MULTILINE):
                yield f"nothing in the output matches {form!r}: {_shown(text)}"
    for pattern in expect.absent:
        for form in expand(pattern):
            found = re.search(form, text, re.MULTILINE)
            if found:
                yield f"the output has {found.group(0)!r}, which must not be there"


def _miscounted(expect: OutputExpectation, number: int, count: str) -> Iterator[str]:
    if expect.matches is None:
        return
    fewest, most = expect.matches
    if not fewest <= number <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        yield f"{number} × {count!r}, expected {wanted}"


def _held(expect: OutputExpectation, text: str, found: Counter[str], count: str) -> str:
    if expect.matches is not None:
        return f"{sum(found.values())} × {count!r}, as expected"
    return _shown(text)


def _shown(text: str) -> str:
    """The first lines of an output, in one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    more = " …" if len(lines) > SHOWN_LINES else ""
    return " | ".join(line[:160] for line in lines[:SHOWN_LINES]) + more if lines else "no output"


def _hits(counts: Mapping[str, int], shares: Mapping[str, float]) -> tuple[Hits, ...]:
    total = sum(counts.values()) or 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Hits(key, {}, hits, hits / total, shares.get(key)) for key, hits in ordered)
