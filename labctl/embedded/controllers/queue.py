"""The work queue: each piece of work at most once, later pieces by time, failing ones with growing delay."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_BASE_DELAY = 0.005
_MAX_DELAY = 1000.0


class WorkQueue(Generic[T]):
    """First in, first out, without duplicates (`client-go/util/workqueue`). Times are seconds of one clock."""

    def __init__(self) -> None:
        self._ready: deque[T] = deque()
        self._waiting: set[T] = set()
        self._due: dict[T, float] = {}
        self._timers: list[tuple[float, int, T]] = []
        self._failures: dict[T, int] = {}
        self._soon: set[T] = set()
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._ready)

    def __contains__(self, item: object) -> bool:
        return item in self._waiting

    def is_idle(self) -> bool:
        """Whether nothing is queued, now or after a short delay (what is planned for a time does not count)."""
        return not self._ready and not self._soon

    def add(self, item: T) -> None:
        """Queue it, unless it is queued."""
        if item not in self._waiting:
            self._waiting.add(item)
            self._ready.append(item)

    def pop(self) -> T:
        """The next piece of work. What was planned for later is planned anew by who does it."""
        item = self._ready.popleft()
        self._waiting.discard(item)
        self._soon.discard(item)
        self._due.pop(item, None)
        return item

    def add_at(self, item: T, when: float) -> None:
        """Queue it at a time; an earlier time for the same item wins."""
        if when >= self._due.get(item, float("inf")):
            return
        self._due[item] = when
        self._sequence += 1
        heapq.heappush(self._timers, (when, self._sequence, item))

    def add_soon(self, item: T, when: float) -> None:
        """Queue it after a short delay, unless it is queued."""
        if item not in self._waiting and item not in self._soon:
            self._soon.add(item)
            self.add_at(item, when)

    def add_failed(self, item: T, now: float) -> None:
        """Queue it after a delay that doubles with every failure in a row."""
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        self.add_at(item, now + min(_BASE_DELAY * 2 ** min(failures, 30), _MAX_DELAY))

    def succeeded(self, item: T) -> None:
        """Forget its failures."""
        self._failures.pop(item, None)

    def release(self, now: float) -> None:
        """Queue everything whose time has come."""
        while self._timers and (self._stale() or self._timers[0][0] <= now):
            when, _, item = heapq.heappop(self._timers)
            if self._due.get(item) == when:
                del self._due[item]
                self.add(item)

    def next_time(self) -> float | None:
        """When something is due next."""
        while self._timers and self._stale():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _stale(self) -> bool:
        when, _, item = self._timers[0]
        return self._due.get(item) != when
