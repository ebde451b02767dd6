"""Probe results made up for the tests of the judgement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.model.histogram import Histogram
from labctl.model.probe import Answer, CountBy, Fold, KeyKind, Outcome, ProbePlan, ProbeResult, Request
from labctl.probe.codes import probe_error

BY_VERSION = CountBy(KeyKind.VERSION)
BY_POD = CountBy(KeyKind.POD)
BY_NODE = CountBy(KeyKind.NODE)
BY_STATUS = CountBy(KeyKind.STATUS)
REFUSED = probe_error(7, "Failed to connect to gyull.com port 30080 after 0 ms: Could not connect to server")
UNTRUSTED = probe_error(60, "SSL certificate problem: self-signed certificate")


def result(
    outcomes: Mapping[Outcome, int],
    by: CountBy = BY_POD,
    *,
    answers: tuple[Answer, ...] = (),
    planned: int | None = None,
    **plan: Any,
) -> ProbeResult:
    """A result with these outcomes, each answered in 2 ms."""
    count = sum(outcomes.values())
    answered = sum(n for outcome, n in outcomes.items() if outcome.error is None)
    request = plan.pop("request", Request("http://gyull.com:30080/"))
    return ProbeResult(
        ProbePlan("check", request, planned or count, by=by, **plan),
        samples=(),
        answers=answers,
        elapsed=0.5,
        partial=planned is not None and planned > count,
        folded=Fold(dict(outcomes), Histogram.of([0.002] * answered)),
    )


def versions(v1: int, v2: int, **options: Any) -> ProbeResult:
    """A canary run: answers of two versions, by one pod each."""
    outcomes = {Outcome(200, "dp-v1-a", "v1"): v1, Outcome(200, "dp-v2-a", "v2"): v2}
    return result({outcome: count for outcome, count in outcomes.items() if count}, BY_VERSION, **options)


def pods(by: CountBy = BY_POD, /, **hits: int) -> ProbeResult:
    """Answers of pods a, b, c …"""
    return result({Outcome(200, pod): count for pod, count in hits.items()}, by)
