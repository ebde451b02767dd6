"""The course of a run: who answered when, and whether that changed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from labctl.model.probe import CountBy, Fold
from labctl.model.report import Change, Moment
from labctl.verdict.special import chi_square_tail
from labctl.verdict.tally import key_of

SLOTS_SHOWN = 60
KEYS_SHOWN = 8
OTHERS = "(others)"
CHANGE_CONFIDENCE = 0.999
ROUNDS = 1_999
SEED = 20_240_909
SIMULATED_MOST = 500
"""Requests up to which chance is simulated."""
SIDE_LEAST = 20
"""Answers per key that both sides of a boundary need where the chi-square distribution serves."""


def course(fold: Fold, by: CountBy, nodes: Mapping[str, str]) -> tuple[tuple[Moment, ...], float]:
    """The time line in at most 60 slots, by key (the most frequent ones; the rest is summed), and a slot's seconds."""
    line = fold.timeline.fewer(SLOTS_SHOWN)
    totals: dict[str, int] = {}
    for outcome, count in fold.outcomes.items():
        if outcome.error is None:
            key = key_of(outcome, by, nodes)
            totals[key] = totals.get(key, 0) + count
    shown = set(sorted(totals, key=lambda key: (-totals[key], key))[:KEYS_SHOWN])
    moments = []
    for at, counts in line.rows():
        hits: dict[str, int] = {}
        errors: dict[str, int] = {}
        for outcome, count in counts.items():
            into, key = (hits, key_of(outcome, by, nodes)) if outcome.error is None else (errors, outcome.error.name)
            key = key if outcome.error or key in shown else OTHERS
            into[key] = into.get(key, 0) + count
        moments.append(Moment(at, hits, errors))
    return tuple(moments), line.width


def find_change(moments: Sequence[Moment]) -> Change | None:
    """The moment from which on the shares of keys and errors are others, if chance does not explain it.

    For every boundary between two slots, the likelihood-ratio statistic G of "one set of shares before, another after"
    against "one set throughout" is taken, and the largest over all boundaries looked at (D. V. Hinkley and
    E. A. Hinkley, "Inference about the change-point in a sequence of binomial variables", Biometrika 57, 1970, for two
    keys; the multinomial form is the same). How large it gets by chance depends on the slots, so its p-value is that of
    1,999 runs whose answers were dealt to the slots at random (a permutation test: Davison & Hinkley, *Bootstrap
    Methods and their Application*, 1997, section 4.3). Beyond 500 answers G at one boundary is taken as chi-square
    distributed (S. S. Wilks 1938), only boundaries with enough answers on both sides count, and p is multiplied by
    their number (Bonferroni). Answers by turns stray less than random ones: round robin is refused even more rarely.
    """
    keys = sorted({key for moment in moments for key in (*moment.hits, *moment.errors)})
    rows = [[moment.hits.get(key, 0) + moment.errors.get(key, 0) for key in keys] for moment in moments]
    if len(keys) < 2 or sum(any(row) for row in rows) < 2:
        return None
    simulated = sum(map(sum, rows)) <= SIMULATED_MOST
    best, place = largest(rows, 1 if simulated else SIDE_LEAST * len(keys))
    p_value = _by_chance(rows, best) if simulated else len(rows) * chi_square_tail(best, len(keys) - 1)
    if p_value >= 1 - CHANGE_CONFIDENCE:
        return None
    before, after = _shares(keys, rows[:place]), _shares(keys, rows[place:])
    return Change(moments[place].at_s, p_value, before, after)


def largest(rows: Sequence[Sequence[int]], least: int = 1) -> tuple[float, int]:
    """The largest G over all boundaries with `least` answers on both sides, and the first row after it."""
    totals = [sum(column) for column in zip(*rows, strict=True)]
    whole = _entropy(totals)
    before = [0] * len(totals)
    best, place = 0.0, 0
    for index, row in enumerate(rows[:-1], 1):
        before = [old + new for old, new in zip(before, row, strict=True)]
        after = [total - old for total, old in zip(totals, before, strict=True)]
        if min(sum(before), sum(after)) < least:
            continue
        statistic = 2 * (_entropy(before) + _entropy(after) - whole)
        if statistic > best + 1e-9:
            best, place = statistic, index
    return best, place


def _entropy(counts: Sequence[int]) -> float:
    """Σ n·log(n/N): the logarithm of the likelihood at its largest."""
    total = sum(counts)
    return sum(count * math.log(count / total) for count in counts if count)


def _by_chance(rows: Sequence[Sequence[int]], observed: float) -> float:
    draw = random.Random(SEED)  # noqa: S311 - statistics, not secrets
    sizes = [sum(row) for row in rows]
    totals = [sum(column) for column in zip(*rows, strict=True)]
    deck = [key for key, total in enumerate(totals) for _ in range(total)]
    as_clear = 0
    for done in range(1, ROUNDS + 1):
        draw.shuffle(deck)
        if largest(_dealt(deck, sizes, len(totals)))[0] >= observed - 1e-9:
            as_clear += 1
            if as_clear == 10:
                return as_clear / done
    return (as_clear + 1) / (ROUNDS + 1)


def _dealt(deck: Sequence[int], sizes: Sequence[int], keys: int) -> list[list[int]]:
    rows, begin = [], 0
    for size in sizes:
        part = deck[begin : begin + size]
        rows.append([part.count(key) for key in range(keys)])
        begin += size
    return rows


def _shares(keys: Sequence[str], rows: Sequence[Sequence[int]]) -> dict[str, float]:
    totals = [sum(column) for column in zip(*rows, strict=True)]
    return {key: count / (sum(totals) or 1) for key, count in zip(keys, totals, strict=True)}
