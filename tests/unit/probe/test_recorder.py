from __future__ import annotations

from labctl.model.probe import CountBy, Fold, KeyKind, ProbePlan, Request
from labctl.probe.codes import probe_error
from labctl.probe.recorder import ANSWERS_MOST, OTHER_KEY, OUTCOMES_KEPT, SAMPLES_KEPT, Recorder

PLAN = ProbePlan("x", Request("http://a/"), count=10, by=CountBy(KeyKind.HEADER, "id"))


def head(identity: int, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} X\r\nid: {identity}\r\n\r\n".encode()


def test_few_requests_are_kept_one_by_one_and_agree_with_their_counts() -> None:
    recorder = Recorder(PLAN)
    recorder.answered(0, 0.0, 0.001, 200, head(1), b"Hostname: a-1\n")
    recorder.answered(2, 0.2, 0.002, 200, head(1), b"Hostname: a-1\n")
    recorder.failed(1, 0.1, 0.5, probe_error(7, "Failed to connect to a port 80 after 3 ms: no"))
    result = recorder.result(1.0)
    assert [(sample.index, sample.pod, sample.header) for sample in result.samples] == [
        (0, "a-1", "1"),
        (2, "a-1", "1"),
        (1, "", ""),
    ]
    assert Fold.of(result.samples) == result.fold
    assert result.partial
    assert result.fold.latency.total == 2


def test_errors_that_differ_in_numbers_only_are_one_outcome() -> None:
    recorder = Recorder(PLAN)
    for milliseconds in range(50):
        recorder.failed(milliseconds, 0.0, 0.0, probe_error(28, f"timed out after {milliseconds} milliseconds"))
    recorder.failed(50, 0.0, 0.0, probe_error(28, "another reason"))
    assert sorted(recorder.result(1.0).fold.outcomes.values()) == [1, 50]


def test_however_many_requests_and_keys_what_is_kept_is_bounded() -> None:
    recorder = Recorder(PLAN)
    count = OUTCOMES_KEPT * 2
    for identity in range(count):
        recorder.answered(identity, 0.0, identity * 1e-6, 200 if identity % 2 else 404, head(identity), b"b")
    result = recorder.result(1.0)
    assert len(result.samples) == SAMPLES_KEPT
    assert len(result.answers) == ANSWERS_MOST
    assert len(result.fold.outcomes) <= OUTCOMES_KEPT + 2
    assert result.fold.requests == count
    others = {outcome.status: n for outcome, n in result.fold.outcomes.items() if outcome.header == OTHER_KEY}
    assert others == {200: OUTCOMES_KEPT // 2, 404: OUTCOMES_KEPT // 2}


def test_the_first_answer_of_a_rare_kind_is_kept() -> None:
    recorder = Recorder(PLAN)
    for index in range(100):
        recorder.answered(index, 0.0, 0.0, 200, head(1), b"usual")
    recorder.answered(100, 0.0, 0.0, 503, head(1, 503), b"rare")
    assert [answer.body for answer in recorder.result(1.0).answers].count(b"rare") == 1
