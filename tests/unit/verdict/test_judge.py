from __future__ import annotations

import math
from dataclasses import replace

import pytest

from labctl.model.lab import Distribution, Expectation, Split
from labctl.model.probe import Answer, Outcome, Request
from labctl.model.report import Result
from labctl.verdict import binomial
from labctl.verdict.judge import KEYS_LISTED, Directory, build_check, judge
from labctl.verdict.repeat import combine, doubt, needs_second_round
from tests.unit.verdict.results import (
    BY_NODE,
    BY_STATUS,
    BY_VERSION,
    REFUSED,
    UNTRUSTED,
    pods,
    result,
    versions,
)

CANARY = Expectation(split=Split(Distribution.WEIGHTED, {"v1": 90, "v2": 10}))
ADMIN = Directory({"a": "k3s-w1", "b": "k3s-w2", "c": "k3s-w2"}, {"svc3-admin": ("a", "b", "c")})


def split(distribution: Distribution, **options: object) -> Expectation:
    return Expectation(split=Split(distribution, **options))  # type: ignore[arg-type]  # as the tests name them


def test_the_study_s_876_of_1000_is_reported_for_what_it_is() -> None:
    verdict = judge(CANARY, versions(876, 124))
    assert verdict.passed
    assert verdict.method == "binomial"
    assert verdict.reason == (
        "876/124 of 1000: v2 has 12.4 % where 10 % was expected; a true 10 % strays at least this far in 1.3 % of runs "
        "(exact binomial, p = 0.013): accepted at confidence 0.999"
    )


def test_800_of_1000_is_refused() -> None:
    verdict = judge(CANARY, versions(800, 200))
    assert not verdict.passed
    assert verdict.reason.endswith(
        "in fewer than 1 of 10^20 runs (exact binomial, p < 1e-20): refused at confidence 0.999"
    )


def test_the_confidence_decides() -> None:
    assert not judge(CANARY, versions(876, 124), confidence=0.95).passed


def test_a_version_that_never_answers_is_listed_with_0_and_named() -> None:
    check = build_check(versions(1000, 0), CANARY)
    assert check.result is Result.FAILED
    assert [(hits.key, hits.hits, hits.expected) for hits in check.hits] == [("v1", 1000, 0.9), ("v2", 0, 0.1)]
    assert check.verdict is not None
    assert "v2 never answered" in check.verdict.reason


def test_a_key_of_weight_0_may_not_answer_at_all() -> None:
    verdict = judge(split(Distribution.WEIGHTED, weights={"v1": 100, "v2": 0}), versions(999, 1))
    assert (verdict.passed, verdict.p_value) == (False, None)
    assert "1 of 1000 came from where none may come from: v2 1" in verdict.reason
    assert judge(split(Distribution.WEIGHTED, weights={"v1": 100, "v2": 0}), versions(1000, 0)).passed


def test_answers_that_name_no_version_are_not_swept_aside() -> None:
    outcomes = {Outcome(200, "", "v1"): 900, Outcome(200, "", "v2"): 98, Outcome(200): 2}
    verdict = judge(CANARY, result(outcomes, BY_VERSION))
    assert not verdict.passed
    assert "(no version recognised) 2" in verdict.reason


def test_three_weights_are_a_multinomial() -> None:
    outcomes = {Outcome(200, "", key): hits for key, hits in (("a", 500), ("b", 310), ("c", 190))}
    verdict = judge(split(Distribution.WEIGHTED, weights={"a": 5, "b": 3, "c": 2}), result(outcomes, BY_VERSION))
    assert (verdict.passed, verdict.method) == (True, "chi-square")
    assert verdict.reason.startswith("500/310/190 of 1000 where 500/300/200 was expected on average; ")


