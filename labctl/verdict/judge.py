"""From a probe's result and what was expected of it to a check with its judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from labctl.model.lab import Expectation, Split
from labctl.model.probe import KeyKind, ProbeResult
from labctl.model.report import Check, Hits, Result, Verdict
from labctl.probe.curl import curl_command
from labctl.verdict.change import course, find_change
from labctl.verdict.exact import broken_claims, held_claims
from labctl.verdict.power import expected_band
from labctl.verdict.spread import Spread, judge_spread, spread_of
from labctl.verdict.tally import NO_KEY, Tally, latency_of, tally

CONFIDENCE = 0.999
KEYS_LISTED = 200
"""Keys that a check lists; the rest is summed."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What is known about the cluster's pods.

    Attributes:
        nodes: Pod → node it runs on.
        members: Service → names of its ready pods.
    """

    nodes: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def judge(
    expectation: Expectation, result: ProbeResult, directory: Directory | None = None, *, confidence: float = CONFIDENCE
) -> Verdict:
    """Judge what came back.

    Exact claims come first: an unexpected error, status, key, header or body refuses at once and has no p-value. Only
    when all of them hold is the spread judged.

    Args:
        expectation: What must be seen.
        result: What came back.
        directory: The cluster's pods.
        confidence: Of statistical judgements: they refuse what is true in at most 1 - confidence of all runs.
    """
    known = directory or Directory()
    found = tally(result.fold, result.plan.by, known.nodes)
    return _judge(expectation, result, known, found, confidence)


def build_check(
    result: ProbeResult, expectation: Expectation, directory: Directory | None = None, *, confidence: float = CONFIDENCE
) -> Check:
    """The whole check: numbers, hits with their expected shares, and the judgement.

    Args: as for `judge`.
    """
    known, plan = directory or Directory(), result.plan
    found = tally(result.fold, plan.by, known.nodes)
    verdict = _judge(expectation, result, known, found, confidence)
    outcome = Result.PASSED if verdict.passed else Result.FAILED
    moments, slot = course(result.fold, plan.by, known.nodes)
    return Check(
        name=plan.name,
        result=outcome if found.requests else Result.ERROR,
        url=plan.request.url,
        curl=curl_command(plan),
        requests=found.requests,
        errors=sum(found.errors.values()),
        error_kinds=dict(found.errors),
        elapsed_s=result.elapsed,
        requests_per_s=found.requests / result.elapsed if result.elapsed > 0 else 0.0,
        latency=found.latency,
        status={str(status): count for status, count in sorted(found.status.items())},
        by=str(plan.by),
        hits=tuple(
            replace(each, band=expected_band(found.answered, each.expected, confidence)) if each.expected else each
            for each in _hits(found, plan.by.kind, _expected(expectation, found, plan.by.kind, known), known)
        ),
        verdict=verdict,
        partial=result.partial,
        notices=result.notices,
        phases={name: latency_of(took) for name, took in result.fold.phases.items() if took.total},
        cpu_us=result.cpu / found.requests * 1e6 if found.requests else 0.0,
        timeline=moments,
        slot_s=slot,
        change=find_change(moments),
        histogram=result.fold.latency.coarse(),
    )


def _judge(
    expectation: Expectation, result: ProbeResult, directory: Directory, found: Tally, confidence: float
) -> Verdict:
    if not found.requests:
        return Verdict(False, "exact", "interrupted before the first request was finished", None, confidence)
    verdict = _judge_finished(expectation, result, directory, found, confidence)
    if not result.partial:
        return verdict
    words = f"interrupted after {found.requests} of {result.plan.count} requests; so far: {verdict.reason}"
    return Verdict(verdict.passed, verdict.method, words, verdict.p_value, confidence)


def _judge_finished(
    expectation: Expectation, result: ProbeResult, directory: Directory, found: Tally, confidence: float
) -> Verdict:
    broken = broken_claims(expectation, result.plan, found, result.answers)
    if broken:
        return Verdict(False, "exact", "; ".join(broken), None, confidence)
    split = expectation.split
    if split is None or expectation.error:
        return Verdict(True, "exact", held_claims(expectation, found), None, confidence)
    return judge_spread(split, _spread(split, directory, found), confidence)


def _spread(split: Split, directory: Directory, found: Tally) -> Spread:
    """The counts that a split is about: pods where it names a Service, else the counted keys."""
    members = directory.members.get(split.pods_of, ())
    return spread_of(split, found.pods if split.pods_of else found.hits, members)


def _expected(expectation: Expectation, found: Tally, kind: KeyKind, directory: Directory) -> dict[str, float]:
    """Key → expected share; keys that nothing is expected of are not in it."""
    split = expectation.split
    if split is None:
        return {expectation.only[0]: 1.0} if len(expectation.only) == 1 else {}
    shares = _spread(split, directory, found).shares
    if not split.pods_of or kind is KeyKind.POD:
        return dict(shares)
    keys = {pod: key for key, pods in found.keys.items() for pod in pods}
    if kind is KeyKind.NODE:
        keys = {pod: directory.nodes.get(pod, NO_KEY[kind]) for pod in shares}
    expected: dict[str, float] = {}
    for pod, share in shares.items():
        if pod in keys:
            expected[keys[pod]] = expected.get(keys[pod], 0.0) + share
    return expected


def _hits(found: Tally, kind: KeyKind, expected: Mapping[str, float], directory: Directory) -> tuple[Hits, ...]:
    """One entry per key, most hits first; those that should have answered and did not are there with 0."""
    keys = {**{key: {} for key in expected}, **found.keys}
    ordered = sorted(keys.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    listed = tuple(_hit(key, pods, found.answered, expected.get(key), directory) for key, pods in ordered[:KEYS_LISTED])
    rest = ordered[KEYS_LISTED:]
    if not rest:
        return listed
    hits = sum(sum(pods.values()) for _, pods in rest)
    return (*listed, Hits(f"({len(rest)} others)", {}, hits, hits / found.answered))


def _hit(key: str, pods: Mapping[str, int], answered: int, expected: float | None, directory: Directory) -> Hits:
    hits = sum(pods.values())
    named = dict(sorted(((pod, count) for pod, count in pods.items() if pod), key=lambda item: (-item[1], item[0])))
    if not named and key in directory.nodes:
        named = {key: 0}  # A pod that should have answered and did not.
    return Hits(
        key=key,
        pods=named,
        hits=hits,
        share=hits / answered if answered else 0.0,
        expected=expected,
        nodes={pod: directory.nodes[pod] for pod in named if pod in directory.nodes},
    )
