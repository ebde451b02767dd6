"""One timer for the deadlines of many client connections."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

_INTERVAL = 1.0


class Waiting(Protocol):
    """A connection with a deadline (`time.monotonic()`), which it may move at any time."""

    deadline: float

    def timed_out(self) -> None:
        """The deadline has passed."""


class Deadlines:
    """Looks at all deadlines once a second while there are any."""

    def __init__(self) -> None:
        self._waiting: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Waiting) -> None:
        """Begin to watch."""
        self._waiting.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._look)

    def forget(self, connection: Waiting) -> None:
        """Stop watching."""
        self._waiting.discard(connection)

    def _look(self) -> None:
        now = time.monotonic()
        for connection in [waiting for waiting in self._waiting if waiting.deadline < now]:
            connection.timed_out()
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._look) if self._waiting else None

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
