"""Judging while requests come in, at any moment, without more false alarms than stated.

Looking at an ordinary p-value after every request refuses everything true sooner or later. An e-value may be looked at
always: it is the factor by which a bet against the expectation has multiplied its stake, and a bet against something
true reaches 1/α with probability at most α, ever (J. Ville, *Étude critique de la notion de collectif*, 1939). The bet
here is the mixture over all shares (Dirichlet with parameters 1), as in M. Lindon and A. Malek, "Anytime-Valid
Inference for Multinomial Count Data", NeurIPS 2022; the confidence sequence is its inversion (H. Robbins, "Statistical
Methods Related to the Law of the Iterated Logarithm", 1970).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a sequential judgement stands.

    Attributes:
        sure: Whether it is decided.
        refused: Whether the expectation is refused; never True before `sure`.
        p_value: Anytime-valid: the smallest 1/e so far may be taken, and so may this.
        widest: The largest distance between an expected share and an end of its confidence sequence.
    """

    sure: bool
    refused: bool
    p_value: float
    widest: float


def log_e_value(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Logarithm of the e-value against the expected shares; infinite where a key answered that may not."""
    total, keys = sum(counts.values()), len(shares)
    if any(hits and not shares.get(key) for key, hits in counts.items()):
        return math.inf
    mixture = math.lgamma(keys) - math.lgamma(total + keys)
    for key, share in shares.items():
        hits = counts.get(key, 0)
        mixture += math.lgamma(hits + 1) - (hits * math.log(share) if hits else 0.0)
    return mixture


def interval(hits: int, total: int, alpha: float) -> tuple[float, float]:
    """The confidence sequence of one share: all shares that a bet has not refused at 1/alpha."""
    if not total:
        return 0.0, 1.0
    mean = hits / total

    def refused(share: float) -> bool:
        return log_e_value({"a": hits, "b": total - hits}, {"a": share, "b": 1 - share}) >= -math.log(alpha)

    return _edge(mean, 0.0, refused), _edge(mean, 1.0, refused)


def _edge(inside: float, outside: float, refused: object) -> float:
    """Where shares begin to be refused, by bisection from one that is not."""
    assert callable(refused)
    for _ in range(50):
        middle = (inside + outside) / 2
        if refused(middle):
            outside = middle
        else:
            inside = middle
    return outside


def progress(counts: Mapping[str, int], shares: Mapping[str, float], margin: float, confidence: float) -> Progress:
    """Whether the counts decide: the expectation is refused, or no share can stray by `margin` or more.

    Args:
        counts: Key → answers so far.
        shares: Key → expected share, sum 1.
        margin: How far a share may stray before it matters, 0…1.
        confidence: A true expectation is refused with probability at most 1 - confidence, whenever it is looked at.
    """
    alpha = 1 - confidence
    log_e = log_e_value(counts, shares)
    p_value = min(1.0, math.exp(-min(log_e, 700.0)))
    total = sum(counts.values())
    widest = 0.0
    for key, share in shares.items():
        low, high = interval(counts.get(key, 0), total, alpha / len(shares))
        widest = max(widest, share - low, high - share)
    refused = p_value <= alpha
    return Progress(refused or widest < margin, refused, p_value, widest)
