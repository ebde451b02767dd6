"""What a run or a verification found: the values that every renderer consumes (`labctl.report/v1`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Result(StrEnum):
    """Outcome of a check, a lab or a report."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Hits:
    """How often one key answered.

    Attributes:
        key: The counted value: a pod, version, node, status or header value.
        pods: Pod → hits, most hits first; empty when the answers do not name a pod.
        hits: Answers with this key.
        share: hits over all answers that were counted, 0…1.
        expected: Expected share, 0…1; None when nothing is expected of this key.
        nodes: Pod → node it runs on, as far as known.
        band: Between which shares chance leaves an expected one, at the check's confidence.
    """

    key: str
    pods: Mapping[str, int]
    hits: int
    share: float
    expected: float | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)
    band: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of the answered requests, in milliseconds."""

    p50: float
    p90: float
    p99: float
    max: float
    p95: float = 0.0
    p999: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One slot of the time line.

    Attributes:
        at_s: When it begins, seconds since the run began.
        hits: Key → answers that came in it.
        errors: Error name → requests that ended so in it.
    """

    at_s: float
    hits: Mapping[str, int]
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A moment at which the shares of the keys, or of errors, changed.

    Attributes:
        at_s: When, seconds since the run began.
        p_value: How often chance alone shows as clear a change somewhere in such a run.
        before: Key → share before.
        after: Key → share from then on.
    """

    at_s: float
    p_value: float
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement in words and numbers.

    Attributes:
        passed: Whether what was expected is what was seen.
        method: Name of the statistical method, or `exact`.
        p_value: Probability of a spread at least this unusual if the expectation is true; None for exact checks.
        confidence: The check refuses only when p_value < 1 - confidence.
        reason: What was seen, compared with what was expected, in words.
    """

    passed: bool
    method: str
    reason: str
    p_value: float | None = None
    confidence: float = 0.999


@dataclass(frozen=True, slots=True)
class Check:
    """One probe and its judgement.

    Attributes:
        name: Name of the check.
        result: passed, failed, error (could not be found out) or skipped.
        url: What was asked.
        curl: The command that sends one such request by hand.
        requests: Requests that were sent.
        errors: Requests without an answer.
        error_kinds: Error name → count.
        elapsed_s: Seconds for all of them.
        requests_per_s: Rate over the run.
        latency: Of the answered ones; None without any.
        status: HTTP status → count.
        by: What was counted by.
        hits: One per key, most hits first.
        verdict: The judgement; None when the check could not be made.
        first: The judgement of the first round, when a failed statistical check was repeated.
        title: One line for people.
        partial: True when it was interrupted.
        notices: What the user should know of how the requests were sent (fewer at once than asked for, for example).
        phases: `lookup`, `connect`, `tls`, `first byte` → how long that took, where it was done.
        cpu_us: Microseconds of processor time that the sender spent on each request; 0: not known.
        timeline: When the answers came, in equal slots.
        slot_s: Seconds of one slot.
        change: The clearest change over time, where one is beyond chance.
        histogram: Latency from (ms, inclusive) → answers, in ascending order, buckets 6 % wide.
    """

    name: str
    result: Result
    url: str = ""
    curl: str = ""
    requests: int = 0
    errors: int = 0
    error_kinds: Mapping[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0
    requests_per_s: float = 0.0
    latency: Latency | None = None
    status: Mapping[str, int] = field(default_factory=dict)
    by: str = "pod"
    hits: tuple[Hits, ...] = ()
    verdict: Verdict | None = None
    first: Check | None = None
    title: str = ""
    partial: bool = False
    notices: tuple[str, ...] = ()
    phases: Mapping[str, Latency] = field(default_factory=dict)
    cpu_us: float = 0.0
    timeline: tuple[Moment, ...] = ()
    slot_s: float = 0.0
    change: Change | None = None
    histogram: Mapping[float, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabReport:
    """One lab's outcome; `reason` says why it was skipped or could not be run."""

    name: str
    result: Result
    checks: tuple[Check, ...] = ()
    title: str = ""
    reason: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = ()
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """The cluster a report is about."""

    provider: str
    name: str
    version: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one command found.

    Attributes:
        command: `run`, `verify` or `probe`.
        started: When it began (UTC).
        elapsed_s: Seconds.
        result: Worst of the labs': error > failed > passed > skipped.
        cluster: None for `probe`, which needs no cluster.
        labs: In the order they ran.
        partial: True when it was interrupted.
    """

    command: str
    started: datetime
    elapsed_s: float
    result: Result
    labs: tuple[LabReport, ...]
    cluster: ClusterInfo | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two runs of a check were compared.

    Attributes:
        what: `shares`, `errors`, `status` or `latency`.
        before: In the first run, in words.
        after: In the second run.
        p_value: How often two equal runs differ at least so much.
        significant: Whether that is beyond chance, all comparisons together.
        check: The check it is about.
    """

    what: str
    before: str
    after: str
    p_value: float
    significant: bool = False
    check: str = ""


def worst(results: tuple[Result, ...]) -> Result:
    """The result of a whole from those of its parts; nothing at all counts as skipped."""
    for result in (Result.ERROR, Result.FAILED, Result.PASSED):
        if result in results:
            return result
    return Result.SKIPPED
