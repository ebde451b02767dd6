"""How many requests it takes to see a wrong share."""

from __future__ import annotations

import math
from collections.abc import Mapping

from labctl.verdict import binomial
from labctl.verdict.special import chi_square_quantile, chi_square_tail

POWER = 0.95
"""How surely a share that strays as far as stated is found."""
REQUESTS_MOST = 100_000_000


def requests_to_detect(shares: Mapping[str, float], stray: float, confidence: float, power: float = POWER) -> int:
    """The fewest requests after which a share that is wrong by `stray` is refused with probability `power`.

    With two keys by the exact binomial test and its exact power; with more by Pearson's chi-square, whose power is the
    noncentral chi-square distribution (J. Cohen, *Statistical Power Analysis*, 1988, chapter 7), for the least visible
    way to stray: one key off by `stray`, the others making up for it in proportion.

    Raises:
        ValueError: Fewer than two keys, or no share can be off by so much.
    """
    possible = {key: share for key, share in shares.items() if share > 0}
    options = [
        (share, share + sign * stray)
        for share in possible.values()
        for sign in (1, -1)
        if 0 <= share + sign * stray <= 1
    ]
    if len(possible) < 2 or not options or stray <= 0:
        raise ValueError(f"no share of {dict(shares)} can be off by {stray}")

    def enough(requests: int) -> bool:
        if len(possible) == 2:
            return all(power_of_two(requests, share, truth, confidence) >= power for share, truth in options)
        effect = min((truth - share) ** 2 / share + (truth - share) ** 2 / (1 - share) for share, truth in options)
        degrees = len(possible) - 1
        return noncentral_tail(chi_square_quantile(1 - confidence, degrees), degrees, requests * effect) >= power

    high = 1
    while not enough(high):
        high *= 2
        if high > REQUESTS_MOST:
            raise ValueError(f"more than {REQUESTS_MOST} requests")
    low = high // 2
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def power_of_two(requests: int, share: float, truth: float, confidence: float) -> float:
    """How often the exact binomial test of `share` refuses when `truth` holds."""
    low, high = accepted(requests, share, confidence)
    below = binomial.tail(low - 1, requests, truth, upper=False) if low > 0 else 0.0
    above = binomial.tail(high + 1, requests, truth, upper=True) if high < requests else 0.0
    return below + above


def accepted(requests: int, share: float, confidence: float) -> tuple[int, int]:
    """The fewest and the most hits that the exact binomial test accepts."""
    middle = round(requests * share)

    def edge(inside: int, outside: int) -> int:
        if binomial.two_sided(outside, requests, share) >= 1 - confidence:
            return outside
        while abs(outside - inside) > 1:
            between = (inside + outside) // 2
            fits = binomial.two_sided(between, requests, share) >= 1 - confidence
            inside, outside = (between, outside) if fits else (inside, between)
        return inside

    return edge(middle, 0), edge(middle, requests)


def noncentral_tail(value: float, degrees: int, noncentrality: float) -> float:
    """P(X ≥ value) of a noncentral chi-square: a Poisson mixture of central ones."""
    half = noncentrality / 2
    middle = math.floor(half)
    spread = 12 * math.isqrt(middle + 1) + 20
    total = 0.0
    for j in range(max(0, middle - spread), middle + spread + 1):
        weight = math.exp(j * math.log(half) - half - math.lgamma(j + 1)) if half else float(j == 0)
        total += weight * chi_square_tail(value, degrees + 2 * j)
    return min(1.0, total)


def expected_band(requests: int, share: float, confidence: float) -> tuple[float, float]:
    """Between which shares an expected share comes out, at this confidence: the band that reports show."""
    if not requests or not 0 < share < 1:
        return share, share
    low, high = accepted(requests, share, confidence)
    return low / requests, high / requests
