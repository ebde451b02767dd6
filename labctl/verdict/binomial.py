"""The binomial distribution: how often one of two things happens, and whether a count is surprising."""

from __future__ import annotations

import math

_TIE = 1 + 1e-7
"""Probabilities closer than this count as equal (rounding), as in R's binom.test and scipy's binomtest."""


def log_pmf(hits: int, trials: int, share: float) -> float:
    """Natural logarithm of the probability of exactly `hits` successes."""
    if share in (0.0, 1.0):
        certain = trials if share == 1.0 else 0
        return 0.0 if hits == certain else -math.inf
    ways = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
    return ways + hits * math.log(share) + (trials - hits) * math.log1p(-share)


def tail(hits: int, trials: int, share: float, *, upper: bool) -> float:
    """P(X ≥ hits) or P(X ≤ hits): the terms are summed outward until they no longer matter."""
    if not 0 <= hits <= trials:
        return 1.0 if (hits < 0) == upper else 0.0
    if share in (0.0, 1.0):
        certain = trials if share == 1.0 else 0
        return 1.0 if (certain >= hits if upper else certain <= hits) else 0.0
    odds = share / (1 - share)
    scale = log_pmf(hits, trials, share)
    total = term = 1.0
    here = hits
    while (here < trials) if upper else (here > 0):
        if upper:
            term *= odds * (trials - here) / (here + 1)
            here += 1
        else:
            term *= here / (odds * (trials - here + 1))
            here -= 1
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, math.exp(scale + math.log(total)))


def two_sided(hits: int, trials: int, share: float) -> float:
    """p-value of the exact two-sided binomial test.

    The probability, if the true share is `share`, of all counts that are at most as probable as the observed one
    ("method of small p-values": Clopper & Pearson 1934 for the tails; Hirji, *Exact Analysis of Discrete Data*, 2006,
    section 3.3 for the two-sided ordering). The test is exact: it refuses a true share with at most the stated
    probability, for any number of trials.

    Args:
        hits: Observed successes.
        trials: Observations.
        share: Hypothesised probability of a success, 0…1.

    Raises:
        ValueError: Not 0 ≤ hits ≤ trials, or the share is no probability.
    """
    if not (0 <= hits <= trials and 0 <= share <= 1):
        raise ValueError(f"{hits} of {trials} at share {share}")
    if share in (0.0, 1.0):
        return 1.0 if hits == round(trials * share) else 0.0
    mode = min(trials, math.floor((trials + 1) * share))
    limit = log_pmf(hits, trials, share) + math.log(_TIE)
    if log_pmf(mode, trials, share) <= limit:
        return 1.0
    upper = hits > mode
    near = tail(hits, trials, share, upper=upper)
    other = _opposite(mode, trials, share, limit, upper=upper)
    far = tail(other, trials, share, upper=not upper)
    return min(1.0, near + far)


def _opposite(mode: int, trials: int, share: float, limit: float, *, upper: bool) -> int:
    """On the other side of the mode, the count nearest to it that is at most as probable as `limit` (logarithm).

    Returns -1 or trials + 1 when no count there is that improbable.
    """
    near, far = (mode, -1) if upper else (mode, trials + 1)
    while abs(near - far) > 1:
        middle = (near + far) // 2
        if log_pmf(middle, trials, share) <= limit:
            far = middle
        else:
            near = middle
    return far
