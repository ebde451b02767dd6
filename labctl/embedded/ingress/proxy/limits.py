"""Rate limits: nginx's leaky bucket and its count of requests at one time.

Sources: modules/ngx_http_limit_req_module.c and ngx_http_limit_conn_module.c of nginx.
"""

from __future__ import annotations

import time
from collections import OrderedDict

_ENTRIES = 80_000
"""States that fit a zone of 5 MiB."""


class RequestRate:
    """A `limit_req` zone with `nodelay`.

    Args:
        rate: Thousandths of requests per second.
        burst: Excess requests that still pass.
    """

    def __init__(self, rate: int, burst: int) -> None:
        self._rate = rate
        self._burst = burst * 1000
        self._states: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def admit(self, key: str) -> bool:
        """Whether a request of that key may pass now; counts it when it does."""
        now = int(time.monotonic() * 1000)
        state = self._states.get(key)
        if state is None:
            self._store(key, 0, now)
            return True
        excess, last = state
        # Whole numbers, as in nginx.
        excess = max(0, excess - self._rate * max(0, now - last) // 1000 + 1000)
        if excess > self._burst:
            return False
        self._store(key, excess, now if now > last else last)
        return True

    def _store(self, key: str, excess: int, now: int) -> None:
        self._states[key] = (excess, now)
        self._states.move_to_end(key)
        if len(self._states) > _ENTRIES:
            self._states.popitem(last=False)


class Concurrency:
    """A `limit_conn` zone: requests of one key at one time."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def enter(self, key: str, limit: int) -> bool:
        """Whether one more may begin."""
        count = self._counts.get(key, 0)
        if count >= limit:
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, key: str) -> None:
        """One has ended."""
        count = self._counts.get(key, 0) - 1
        if count > 0:
            self._counts[key] = count
        else:
            self._counts.pop(key, None)


class Zones:
    """All zones, which outlive reloads as nginx's shared memory does."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, int, int], RequestRate] = {}
        self._connections: dict[str, Concurrency] = {}

    def rate(self, name: str, rate: int, burst: int) -> RequestRate:
        """The zone of that name."""
        return self._rates.setdefault((name, rate, burst), RequestRate(rate, burst))

    def connections(self, name: str) -> Concurrency:
        """The zone of that name."""
        return self._connections.setdefault(name, Concurrency())
