from __future__ import annotations

from labctl.embedded.kubelet.backoff import BackOff
from labctl.embedded.kubelet.settings import Settings


def test_a_back_off_starts_with_the_first_try_and_doubles_up_to_its_limit() -> None:
    settings, crashes = Settings(), BackOff()
    assert crashes.left(since=100.0, now=100.0, settings=settings) == 0.0
    seen = []
    for _ in range(7):
        crashes.next(since=100.0, now=100.0, settings=settings)
        seen.append(crashes.left(since=100.0, now=103.0, settings=settings))
    assert seen == [7.0, 17.0, 37.0, 77.0, 157.0, 297.0, 297.0]
    assert crashes.left(since=100.0, now=500.0, settings=settings) == 0.0


def test_what_went_well_for_long_is_not_held_back_any_more() -> None:
    settings, crashes = Settings(backoff_scale=0.1), BackOff()
    for _ in range(4):
        crashes.next(since=0.0, now=0.0, settings=settings)
    assert crashes.left(since=59.0, now=59.0, settings=settings) == 8.0
    assert crashes.left(since=61.0, now=61.0, settings=settings) == 0.0
    crashes.next(since=61.0, now=61.0, settings=settings)
    assert crashes.delay == 10.0
