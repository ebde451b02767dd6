"""Who has which address, and where each of them gets a real socket."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from labctl.model.inventory import ProxyMode

_PROBE_ADDRESS = "127.0.10.10"
"""Any address of 127.0.0.0/8 but the one that every system has."""


@dataclass(frozen=True)
class NetworkSettings:
    """The cluster's address plan.

    Attributes:
        nodes: Name → address (InternalIP) of each node, in the order of their pod ranges; the first is the server.
        cluster_cidr: Pods; node number N (from 0, in that order) has the Nth /24 of it.
        service_cidr: ClusterIPs; the tenth address is the cluster DNS's.
        node_ports: NodePort range, both ends included.
        proxy_mode: How kube-proxy picks an endpoint.
        machine: Addresses outside 127.0.0.0/8 that this machine has: they get real sockets too.
        whole_loopback: All of 127.0.0.0/8 can be bound (Linux). Otherwise only 127.0.0.1 can (macOS).
    """

    nodes: Mapping[str, str]
    cluster_cidr: str = "127.16.0.0/16"
    service_cidr: str = "127.10.200.0/24"
    node_ports: tuple[int, int] = (30000, 32767)
    proxy_mode: ProxyMode = ProxyMode.IPTABLES
    whole_loopback: bool = True
    machine: frozenset[str] = frozenset()

    def joined(self) -> None:
        """Take notice of nodes that were added to `nodes`."""
        for name in ("ranges", "by_address", "_by_subnet"):
            self.__dict__.pop(name, None)

    @cached_property
    def ranges(self) -> dict[str, NodeRange]:
        """Each node's part of the plan, by name."""
        subnets = ipaddress.IPv4Network(self.cluster_cidr).subnets(new_prefix=24)
        return {
            name: NodeRange(index, name, address, subnet, bridge=str(subnet[1]), tunnel=str(subnet[0]))
            for index, ((name, address), subnet) in enumerate(zip(self.nodes.items(), subnets, strict=False))
        }

    @cached_property
    def by_address(self) -> dict[str, NodeRange]:
        """The node that has an address as its own."""
        return {node.address: node for node in self.ranges.values()}

    @property
    def first(self) -> NodeRange:
        """The server: what reaches the cluster from outside without a node's address enters here."""
        return next(iter(self.ranges.values()))

    def pod_range(self, node: str) -> ipaddress.IPv4Network:
        """A node's `spec.podCIDR`."""
        return self.ranges[node].pods

    @property
    def dns_address(self) -> str:
        """The cluster DNS's address: the tenth of the service range, as k3s gives it."""
        return str(ipaddress.IPv4Network(self.service_cidr)[10])

    @cached_property
    def dns_place(self) -> tuple[str, int]:
        """Where the cluster DNS listens."""
        return (self.dns_address, 53)

    def node_of(self, address: str) -> NodeRange | None:
        """The node that an address belongs to: its own, or in its pod range."""
        return self.by_address.get(address) or self._by_subnet.get(address.rpartition(".")[0])

    def is_pod_address(self, address: str) -> bool:
        """Whether an address lies in the pods' range."""
        return address.rpartition(".")[0] in self._by_subnet

    def is_service_address(self, address: str) -> bool:
        """Whether an address lies in the ClusterIPs' range."""
        return _inside(address, self.service_cidr)

    @cached_property
    def _by_subnet(self) -> dict[str, NodeRange]:
        """Nodes by the first three octets of their pods' addresses."""
        return {node.tunnel.rpartition(".")[0]: node for node in self.ranges.values()}


@dataclass(frozen=True, slots=True)
class NodeRange:
    """One node in the address plan.

    Attributes:
        index: Its number, from 0.
        name: Its name.
        address: Its own address.
        pods: The addresses of its pods (`spec.podCIDR`).
        bridge: Address of cni0: the source that a pod of this node sees when the node itself connects to it.
        tunnel: Address of flannel.1: the source that a pod of another node sees when this node connects to it.
    """

    index: int
    name: str
    address: str
    pods: ipaddress.IPv4Network
    bridge: str
    tunnel: str


def _inside(address: str, cidr: str) -> bool:
    try:
        return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(cidr)
    except ValueError:
        return False


def socket_address(settings: NetworkSettings, address: str, port: int) -> tuple[str, int] | None:
    """Where the cluster's `address:port` really listens on this machine; None: nowhere, reachable in the process only.

    With all of 127.0.0.0/8 it is the address itself. With 127.0.0.1 alone the nodes share it: node number N listens
    N times the size of the NodePort range higher, so that equal node ports of different nodes stay apart.
    """
    if settings.whole_loopback:
        return (address, port) if address.startswith("127.") or address in settings.machine else None
    node = settings.by_address.get(address)
    if node is None:
        return None
    first, last = settings.node_ports
    shifted = port + node.index * (last - first + 1)
    return ("127.0.0.1", shifted) if shifted < 65536 else None


def whole_loopback_available() -> bool:
    """Whether this system lets a socket bind addresses of 127.0.0.0/8 other than 127.0.0.1."""
    with socket.socket() as probe:
        try:
            probe.bind((_PROBE_ADDRESS, 0))
        except OSError:
            return False
    return True
