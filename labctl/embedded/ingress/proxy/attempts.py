"""What a try at a pod needs whatever becomes of it: its timer, its connection, and whether there may be another one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.plan import LocationPlan
    from labctl.embedded.ingress.proxy.plane import Generation
    from labctl.embedded.ingress.proxy.request_headers import RequestHeaders
    from labctl.embedded.ingress.proxy.requester import Requester
    from labctl.embedded.ingress.proxy.upstream import UpstreamConnection

_NOT_IDEMPOTENT = frozenset({"POST", "LOCK", "PATCH"})
_NO_LIMIT = 1000


class Attempts:
    """The tries of one request.

    Attributes:
        header_limit: Bytes that a pod's response head may have (`proxy_buffer_size`).
        is_head: Whether the request was HEAD.
    """

    __slots__ = (
        "_connection",
        "_drain",
        "_error_headers",
        "_plan",
        "_request_sent",
        "_sent_at",
        "_task",
        "_timer",
        "_try_started",
        "client",
        "exchange",
        "generation",
        "header_limit",
        "is_head",
        "started_response",
        "writer",
    )

    def __init__(self, client: Requester, exchange: Exchange, generation: Generation) -> None:
        self.client = client
        self.exchange = exchange
        self.generation = generation
        self.header_limit = 4096
        self.is_head = exchange.method == "HEAD"
        self.writer = client.writer(exchange, generation)
        self.started_response = False
        self._plan: LocationPlan | None = None
        self._connection: UpstreamConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error_headers: RequestHeaders | None = None
        self._drain: asyncio.Future[None] | None = None
        self._request_sent = False
        self._try_started = self._sent_at = 0.0

    def _next(self, kind: str) -> None:
        """A try has failed."""
        raise NotImplementedError

    # Timeouts: one timer a try, looked at again when it fires

    def _arm(self, seconds: float) -> None:
        self._sent_at = time.monotonic()
        if self._timer is None and seconds:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._timed_out, seconds)

    def _timed_out(self, seconds: float) -> None:
        left = self._sent_at + seconds - time.monotonic()
        self._timer = None
        if left > 0.001:
            self._timer = asyncio.get_running_loop().call_later(left, self._timed_out, seconds)
            return
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.started_response:
            self.client.cut_off()
        else:
            self._next("timeout")

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def drained(self) -> None:
        """Wait while the client reads slowly."""
        if self._drain is not None:
            await self._drain

    def _release(self) -> None:
        """Stop listening to a response whose body nobody wants."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def _observe(self) -> None:
        self.exchange.upstream_seconds.append(time.monotonic() - self._try_started)
        self.exchange.worker.observed(self.exchange)

    def _tries_left(self) -> int:
        plan = self._plan
        assert plan is not None
        return (plan.proxy.next_upstream_tries or _NO_LIMIT) - len(self.exchange.tries)

    def _allowed(self, kinds: set[str]) -> bool:
        plan = self._plan
        assert plan is not None
        limit = plan.proxy.next_upstream_timeout
        in_time = not limit or time.monotonic() - self.exchange.started < limit
        return kinds <= plan.next_upstream and in_time

    def _retries_status(self, status: int) -> bool:
        kinds = {f"http_{status}"}
        if self.exchange.method in _NOT_IDEMPOTENT:
            kinds.add("non_idempotent")
        return self._tries_left() > 0 and self._allowed(kinds)

    def _kinds(self, kind: str) -> set[str]:
        """What `proxy_next_upstream` must allow for another try after this failure."""
        sent = self._request_sent and self.exchange.method in _NOT_IDEMPOTENT
        return {kind, "non_idempotent"} if sent else {kind}

    # The client

    def client_gone(self) -> None:
        """The client has closed: nobody waits any more."""
        self._disarm()
        self._release()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def pause(self) -> None:
        """The client reads slowly: stop reading from the pod."""
        self._drain = asyncio.get_running_loop().create_future()
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._drain = None
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.resume_reading()
