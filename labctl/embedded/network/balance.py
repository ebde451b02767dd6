"""How kube-proxy picks an endpoint."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from labctl.embedded.network.plan import Endpoint
from labctl.model.inventory import ProxyMode


class Balancer(Protocol):
    """Picks one of several endpoints (never of none)."""

    def __call__(self, endpoints: tuple[Endpoint, ...]) -> Endpoint:
        """The endpoint for a new connection."""


class UniformRandom:
    """iptables mode: the chain's probabilities 1/n, 1/(n-1), … make every endpoint equally likely, independently."""

    __slots__ = ("_random",)

    def __init__(self, source: Callable[[], float] = random.random) -> None:
        self._random = source

    def __call__(self, endpoints: tuple[Endpoint, ...]) -> Endpoint:
        """One of them at random."""
        return endpoints[int(self._random() * len(endpoints))]


class RoundRobin:
    """ipvs mode, scheduler `rr`: one after the other; each virtual server has its own turn."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = -1

    def __call__(self, endpoints: tuple[Endpoint, ...]) -> Endpoint:
        """The next one."""
        self._turn = (self._turn + 1) % len(endpoints)
        return endpoints[self._turn]


def balancer(mode: ProxyMode) -> Balancer:
    """A balancer for one virtual server."""
    return RoundRobin() if mode is ProxyMode.IPVS else UniformRandom()


class ClientAffinity:
    """sessionAffinity ClientIP: a client stays with its endpoint until it was silent for the time-out.

    Args:
        clock: Seconds, rising.
    """

    __slots__ = ("_clients", "_clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._clients: dict[str, tuple[Endpoint, float]] = {}

    def pick(self, client: str, timeout: int, endpoints: tuple[Endpoint, ...], choose: Balancer) -> Endpoint:
        """The client's endpoint while it is still one of `endpoints`, else a new one that is remembered."""
        now = self._clock()
        endpoint, until = self._clients.get(client, (None, 0.0))
        if endpoint is None or until < now or endpoint not in endpoints:
            endpoint = choose(endpoints)
        self._clients[client] = (endpoint, now + timeout)
        return endpoint
