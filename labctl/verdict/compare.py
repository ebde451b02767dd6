"""Two runs of the same check: what differs beyond chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labctl.model.report import Difference
from labctl.verdict.multinomial import pearson
from labctl.verdict.special import chi_square_tail
from labctl.verdict.words import percent


@dataclass(frozen=True, slots=True)
class Run:
    """What two runs of a check are compared by.

    Attributes:
        hits: Key → answers.
        requests: Requests sent.
        errors: Requests without an answer.
        status: HTTP status → answers.
        histogram: Latency from (ms) → answers; empty where the report has none.
        p50: Median latency in ms; None without an answer.
        p99: The same for 99 %.
    """

    hits: Mapping[str, int]
    requests: int
    errors: int
    status: Mapping[str, int]
    histogram: Mapping[float, int]
    p50: float | None = None
    p99: float | None = None


def differences(first: Run, second: Run, check: str = "") -> list[Difference]:
    """Shares of the keys, statuses, errors and latency of two runs, each with its p-value."""
    keys = _keys(first.hits, second.hits)
    found = [
        Difference(
            "shares", _shares(first.hits, keys), _shares(second.hits, keys), homogeneity(first.hits, second.hits)
        ),
        Difference("status", _counts(first.status), _counts(second.status), homogeneity(first.status, second.status)),
        Difference(
            "errors",
            f"{first.errors} of {first.requests:,}",
            f"{second.errors} of {second.requests:,}",
            homogeneity(
                {"lost": first.errors, "answered": first.requests - first.errors},
                {"lost": second.errors, "answered": second.requests - second.errors},
            ),
        ),
        Difference("latency", _latency(first), _latency(second), rank_sum(first.histogram, second.histogram)),
    ]
    return [Difference(d.what, d.before, d.after, d.p_value, check=check) for d in found]


def significant(found: Sequence[Difference], confidence: float) -> list[Difference]:
    """Mark what is beyond chance; the more is compared, the clearer each must be (S. Holm, Scand. J. Stat. 6, 1979)."""
    ordered = sorted(range(len(found)), key=lambda number: found[number].p_value)
    marked: set[int] = set()
    for rank, number in enumerate(ordered):
        if found[number].p_value * (len(found) - rank) > 1 - confidence:
            break
        marked.add(number)
    return [
        Difference(d.what, d.before, d.after, d.p_value, number in marked, d.check) for number, d in enumerate(found)
    ]


def homogeneity(first: Mapping[str, int], second: Mapping[str, int]) -> float:
    """p-value of "both counts come from the same shares".

    Two keys: Fisher's exact test (R. A. Fisher 1935; two-sided by small p-values). More: Pearson's chi-square test of
    homogeneity with (k - 1) degrees of freedom, keys that are too rare for it (expected below 5) taken together.
    """
    keys = [key for key in _keys(first, second) if first.get(key, 0) + second.get(key, 0)]
    one, two = [first.get(key, 0) for key in keys], [second.get(key, 0) for key in keys]
    if not sum(one) or not sum(two):
        return 1.0
    one, two = _pooled(one, two)
    if len(one) < 2:
        return 1.0
    if len(one) == 2:
        return fisher(one[0], one[1], two[0], two[1])
    total = sum(one) + sum(two)
    shares = [(a + b) / total * sum(side) / total for side in (one, two) for a, b in zip(one, two, strict=True)]
    return chi_square_tail(pearson([*one, *two], shares), len(one) - 1)


def _pooled(one: list[int], two: list[int]) -> tuple[list[int], list[int]]:
    """Rare keys summed into one, as far as more than two keys are left."""
    smaller = min(sum(one), sum(two)) / (sum(one) + sum(two))
    rare = [n for n in range(len(one)) if (one[n] + two[n]) * smaller < 5]
    if len(one) <= 2 or len(rare) < 2:
        return one, two
    common = [n for n in range(len(one)) if n not in rare]
    return (
        [*(one[n] for n in common), sum(one[n] for n in rare)],
        [*(two[n] for n in common), sum(two[n] for n in rare)],
    )


def fisher(a: int, b: int, c: int, d: int) -> float:
    """p-value of Fisher's exact test of the table a b / c d."""
    row, column, total = a + b, a + c, a + b + c + d

    def log_p(x: int) -> float:
        return _log_choose(column, x) + _log_choose(total - column, row - x) - _log_choose(total, row)

    limit = log_p(a) + 1e-7
    lowest, highest = max(0, row + column - total), min(row, column)
    return min(1.0, math.fsum(math.exp(p) for x in range(lowest, highest + 1) if (p := log_p(x)) <= limit))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def rank_sum(first: Mapping[float, int], second: Mapping[float, int]) -> float:
    """p-value of the Mann-Whitney U test on two histograms, with ties and normal approximation (Lehmann 1975)."""
    one, two = sum(first.values()), sum(second.values())
    total = one + two
    if not one or not two:
        return 1.0
    below, ranks, ties = 0, 0.0, 0
    for low in sorted({*first, *second}):
        count = first.get(low, 0) + second.get(low, 0)
        ranks += first.get(low, 0) * (below + (count + 1) / 2)
        ties += count**3 - count
        below += count
    variance = one * two / 12 * ((total + 1) - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    distance = abs(ranks - one * (one + 1) / 2 - one * two / 2)
    return math.erfc(max(0.0, distance - 0.5) / math.sqrt(2 * variance))


def _keys(first: Mapping[str, int], second: Mapping[str, int]) -> list[str]:
    return list(dict.fromkeys((*first, *second)))


def _shares(hits: Mapping[str, int], keys: Sequence[str]) -> str:
    total = sum(hits.values())
    shown = [f"{key} {percent(hits.get(key, 0) / total) if total else '-'}" for key in keys[:6]]
    return ", ".join(shown) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")


def _counts(status: Mapping[str, int]) -> str:
    return ", ".join(f"{code}×{count}" for code, count in status.items()) or "none"


def _latency(run: Run) -> str:
    if run.p50 is None or run.p99 is None:
        return "none"
    return f"p50 {run.p50:.1f} ms, p99 {run.p99:.1f} ms"
