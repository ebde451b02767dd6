"""When requests begin: as others end (closed loop), or by the clock (open loop)."""

from __future__ import annotations

import math

from labctl.model.probe import Load, ProbePlan

ENDLESS = 2**62
"""More requests than any run sends: the count of one that time ends."""


class Schedule:
    """The beginnings of a plan's requests, in seconds since the run began.

    Attributes:
        open: Whether requests begin by the clock.
        count: How many requests there are, as far as is known; `expire` lowers it.
    """

    def __init__(self, plan: ProbePlan) -> None:
        self._load: Load = plan.load
        self._concurrency = plan.concurrency
        self.open = plan.load.rate > 0
        self.count = ENDLESS if plan.load.duration or plan.load.open_end else plan.count
        if self.open and plan.load.duration:
            self.count = self._begun_by(plan.load.duration)

    def due(self, index: int) -> float:
        """When request `index` of an open loop is to begin.

        While the rate grows evenly, rate·t²/(2·ramp) requests have begun at time t; after that it is a straight line.
        """
        rate, ramp = self._load.rate, self._load.ramp
        if index < rate * ramp / 2:
            return math.sqrt(2 * ramp * index / rate)
        return index / rate + ramp / 2

    def limit(self, now: float) -> int:
        """How many requests of a closed loop may be in flight at a time."""
        ramp = self._load.ramp
        if self.open or now >= ramp:
            return self._concurrency
        return max(1, math.ceil(self._concurrency * now / ramp))

    def expire(self, now: float, begun: int) -> None:
        """No more begin once the duration is over; `begun` have."""
        if not self.open and self._load.duration and now >= self._load.duration:
            self.count = min(self.count, begun)

    def end(self, now: float, begun: int) -> None:
        """No more begin than had to until now; `begun` have."""
        self.count = min(self.count, max(begun, self._begun_by(now)) if self.open else begun)

    def _begun_by(self, time: float) -> int:
        """How many requests begin before a time."""
        rate, ramp = self._load.rate, self._load.ramp
        if time <= ramp:
            return max(1, math.ceil(rate * time * time / (2 * ramp)))
        return max(1, math.ceil(rate * (time - ramp / 2) - 1e-9))
