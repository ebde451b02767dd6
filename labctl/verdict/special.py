"""The one special function that is needed and that the standard library does not have."""

from __future__ import annotations

import math

_EPSILON = 1e-16
_TINY = 1e-300


def chi_square_tail(value: float, degrees: int) -> float:
    """P(X ≥ value) for a chi-square distributed X.

    This is the regularised upper incomplete gamma function Q(degrees/2, value/2): its series (DLMF 8.7.1,
    https://dlmf.nist.gov/8.7) below the mean, its continued fraction (DLMF 8.9.2) by Lentz' method above.

    Args:
        value: The statistic, at least 0.
        degrees: Degrees of freedom, at least 1.
    """
    shape, x = degrees / 2, value / 2
    if x <= 0:
        return 1.0
    factor = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        return max(0.0, 1 - factor * _series(shape, x))
    return min(1.0, factor * _fraction(shape, x))


def _series(shape: float, x: float) -> float:
    term = total = 1 / shape
    step = shape
    while term > total * _EPSILON:
        step += 1
        term *= x / step
        total += term
    return total


def _fraction(shape: float, x: float) -> float:
    b = x + 1 - shape
    c = 1 / _TINY
    d = 1 / b
    result = d
    for i in range(1, 10_000):
        a = -i * (i - shape)
        b += 2
        d = 1 / _nonzero(a * d + b)
        c = _nonzero(b + a / c)
        change = d * c
        result *= change
        if abs(change - 1) < _EPSILON * 4:
            break
    return result


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def chi_square_quantile(tail: float, degrees: int) -> float:
    """The value that a chi-square distributed X exceeds with probability `tail` (0 < tail < 1), by bisection."""
    low, high = 0.0, 1.0
    while chi_square_tail(high, degrees) > tail:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_tail(middle, degrees) > tail else (low, middle)
    return high
