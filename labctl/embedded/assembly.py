"""The embedded cluster put together: here, and nowhere else, its parts meet."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from labctl.embedded.api import pki
from labctl.embedded.api.server import ApiServer, build_registry
from labctl.embedded.api.tokens import Bound, TokenSigner
from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.controllers.runner import ControllerManager
from labctl.embedded.controllers.settings import ControllerSettings
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
from labctl.embedded.network.holders import who_listens
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.proxy import KubeProxy
from labctl.embedded.network.settings import NetworkSettings, whole_loopback_available
from labctl.embedded.settings import KUBERNETES_VERSION, EmbeddedSettings, StateDirectory
from labctl.env import Clock
from labctl.errors import ClusterError
from labctl.model.inventory import Role


class EmbeddedCluster:
    """All parts of one embedded cluster, on one event loop."""

    def __init__(self, settings: EmbeddedSettings, state: StateDirectory) -> None:
        server = settings.server
        self._settings = settings
        self._place = (server.address, settings.api_port)
        api_settings = ClusterSettings(
            service_cidr=settings.service_cidr,
            cluster_cidr=settings.cluster_cidr,
            node_ports=settings.node_ports,
            version=KUBERNETES_VERSION,
            api_address=self._place,
        )
        self.pki = pki.load_or_create(state.pki, _certificate_names(settings))
        registry = build_registry(state.database, api_settings, Clock())
        self._api = ApiServer(registry, self.pki, api_settings)
        self._network = LoopbackNetwork(
            NetworkSettings(
                nodes={node.name: node.address for node in settings.nodes},
                cluster_cidr=settings.cluster_cidr,
                service_cidr=settings.service_cidr,
                node_ports=settings.node_ports,
                proxy_mode=settings.proxy_mode,
                whole_loopback=whole_loopback_available(),
            )
        )
        self._proxy = KubeProxy(registry, self._network)
        self._dns = ClusterDns(registry, self._network)
        tokens = ServiceAccountTokens(registry, self._api.signer)
        self._controllers = ControllerManager(
            registry,
            _controller_settings(server.name, self.pki, api_settings),
            issue_token=tokens.for_secret,
        )
        dialer = PodDialer(self._network, self._proxy.translate, self._dns.exchange)
        self._kubelet = Kubelet(
            registry,
            self._network,
            standard_catalogue(http_port, [controller_entry()]),
            _node_specs(settings, self._network.settings),
            KubeletSettings(
                cluster_dns=str(ipaddress.ip_network(settings.service_cidr)[10]),
                eager_probes=not settings.pace,  # the images need no time to start: nobody waits for what is there
                pace=settings.pace,
            ),
            token=tokens.for_pod,
            client=dialer,
        )
        self._api.connect_kubelet(self._kubelet)
        self._api.connect_network(lambda address, port: dialer.connect(server.address, (address, port)))

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"https://{self._place[0]}:{self._place[1]}"

    async def start(self) -> None:
        """Listen, then bring everything to life.

        Raises:
            ClusterError: The API's address is taken.
        """
        try:
            await self._api.start(*self._place)
        except OSError as error:
            holder = who_listens(*self._place)
            taken = f", held by {holder}" if holder else ""
            address, port = self._place
            raise ClusterError(
                f"the API cannot listen on {address}:{port}: {error.strerror}{taken}",
                hint="stop that process, or choose other addresses or network.apiPort in cluster.yaml",
            ) from error
        self._proxy.start()
        await self._dns.start()
        self._controllers.start()
        self._kubelet.start()

    async def stop(self) -> None:
        """Stop in the reverse order; the objects stay."""
        await self._kubelet.stop()
        self._controllers.stop()
        self._dns.stop()
        self._proxy.stop()
        self._network.sockets.close_all()
        await self._api.close()


class ServiceAccountTokens:
    """Tokens for the processes of pods, and for Secrets of type service-account-token."""

    def __init__(self, clientset: Clientset, signer: TokenSigner) -> None:
        self._clientset = clientset
        self._signer = signer

    def for_pod(self, namespace: str, account: str, pod: Obj) -> str:
        """A token bound to the pod, valid for an hour, as the kubelet projects it; empty without such an account."""
        found = self._clientset.get("serviceaccounts", namespace, account)
        if found is None:
            return ""
        bound = Bound("pod", pod["metadata"]["name"], pod["metadata"]["uid"])
        return self._signer.issue(found, (), timedelta(seconds=3607), datetime.now(UTC), (bound,))

    def for_secret(self, account: Obj, secret: Obj) -> str:
        """A token that lives as long as its Secret (in practice: ten years)."""
        bound = Bound("secret", secret["metadata"]["name"], secret["metadata"]["uid"])
        return self._signer.issue(account, (), timedelta(days=3650), datetime.now(UTC), (bound,))


def _certificate_names(settings: EmbeddedSettings) -> list[str]:
    """The names and addresses that the API is reached by."""
    service = str(ipaddress.ip_network(settings.service_cidr)[1])
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    return [*names, "localhost", settings.server.name, settings.server.address, "127.0.0.1", service]


def _controller_settings(server: str, keys: pki.Pki, settings: ClusterSettings) -> ControllerSettings:
    kept = tuple(kubernetes_service(settings))
    return ControllerSettings(server=server, root_ca=keys.server_ca.certificate_pem.decode(), kept=kept)


def _node_specs(settings: EmbeddedSettings, network: NetworkSettings) -> list[NodeSpec]:
    return [
        NodeSpec(
            node.name,
            node.address,
            str(network.pod_range(node.name)),
            node.role is Role.SERVER,
            node.labels,
            node.taints,
            _arguments(settings, node.address, server=node.role is Role.SERVER),
        )
        for node in settings.nodes
    ]


def _arguments(settings: EmbeddedSettings, address: str, *, server: bool) -> tuple[str, ...]:
    """The k3s command line that such a node would have been started with."""
    if server:
        ranges = ("--cluster-cidr", settings.cluster_cidr, "--service-cidr", settings.service_cidr)
        return ("server", *ranges, "--node-ip", address)
    url = f"https://{settings.server.address}:{settings.api_port}"
    return ("agent", "--server", url, "--token", "********", "--node-ip", address)
