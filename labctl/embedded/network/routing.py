"""Where a connection to a Service goes: kube-proxy's tables, without sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from labctl.embedded.network.balance import Balancer, ClientAffinity, balancer
from labctl.embedded.network.masquerade import entry_node, locally_made, source_seen
from labctl.embedded.network.plan import Endpoint, VirtualServer
from labctl.embedded.network.settings import NetworkSettings
from labctl.embedded.network.sockets import Place


class Fate(Enum):
    """What becomes of connections to an address."""

    SERVED = auto()
    REFUSED = auto()
    DROPPED = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """Where a connection goes, and the source address that is seen there."""

    endpoint: Endpoint
    source: str


class Router:
    """The virtual servers of all Services.

    Args:
        settings: The address plan.
        clock: Seconds, rising; for session affinity.
    """

    def __init__(self, settings: NetworkSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._servers: dict[Place, tuple[VirtualServer, Balancer]] = {}
        self._affinity: dict[tuple[str, str, str], ClientAffinity] = {}

    def may_put(self, server: VirtualServer) -> bool:
        """Whether the address is free, or this Service's already: the first to claim one has it.

        The cluster DNS's own address is not to be had: it is served without pods.
        """
        if (server.address, server.port) == self._settings.dns_place:
            return False
        known = self._servers.get((server.address, server.port))
        return known is None or known[0].service == server.service

    def put(self, server: VirtualServer) -> Place:
        """Add or change a virtual server; returns its place."""
        place = (server.address, server.port)
        known = self._servers.get(place)
        self._servers[place] = (server, known[1] if known else balancer(self._settings.proxy_mode))
        return place

    def drop(self, place: Place) -> None:
        """Remove a virtual server."""
        self._servers.pop(place, None)

    def server_at(self, place: Place) -> VirtualServer | None:
        """The virtual server that has an address."""
        known = self._servers.get(place)
        return known[0] if known else None

    def route(self, place: Place, client: str) -> Route | Fate | None:
        """Where a new connection goes; None when no Service has that address and port."""
        known = self._servers.get(place)
        if known is None:
            return None
        server, balance = known
        if not server.endpoints:
            return Fate.REFUSED
        entry = entry_node(self._settings, client, server)
        inside = self._settings.is_pod_address(client) or locally_made(client, entry)
        candidates = server.candidates(entry.name, from_pod=inside)
        if not candidates or not server.admits(client):
            return Fate.DROPPED
        endpoint = self._choose(server, entry.name, client, candidates, balance)
        return Route(endpoint, source_seen(self._settings, server, client, entry, endpoint))

    def _choose(
        self, server: VirtualServer, node: str, client: str, candidates: tuple[Endpoint, ...], balance: Balancer
    ) -> Endpoint:
        if not server.affinity:
            return balance(candidates)
        table = (server.service, server.port_name, node)
        affinity = self._affinity.setdefault(table, ClientAffinity(self._clock))
        return affinity.pick(client, server.affinity, candidates, balance)
