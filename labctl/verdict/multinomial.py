"""The multinomial distribution: whether counts over several keys fit given shares."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.verdict.special import chi_square_tail

EXACT_MOST = 30_000
"""Possible tables of counts up to which every one is looked at."""
CHI_SQUARE_EXPECTED = 20.0
"""Smallest expected count from which the chi-square distribution is good enough as far out as p = 0.001.

Cochran's rule (5) is made for p = 0.05. By enumeration of all tables, the test at 0.001 then refuses in truth with
0.0009 for equal shares; unequal shares need more (0.0024 at 5 expected, 0.0013 at 20, for 80/10/10), so the bound grows
with the ratio of the largest to the smallest share, up to ten times this.
"""
SIMULATED_MOST = 20_000
"""Observations up to which a run is simulated; above, chi-square serves with any expected counts."""
ROUNDS = 9_999
"""Simulated runs of a Monte Carlo test: with 9,999 a p-value of 0.001 is 9 of them or fewer."""
SURE = 50
"""A Monte Carlo test stops early once so many simulated runs were at least as unusual (Besag & Clifford 1991)."""
CLEAR = 1e-6
"""Where an upper bound of the p-value is below this, nothing is simulated."""
SEED = 20_240_909
_TIE = 1e-7


@dataclass(frozen=True, slots=True)
class Fit:
    """A goodness-of-fit test's answer: its p-value and the method that gave it."""

    p_value: float
    method: str


def goodness_of_fit(counts: Sequence[int], shares: Sequence[float]) -> Fit:
    """Whether counts fit the shares that were expected.

    Three methods, the first that is applicable:

    - exact multinomial test: the total probability of all tables of counts that are at most as probable as the
      observed one (Cressie & Read, *Goodness-of-Fit Statistics for Discrete Multivariate Data*, 1988), when there are
      at most 30,000 such tables;
    - Pearson's chi-square test, when the expected counts are large enough for it (`chi_square_fits`);
    - Monte Carlo: 9,999 simulated runs with a fixed seed, ordered by Pearson's statistic; p = (b + 1) / (m + 1)
      (Davison & Hinkley, *Bootstrap Methods and their Application*, 1997, section 4.2), stopped early when it is
      clear that p is large (Besag & Clifford, Biometrika 78, 1991). Such a p is never below 1e-4; where the number of
      tables times the probability of the observed one, which p of the exact test cannot exceed, is below 1e-6, that
      is the answer.

    Args:
        counts: Observed, one per key.
        shares: Expected probabilities, one per key, each above 0, with the sum 1.

    Raises:
        ValueError: Not one positive share per count, or they do not sum to 1.
    """
    if len(counts) != len(shares) or not counts or min(shares) <= 0 or not math.isclose(sum(shares), 1, abs_tol=1e-9):
        raise ValueError(f"{len(counts)} counts cannot be compared with shares {shares}")
    total = sum(counts)
    if len(counts) == 1 or not total:
        return Fit(1.0, "exact multinomial")
    if math.comb(total + len(counts) - 1, len(counts) - 1) <= EXACT_MOST:
        return Fit(_exact(counts, shares), "exact multinomial")
    statistic = pearson(counts, shares)
    if chi_square_fits(total, shares):
        return Fit(chi_square_tail(statistic, len(counts) - 1), "chi-square")
    bound = _exact_at_most(counts, shares)
    if bound < CLEAR:
        return Fit(bound, "multinomial bound")
    return Fit(_monte_carlo(statistic, total, shares), "Monte Carlo multinomial")


def chi_square_fits(total: int, shares: Sequence[float]) -> bool:
    """Whether the chi-square distribution describes Pearson's statistic well enough (see CHI_SQUARE_EXPECTED)."""
    skew = min(max(shares) / min(shares), 10.0)
    return total * min(shares) >= CHI_SQUARE_EXPECTED * skew or total > SIMULATED_MOST


def pearson(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Pearson's X²: the sum of (observed - expected)² / expected (Pearson 1900)."""
    total = sum(counts)
    return sum((count - total * share) ** 2 / (total * share) for count, share in zip(counts, shares, strict=True))


def _exact_at_most(counts: Sequence[int], shares: Sequence[float]) -> float:
    """An upper bound of the exact test's p-value: each of the tables it sums is at most as probable as this one."""
    total, keys = sum(counts), len(counts)
    tables = math.lgamma(total + keys) - math.lgamma(total + 1) - math.lgamma(keys)
    return math.exp(min(0.0, tables + _log_pmf(counts, shares)))


def _log_pmf(counts: Sequence[int], shares: Sequence[float]) -> float:
    terms = (count * math.log(share) - math.lgamma(count + 1) for count, share in zip(counts, shares, strict=True))
    return math.lgamma(sum(counts) + 1) + sum(terms)


def _exact(counts: Sequence[int], shares: Sequence[float]) -> float:
    total = sum(counts)
    logs = [math.log(share) for share in shares]
    factorials = [math.lgamma(count + 1) for count in range(total + 1)]
    limit = _log_pmf(counts, shares) + _TIE
    tables = _tables(total, logs, factorials, factorials[total])
    return min(1.0, math.fsum(math.exp(each) for each in tables if each <= limit))


def _tables(left: int, logs: Sequence[float], factorials: Sequence[float], so_far: float) -> Iterator[float]:
    """Log-probability of every table of counts."""
    if len(logs) == 2:
        first, last = logs
        for count in range(left + 1):
            rest = left - count
            yield so_far + count * first - factorials[count] + rest * last - factorials[rest]
        return
    for count in range(left + 1):
        yield from _tables(left - count, logs[1:], factorials, so_far + count * logs[0] - factorials[count])


def _monte_carlo(statistic: float, total: int, shares: Sequence[float]) -> float:
    draw = random.Random(SEED)  # noqa: S311 - statistics, not secrets
    keys = range(len(shares))
    as_unusual = 0
    for round_number in range(1, ROUNDS + 1):
        drawn = Counter(draw.choices(keys, shares, k=total))
        if pearson([drawn[key] for key in keys], shares) >= statistic - _TIE:
            as_unusual += 1
            if as_unusual == SURE:
                return SURE / round_number
    return (as_unusual + 1) / (ROUNDS + 1)