def test_round_robin_over_the_pods_of_a_service() -> None:
    expectation = split(Distribution.ROUND_ROBIN, pods_of="svc3-admin")
    even = judge(expectation, pods(a=34, b=33, c=33), ADMIN)
    assert even.passed
    assert even.reason.startswith("34/33/33 of 100: at most 1 apart, as round robin by 1 worker or more brings")
    assert "a random spread is this even in 2.4 % of runs" in even.reason
    clear = judge(expectation, pods(a=3334, b=3333, c=3333), ADMIN)
    assert clear.reason.endswith("so it is no chance")
    uneven = judge(expectation, pods(a=361, b=310, c=329), ADMIN)
    assert not uneven.passed
    assert uneven.p_value is not None


def test_round_robin_by_a_known_number_of_workers_is_bounded() -> None:
    expectation = split(Distribution.ROUND_ROBIN, pods_of="svc3-admin", workers=2)
    assert judge(expectation, pods(a=35, b=33, c=32), ADMIN).passed is False
    assert "round robin by 2 workers allows at most 2" in judge(expectation, pods(a=36, b=32, c=32), ADMIN).reason
    assert judge(expectation, pods(a=34, b=34, c=32), ADMIN).passed


def test_a_pod_of_the_service_that_never_answers_is_listed_and_refused() -> None:
    check = build_check(pods(a=50, b=50), split(Distribution.ROUND_ROBIN, pods_of="svc3-admin"), ADMIN)
    assert check.result is Result.FAILED
    assert [(hits.key, hits.hits, round(hits.expected or 0, 3), hits.nodes) for hits in check.hits] == [
        ("a", 50, 0.333, {"a": "k3s-w1"}),
        ("b", 50, 0.333, {"b": "k3s-w2"}),
        ("c", 0, 0.333, {"c": "k3s-w2"}),
    ]
    assert check.verdict is not None
    assert "c never answered" in check.verdict.reason


def test_a_pod_that_is_not_the_service_s_is_refused() -> None:
    verdict = judge(split(Distribution.RANDOM, pods_of="svc3-admin"), pods(a=30, b=30, c=30, other=10), ADMIN)
    assert (verdict.passed, verdict.p_value) == (False, None)
    assert "other 10" in verdict.reason


def test_by_node_the_pods_decide_and_nodes_have_their_pods_share() -> None:
    check = build_check(
        pods(BY_NODE, a=334, b=333, c=333), split(Distribution.ROUND_ROBIN, pods_of="svc3-admin"), ADMIN
    )
    assert check.result is Result.PASSED
    assert [(hits.key, hits.hits, round(hits.expected or 0, 3)) for hits in check.hits] == [
        ("k3s-w2", 666, 0.667),
        ("k3s-w1", 334, 0.333),
    ]


def test_random_spreads_are_judged_by_chance() -> None:
    assert judge(split(Distribution.RANDOM, pods_of="svc3-admin"), pods(a=40, b=35, c=25), ADMIN).passed
    assert not judge(split(Distribution.RANDOM, pods_of="svc3-admin"), pods(a=70, b=20, c=10), ADMIN).passed


def test_one_pod_alone_shows_no_spread() -> None:
    verdict = judge(split(Distribution.RANDOM), pods(a=100))
    assert verdict.passed
    assert "one key alone shows no spread" in verdict.reason


def test_sticky_means_one_pod() -> None:
    known = split(Distribution.STICKY, pods_of="svc3-admin")
    assert not judge(known, pods(a=99, b=1), ADMIN).passed
    verdict = judge(known, pods(b=20), ADMIN)
    assert verdict.passed
    assert verdict.reason == "all 20 from b; without stickiness 3 pods would do so in fewer than 1 of 10^9 runs"


def test_statuses_are_exact_and_explained() -> None:
    verdict = judge(Expectation(), result({Outcome(200, "a"): 7, Outcome(503): 3}))
    assert (verdict.passed, verdict.p_value, verdict.method) == (False, None, "exact")
    assert verdict.reason == (
        "3 of 10 answers had not status 200: 3 × 503 (there is no ready endpoint behind the Service that the rule names)"
    )
    assert judge(Expectation(status=(200, 503)), result({Outcome(200, "a"): 7, Outcome(503): 3})).passed
    assert judge(Expectation(status=()), result({Outcome(418): 3})).passed


