from __future__ import annotations

import random

import pytest
from scipy import stats

from labctl.model.report import Moment
from labctl.verdict.change import SIMULATED_MOST, find_change
from labctl.verdict.power import accepted, noncentral_tail, power_of_two, requests_to_detect
from labctl.verdict.sequential import interval, log_e_value, progress

THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}


@pytest.mark.parametrize(
    ("value", "degrees", "noncentrality"), [(3.0, 1, 2.0), (13.8, 2, 20.0), (20.0, 9, 60.0), (5.0, 3, 0.0)]
)
def test_the_noncentral_tail_is_scipy_s(value: float, degrees: int, noncentrality: float) -> None:
    expected = stats.ncx2.sf(value, degrees, noncentrality) if noncentrality else stats.chi2.sf(value, degrees)
    assert noncentral_tail(value, degrees, noncentrality) == pytest.approx(float(expected), rel=1e-6)


def test_the_power_of_the_binomial_test_is_scipy_s() -> None:
    low, high = accepted(1000, 0.1, 0.999)
    assert (low, high) == (70, 132)
    expected = stats.binom.cdf(low - 1, 1000, 0.15) + stats.binom.sf(high, 1000, 0.15)
    assert power_of_two(1000, 0.1, 0.15, 0.999) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("shares", [{"v1": 0.9, "v2": 0.1}, {"v1": 0.5, "v2": 0.5}])
def test_that_many_requests_detect_and_few_less_do_not(shares: dict[str, float]) -> None:
    count = requests_to_detect(shares, 0.05, 0.999)
    for share in shares.values():
        assert power_of_two(count, share, share + 0.05, 0.999) >= 0.95
    worst = min(
        power_of_two(round(count * 0.9), share, share + sign * 0.05, 0.999)
        for share in shares.values()
        for sign in (1, -1)
    )
    assert worst < 0.95


def test_three_keys_take_as_many_as_a_simulation_finds() -> None:
    count = requests_to_detect(THIRDS, 0.05, 0.999)
    draw = random.Random(1)
    truth = [1 / 3 + 0.05, 1 / 3 - 0.025, 1 / 3 - 0.025]
    refused = 0
    for _ in range(200):
        drawn = draw.choices("abc", truth, k=count)
        refused += stats.chisquare([drawn.count(key) for key in "abc"]).pvalue < 0.001
    assert refused / 200 == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("shares", [{"a": 1.0}, {"a": 0.5, "b": 0.5}])
def test_what_cannot_be_off_by_so_much_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="can be off"):
        requests_to_detect(shares, 0.6, 0.999)


def test_the_e_value_is_the_mixture_of_all_shares() -> None:
    """For two keys the mixture is the beta-binomial distribution with parameters 1, 1: 1 / ((n + 1)·C(n, x))."""
    expected = stats.betabinom.logpmf(30, 100, 1, 1) - stats.binom.logpmf(30, 100, 0.1)
    assert log_e_value({"a": 30, "b": 70}, {"a": 0.1, "b": 0.9}) == pytest.approx(float(expected), rel=1e-9)


def test_looking_after_every_answer_gives_no_more_false_alarms_than_stated() -> None:
    """At confidence 0.9 at most a tenth of true runs may ever be refused; an ordinary test is looked at as often."""
    draw = random.Random(7)
    alarms = ordinary = 0
    runs, length = 200, 400
    for _ in range(runs):
        hits, refused, p_refused = 0, False, False
        for total in range(1, length + 1):
            hits += draw.random() < 0.1
            counts = {"v2": hits, "v1": total - hits}
            refused = refused or log_e_value(counts, {"v1": 0.9, "v2": 0.1}) >= 2.302585
            if total % 10 == 0 and not p_refused:
                p_refused = bool(stats.binomtest(hits, total, 0.1).pvalue < 0.1)
        alarms += refused
        ordinary += p_refused
    assert alarms / runs <= 0.1
    assert ordinary / runs > 0.2  # which is why the ordinary one will not do


def test_a_sequential_judgement_ends_either_way() -> None:
    shares = {"v1": 0.9, "v2": 0.1}
    assert not progress({"v1": 90, "v2": 10}, shares, 0.05, 0.999).sure
    fine = progress({"v1": 1800, "v2": 200}, shares, 0.05, 0.999)
    assert (fine.sure, fine.refused) == (True, False)
    wrong = progress({"v1": 140, "v2": 60}, shares, 0.05, 0.999)
    assert (wrong.sure, wrong.refused) == (True, True)
    assert progress({"v1": 9, "x": 1}, shares, 0.05, 0.999).refused


def test_the_confidence_sequence_holds_the_share_seen_and_narrows() -> None:
    narrow, wide = interval(1000, 10_000, 0.001), interval(10, 100, 0.001)
    assert wide[0] < narrow[0] < 0.1 < narrow[1] < wide[1]
    assert interval(0, 0, 0.001) == (0.0, 1.0)


def moments(draw: random.Random, shares: list[float], each: int) -> list[Moment]:
    found = []
    for slot, share in enumerate(shares):
        second = sum(draw.random() < share for _ in range(each))
        found.append(Moment(slot * 0.5, {"v1": each - second, "v2": second}))
    return found


@pytest.mark.parametrize("each", [20, 200])
def test_a_change_is_found_where_it_is(each: int) -> None:
    found = find_change(moments(random.Random(3), [0.1] * 12 + [0.5] * 8, each))
    assert found is not None
    assert found.at_s == 6.0
    assert found.before["v2"] == pytest.approx(0.1, abs=0.06)
    assert found.after["v2"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("each", [10, 100])
def test_where_nothing_changes_none_is_found(each: int) -> None:
    draw = random.Random(5)
    assert (each * 20 <= SIMULATED_MOST) == (each == 10)
    assert sum(find_change(moments(draw, [0.2] * 20, each)) is not None for _ in range(200)) <= 2


def test_a_burst_of_errors_is_a_change() -> None:
    before = [Moment(slot * 1.0, {"a": 50}) for slot in range(5)]
    after = [Moment(slot * 1.0, {"a": 20}, {"CURLE_COULDNT_CONNECT": 30}) for slot in range(5, 10)]
    found = find_change([*before, *after])
    assert found is not None
    assert found.at_s == 5.0
    assert found.after["CURLE_COULDNT_CONNECT"] == pytest.approx(0.6)


def test_one_key_has_no_shares_to_change() -> None:
    assert find_change([Moment(0.0, {"a": 5}), Moment(1.0, {"a": 9})]) is None
    assert find_change([]) is None
