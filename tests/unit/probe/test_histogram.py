from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.model.histogram import Histogram, bucket_of, middle_of
from labctl.model.probe import Fold, Outcome


@given(st.integers(0, 10**12))
def test_a_bucket_s_middle_is_within_a_two_thousandth(micros: int) -> None:
    assert abs(middle_of(bucket_of(micros)) - micros) <= micros / 2048


@given(st.integers(0, 10**9))
def test_buckets_are_in_the_durations_order(micros: int) -> None:
    assert bucket_of(micros) <= bucket_of(micros + 1) <= bucket_of(micros) + 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_quantiles_are_those_of_the_sorted_durations(durations: list[float]) -> None:
    ordered = sorted(round(duration * 1e6) for duration in durations)
    shares = (0.01, 0.5, 0.9, 0.99, 1.0)
    for share, found in zip(shares, Histogram.of(durations).quantiles(*shares), strict=True):
        true = ordered[max(1, math.ceil(share * len(ordered) - 1e-9)) - 1]
        assert found == pytest.approx(true, rel=1 / 1024)


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100)))
def test_merging_is_counting_together(one: list[float], other: list[float]) -> None:
    assert Histogram.of(one).merge(Histogram.of(other)) == Histogram.of(one + other)


def test_nothing_has_no_quantiles() -> None:
    assert Histogram().quantiles(0.5, 1.0) == (0.0, 0.0)


def test_a_histogram_of_very_many_durations_stays_small() -> None:
    draw = random.Random(1)
    histogram = Histogram.of(draw.lognormvariate(-6, 1) for _ in range(100_000))
    assert histogram.total == 100_000
    assert len(histogram.counts) < 12_000


def test_folds_merge_outcome_by_outcome() -> None:
    ok, missing = Outcome(200, "a"), Outcome(404)
    one = Fold({ok: 2}, Histogram.of([0.001] * 2))
    both = one.merge(Fold({ok: 1, missing: 1}, Histogram.of([0.002] * 2)))
    assert both.outcomes == {ok: 3, missing: 1}
    assert (both.requests, both.latency.total) == (4, 4)
