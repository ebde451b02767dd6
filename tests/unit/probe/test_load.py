from __future__ import annotations

import re
import threading
import time

import pytest

from labctl.errors import UsageError
from labctl.model.histogram import Histogram
from labctl.model.probe import Connection, Load, Outcome, ProbePlan, ProbeResult, Request
from labctl.model.timeline import FINEST, SLOTS_MOST, Timeline
from labctl.probe import workers
from labctl.probe.engine import run
from labctl.probe.schedule import Schedule
from tests.unit.probe.known import Known, known_server, one_in_ten, pod


def plan_for(server: Known, **changes: object) -> ProbePlan:
    plan: dict[str, object] = {"name": "x", "request": Request(server.url), "count": 100, "concurrency": 8}
    return ProbePlan(**{**plan, **changes})  # type: ignore[arg-type]  # each test names the fields it is about


def hits(result: ProbeResult) -> dict[str, int]:
    found: dict[str, int] = {}
    for outcome, count in result.fold.outcomes.items():
        name = outcome.error.name if outcome.error else outcome.pod
        found[name] = found.get(name, 0) + count
    return found


@pytest.mark.parametrize("connection", list(Connection))
def test_counts_are_those_of_the_server(connection: Connection) -> None:
    with known_server(one_in_ten) as server:
        result = run(plan_for(server, count=500, connection=connection))
    assert hits(result) == {"dp-v1-a": 450, "dp-v2-a": 50}
    assert server.asked == 500


def test_every_lost_request_of_a_burst_is_found_and_dated() -> None:
    with known_server(lambda number: b"" if 40 <= number < 57 else pod("a-1")) as server:
        result = run(plan_for(server, concurrency=1, load=Load(rate=200)))
    assert hits(result) == {"a-1": 83, "CURLE_GOT_NOTHING": 17}
    lost = {at: n for at, counts in result.fold.timeline.rows() for end, n in counts.items() if end.error}
    assert sum(lost.values()) == 17
    assert 0.18 <= min(lost) <= max(lost) < 2.0


def test_an_open_loop_keeps_its_rate_and_its_duration() -> None:
    with known_server(lambda number: pod("a-1")) as server:
        result = run(plan_for(server, load=Load(rate=100, duration=0.5)))
    assert result.fold.requests == server.asked == 50
    assert 0.48 <= result.elapsed < 5  # the last is due at 0.49 s; a busy machine may be late
    assert not result.partial


def test_a_stalled_server_is_seen_by_every_request_that_was_due_meanwhile() -> None:
    """One request at a time, 100/s, and request 20 takes 0.5 s: the 50 behind it are late by 0.5 s … 0 s."""

    def behaviour(number: int) -> bytes:
        if number == 20:
            time.sleep(0.5)
        return pod("a-1")

    with known_server(behaviour) as server:
        result = run(plan_for(server, count=100, concurrency=1, connection=Connection.KEEP_ALIVE, load=Load(rate=100)))
    late = sorted((sample.elapsed for sample in result.samples), reverse=True)
    assert late[0] >= 0.5
    for behind in (10, 25, 40):  # a busy machine makes them later, nothing makes them earlier
        assert late[behind] >= 0.5 - behind * 0.01 - 0.02


def test_a_closed_loop_lasts_as_long_as_asked() -> None:
    with known_server(lambda number: pod("a-1")) as server:
        result = run(plan_for(server, load=Load(duration=0.3)))
    assert result.fold.requests == server.asked > 8
    assert 0.3 <= result.elapsed < 5
    assert not result.partial


def test_what_warms_up_is_not_counted() -> None:
    with known_server(lambda number: pod("a-1")) as server:
        result = run(plan_for(server, count=10, load=Load(warm_up=0.2)))
    assert result.fold.requests == 10
    assert server.asked > 10
    assert sum(result.fold.outcomes.values()) == result.fold.latency.total == 10


def test_a_ramp_begins_slowly() -> None:
    schedule = Schedule(ProbePlan("x", Request("http://a/"), load=Load(rate=100, ramp=2, duration=4)))
    assert schedule.count == 300  # half of the rate for two seconds, then all of it for two
    begins = [schedule.due(index) for index in range(schedule.count)]
    assert begins == sorted(begins)
    assert sum(begin < 1 for begin in begins) == 25
    assert begins[-1] == pytest.approx(3.99)
    closed = Schedule(ProbePlan("x", Request("http://a/"), concurrency=8, load=Load(ramp=2)))
    assert [closed.limit(now) for now in (0, 1, 2, 3)] == [1, 4, 8, 8]