def test_where_nothing_answered_it_says_what_happened_instead() -> None:
    check = build_check(result({Outcome(0, error=REFUSED): 100}, BY_VERSION), CANARY)
    assert (check.result, check.errors, check.error_kinds) == (Result.FAILED, 100, {"CURLE_COULDNT_CONNECT": 100})
    assert check.latency is None
    assert check.verdict is not None
    assert check.verdict.reason == f"none of 100 was answered: 100 × CURLE_COULDNT_CONNECT ({REFUSED.message})"
    assert [hits.hits for hits in check.hits] == [0, 0]


def test_one_request_without_an_answer_fails_the_check() -> None:
    verdict = judge(
        CANARY, result({Outcome(200, "", "v1"): 90, Outcome(200, "", "v2"): 9, Outcome(0, error=REFUSED): 1})
    )
    assert verdict.reason.startswith("1 of 100 had no answer: 1 × CURLE_COULDNT_CONNECT")


@pytest.mark.parametrize("name", ["CURLE_PEER_FAILED_VERIFICATION", "peer_failed_verification"])
def test_an_expected_error_must_be_every_request_s(name: str) -> None:
    expectation = Expectation(error=name)
    assert judge(expectation, result({Outcome(0, error=UNTRUSTED): 3})).passed
    assert not judge(expectation, result({Outcome(0, error=REFUSED): 3})).passed
    answered = judge(expectation, result({Outcome(0, error=UNTRUSTED): 2, Outcome(200): 1}))
    assert "1 of 3 were answered (1 × 200)" in answered.reason


def test_only_is_exact() -> None:
    assert judge(Expectation(only=("v2",)), versions(0, 20)).passed
    verdict = judge(Expectation(only=("v2",)), versions(1, 19))
    assert verdict.reason == "1 of 20 came from v1 1, where all had to come from v2"
    assert build_check(versions(0, 20), Expectation(only=("v2",))).hits[0].expected == 1.0


HELLO = Answer(200, (("Content-Type", "text/plain"), ("Set-Cookie", "route=1"), ("X-A", "b")), b"Hostname: a-1\n")
NO_COOKIE = replace(HELLO, headers=HELLO.headers[:1])


@pytest.mark.parametrize(
    ("expectation", "reason"),
    [
        (Expectation(headers={"content-type": "text/.*", "x-a": "b"}, body=("Hostname: a-.",)), ""),
        (
            Expectation(headers={"Content-Type": "text"}),
            "header Content-Type is 'text/plain', where 'text' was expected",
        ),
        (Expectation(headers={"X-B": ".*"}), "header X-B is absent"),
        (Expectation(absent_headers=("x-a",)), "header x-a must not be there, but is: 'b'"),
        (Expectation(absent_headers=("x-b",)), ""),
        (Expectation(body=("Hostname", "nginx")), "no 'nginx' in a body (status 200): it begins 'Hostname: a-1'"),
    ],
)
def test_headers_and_bodies_are_looked_at(expectation: Expectation, reason: str) -> None:
    verdict = judge(expectation, result({Outcome(200, "a-1"): 1}, answers=(HELLO,)))
    assert verdict.passed is (not reason)
    assert reason in verdict.reason


def test_a_jar_s_cookie_is_set_once() -> None:
    expectation = Expectation(headers={"Set-Cookie": "route=.*"})
    two = {Outcome(200, "a-1"): 2}
    jar = Request("http://a/", cookie_jar=True)
    assert judge(expectation, result(two, answers=(HELLO, NO_COOKIE), request=jar)).passed
    assert not judge(expectation, result(two, answers=(HELLO, NO_COOKIE))).passed


@pytest.mark.parametrize("distribution", list(Distribution))
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_a_single_answer_is_no_evidence_against_any_spread(distribution: Distribution, workers: int) -> None:
    weights = {"a": 1.0, "b": 9.0, "c": 90.0} if distribution is Distribution.WEIGHTED else {}
    expectation = split(distribution, weights=weights, pods_of="svc3-admin", workers=workers)
    assert judge(expectation, pods(a=1), ADMIN).passed


