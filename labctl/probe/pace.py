"""The rim between a run and its caller: progress out, a request to stop in, and time."""

from __future__ import annotations

import threading
from collections.abc import Callable

PROGRESS_SECONDS = 0.05
"""Shortest time between two reports of progress."""

Stop = threading.Event | Callable[[], bool] | None


class Pace:
    """Asked by the transports once a turn: reports progress at times, and says whether to go on."""

    def __init__(self, clock: Callable[[], float], on_progress: Callable[[int], None] | None, stop: Stop) -> None:
        self.clock = clock
        self.begun = clock()
        self._report = on_progress
        self._stopped = stop.is_set if isinstance(stop, threading.Event) else stop
        self._next = self.begun
        self.was_stopped = False

    def stopped(self, done: int) -> bool:
        """Whether the caller wants no more; `done` requests are finished."""
        if self._report is not None:
            now = self.clock()
            if now >= self._next:
                self._next = now + PROGRESS_SECONDS
                self._report(done)
        if self._stopped is not None and self._stopped():
            self.was_stopped = True
        return self.was_stopped

    def finished(self, done: int) -> None:
        """Report the last progress."""
        if self._report is not None:
            self._report(done)
