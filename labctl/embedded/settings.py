"""What an embedded cluster is started with; kept as JSON in its state directory."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from labctl.model.inventory import Inventory, ProxyMode, Role

KUBERNETES_VERSION = "v1.34.4+k3s1"
"""The version whose recorded behaviour the embedded cluster was compared with."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node: its name, role, loopback address, extra labels and taints."""

    name: str
    role: Role
    address: str
    labels: dict[str, str]
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """The embedded cluster's name, nodes and address plan.

    Attributes:
        name: Cluster and kubeconfig context name.
        nodes: The server first.
        cluster_cidr: Pod addresses; each node takes a /24.
        service_cidr: ClusterIPs.
        api_port: Port of the API on the server's address.
        proxy_mode: kube-proxy's mode.
        node_ports: NodePort range, both ends included.
        pace: Seconds that a node takes to make a pod's sandbox, and to take it down; 0 is as quick as can be, and
            probes then ask at once. About one is what a real node needs.
    """

    name: str
    nodes: tuple[NodeSettings, ...]
    cluster_cidr: str
    service_cidr: str
    api_port: int
    proxy_mode: ProxyMode
    node_ports: tuple[int, int]
    pace: float = 0.0

    @property
    def server(self) -> NodeSettings:
        """The node that runs the API server."""
        return next(node for node in self.nodes if node.role is Role.SERVER)

    def overlap(self, other: EmbeddedSettings) -> str:
        """What two clusters share of their addresses, in words; empty when they can run side by side."""
        nodes = {node.address for node in self.nodes} & {node.address for node in other.nodes}
        if nodes:
            return f"nodes {', '.join(sorted(nodes))}"
        for mine in (self.cluster_cidr, self.service_cidr):
            for theirs in (other.cluster_cidr, other.service_cidr):
                if ipaddress.ip_network(mine).overlaps(ipaddress.ip_network(theirs)):
                    return f"{mine} and {theirs}"
        return ""

    @classmethod
    def from_inventory(cls, inventory: Inventory) -> EmbeddedSettings:
        """The part of the inventory that the embedded cluster needs."""
        network = inventory.network
        nodes = sorted(inventory.nodes, key=lambda node: node.role is not Role.SERVER)
        return cls(
            name=inventory.name,
            nodes=tuple(
                NodeSettings(node.name, node.role, node.address, dict(node.labels), node.taints) for node in nodes
            ),
            cluster_cidr=network.cluster_cidr,
            service_cidr=network.service_cidr,
            api_port=network.api_port,
            proxy_mode=network.proxy_mode,
            node_ports=network.node_ports,
        )

    def to_json(self) -> str:
        """One stable JSON text: equal settings give equal texts."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> EmbeddedSettings:
        """The inverse of `to_json`."""
        data = json.loads(text)
        nodes = tuple(
            NodeSettings(n["name"], Role(n["role"]), n["address"], n["labels"], tuple(n["taints"]))
            for n in data["nodes"]
        )
        first, last = data["node_ports"]
        return cls(
            name=data["name"],
            nodes=nodes,
            cluster_cidr=data["cluster_cidr"],
            service_cidr=data["service_cidr"],
            api_port=data["api_port"],
            proxy_mode=ProxyMode(data["proxy_mode"]),
            node_ports=(first, last),
            pace=float(data.get("pace", 0.0)),
        )


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The files of one embedded cluster."""

    path: Path

    @property
    def settings(self) -> Path:
        """What the cluster was started with."""
        return self.path / "settings.json"

    @property
    def lock(self) -> Path:
        """Held (flock) by the running process; holds its process id."""
        return self.path / "lock"

    @property
    def log(self) -> Path:
        """The process's log."""
        return self.path / "labctl-embedded.log"

    @property
    def database(self) -> Path:
        """The objects (SQLite)."""
        return self.path / "state.db"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.path / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, mode 0600."""
        return self.path / "kubeconfig"
