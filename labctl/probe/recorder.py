"""Where both transports leave what came back: samples while they are few, counts however many."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from labctl.model.histogram import Histogram
from labctl.model.probe import Answer, Fold, Outcome, ProbeError, ProbePlan, ProbeResult, Sample
from labctl.model.timeline import FINEST, Timeline, width_for
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
LANES = 100
"""Outcomes that the time line tells apart."""
OTHER_KEY = "(other)"
_BATCH = 4096


class _Counted:
    """An outcome and how many requests ended so: counting must not hash the outcome each time.

    `lane` is what the time line counts it as, `placed` how many of them are on the time line.
    """

    __slots__ = ("count", "lane", "outcome", "placed")

    def __init__(self, outcome: Outcome, lane: Outcome) -> None:
        self.outcome = outcome
        self.lane = lane
        self.count = 0
        self.placed = 0


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
        self._known: dict[tuple[int, str, str, str], _Counted] = {}
        self._errors: dict[tuple[int, str], _Counted] = {}
        self._entries: list[tuple[int, float, float, Outcome]] = []
        self._answers: list[Answer] = []
        self._latencies: list[float] = []
        self._histogram = Histogram()
        self._phase_values: defaultdict[str, list[float]] = defaultdict(list)
        self._phases: dict[str, Histogram] = {}
        self._width = FINEST
        self._slots: dict[int, dict[Outcome, int]] = {}
        self._slot = 0
        self._slot_ends = FINEST

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
        self._count(index, started, elapsed, outcome)

    def phase(self, name: str, seconds: float) -> None:
        """A part of a request took so long."""
        self._phase_values[name].append(seconds)

    def failed(self, index: int, started: float, elapsed: float, error: ProbeError) -> None:
        """The request ended without an answer."""
        key = (error.code, re.sub(r"\d+", "#", error.message))
        outcome = self._errors.get(key)
        if outcome is None:
            if len(self._errors) >= OUTCOMES_KEPT:
                key, error = (error.code, OTHER_KEY), replace(error, message=OTHER_KEY)
            outcome = self._errors.setdefault(key, self._counted(Outcome(0, error=error)))
        self._count(index, started, elapsed, outcome)

    def result(self, elapsed: float, *, partial: bool | None = None, cpu: float = 0.0) -> ProbeResult:
        """Everything so far.

        Args:
            elapsed: Seconds for the whole run.
            partial: Whether it ended early; None: when fewer than `plan.count` requests are done.
            cpu: Seconds of processor time.
        """
        self._fold_latencies()
        self._close_slot()
        samples = tuple(
            Sample(index, started, took, end.status, end.pod, end.version, end.header, end.error)
            for index, started, took, end in self._entries
        )
        return ProbeResult(
            plan=self._plan,
            samples=samples,
            answers=tuple(self._answers),
            elapsed=elapsed,
            partial=self.done < self._plan.count if partial is None else partial,
            folded=Fold(
                {each.outcome: each.count for each in self._all()},
                self._histogram,
                dict(self._phases),
                Timeline(self._width, self._slots),
            ),
            notices=tuple(self.notices),
            cpu=cpu,
        )

    def _all(self) -> Iterator[_Counted]:
        return chain(self._known.values(), self._errors.values())

    def _new_outcome(self, key: tuple[int, str, str, str]) -> _Counted:
        if len(self._known) >= OUTCOMES_KEPT:
            key = (key[0], OTHER_KEY, OTHER_KEY, OTHER_KEY)
        return self._known.setdefault(key, self._counted(Outcome(*key)))

    def _count(self, index: int, started: float, elapsed: float, counted: _Counted) -> None:
        if started + elapsed >= self._slot_ends:
            self._close_slot()
            self._open_slot(started + elapsed)
        counted.count += 1
        self.done += 1
        if not self.done % _BATCH:
            self._fold_latencies()
        if self.done <= SAMPLES_KEPT:
            self._entries.append((index, started, elapsed, counted.outcome))

    def _fold_latencies(self) -> None:
        self._histogram = self._histogram.merge(Histogram.of(self._latencies))
        self._latencies.clear()
        for name, values in self._phase_values.items():
            self._phases[name] = self._phases.get(name, Histogram()).merge(Histogram.of(values))
            values.clear()

    def _counted(self, end: Outcome) -> _Counted:
        """A new outcome; the time line tells the first ones apart, and counts the rest by status or error."""
        lane = end
        if len(self._known) + len(self._errors) >= LANES:
            error = replace(end.error, message="") if end.error else None
            lane = Outcome(end.status, OTHER_KEY, OTHER_KEY, OTHER_KEY, error)
        return _Counted(end, lane)

    def _close_slot(self) -> None:
        """What was counted since the last slot belongs to this one: no request costs more for the time line."""
        counts = self._slots.get(self._slot, {})
        for each in self._all():
            new = each.count - each.placed
            if new:
                counts[each.lane] = counts.get(each.lane, 0) + new
                each.placed = each.count
        if counts:
            self._slots[self._slot] = counts

    def _open_slot(self, ended: float) -> None:
        width = width_for(ended, self._width)
        if width > self._width:
            wider = Timeline(self._width, self._slots).widened(width)
            self._slots = {slot: dict(counts) for slot, counts in wider.slots.items()}
            self._width = width
        self._slot = int(ended / width)
        self._slot_ends = (self._slot + 1) * width
