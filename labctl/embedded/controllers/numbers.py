"""Counts and percentages, rounded as Kubernetes rounds them (`intstr.GetScaledValueFromIntOrPercent`)."""

from __future__ import annotations


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """An absolute number, or a percentage (`25%`) of `total`."""
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        return int(value)
    share = int(value[:-1]) * total
    return -(-share // 100) if round_up else share // 100


def fenceposts(max_surge: int | str, max_unavailable: int | str, replicas: int) -> tuple[int, int]:
    """How many pods too many and too few: rounded up and down; never both 0 (then one may be unavailable)."""
    surge = scaled(max_surge, replicas, round_up=True)
    unavailable = scaled(max_unavailable, replicas, round_up=False)
    return surge, unavailable if surge or unavailable else 1


def round_half_away(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest whole number, halves away from zero. The denominator is positive."""
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))
