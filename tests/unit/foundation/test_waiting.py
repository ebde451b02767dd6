from __future__ import annotations

import pytest

from labctl.errors import WaitTimeoutError
from labctl.testing.clock import FakeClock
from labctl.waiting import Pending, wait_for


def test_returns_what_was_observed_without_sleeping() -> None:
    time = FakeClock()
    assert wait_for("x", lambda: 42, timeout=1, clock=time.clock()) == 42
    assert time.slept == []


def test_pauses_grow_up_to_their_limit() -> None:
    time = FakeClock()
    answers = iter([Pending("a"), Pending("b"), Pending("c"), Pending("d"), True])
    wait_for("x", lambda: next(answers), timeout=60, clock=time.clock(), interval=0.5, max_interval=2)
    assert time.slept == [0.5, 1.0, 2.0, 2.0]


def test_a_deadline_names_what_was_last_observed() -> None:
    time = FakeClock()
    seen: list[str] = []
    with pytest.raises(WaitTimeoutError, match=r"waited 3 s for the pod; last observed: 1 of 2 ready"):
        wait_for(
            "the pod",
            lambda: Pending("1 of 2 ready"),
            timeout=3,
            clock=time.clock(),
            on_pending=lambda pending: seen.append(pending.observed),
        )
    assert time.seconds == pytest.approx(3)
    assert set(seen) == {"1 of 2 ready"}


def test_the_last_observation_is_made_at_the_deadline() -> None:
    time = FakeClock()
    answer = wait_for(
        "x",
        lambda: True if time.seconds >= 3 else Pending("no"),
        timeout=3,
        clock=time.clock(),
        interval=2,
        max_interval=2,
    )
    assert answer is True
