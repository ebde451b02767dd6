"""Changes on their way to watchers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from labctl.embedded.store import Commit, Store

_MAX_QUEUED = 1000


class Subscription:
    """The changes of one resource that a watcher has not yet taken."""

    __slots__ = ("_closed", "_namespace", "_queue", "_waiter")

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._queue: deque[Commit] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether no more changes will come: the server ends, or the watcher was too slow to keep up."""
        return self._closed

    def offer(self, commit: Commit) -> None:
        """Queue a change unless it is of another namespace."""
        if self._namespace and commit.record.namespace != self._namespace:
            return
        if len(self._queue) >= _MAX_QUEUED:
            # Like the real watch cache: a client that does not read is cut off and begins anew.
            self._queue.clear()
            self.close()
            return
        self._queue.append(commit)
        self._wake()

    def close(self) -> None:
        """End the subscription; what is queued can still be taken."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> list[Commit]:
        """Everything that is queued."""
        taken = list(self._queue)
        self._queue.clear()
        return taken

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to take, the subscription ends, or `seconds` have passed."""
        if self._queue or self._closed:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._waiter], timeout=seconds)


class Broadcaster:
    """Hands every committed change to the watchers of its resource."""

    def __init__(self, store: Store) -> None:
        self._watchers: dict[str, set[Subscription]] = {}
        self._stop: Callable[[], None] = store.subscribe(self._publish)
        self._closed = False

    def _publish(self, commit: Commit) -> None:
        for watcher in self._watchers.get(commit.record.resource, ()):
            watcher.offer(commit)

    def subscribe(self, resource: str, namespace: str) -> Subscription:
        """Begin to collect the changes of a resource (in a namespace when given)."""
        watcher = Subscription(namespace)
        if self._closed:
            watcher.close()
        self._watchers.setdefault(resource, set()).add(watcher)
        return watcher

    def unsubscribe(self, resource: str, watcher: Subscription) -> None:
        """Stop collecting."""
        self._watchers.get(resource, set()).discard(watcher)

    def count(self) -> int:
        """How many watches are open."""
        return sum(len(watchers) for watchers in self._watchers.values())

    def end(self, resource: str) -> None:
        """End all watches of a resource that is no longer served."""
        for watcher in self._watchers.get(resource, ()):
            watcher.close()

    def close(self) -> None:
        """End all watches."""
        self._closed = True
        self._stop()
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()
