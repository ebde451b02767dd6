"""The statistics against scipy, against enumeration, and against simulation."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats

from labctl.verdict import binomial, multinomial, roundrobin
from labctl.verdict.special import chi_square_quantile, chi_square_tail


@pytest.mark.parametrize("share", [0.001, 0.1, 1 / 3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("trials", [1, 2, 10, 100, 1000])
def test_the_binomial_test_is_scipy_s(trials: int, share: float) -> None:
    for hits in {0, 1, trials // 10, trials // 3, trials // 2, round(trials * share), trials - 1, trials}:
        expected = stats.binomtest(hits, trials, share).pvalue
        assert binomial.two_sided(hits, trials, share) == pytest.approx(expected, rel=1e-8, abs=1e-300), hits


def test_the_study_s_own_counts() -> None:
    assert binomial.two_sided(10, 100, 0.1) == 1.0
    assert binomial.two_sided(124, 1000, 0.1) == pytest.approx(0.0132, abs=0.0001)
    assert binomial.two_sided(200, 1000, 0.1) < 1e-19


def test_the_binomial_test_with_a_million_observations() -> None:
    expected = stats.binomtest(501_000, 1_000_000, 0.5).pvalue
    assert binomial.two_sided(501_000, 1_000_000, 0.5) == pytest.approx(expected, rel=1e-5)


def test_certain_shares_allow_one_count_only() -> None:
    assert [binomial.two_sided(hits, 5, 0.0) for hits in (0, 1)] == [1.0, 0.0]
    assert [binomial.two_sided(hits, 5, 1.0) for hits in (4, 5)] == [0.0, 1.0]


def test_counts_that_cannot_be_are_refused() -> None:
    for hits, trials, share in ((-1, 5, 0.5), (6, 5, 0.5), (1, 5, 1.5)):
        with pytest.raises(ValueError, match="at share"):
            binomial.two_sided(hits, trials, share)


@pytest.mark.parametrize(("trials", "share"), [(100, 0.1), (1000, 0.1), (100, 0.5), (37, 0.9)])
def test_the_binomial_test_s_false_alarms_are_at_most_what_is_stated(trials: int, share: float) -> None:
    for alpha in (0.05, 0.001):
        refused = [hits for hits in range(trials + 1) if binomial.two_sided(hits, trials, share) < alpha]
        assert sum(stats.binom.pmf(refused, trials, share)) <= alpha


@pytest.mark.parametrize("degrees", [1, 2, 3, 10, 199])
def test_the_chi_square_tail_is_scipy_s(degrees: int) -> None:
    for value in (0.0, 0.01, 0.5, 1.0, float(degrees), degrees + 20.0, degrees * 5.0 + 100):
        assert chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-9, abs=1e-15)
    assert chi_square_quantile(0.001, degrees) == pytest.approx(stats.chi2.isf(0.001, degrees), rel=1e-7)


def enumerated(counts: tuple[int, ...], shares: tuple[float, ...]) -> float:
    total = sum(counts)
    distribution = stats.multinomial(total, shares)
    limit = distribution.pmf(counts) * (1 + 1e-7)
    tables = (table for table in itertools.product(range(total + 1), repeat=len(counts)) if sum(table) == total)
    return math.fsum(p for p in (distribution.pmf(table) for table in tables) if p <= limit)


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ((5, 3, 4), (1 / 3, 1 / 3, 1 / 3)),
        ((0, 6, 6), (1 / 3, 1 / 3, 1 / 3)),
        ((9, 1, 2), (0.5, 0.3, 0.2)),
        ((1, 2, 3, 0), (0.25,) * 4),
    ],
)
def test_few_observations_are_judged_exactly(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    fit = multinomial.goodness_of_fit(counts, shares)
    assert fit.method == "exact multinomial"
    assert fit.p_value == pytest.approx(enumerated(counts, shares), rel=1e-7)


def test_two_keys_are_judged_as_by_the_binomial_test() -> None:
    fit = multinomial.goodness_of_fit((876, 124), (0.9, 0.1))
    assert fit.p_value == pytest.approx(binomial.two_sided(124, 1000, 0.1), rel=1e-7)


def test_many_observations_are_judged_by_chi_square() -> None:
    counts = (350, 330, 320)
    fit = multinomial.goodness_of_fit(counts, (1 / 3,) * 3)
    assert fit.method == "chi-square"
    assert fit.p_value == pytest.approx(stats.chisquare(counts).pvalue, rel=1e-9)


def test_many_keys_with_few_observations_are_simulated_and_always_alike() -> None:
    counts, shares = (9, 12, 8, 11, 10, 14, 6, 10, 12, 8), (0.1,) * 10
    fit = multinomial.goodness_of_fit(counts, shares)
    assert fit.method == "Monte Carlo multinomial"
    assert fit == multinomial.goodness_of_fit(counts, shares)
    assert fit.p_value == pytest.approx(stats.chisquare(counts).pvalue, abs=0.12)


def test_what_is_clear_needs_no_simulation() -> None:
    fit = multinomial.goodness_of_fit((50, 50, *[0] * 8), (0.1,) * 10)
    assert fit.method == "multinomial bound"
    assert fit.p_value < 1e-20


def test_the_simulated_p_value_near_the_limit_is_the_true_one() -> None:
    counts, shares = (22, 4, 8, 8, 10, 14, 6, 10, 12, 6), (0.1,) * 10
    simulated = np.random.default_rng(1).multinomial(sum(counts), shares, size=400_000)
    true = float(np.mean(((simulated - 10) ** 2 / 10).sum(axis=1) >= multinomial.pearson(counts, shares) - 1e-9))
    assert 0.001 < true < 0.01
    assert multinomial.goodness_of_fit(counts, shares).p_value == pytest.approx(true, rel=0.5)


@pytest.mark.parametrize("shares", [(1 / 3,) * 3, (0.8, 0.1, 0.1), (0.5, 0.4, 0.1)])
def test_where_chi_square_is_used_its_false_alarms_are_near_what_is_stated(shares: tuple[float, ...]) -> None:
    total = next(n for n in range(10, 5000) if multinomial.chi_square_fits(n, shares))
    logs = [math.log(share) for share in shares]
    factorials = [math.lgamma(count + 1) for count in range(total + 1)]
    alarms = 0.0
    for first in range(total + 1):
        for second in range(total - first + 1):
            table = (first, second, total - first - second)
            log_p = factorials[total] + sum(c * log - factorials[c] for c, log in zip(table, logs, strict=True))
            if log_p > -25 and chi_square_tail(multinomial.pearson(table, shares), 2) < 0.001:
                alarms += math.exp(log_p)
    assert alarms <= 0.00106, total


@pytest.mark.parametrize(("counts", "shares"), [((1, 2), (0.5, 0.4)), ((1, 2), (1.0,)), ((), ()), ((1, 2), (1.0, 0.0))])
def test_shares_that_are_none_are_refused(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        multinomial.goodness_of_fit(counts, shares)


def round_robin(draw: random.Random, total: int, pods: int, workers: int) -> list[int]:
    """Requests spread over workers at random; each worker's cursor begins anywhere."""
    cursors = [draw.randrange(pods) for _ in range(workers)]
    counts = [0] * pods
    for _ in range(total):
        worker = draw.randrange(workers)
        counts[cursors[worker] % pods] += 1
        cursors[worker] += 1
    return counts


