from __future__ import annotations

from labctl.embedded.controllers.queue import WorkQueue


def test_each_item_is_queued_once_and_comes_in_order() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for item in ("a", "b", "a"):
        queue.add(item)
    assert [queue.pop() for _ in range(len(queue))] == ["a", "b"]


def test_an_item_may_be_queued_again_while_it_is_worked_at() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.pop()
    queue.add("a")
    assert len(queue) == 1


def test_items_are_released_when_their_time_has_come_and_the_earlier_time_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_at("a", 10.0)
    queue.add_at("a", 5.0)
    queue.add_at("a", 7.0)
    queue.add_at("b", 20.0)
    assert queue.next_time() == 5.0
    queue.release(4.9)
    assert len(queue) == 0
    queue.release(5.0)
    assert queue.pop() == "a"
    queue.release(15.0)
    assert len(queue) == 0
    assert queue.next_time() == 20.0


def test_who_is_worked_at_has_no_other_time_any_more() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_at("a", 10.0)
    queue.add("a")
    queue.pop()
    assert queue.next_time() is None


def test_failures_in_a_row_wait_twice_as_long_each_time_until_one_succeeds() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waits = []
    for _ in range(4):
        queue.add_failed("a", 100.0)
        when = queue.next_time()
        assert when is not None
        waits.append(round(when - 100.0, 6))
        queue.release(when)
        queue.pop()
    assert waits == [0.005, 0.01, 0.02, 0.04]
    queue.succeeded("a")
    queue.add_failed("a", 100.0)
    assert queue.next_time() == 100.005


def test_the_wait_has_a_limit() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(100):
        queue.add_failed("a", 0.0)
        queue.release(1e9)
        queue.pop()
    queue.add_failed("a", 0.0)
    assert queue.next_time() == 1000.0


def test_an_item_after_a_short_delay_counts_as_work_and_one_for_a_time_does_not() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_at("planned", 50.0)
    assert queue.is_idle()
    queue.add_soon("soon", 10.0)
    queue.add_soon("soon", 11.0)
    assert not queue.is_idle()
    queue.release(10.0)
    assert queue.pop() == "soon"
    assert queue.is_idle()
    assert queue.next_time() == 50.0
