"""Round robin by several workers, each with a cursor of its own, as nginx balances."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.verdict import binomial
from labctl.verdict.multinomial import CLEAR, ROUNDS, SEED, SURE, pearson
from labctl.verdict.special import chi_square_quantile, chi_square_tail

WORKERS_MOST = 64
"""Workers that are thought possible when nobody says how many there are: nginx starts one per CPU."""
_TIE = 1e-7
_NORMAL_WORKERS = 16
"""From so many workers on a clear refusal needs no simulation."""
_EVEN_PODS, _EVEN_DISTANCE = 8, 30.0
"""Up to so many pods, and so far from even (sum of squared differences), evenness is computed exactly."""


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """How counts compare with round robin.

    Attributes:
        workers: The number of workers that was assumed (given, or WORKERS_MOST).
        fewest: The fewest workers that explain the counts: their bound allows them, and at the confidence asked for
            they are no surprise (approximate); at most WORKERS_MOST + 1, which says that not even so many do.
        p_value: Probability that so many workers spread at least this unevenly; 0 beyond the bound.
        chance_even: Probability that a random spread comes out at least this even: small means that the counts
            prove that it is no chance.
        detects: Probability that this many requests expose a random spread at the confidence asked for
            (approximate).
    """

    workers: int
    fewest: int
    p_value: float
    chance_even: float
    detects: float


def fewest_workers(counts: Sequence[int]) -> int:
    """The fewest workers that can have brought these counts.

    Of the n requests that one worker got, round robin gives each of k pods either ⌊n/k⌋ or ⌈n/k⌉, wherever its cursor
    began: the counts of one worker differ by at most 1. A pod's count is the sum over the workers, so the counts of W
    workers differ by at most W; none is further than W (k - 1) / k from its even share. So W ≥ max - min.

    The bound holds when nobody else sends requests to the same upstream, its pods stay the same and no request is
    tried again elsewhere: each of these moves a cursor unseen.
    """
    return max(1, max(counts) - min(counts))


def compare(counts: Sequence[int], workers: int, confidence: float) -> RoundRobin:
    """Compare counts with round robin.

    The bound alone is weak: with many workers a random spread stays within it. But workers whose cursors begin
    anywhere (ingress-nginx begins at random) rarely err in the same direction, so the spread of W of them is far
    evener than the bound: X² is about W (k + 1) / 6n times that of a random spread, for n ≫ W k. The p-value is that of
    Pearson's X² among simulated runs: W workers, cursors at random places, requests spread over the workers at random
    (Monte Carlo, as in `multinomial.goodness_of_fit`). With an unknown number of workers, 64 are simulated: fewer
    spread evener still, so true round robin is refused even more rarely than stated.

    Args:
        counts: Requests per pod; all pods that take part, at least two of them, at least one request.
        workers: How many there are; 0 for unknown.
        confidence: Of the test, for `detects`.
    """
    assumed = workers or WORKERS_MOST
    total, pods = sum(counts), len(counts)
    bound = fewest_workers(counts)
    statistic = pearson(counts, [1 / pods] * pods)
    residues = _residues(total, assumed, pods)
    return RoundRobin(
        workers=assumed,
        fewest=_fewest_plausible(bound, statistic, total, pods, 1 - confidence),
        p_value=0.0 if bound > assumed else _p_value(statistic, total, residues, assumed),
        chance_even=chance_even(counts),
        detects=_detects(total, residues, assumed, confidence),
    )


def chance_even(counts: Sequence[int]) -> float:
    """Probability that a random spread comes out at least as even as these counts, by X².

    Exact for two pods (binomial) and for few pods close to even (the multinomial probabilities of all such tables,
    summed pod by pod); by the chi-square distribution elsewhere.
    """
    total, pods = sum(counts), len(counts)
    if pods == 2:
        return 1 - min(1.0, 2 * binomial.tail(max(counts) + 1, total, 0.5, upper=True))
    if pods <= _EVEN_PODS and sum((count - total / pods) ** 2 for count in counts) <= _EVEN_DISTANCE:
        return _chance_even_exact(counts)
    return 1 - chi_square_tail(pearson(counts, [1 / pods] * pods), pods - 1)


def _chance_even_exact(counts: Sequence[int]) -> float:
    """Sum the probabilities of the tables by their total and their distance from even, one pod at a time.

    Differences are counted in k-ths of a request (k c - n), which are whole numbers.
    """
    total, pods = sum(counts), len(counts)
    limit = sum((pods * count - total) ** 2 for count in counts)
    reach = math.isqrt(limit)
    even = math.lgamma(total / pods + 1)  # Taken out of every factor, so that none is too small for a float.
    candidates = [
        (count, (pods * count - total) ** 2, math.exp(even - math.lgamma(count + 1)))
        for count in range(max(0, -(-(total - reach) // pods)), (total + reach) // pods + 1)
    ]
    states = {(0, 0): 1.0}
    for _ in range(pods):
        following: dict[tuple[int, int], float] = {}
        for (so_far, distance), weight in states.items():
            for count, square, factor in candidates:
                if distance + square <= limit:
                    key = (so_far + count, distance + square)
                    following[key] = following.get(key, 0.0) + weight * factor
        states = following
    wanted = math.fsum(weight for (so_far, _), weight in states.items() if so_far == total)
    return min(1.0, wanted * math.exp(math.lgamma(total + 1) - total * math.log(pods) - pods * even))


def _residues(total: int, workers: int, pods: int) -> list[float]:
    """P(r): how many requests one worker has beyond whole turns around the pods, n mod k with n ~ Bin(total, 1/W)."""
    share = 1 / workers
    mean, deviation = total * share, math.sqrt(total * share * (1 - share))
    weights = [0.0] * pods
    for count in range(max(0, math.floor(mean - 8 * deviation)), min(total, math.ceil(mean + 8 * deviation)) + 1):
        weights[count % pods] += math.exp(binomial.log_pmf(count, total, share))
    return weights


def _fewest_plausible(bound: int, statistic: float, total: int, pods: int, alpha: float) -> int:
    """The fewest workers, `bound` or more, under which the statistic is no surprise: more workers, more spread."""
    low, high = min(bound, WORKERS_MOST + 1), WORKERS_MOST + 1
    while low < high:
        middle = (low + high) // 2
        if _normal_p_value(statistic, total, _residues(total, middle, pods), middle) >= alpha:
            high = middle
        else:
            low = middle + 1
    return low


def _p_value(statistic: float, total: int, residues: Sequence[float], workers: int) -> float:
    if workers >= _NORMAL_WORKERS:
        clearly = _normal_p_value(statistic, total, residues, workers)
        if clearly < CLEAR:
            return clearly
    draw = random.Random(SEED)  # noqa: S311 - statistics, not secrets
    pods = len(residues)
    kinds = [
        (extra, [(pod - start) % pods < extra for pod in range(pods)]) for extra in range(pods) for start in range(pods)
    ]
    weights = [residues[extra] for extra in range(pods) for _ in range(pods)]
    as_uneven = 0
    for round_number in range(1, ROUNDS + 1):
        drawn = draw.choices(kinds, weights, k=workers - 1) if workers > 1 else []
        last = (total - sum(extra for extra, _ in drawn)) % pods
        drawn.append(kinds[last * pods + draw.randrange(pods)])
        extras = [sum(column) for column in zip(*(turn for _, turn in drawn), strict=True)]
        mean = sum(extras) / pods
        if sum((extra - mean) ** 2 for extra in extras) * pods / total >= statistic - _TIE:
            as_uneven += 1
            if as_uneven == SURE:
                return SURE / round_number
    return (as_uneven + 1) / (ROUNDS + 1)


def _normal_p_value(statistic: float, total: int, residues: Sequence[float], workers: int) -> float:
    """The p-value as if the workers' sum were normal, as uneven in every direction as in its most uneven one.

    A worker's surplus is a run of r pods from a random one on, so the covariance is circulant; its eigenvalues are the
    mean squares of the run's Fourier coefficients. Sums of bounded terms have lighter tails than the normal.
    """
    pods = len(residues)

    def variance(wave: int) -> float:
        runs = (weight * math.sin(math.pi * wave * extra / pods) ** 2 for extra, weight in enumerate(residues))
        return workers * sum(runs) / (pods * math.sin(math.pi * wave / pods) ** 2)

    widest = max(variance(wave) for wave in range(1, pods))
    return chi_square_tail(statistic * total / pods / widest, pods - 1) if widest > _TIE else 1.0


def _detects(total: int, residues: Sequence[float], workers: int, confidence: float) -> float:
    """Probability that a random spread is refused, taking both X² as chi-square distributed, one of them shrunk."""
    pods = len(residues)
    variance = workers * sum(weight * extra * (pods - extra) for extra, weight in enumerate(residues)) / pods**2
    shrink = variance * pods**2 / total / (pods - 1)
    return chi_square_tail(shrink * chi_square_quantile(1 - confidence, pods - 1), pods - 1)