def at_random(draw: random.Random, total: int, pods: int) -> list[int]:
    counts = [0] * pods
    for _ in range(total):
        counts[draw.randrange(pods)] += 1
    return counts


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
@pytest.mark.parametrize("pods", [2, 3, 5])
def test_the_bound_of_so_many_workers_is_never_broken(workers: int, pods: int) -> None:
    draw = random.Random(workers * 10 + pods)
    for total in (1, 7, 100, 301):
        for _ in range(20):
            assert roundrobin.fewest_workers(round_robin(draw, total, pods, workers)) <= workers


def test_the_bound_is_reached() -> None:
    draw = random.Random(1)
    assert max(roundrobin.fewest_workers(round_robin(draw, 100, 2, 4)) for _ in range(300)) == 4


@pytest.mark.parametrize(("total", "pods", "workers"), [(100, 3, 2), (100, 3, 64), (1000, 3, 64), (300, 5, 16)])
def test_round_robin_passes_as_often_as_stated(total: int, pods: int, workers: int) -> None:
    draw = random.Random(20_240_909)
    runs, alpha = 250, 0.05
    p_values = [
        roundrobin.compare(round_robin(draw, total, pods, workers), workers, 0.999).p_value for _ in range(runs)
    ]
    refused = sum(p_value < alpha for p_value in p_values)
    # With a true rate of 0.05, more than this many of 250 have probability 0.0005.
    assert refused <= stats.binom.isf(0.0005, runs, alpha)


@pytest.mark.parametrize(("total", "pods", "workers"), [(1000, 3, 0), (1000, 3, 4), (100, 3, 2), (5000, 2, 0)])
def test_a_random_spread_is_exposed_as_often_as_promised(total: int, pods: int, workers: int) -> None:
    draw = random.Random(7)
    runs = 40
    found = [roundrobin.compare(at_random(draw, total, pods), workers, 0.99) for _ in range(runs)]
    exposed = sum(each.p_value < 0.01 for each in found)
    promised = found[0].detects
    assert promised > 0.5
    # At least what was promised, but for chance (probability 0.0005).
    assert exposed >= stats.binom.ppf(0.0005, runs, promised - 0.05)


def test_an_unknown_number_of_workers_is_estimated() -> None:
    draw = random.Random(3)
    assert roundrobin.compare([34, 33, 33], 0, 0.999).fewest == 1
    for workers in (2, 8, 32):
        found = roundrobin.compare(round_robin(draw, 3000, 3, workers), 0, 0.999)
        assert found.fewest <= workers
    assert roundrobin.compare([400, 320, 280], 0, 0.999).fewest == roundrobin.WORKERS_MOST + 1


def test_little_data_promises_little() -> None:
    assert roundrobin.compare([34, 33, 33], 0, 0.999).detects < 0.1


def test_the_chance_of_an_even_spread_is_exact_where_it_is_told() -> None:
    for counts in ((34, 33, 33), (36, 33, 31), (4, 3, 3, 2)):
        total, pods = sum(counts), len(counts)
        limit = sum((count - total / pods) ** 2 for count in counts) + 1e-9
        near = range(max(0, total // pods - 8), total // pods + 9)
        tables = (table for table in itertools.product(near, repeat=pods) if sum(table) == total)
        even = (table for table in tables if sum((count - total / pods) ** 2 for count in table) <= limit)
        expected = math.fsum(float(stats.multinomial.pmf(table, total, [1 / pods] * pods)) for table in even)
        assert roundrobin.chance_even(counts) == pytest.approx(expected, rel=1e-9)
    assert roundrobin.chance_even((52, 48)) == pytest.approx(sum(stats.binom.pmf(range(48, 53), 100, 0.5)), rel=1e-9)
