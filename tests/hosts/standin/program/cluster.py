"""The cluster inside the server's process: labctl's embedded one, with nodes that join while it runs."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from labctl.embedded.api import pki
from labctl.embedded.api.server import ApiServer, build_registry
from labctl.embedded.assembly import ServiceAccountTokens
from labctl.embedded.clientset import Change, ChangeType
from labctl.embedded.controllers.runner import ControllerManager
from labctl.embedded.controllers.settings import ControllerSettings
from labctl.embedded.http.messages import App
from labctl.embedded.http.server import http_port
from labctl.embedded.images.standard import standard_catalogue
from labctl.embedded.ingress.controller.image import controller_entry
from labctl.embedded.kinds.bootstrap import kubernetes_service
from labctl.embedded.kinds.settings import ClusterSettings
from labctl.embedded.kubelet.dialer import PodDialer
from labctl.embedded.kubelet.kubelet import Kubelet
from labctl.embedded.kubelet.nodes import NodeSpec
from labctl.embedded.kubelet.settings import Settings as KubeletSettings
from labctl.embedded.network.dns import ClusterDns
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.proxy import KubeProxy
from labctl.embedded.network.settings import NetworkSettings
from labctl.env import Clock
from labctl.model.inventory import ProxyMode

CERTIFICATE_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What a server's cluster is made with.

    Attributes:
        node: The server's own node.
        folder: `/var/lib/rancher/k3s/server`.
        database: The objects (SQLite).
        names: Further names of the serving certificate.
        grace: Seconds without a heartbeat until a node is NotReady.
        heartbeat: Seconds between the server node's own heartbeats.
    """

    node: NodeSpec
    folder: Path
    database: Path
    names: tuple[str, ...]
    cluster_cidr: str
    service_cidr: str
    node_ports: tuple[int, int]
    proxy_mode: ProxyMode
    port: int
    grace: float
    heartbeat: float


class Cluster:
    """API, controllers, network and kubelet on one event loop; pods of all nodes run here."""

    def __init__(self, options: ClusterOptions) -> None:
        self.options = options
        address = options.node.address
        settings = ClusterSettings(
            service_cidr=options.service_cidr,
            cluster_cidr=options.cluster_cidr,
            node_ports=options.node_ports,
            version=options.node.version,
            api_address=(address, options.port),
        )
        self.pki = pki.load_or_create(options.folder / "tls", [*options.names, *_names(options)])
        self.registry = build_registry(options.database, settings, Clock())
        self.api = ApiServer(self.registry, self.pki, settings)
        self._plan = _stored_plan(self.registry.list("nodes"), options)
        self.network = LoopbackNetwork(
            NetworkSettings(
                nodes=self._plan,
                cluster_cidr=options.cluster_cidr,
                service_cidr=options.service_cidr,
                node_ports=options.node_ports,
                proxy_mode=options.proxy_mode,
                machine=frozenset({address}),
            )
        )
        self.proxy = KubeProxy(self.registry, self.network)
        self._dns = ClusterDns(self.registry, self.network)
        self.dialer = PodDialer(self.network, self.proxy.translate, self._dns.exchange)
        tokens = ServiceAccountTokens(self.registry, self.api.signer)
        self._controllers = ControllerManager(
            self.registry,
            ControllerSettings(
                server=options.node.name,
                root_ca=self.pki.server_ca.certificate_pem.decode(),
                kept=tuple(kubernetes_service(settings)),
                node_monitor_grace_period=options.grace,
            ),
            issue_token=tokens.for_secret,
        )
        self.kubelet = Kubelet(
            self.registry,
            self.network,
            standard_catalogue(http_port, [controller_entry()]),
            [options.node],
            KubeletSettings(
                cluster_dns=str(ipaddress.ip_network(options.service_cidr)[10]),
                eager_probes=True,
                heartbeat_interval=options.heartbeat,
            ),
            token=tokens.for_pod,
            client=self.dialer,
        )
        self.api.connect_kubelet(self.kubelet)
        self._joining: set[str] = set()

    async def start(self, front: App) -> None:
        """Listen on every address, then bring everything to life.

        Args:
            front: What answers in front of the API.

        Raises:
            OSError: The port is taken.
        """
        await self.api.start("0.0.0.0", self.options.port, front)  # as k3s does
        self.proxy.start()
        await self._dns.start()
        self._controllers.start()
        self.kubelet.start()
        self.registry.subscribe(self._notice)
        for node in self.registry.list("nodes"):
            self._adopt(node)

    async def stop(self) -> None:
        """Stop in the reverse order."""
        await self.kubelet.stop()
        self._controllers.stop()
        self._dns.stop()
        self.proxy.stop()
        self.network.sockets.close_all()
        await self.api.close()

    def _notice(self, change: Change) -> None:
        """A node was registered by its agent: it gets a range of pod addresses, and its pods are run."""
        if change.resource == "nodes" and change.type is ChangeType.ADDED:
            asyncio.get_running_loop().call_soon(self._adopt, change.object)

    def _adopt(self, node: dict[str, Any]) -> None:
        name = node["metadata"]["name"]
        if name == self.options.node.name:
            return
        address = node["metadata"]["annotations"]["k3s.io/internal-ip"]
        if self._plan.get(name) != address:
            self._plan[name] = address
            self.network.joined()
            self.proxy.joined()
        cidr = str(self.network.settings.pod_range(name))
        stored = self.registry.get("nodes", "", name)
        if stored is not None and not stored["spec"].get("podCIDR"):
            spec = {**stored["spec"], "podCIDR": cidr, "podCIDRs": [cidr]}
            self.registry.update("nodes", {**stored, "spec": spec})
        self.kubelet.serve(NodeSpec(name, address, cidr))


def _stored_plan(nodes: list[dict[str, Any]], options: ClusterOptions) -> dict[str, str]:
    """Name → address in the order of the pod ranges that the nodes have; gaps stay gaps."""
    ranges = [str(network) for network in ipaddress.ip_network(options.cluster_cidr).subnets(new_prefix=24)]
    by_index = {ranges.index(node["spec"]["podCIDR"]): node for node in nodes if node["spec"].get("podCIDR")}
    plan = {options.node.name: options.node.address}
    for index in range(1, max(by_index, default=0) + 1):
        node = by_index.get(index)
        if node is None:
            plan[f"-{index}"] = f"0.0.0.{index}"
        else:
            plan[node["metadata"]["name"]] = node["metadata"]["annotations"]["k3s.io/internal-ip"]
    return plan


def _names(options: ClusterOptions) -> list[str]:
    service = str(ipaddress.ip_network(options.service_cidr)[1])
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    return [*names, "localhost", options.node.name, options.node.address, "127.0.0.1", service]
