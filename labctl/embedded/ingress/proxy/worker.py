"""An nginx worker: its balancers, its connections to pods, its random numbers."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labctl.embedded.ingress.model import DEFAULT_BACKEND, Backend
from labctl.embedded.ingress.proxy.balancers import Balancer, SharedState, synced
from labctl.embedded.ingress.proxy.canary import decide
from labctl.embedded.ingress.proxy.upstream import UpstreamPool
from labctl.embedded.ingress.settings import Settings

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange


class Worker:
    """One of the workers that a client connection may land on.

    Args:
        pid: Its process id, which shows in affinity cookies.
        settings: Global configuration.
        shared: State shared with the other workers.
        seed: For its random numbers; None takes the system's randomness.
    """

    def __init__(self, pid: int, settings: Settings, shared: SharedState, seed: int | None = None) -> None:
        self.pid = pid
        self.settings = settings
        self.shared = shared
        self.random = random.Random(seed)  # noqa: S311 - balancing is no secret
        self.balancers: dict[str, Balancer] = {}
        self.pool = UpstreamPool(settings.upstream_keepalive_connections, settings.upstream_keepalive_timeout)
        self._backends: Mapping[str, Backend] = {}

    def sync(self, backends: Mapping[str, Backend]) -> None:
        """Take over new backends; what did not change keeps its state."""
        for name in self.balancers.keys() - backends.keys():
            del self.balancers[name]
        for name, backend in backends.items():
            if self._backends.get(name) is backend:
                continue
            balancer = synced(self.balancers.get(name), backend, self.random, self.shared, self.pid)
            if balancer is None:
                self.balancers.pop(name, None)
            else:
                self.balancers[name] = balancer
        self._backends = backends

    def choose(self, exchange: Exchange) -> Balancer | None:
        """The balancer for a request, the canary's when it is chosen; None when there are no endpoints: 503."""
        balancer = self.balancers.get(exchange.upstream_name)
        if balancer is None:
            return None
        alternatives = balancer.backend.alternatives
        if alternatives and self._goes_to_canary(balancer, alternatives[0], exchange):
            exchange.alternative = alternatives[0]
            balancer = self.balancers[alternatives[0]]
        exchange.balancer = balancer
        return balancer

    def _goes_to_canary(self, balancer: Balancer, alternative: str, exchange: Exchange) -> bool:
        if balancer.is_affinitized(exchange):
            return False
        canary = self.balancers.get(alternative)
        if canary is None:
            return False
        if canary.is_affinitized(exchange):
            return True
        return decide(canary.backend.shaping, exchange, self.random)[0]

    def observed(self, exchange: Exchange) -> None:
        """Tell the balancer how long the last try took."""
        if exchange.balancer is not None and exchange.tries and exchange.upstream_seconds:
            exchange.balancer.observed(exchange.tries[-1], exchange.upstream_seconds[-1], time.time())

    def close(self) -> None:
        """Close idle connections to pods."""
        self.pool.close()


def is_internal(exchange: Exchange, peer: str) -> bool:
    """Whether a peer is nginx's own default server."""
    return exchange.upstream_name == DEFAULT_BACKEND and peer.startswith("127.0.0.1:")
