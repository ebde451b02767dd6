"""Where both transports leave what came back: samples while they are few, counts however many."""

from __future__ import annotations

import re
from collections.abc import Callable

from labctl.model.histogram import Histogram
from labctl.model.probe import Answer, Fold, Outcome, ProbeError, ProbePlan, ProbeResult, Sample
from labctl.probe.classify import Keys, classifier, headers_of

SAMPLES_KEPT = 10_000
"""Requests that are kept one by one."""
OUTCOMES_KEPT = 10_000
"""Outcomes that are told apart; what else comes is counted under OTHER_KEY."""
ANSWERS_KEPT = 8
"""First whole answers that are kept, whatever they are."""
ANSWERS_MOST = 64
"""Whole answers that are kept in all: the first of each outcome that comes after those."""
BODY_KEPT = 64 * 1024
"""Bytes of a body that are looked at."""
OTHER_KEY = "(other)"
_BATCH = 4096


class Recorder:
    """Takes each request's end, classifies it, and counts it at once.

    Its size is bounded whatever the number of requests. `index` is the place in the series, `started` seconds since
    the run began, `elapsed` seconds from the request's start to its end.
    """

    def __init__(self, plan: ProbePlan) -> None:
        self.done = 0
        self.notices: list[str] = []
        self._plan = plan
        self._classify: Callable[[bytes, bytes], Keys] = classifier(plan)
        self._known: dict[tuple[int, str, str, str], Outcome] = {}
        self._errors: dict[tuple[int, str], Outcome] = {}
        self._counts: dict[Outcome, int] = {}
        self._entries: list[tuple[int, float, float, Outcome]] = []
        self._answers: list[Answer] = []
        self._latencies: list[float] = []
        self._histogram = Histogram()

    def answered(self, index: int, started: float, elapsed: float, status: int, head: bytes, body: bytes) -> None:
        """A whole answer came: its raw head (status line and headers) and the first 64 KiB of its body."""
        pod, version, header = self._classify(head, body)
        key = (status, pod, version, header)
        outcome = self._known.get(key)
        if outcome is None:
            outcome = self._new_outcome(key)
            keep = len(self._answers) < ANSWERS_MOST
        else:
            keep = self.done < ANSWERS_KEPT
        if keep:
            self._answers.append(Answer(status, headers_of(head), body))
        self._latencies.append(elapsed)
        if len(self._latencies) >= _BATCH:
            self._fold_latencies()
        self._count(index, started, elapsed, outcome)

    def failed(self, index: int, started: float, elapsed: float, error: ProbeError) -> None:
        """The request ended without an answer."""
        key = (error.code, re.sub(r"\d+", "#", error.message))
        outcome = self._errors.get(key)
        if outcome is None:
            outcome = Outcome(0, error=error)
            if len(self._errors) < OUTCOMES_KEPT:
                self._errors[key] = outcome
        self._count(index, started, elapsed, outcome)

    def result(self, elapsed: float) -> ProbeResult:
        """Everything so far."""
        self._fold_latencies()
        samples = tuple(
            Sample(index, started, took, end.status, end.pod, end.version, end.header, end.error)
            for index, started, took, end in self._entries
        )
        return ProbeResult(
            plan=self._plan,
            samples=samples,
            answers=tuple(self._answers),
            elapsed=elapsed,
            partial=self.done < self._plan.count,
            folded=Fold(dict(self._counts), self._histogram),
            notices=tuple(self.notices),
        )

    def _new_outcome(self, key: tuple[int, str, str, str]) -> Outcome:
        if len(self._known) >= OUTCOMES_KEPT:
            key = (key[0], OTHER_KEY, OTHER_KEY, OTHER_KEY)
        return self._known.setdefault(key, Outcome(*key))

    def _count(self, index: int, started: float, elapsed: float, outcome: Outcome) -> None:
        self._counts[outcome] = self._counts.get(outcome, 0) + 1
        self.done += 1
        if self.done <= SAMPLES_KEPT:
            self._entries.append((index, started, elapsed, outcome))

    def _fold_latencies(self) -> None:
        self._histogram = self._histogram.merge(Histogram.of(self._latencies))
        self._latencies.clear()
