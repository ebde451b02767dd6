"""The pod network: pods' addresses, their listening ports, and the connections that they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakSet

from labctl.embedded.cni import PodNetwork, PodPort
from labctl.embedded.http.messages import Flow
from labctl.embedded.network.ipam import HostLocal
from labctl.embedded.network.masquerade import entry_node, source_seen
from labctl.embedded.network.plan import Endpoint
from labctl.embedded.network.settings import NetworkSettings
from labctl.embedded.network.sockets import Place, Sockets, Unbound


@dataclass(slots=True)
class _Pod:
    uid: str
    node: str
    address: str
    host_network: bool
    ports: set[int] = field(default_factory=set)
    connections: WeakSet[asyncio.Transport] = field(default_factory=WeakSet)


class LoopbackNetwork(PodNetwork):
    """See cni.PodNetwork. Everything is called on the event loop.

    Args:
        settings: The address plan.
        sockets: Where sockets come from; tests give one that refuses.
    """

    def __init__(self, settings: NetworkSettings, sockets: Sockets | None = None) -> None:
        self.settings = settings
        self.sockets = sockets or Sockets(settings)
        self._ranges = {name: HostLocal(node.pods) for name, node in settings.ranges.items()}
        self._pods: dict[str, _Pod] = {}
        self._addresses: dict[str, _Pod] = {}
        self._ports: dict[Place, tuple[PodPort, _Pod]] = {}
        self._observers: list[Callable[[str], None]] = []

    def observe(self, changed: Callable[[str], None]) -> None:
        """Have `changed` called with the address of each pod that begins or ceases to listen on a port."""
        self._observers.append(changed)

    def joined(self) -> None:
        """Take notice of nodes that were added to the address plan."""
        self.settings.joined()
        for name, node in self.settings.ranges.items():
            self._ranges.setdefault(name, HostLocal(node.pods))

    def unbound(self) -> list[Unbound]:
        """Addresses and ports of the cluster that have no socket on this machine, with the reasons."""
        return self.sockets.unbound()

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        """See PodNetwork; again the same address for a pod that has one."""
        if uid in self._pods:
            return self._pods[uid].address
        if node not in self.settings.ranges:
            raise RuntimeError(f'node "{node}" has no place in the address plan')
        address = self.settings.ranges[node].address if host_network else self._ranges[node].allocate(wanted)
        pod = self._pods[uid] = _Pod(uid, node, address, host_network)
        if not host_network:
            self._addresses[address] = pod
        return address

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        """See PodNetwork."""
        pod = self._pods[uid]
        place = (pod.address, port)
        pod.ports.add(port)
        self._ports[place] = (server, pod)

        def accepted(transport: asyncio.Transport) -> asyncio.BaseProtocol | None:
            client, client_port = transport.get_extra_info("peername")[:2]
            return self.serve(transport, Flow((self.source_seen(client, place), client_port), place))

        self.sockets.listen(place, f"port of pod {uid}", accepted)
        self._changed(pod.address)

    def close(self, uid: str, port: int) -> None:
        """See PodNetwork."""
        pod = self._pods.get(uid)
        if pod is None or port not in pod.ports:
            return
        pod.ports.discard(port)
        self._ports.pop((pod.address, port), None)
        self.sockets.close((pod.address, port))
        self._changed(pod.address)

    def remove_pod(self, uid: str) -> None:
        """See PodNetwork."""
        pod = self._pods.get(uid)
        if pod is None:
            return
        for port in list(pod.ports):
            self.close(uid, port)
        del self._pods[uid]
        if not pod.host_network:
            del self._addresses[pod.address]
            self._ranges[pod.node].release(pod.address)
        for transport in list(pod.connections):
            transport.abort()

    def port_at(self, ip: str, port: int) -> PodPort | None:
        """See PodNetwork."""
        found = self._ports.get((ip, port))
        return found[0] if found else None

    def is_pod(self, ip: str) -> bool:
        """See PodNetwork."""
        return ip in self._addresses

    def serve(self, transport: asyncio.Transport, flow: Flow) -> asyncio.BaseProtocol | None:
        """The protocol with which the pod at `flow.server` serves a connection; None when nothing listens there."""
        found = self._ports.get(flow.server)
        if found is None:
            return None
        server, pod = found
        pod.connections.add(transport)
        return server.connected(flow)

    def source_seen(self, client: str, place: Place) -> str:
        """The source address that a pod sees of a connection to its own address."""
        entry = entry_node(self.settings, client)
        return source_seen(self.settings, None, client, entry, Endpoint(*place))

    def _changed(self, address: str) -> None:
        for observer in self._observers:
            observer(address)
