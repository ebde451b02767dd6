"""Numbers in words that a student understands."""

from __future__ import annotations

import math
from collections.abc import Mapping

_LISTED = 6


def percent(share: float) -> str:
    """`12.4 %`; whole numbers without a fraction."""
    value = share * 100
    digits = 1 if 0.1 <= value <= 99.9 or value in (0, 100) else 3
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + " %"


def p_text(p_value: float) -> str:
    """`p = 0.014`, `p < 1e-19`."""
    if p_value >= 1e-4:
        return f"p = {p_value:.2g}"
    return f"p < 1e-{exponent(p_value)}"


def exponent(p_value: float) -> int:
    """The largest whole e with p_value < 10^-e (at most 300)."""
    if p_value < 1e-300:
        return 300
    return math.ceil(-math.log10(p_value)) - 1 if p_value < 1 else 0


def runs(p_value: float) -> str:
    """How often that happens: `in 1.4 % of runs`, `in fewer than 1 of 10^19 runs`."""
    if p_value >= 0.0005:
        return f"in {p_value * 100:.2g} % of runs" if p_value < 0.995 else "in nearly every run"
    return f"in fewer than 1 of 10^{exponent(p_value)} runs"


def tail_words(accepted: bool, confidence: float) -> str:
    """The last words of a statistical judgement."""
    return f"{'accepted' if accepted else 'refused'} at confidence {confidence:g}"


def counted(counts: Mapping[str, int]) -> str:
    """`dp-v1-a 301, dp-v1-b 299`: most first, long lists cut."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{key} {hits}" for key, hits in ordered[:_LISTED])
    return text + (f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else "")


def slashed(counts: Mapping[str, int]) -> str:
    """`876/124 of 1000`: in the order given."""
    return "/".join(str(hits) for hits in counts.values()) + f" of {sum(counts.values())}"