def test_several_broken_claims_are_all_named() -> None:
    verdict = judge(
        Expectation(only=("b",), body=("x",)), result({Outcome(404, "a"): 2}, answers=(replace(HELLO, status=404),))
    )
    assert verdict.reason.count("; ") == 2


def test_an_interrupted_run_says_so() -> None:
    verdict = judge(CANARY, versions(45, 5, planned=1000))
    assert verdict.reason.startswith("interrupted after 50 of 1000 requests; so far: 45/5 of 50: ")
    check = build_check(result({}, planned=10), CANARY)
    assert (check.result, check.partial) == (Result.ERROR, True)


def test_by_status_the_statuses_are_the_keys() -> None:
    check = build_check(result({Outcome(404): 3, Outcome(200, "a"): 1}, BY_STATUS), Expectation(status=(200, 404)))
    assert [(hits.key, hits.hits, hits.share, hits.pods) for hits in check.hits] == [
        ("404", 3, 0.75, {}),
        ("200", 1, 0.25, {"a": 1}),
    ]
    assert check.status == {"200": 1, "404": 3}
    assert check.latency is not None
    assert (check.latency.p50, check.requests_per_s) == (2.0, 8.0)


def test_of_very_many_keys_the_first_are_listed_and_the_rest_is_summed() -> None:
    check = build_check(pods(**{f"p{n}": 1 + (n < 5) for n in range(10_000)}), Expectation())
    assert len(check.hits) == KEYS_LISTED + 1
    assert check.hits[0].hits == 2
    assert (check.hits[-1].key, check.hits[-1].hits) == ("(9800 others)", 9800)
    assert sum(hits.hits for hits in check.hits) == 10_005


def test_a_refused_statistical_check_gets_a_second_round_twice_as_long() -> None:
    run = versions(800, 200)
    first = build_check(run, CANARY)
    plan = needs_second_round(first, run.plan)
    assert plan is not None
    assert plan == replace(run.plan, count=2000)
    passed = combine(first, build_check(versions(1790, 210), CANARY))
    assert (passed.result, passed.requests, passed.first) == (Result.PASSED, 2000, first)
    assert passed.verdict is not None
    assert passed.verdict.reason.endswith("(second round; the first, of 1000, was refused)")
    failed = combine(first, build_check(versions(1600, 400), CANARY))
    assert failed.result is Result.FAILED


def test_what_is_not_chance_s_is_not_repeated() -> None:
    for run, expectation in (
        (versions(885, 115), CANARY),
        (result({Outcome(503): 10}), CANARY),
        (versions(10, 10), Expectation(only=("v1",))),
        (versions(1, 40, planned=100), CANARY),
    ):
        assert needs_second_round(build_check(run, expectation), run.plan) is None


def test_what_is_in_doubt_is_asked_again_and_the_second_round_decides() -> None:
    doubtful = versions(868, 132)
    first = build_check(doubtful, CANARY)
    assert first.verdict is not None
    assert first.verdict.passed
    again = needs_second_round(first, doubtful.plan)
    assert again is not None
    assert again.count == 2000
    both = combine(first, build_check(versions(1700, 300), CANARY))
    assert both.result is Result.FAILED
    assert both.verdict is not None
    assert "the first, of 1000, was in doubt" in both.verdict.reason
    assert combine(first, build_check(versions(1800, 200), CANARY)).result is Result.PASSED


def test_an_interrupted_second_round_leaves_the_first_judgement() -> None:
    first = build_check(versions(800, 200), CANARY)
    both = combine(first, build_check(versions(9, 1, planned=2000), CANARY))
    assert (both.result, both.partial, both.requests) == (Result.FAILED, True, 1000)


def test_two_rounds_fail_what_is_true_about_once_in_thirty_thousand() -> None:
    def refused(trials: int, below: float) -> float:
        shares = (hits for hits in range(trials + 1) if binomial.two_sided(hits, trials, 0.1) < below)
        return sum(math.exp(binomial.log_pmf(hits, trials, 0.1)) for hits in shares)

    assert 0 < refused(200, doubt(0.999)) * refused(400, 0.001) <= 0.001**1.5
