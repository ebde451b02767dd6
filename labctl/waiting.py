"""Waiting that always ends in an answer: a deadline, and what was last observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from labctl.env import Clock
from labctl.errors import WaitTimeoutError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pending:
    """Not yet: what was observed instead of the awaited state."""

    observed: str


def wait_for(
    what: str,
    observe: Callable[[], T | Pending],
    *,
    timeout: float,
    clock: Clock,
    interval: float = 0.05,
    max_interval: float = 1.0,
    on_pending: Callable[[Pending], None] | None = None,
    hint: str = "",
) -> T:
    """Observe until there is an answer, with growing pauses between observations.

    Args:
        what: What is awaited, for the message, for example `Deployment default/web to be ready`.
        observe: Returns the answer, or Pending with what it saw.
        timeout: Seconds until giving up; the last observation is made at the deadline.
        clock: Time.
        interval: First pause in seconds; it doubles up to `max_interval`.
        max_interval: Longest pause in seconds.
        on_pending: Called with every Pending.
        hint: What the user can do when the deadline passes.

    Returns:
        What `observe` returned.

    Raises:
        WaitTimeoutError: The deadline passed; names what was last observed.
    """
    deadline = clock.monotonic() + timeout
    pause = interval
    while True:
        seen = observe()
        if not isinstance(seen, Pending):
            return seen
        if on_pending is not None:
            on_pending(seen)
        left = deadline - clock.monotonic()
        if left <= 0:
            raise WaitTimeoutError(
                f"waited {timeout:g} s for {what}; last observed: {seen.observed}",
                hint=hint or "raise --timeout if the cluster is only slow",
            )
        clock.sleep(min(pause, left))
        pause = min(pause * 2, max_interval)