def test_an_open_end_is_no_interruption_and_waits_for_what_is_in_flight() -> None:
    def slow(number: int) -> bytes:
        time.sleep(0.1)
        return pod("a-1")

    over = threading.Event()
    timer = threading.Timer(0.25, over.set)
    timer.start()
    with known_server(slow) as server:
        result = run(plan_for(server, load=Load(open_end=True)), stop=over)
    timer.join()
    assert hits(result) == {"a-1": server.asked}
    assert not result.partial


def test_processes_add_up_to_what_one_would_have_counted() -> None:
    with known_server(one_in_ten) as server:
        (result,) = workers.send([plan_for(server, count=301)], 3)
    assert server.asked == 301
    assert hits(result) == {"dp-v1-a": 271, "dp-v2-a": 30}
    assert result.fold.latency.total == 301
    assert len(result.samples) == 301
    assert result.cpu > 0


def test_several_plans_are_sent_at_the_same_time() -> None:
    with known_server(lambda number: pod("a-1")) as one, known_server(lambda number: pod("b-1")) as two:
        first, second = workers.send([plan_for(one, count=10), plan_for(two, count=30)])
    assert (hits(first), hits(second)) == ({"a-1": 10}, {"b-1": 30})


def test_a_plan_that_cannot_be_sent_is_refused_before_a_process_is_started() -> None:
    with pytest.raises(UsageError, match="no http or https URL"):
        workers.send([ProbePlan("x", Request("ftp://a/"))], 2)


def test_each_user_has_cookies_of_its_own() -> None:
    def behaviour(number: int) -> bytes:
        body = b"Hostname: a-1\n"
        head = f"HTTP/1.1 200 OK\r\nSet-Cookie: id={number}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    with known_server(behaviour) as server:
        run(plan_for(server, count=30, users=3, concurrency=3))
    carried = [re.findall(rb"id=(\d+)", request) for request in server.requests]
    assert sum(not cookies for cookies in carried) == 3  # each user's first request
    assert all(len(cookies) <= 1 for cookies in carried)


def test_phases_are_measured_where_they_take_place() -> None:
    def slow(number: int) -> bytes:
        time.sleep(0.05)
        return pod("a-1")

    with known_server(slow) as server:
        result = run(plan_for(server, count=8, concurrency=2, connection=Connection.KEEP_ALIVE))
    phases = result.fold.phases
    assert phases["connect"].total == 2
    assert phases["first byte"].total == 8
    assert 49_000 <= phases["first byte"].quantiles(0.01)[0] < 2_000_000
    assert phases["connect"].quantiles(1.0)[0] < 49_000


def test_many_keys_do_not_grow_the_time_line() -> None:
    def behaviour(number: int) -> bytes:
        return pod(f"pod-{number}")

    with known_server(behaviour) as server:
        result = run(plan_for(server, count=2000, connection=Connection.KEEP_ALIVE))
    seen = {outcome for _, counts in result.fold.timeline.rows() for outcome in counts}
    assert len(result.fold.outcomes) == 2000
    assert len(seen) <= 101
    assert sum(n for _, counts in result.fold.timeline.rows() for n in counts.values()) == 2000


def test_time_lines_merge_whatever_their_slots() -> None:
    one = Timeline.of([(0.0, "a"), (1.0, "a"), (2.0, "b")])
    long = Timeline.of([(0.5, "a"), (100.0, "b")])
    both = one.merge(long)
    assert both == Timeline.of([(0.0, "a"), (1.0, "a"), (2.0, "b"), (0.5, "a"), (100.0, "b")])
    assert max(both.slots) < SLOTS_MOST
    assert one.width == FINEST < both.width
    assert max(both.fewer(10).slots) < 10
    assert [at for at, _ in one.later(1.0).rows()][-1] == pytest.approx(3.0)


def test_folds_merge_exactly() -> None:
    outcome = Outcome(200, "a-1")
    with known_server(lambda number: pod("a-1")) as server:
        one, two = (run(plan_for(server, count=count)) for count in (20, 30))
    both = one.merge(two)
    assert both.fold.outcomes == {outcome: 50}
    assert both.fold.latency == Histogram.of([sample.elapsed for sample in both.samples])
