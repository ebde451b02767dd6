"""The address plan of the embedded network."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from labctl.model.inventory import ProxyMode


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Who has which addresses.

    Attributes:
        nodes: Node name → address, in the order in which they take their /24 of the pod range.
        cluster_cidr: Pod addresses.
        service_cidr: ClusterIPs.
        proxy_mode: `iptables` picks endpoints at random, `ipvs` in turn.
    """

    nodes: Mapping[str, str]
    cluster_cidr: str
    service_cidr: str
    proxy_mode: ProxyMode = ProxyMode.IPTABLES

    def pod_range(self, node: str) -> ipaddress.IPv4Network:
        """The /24 that a node's pods take their addresses from (podCIDR)."""
        index = list(self.nodes).index(node)
        base = ipaddress.IPv4Network(self.cluster_cidr).network_address + index * 256
        return ipaddress.IPv4Network(f"{base}/24")

    def cni0(self, node: str) -> str:
        """The node's bridge: what a local pod sees as source of translated connections."""
        return str(self.pod_range(node).network_address + 1)

    def flannel(self, node: str) -> str:
        """The node's vxlan interface (flannel.1): what a pod on another node sees as their source."""
        return str(self.pod_range(node).network_address)
