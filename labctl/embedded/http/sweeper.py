"""One timer for many connections: deadlines are looked at once a second."""

from __future__ import annotations

import asyncio
from typing import Protocol

INTERVAL = 1.0
"""Seconds between two looks; a deadline is kept to within that."""


class Watched(Protocol):
    """A connection with a deadline (the loop's time), which it may move at any time."""

    deadline: float

    def timed_out(self) -> None:
        """The deadline has passed."""

    def drain(self) -> None:
        """Close as soon as nothing is being answered."""


class Sweeper:
    """Watches connections while there are any; costs nothing else."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Watched) -> None:
        """Begin to watch."""
        self._watched.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._sweep)

    def forget(self, connection: Watched) -> None:
        """Stop watching."""
        self._watched.discard(connection)

    def watched(self) -> list[Watched]:
        """Every connection that is open."""
        return list(self._watched)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [watched for watched in self._watched if watched.deadline < now]:
            connection.timed_out()
        self._timer = loop.call_later(INTERVAL, self._sweep) if self._watched else None
