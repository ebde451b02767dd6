"""kube-proxy: keeps listening sockets in step with Services and EndpointSlices, and sends connections on their way."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable, Mapping

from labctl.embedded.clientset import Clientset
from labctl.embedded.http.messages import Flow
from labctl.embedded.network.listener import reset
from labctl.embedded.network.plan import plan_service
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.relay import relay
from labctl.embedded.network.routing import Fate, Route, Router
from labctl.embedded.network.settings import socket_address
from labctl.embedded.network.sockets import Place
from labctl.embedded.network.table import ServiceTable


class KubeProxy:
    """The node ports, ClusterIPs and load balancer addresses of all nodes.

    Args:
        clientset: Where Services and EndpointSlices are read.
        network: The embedded pods and the sockets.
        clock: Seconds, rising; for session affinity.
    """

    def __init__(
        self, clientset: Clientset, network: LoopbackNetwork, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clientset = clientset
        self._network = network
        self._settings = network.settings
        self.router = Router(network.settings, clock)
        self._table = ServiceTable()
        self._places: dict[str, tuple[Place, ...]] = {}
        self._states: dict[Place, Fate] = {}
        self._addresses: dict[str, set[str]] = {}
        self._behind: dict[str, set[str]] = {}
        self._dirty: set[str] = set()
        self._scheduled: asyncio.Handle | None = None
        self._unsubscribe: Callable[[], None] | None = None
        network.observe(self._pod_changed)

    def start(self) -> None:
        """Serve the Services that there are, and follow every change."""
        self._unsubscribe = self._table.follow(self._clientset, self._mark)
        self.sync()

    def stop(self) -> None:
        """Close every Service's sockets."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._table = ServiceTable()
        self._dirty.update(self._places)
        self.sync()

    def fates(self) -> Mapping[Place, Fate]:
        """What becomes of connections to each Service address that does not refuse them."""
        return self._states

    def joined(self) -> None:
        """Give every Service its sockets on nodes that were added to the address plan."""
        for name in self._table.services:
            self._mark(name)

    # -- what is observed --------------------------------------------------------------------------------------------

    def _pod_changed(self, address: str) -> None:
        """A pod began or ceased to listen: while none behind an address listens, it refuses."""
        for name in self._behind.get(address, ()):
            self._mark(name)

    def _mark(self, name: str) -> None:
        """Sockets follow at the end of this turn of the loop."""
        self._dirty.add(name)
        if self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self.sync)

    # -- sockets -----------------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring the sockets of every Service that changed in step."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        dirty, self._dirty = self._dirty, set()
        for name in sorted(dirty):
            self._sync_service(name)

    def _sync_service(self, name: str) -> None:
        service = self._table.services.get(name)
        servers = plan_service(service, self._table.slices_of(name), self._settings) if service else []
        before = self._places.pop(name, ())
        places = tuple(self.router.put(server) for server in servers if self.router.may_put(server))
        for place in before:
            if place not in places:
                self.router.drop(place)
                self._set_state(place, Fate.REFUSED)
        for place in places:
            self._set_state(place, self._fate(place))
        if places:
            self._places[name] = places
        self._index(name, {endpoint.address for server in servers for endpoint in server.endpoints})

    def _index(self, name: str, addresses: set[str]) -> None:
        """Remember which Services a pod is behind."""
        before = self._addresses.pop(name, set())
        for address in before - addresses:
            self._behind[address].discard(name)
            if not self._behind[address]:
                del self._behind[address]
        for address in addresses - before:
            self._behind.setdefault(address, set()).add(name)
        if addresses:
            self._addresses[name] = addresses

    def _fate(self, place: Place) -> Fate:
        """Whether an address answers, refuses or drops."""
        server = self.router.server_at(place)
        if server is None or not server.endpoints:
            return Fate.REFUSED
        candidates = server.candidates(server.node or self._settings.first.name)
        if not candidates:
            return Fate.DROPPED
        network = self._network
        answers = any(not network.is_pod(end.address) or network.port_at(end.address, end.port) for end in candidates)
        return Fate.SERVED if answers else Fate.REFUSED

    def _set_state(self, place: Place, fate: Fate) -> None:
        """Open, close or plug the socket: as iptables' ACCEPT, REJECT and DROP look to a client."""
        if self._states.get(place, Fate.REFUSED) is fate:
            return
        sockets, server = self._network.sockets, self.router.server_at(place)
        what = f"{server.kind} of Service {server.service}" if server else ""
        if fate is Fate.SERVED:
            sockets.listen(place, what, lambda transport: self._accepted(place, transport))
        elif fate is Fate.DROPPED:
            sockets.swallow(place, what)
        else:
            sockets.close(place)
        if fate is Fate.REFUSED:
            del self._states[place]
        else:
            self._states[place] = fate

    # -- connections -------------------------------------------------------------------------------------------------

    def _accepted(self, place: Place, transport: asyncio.Transport) -> asyncio.BaseProtocol | None:
        """Who serves a connection to a Service: the endpoint's own protocol, on this very transport."""
        client, client_port = transport.get_extra_info("peername")[:2]
        route = self.router.route(place, client)
        if not isinstance(route, Route):
            if route is not Fate.DROPPED:  # too late to drop the SYN: such a client waits for an answer in vain
                reset(transport)
            return None
        endpoint = route.endpoint
        flow = Flow((route.source, client_port), (endpoint.address, endpoint.port))
        protocol = self._network.serve(transport, flow)
        if protocol is not None:
            return protocol
        if self._network.is_pod(endpoint.address):
            reset(transport)
            return None
        return relay(flow)

    def translate(self, place: Place, source: str) -> tuple[Place, str]:
        """Where a connection from a pod (or a node) goes, without a socket.

        Args:
            place: The address and port that it asks for.
            source: Its own address.

        Returns:
            The endpoint's address and port, and the source address that is seen there.

        Raises:
            ConnectionRefusedError: The Service has no endpoints.
            TimeoutError: Its packets are dropped, or lost (a ClusterIP without that port).
            OSError: EHOSTUNREACH: no pod has that address.
        """
        route = self.router.route(place, source)
        if isinstance(route, Route):
            return (route.endpoint.address, route.endpoint.port), route.source
        if route is Fate.REFUSED:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        if route is Fate.DROPPED or self._settings.is_service_address(place[0]):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if self._network.is_pod(place[0]):
            return place, self._network.source_seen(source, place)
        if self._settings.is_pod_address(place[0]):
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        return socket_address(self._settings, *place) or place, source
