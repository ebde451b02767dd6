"""A clock that only passes when somebody sleeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from labctl.env import Clock


@dataclass(slots=True)
class FakeClock:
    """Time under a test's control.

    Attributes:
        seconds: Monotonic time so far.
        start: Wall-clock time at second 0.
        slept: Every pause that was asked for.
    """

    seconds: float = 0.0
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.slept.append(seconds)
        self.seconds += seconds

    def clock(self) -> Clock:
        """This time as the Clock that code under test takes."""
        return Clock(
            monotonic=lambda: self.seconds,
            now=lambda: self.start + timedelta(seconds=self.seconds),
            sleep=self.sleep,
        )
