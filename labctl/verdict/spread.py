"""Whether answers spread over their keys as expected: chance on one side, promises on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labctl.model.lab import Distribution, Split
from labctl.model.report import Verdict
from labctl.verdict import binomial, roundrobin
from labctl.verdict.multinomial import goodness_of_fit
from labctl.verdict.words import counted, p_text, percent, runs, slashed, tail_words


@dataclass(frozen=True, slots=True)
class Spread:
    """Counts to be judged, and what they ought to be.

    Attributes:
        counts: Key → answers; keys that never answered are there with 0.
        shares: Key → expected share, with the sum 1; empty for `sticky`.
        known: Whether the keys are all that could answer (pods behind a Service, given weights), or just those seen.
    """

    counts: Mapping[str, int]
    shares: Mapping[str, float]
    known: bool = True


def spread_of(split: Split, counts: Mapping[str, int], members: tuple[str, ...] = ()) -> Spread:
    """What a split expects of counts.

    Args:
        split: The expectation.
        counts: Key → answers, as seen.
        members: The pods that must all take part (`split.pods_of`); empty when that is not known.
    """
    weights = dict(split.weights) or dict.fromkeys(members, 1.0)
    known = bool(weights)
    if not known:
        weights = dict.fromkeys(sorted(counts), 1.0)
    seen = {**dict.fromkeys(weights, 0), **counts}
    if split.distribution is Distribution.STICKY:
        return Spread(seen, {}, known)
    total = sum(weights.values())
    return Spread(seen, {key: weight / total for key, weight in weights.items()} if total else {}, known)


def judge_spread(split: Split, spread: Spread, confidence: float) -> Verdict:
    """Judge a spread.

    Keys that ought not to answer at all are an exact failure. Otherwise: round robin by `roundrobin.compare`, sticky
    exactly, weights and even chances by the exact binomial test for two keys and by `multinomial.goodness_of_fit` for
    more. A statistical check refuses when its p-value is below 1 - confidence.
    """
    if not sum(spread.counts.values()):
        return _exact(False, confidence, "no answer to count")
    if split.distribution is Distribution.STICKY:
        return _sticky(spread, confidence)
    stray = {key: hits for key, hits in spread.counts.items() if hits and not spread.shares.get(key)}
    if stray:
        return _exact(False, confidence, _stray_reason(spread, stray))
    possible = {key: share for key, share in spread.shares.items() if share > 0}
    counts = {key: spread.counts[key] for key in possible}
    if len(possible) == 1:
        (key,) = possible
        words = f"all {counts[key]} from {key}"
        return _exact(True, confidence, words if spread.known else f"{words}: one key alone shows no spread")
    if split.distribution is Distribution.ROUND_ROBIN:
        return _round_robin(counts, split.workers, confidence)
    if len(possible) == 2 and split.distribution is Distribution.WEIGHTED:
        return _binomial(counts, possible, confidence)
    return _multinomial(counts, possible, confidence)


def _exact(passed: bool, confidence: float, reason: str) -> Verdict:
    return Verdict(passed, "exact", reason, None, confidence)


def _stray_reason(spread: Spread, stray: Mapping[str, int]) -> str:
    total = sum(spread.counts.values())
    expected = ", ".join(key for key, share in spread.shares.items() if share > 0)
    strays = sum(stray.values())
    return f"{strays} of {total} came from where none may come from: {counted(stray)}; expected only {expected}"


def _missing(counts: Mapping[str, int]) -> str:
    never = [key for key, hits in counts.items() if not hits]
    return f"; {', '.join(never)} never answered" if never else ""


def _sticky(spread: Spread, confidence: float) -> Verdict:
    seen = {key: hits for key, hits in spread.counts.items() if hits}
    total = sum(seen.values())
    if len(seen) > 1:
        return _exact(False, confidence, f"one client must stay with one, but {len(seen)} answered: {counted(seen)}")
    (key,) = seen
    reason = f"all {total} from {key}"
    if len(spread.counts) > 1 and total > 1:
        by_chance = len(spread.counts) ** (1.0 - total)
        reason += f"; without stickiness {len(spread.counts)} pods would do so {runs(by_chance)}"
    return _exact(True, confidence, reason)


def _binomial(counts: Mapping[str, int], shares: Mapping[str, float], confidence: float) -> Verdict:
    total = sum(counts.values())
    key = min(shares, key=lambda name: shares[name]) if len(set(shares.values())) > 1 else list(shares)[-1]
    share = shares[key]
    p_value = binomial.two_sided(counts[key], total, share)
    passed = p_value >= 1 - confidence
    reason = (
        f"{slashed(counts)}: {key} has {percent(counts[key] / total)} where {percent(share)} was expected; "
        f"a true {percent(share)} strays at least this far {runs(p_value)} (exact binomial, {p_text(p_value)}): "
        f"{tail_words(passed, confidence)}{_missing(counts)}"
    )
    return Verdict(passed, "binomial", reason, p_value, confidence)


def _multinomial(counts: Mapping[str, int], shares: Mapping[str, float], confidence: float) -> Verdict:
    total = sum(counts.values())
    fit = goodness_of_fit([counts[key] for key in shares], list(shares.values()))
    passed = fit.p_value >= 1 - confidence
    expected = "/".join(f"{total * share:.4g}" for share in shares.values())
    reason = (
        f"{slashed(counts)} where {expected} was expected on average; chance strays at least this far "
        f"{runs(fit.p_value)} ({fit.method}, {p_text(fit.p_value)}): {tail_words(passed, confidence)}{_missing(counts)}"
    )
    return Verdict(passed, fit.method.replace(" ", "-").lower(), reason, fit.p_value, confidence)


def _round_robin(counts: Mapping[str, int], workers: int, confidence: float) -> Verdict:
    """Say what the counts show: within the bound or not, and whether chance would do the same."""
    found = roundrobin.compare(list(counts.values()), workers, confidence)
    passed = found.p_value >= 1 - confidence
    apart = max(counts.values()) - min(counts.values())
    limit = _workers(found.workers)
    reason = f"{slashed(counts)}: at most {apart} apart, "
    if found.p_value == 0:
        reason += f"but round robin by {limit} allows at most {found.workers}"
    elif not passed:
        reason += f"which round robin by {limit} brings only {runs(found.p_value)} ({p_text(found.p_value)})"
    elif workers:
        reason += f"as round robin by {limit} brings"
    else:
        reason += f"as round robin by {_workers(found.fewest)} or more brings (number unknown)"
    reason += f": {tail_words(passed, confidence)}{_missing(counts)}"
    if passed:
        reason += _power_words(found, 1 - confidence)
    return Verdict(passed, "round-robin", reason, found.p_value, confidence)


def _workers(count: int) -> str:
    return f"{count} worker" if count == 1 else f"{count} workers"


def _power_words(found: roundrobin.RoundRobin, alpha: float) -> str:
    """How much a passed check proves: whether a random spread would have passed as well."""
    if found.chance_even < alpha:
        return f"; a random spread is this even only {runs(found.chance_even)}, so it is no chance"
    even = f"; a random spread is this even {runs(found.chance_even)}"
    return f"{even}, and this many requests expose one {runs(found.detects)}: more would tell more"
