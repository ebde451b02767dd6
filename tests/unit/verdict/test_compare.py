from __future__ import annotations

import random

import pytest
from scipy import stats

from labctl.model.report import Difference
from labctl.verdict.compare import Run, differences, fisher, homogeneity, rank_sum, significant


@pytest.mark.parametrize("table", [(8, 2, 1, 5), (900, 100, 860, 140), (0, 10, 3, 7), (5, 0, 5, 0)])
def test_fisher_is_scipy_s(table: tuple[int, int, int, int]) -> None:
    a, b, c, d = table
    assert fisher(a, b, c, d) == pytest.approx(float(stats.fisher_exact([[a, b], [c, d]]).pvalue), rel=1e-6)


def test_more_keys_are_compared_as_scipy_does() -> None:
    first, second = {"a": 100, "b": 120, "c": 80}, {"a": 60, "b": 90, "c": 150}
    expected = stats.chi2_contingency([list(first.values()), list(second.values())], correction=False).pvalue
    assert homogeneity(first, second) == pytest.approx(float(expected), rel=1e-6)


def test_keys_that_are_too_rare_are_taken_together() -> None:
    first = {"a": 500, "b": 500, **{f"rare-{n}": 1 for n in range(20)}}
    second = {"a": 510, "b": 490, **{f"other-{n}": 1 for n in range(20)}}
    assert homogeneity(first, second) > 0.5


def test_latencies_are_ranked_as_scipy_does() -> None:
    draw = random.Random(1)
    one, two = ([round(draw.gauss(mean, 1)) for _ in range(200)] for mean in (10, 10.5))
    expected = stats.mannwhitneyu(one, two, method="asymptotic").pvalue
    found = rank_sum({float(v): one.count(v) for v in one}, {float(v): two.count(v) for v in two})
    assert found == pytest.approx(float(expected), rel=1e-6)
    assert rank_sum({}, {1.0: 3}) == 1.0
    assert rank_sum({1.0: 5}, {1.0: 3}) == 1.0


def test_what_changed_is_told_from_what_chance_does() -> None:
    first = Run({"v1": 901, "v2": 99}, 1000, 0, {"200": 1000}, {1.0: 900, 2.0: 100}, 1.0, 2.0)
    same = Run({"v1": 890, "v2": 110}, 1000, 1, {"200": 999}, {1.0: 890, 2.0: 109}, 1.0, 2.0)
    other = Run({"v1": 500, "v2": 450}, 1000, 50, {"200": 950}, {1.0: 100, 4.0: 850}, 4.0, 4.0)
    assert not any(each.significant for each in significant(differences(first, same), 0.999))
    changed = {each.what for each in significant(differences(first, other), 0.999) if each.significant}
    assert changed == {"shares", "errors", "latency"}


def test_many_comparisons_do_not_add_up_to_a_false_alarm() -> None:
    found = [Difference("shares", "", "", p) for p in (0.0004, *[0.5] * 9)]
    assert not any(each.significant for each in significant(found, 0.999))
    assert significant([Difference("shares", "", "", 0.0004)], 0.999)[0].significant
