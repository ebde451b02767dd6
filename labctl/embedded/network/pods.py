"""The pod network: addresses and ports of embedded pods, as values and as sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow
from labctl.embedded.network.ipam import AddressRange
from labctl.embedded.network.plan import Place
from labctl.embedded.network.settings import NetworkSettings
from labctl.embedded.network.sockets import Sockets


@dataclass(slots=True)
class _Pod:
    ip: str
    node: str
    host_network: bool
    ports: set[int] = field(default_factory=set)


class LoopbackNetwork:
    """Implements cni.PodNetwork on 127.0.0.0/8."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self.sockets = Sockets()
        self._ranges = {node: AddressRange(settings.pod_range(node)) for node in settings.nodes}
        self._pods: dict[str, _Pod] = {}
        self._ports: dict[Place, PodPort] = {}
        self._nodes_by_ip: dict[str, str] = {}

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        """See PodNetwork.add_pod; `wanted` is the address that the pod had before a restart."""
        known = self._pods.get(uid)
        if known is not None:
            return known.ip
        ip = self.settings.nodes[node] if host_network else self._ranges[node].take(wanted)
        self._pods[uid] = _Pod(ip, node, host_network)
        if not host_network:
            self._nodes_by_ip[ip] = node
        return ip

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        """See PodNetwork.listen."""
        pod = self._pods[uid]
        place = (pod.ip, port)
        if place in self._ports:
            return
        pod.ports.add(port)
        self._ports[place] = server
        self.sockets.listen(place, lambda: Handover(self, place))

    def close(self, uid: str, port: int) -> None:
        """See PodNetwork.close."""
        pod = self._pods.get(uid)
        if pod is not None and port in pod.ports:
            pod.ports.discard(port)
            self._ports.pop((pod.ip, port), None)
            self.sockets.close((pod.ip, port))

    def remove_pod(self, uid: str) -> None:
        """See PodNetwork.remove_pod."""
        pod = self._pods.get(uid)
        if pod is None:
            return
        for port in list(pod.ports):
            self.close(uid, port)
        del self._pods[uid]
        if not pod.host_network:
            self._nodes_by_ip.pop(pod.ip, None)
            self._ranges[pod.node].give_back(pod.ip)

    def port_at(self, ip: str, port: int) -> PodPort | None:
        """See PodNetwork.port_at."""
        return self._ports.get((ip, port))

    def is_pod(self, ip: str) -> bool:
        """See PodNetwork.is_pod."""
        return ip in self._nodes_by_ip

    def node_of(self, ip: str) -> str:
        """The node that a pod's address belongs to; empty for other addresses."""
        return self._nodes_by_ip.get(ip, "")


class Handover(asyncio.Protocol):
    """A connection that has just been accepted on a pod's own address: gives it to whatever listens there."""

    def __init__(self, network: LoopbackNetwork, place: Place) -> None:
        self._network = network
        self._place = place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over: from here on the connection is the pod's."""
        connection = cast(asyncio.Transport, transport)
        server = self._network.port_at(*self._place)
        if server is None:
            connection.abort()
            return
        hand_over(connection, server, Flow(connection.get_extra_info("peername")[:2], self._place))


def hand_over(connection: asyncio.Transport, server: PodPort, flow: Flow) -> None:
    """Make a pod's protocol the one that serves this very connection."""
    protocol = server.connected(flow)
    connection.set_protocol(protocol)
    protocol.connection_made(connection)
