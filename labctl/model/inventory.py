"""What the user asks for: a cluster as `cluster.yaml` describes it, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any


class Provider(StrEnum):
    """Where a cluster comes from (the `provider:` key)."""

    EMBEDDED = "embedded"
    SSH = "ssh"
    KUBECONFIG = "kubeconfig"


class Role(StrEnum):
    """What a node does; k3s's own words."""

    SERVER = "server"
    AGENT = "agent"


class ProxyMode(StrEnum):
    """How kube-proxy picks an endpoint: `iptables` uniformly at random, `ipvs` round robin."""

    IPTABLES = "iptables"
    IPVS = "ipvs"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster.

    Attributes:
        name: The Kubernetes node name.
        role: Server or agent.
        address: The address the other nodes and the client reach it by (InternalIP).
        labels: Extra node labels.
        taints: Extra taints as kubectl writes them, `key=value:Effect`.
    """

    name: str
    role: Role
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """The cluster's address plan.

    Attributes:
        cluster_cidr: Pods; each node takes a /24 of it.
        service_cidr: ClusterIPs.
        api_port: Port of the Kubernetes API on the server.
        proxy_mode: kube-proxy's mode.
        node_ports: First and last port that NodePorts are taken from, both included.
    """

    cluster_cidr: str = "127.16.0.0/16"
    service_cidr: str = "127.10.200.0/24"
    api_port: int = 6443
    proxy_mode: ProxyMode = ProxyMode.IPTABLES
    node_ports: tuple[int, int] = (30000, 32767)


@dataclass(frozen=True, slots=True)
class Ingress:
    """The ingress-nginx installation.

    Attributes:
        install: Whether `up` installs the controller.
        namespace: Namespace of the release.
        release: Helm release name.
        chart_version: Version of the ingress-nginx chart.
        ingress_class: IngressClass that the labs' Ingresses use.
        values: Helm values laid over the study's own (`manifests/ingress-nginx/values.yaml`).
    """

    install: bool = True
    namespace: str = "ingress"
    release: str = "ingress-nginx"
    chart_version: str = "4.11.2"
    ingress_class: str = "nginx"
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is read from when it is needed: an environment variable, or a file (its first line)."""

    env: str = ""
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class SshOptions:
    """How hosts are reached over SSH; a per-node value overrides the cluster's.

    Attributes:
        host: Where SSH connects, where that is not the node's address (a forwarded port, an alias of ~/.ssh/config).
        user: Login name; None takes `~/.ssh/config`'s, then the local user's.
        port: TCP port; None takes `~/.ssh/config`'s, then 22.
        identity_file: Private key; None takes the agent and the default keys.
        proxy_jump: Jump hosts in OpenSSH's form `[user@]host[:port][,…]`.
        password: Login password, where keys cannot be used.
        sudo_password: Password for sudo, where it asks for one.
        strict_host_keys: Whether a host whose key is not known yet is refused; None: it is learnt, and said.
        local: Whether the node is the machine labctl runs on, which needs no SSH.
    """

    host: str | None = None
    user: str | None = None
    port: int | None = None
    identity_file: Path | None = None
    proxy_jump: str | None = None
    password: SecretRef | None = None
    sudo_password: SecretRef | None = None
    strict_host_keys: bool | None = None
    local: bool | None = None

    def over(self, base: SshOptions) -> SshOptions:
        """These options, and the base's where these say nothing."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        return replace(base, **{name: value for name, value in own.items() if value is not None})


K3S_RELEASES = "https://github.com/k3s-io/k3s/releases/download"


@dataclass(frozen=True, slots=True)
class K3s:
    """k3s itself, as the provider `ssh` installs it.

    Attributes:
        version: Exact release tag, for example `v1.30.14+k3s1`; empty takes the channel's newest.
        channel: Release channel, a minor version of Kubernetes as `v1.30`, or `stable`, `latest`.
        mirror: Where releases are downloaded: `<mirror>/<version>/<file>`.
        disable: Packaged components that are left out.
        token: The token that nodes join with; None lets k3s make one.
        datastore_endpoint: External datastore; None takes SQLite, or embedded etcd with several servers.
        server: Further keys of the servers' /etc/rancher/k3s/config.yaml.
        agent: Further keys of every node's: kubelet-arg, flannel-iface, …
        registries: Content of /etc/rancher/k3s/registries.yaml; empty writes none.
        artifacts: Folder with the files of a release, used instead of a download; None downloads.
        node_downloads: Whether the hosts fetch k3s themselves, where they have the better link.
    """

    version: str = ""
    channel: str = "v1.30"
    mirror: str = K3S_RELEASES
    disable: tuple[str, ...] = ("traefik",)
    token: SecretRef | None = None
    datastore_endpoint: SecretRef | None = None
    server: Mapping[str, Any] = field(default_factory=dict)
    agent: Mapping[str, Any] = field(default_factory=dict)
    registries: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Path | None = None
    node_downloads: bool = False


@dataclass(frozen=True, slots=True)
class KubeconfigRef:
    """An existing cluster: a kubeconfig file and a context in it (None: the current one)."""

    path: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The whole of `cluster.yaml`, narrowed once: nothing downstream asks whether a key was there.

    Attributes:
        name: The cluster's name; names its state directory and kubeconfig context.
        provider: Which provider builds or finds it.
        nodes: Servers first is not required; at least one server (kubeconfig clusters: empty).
        network: The address plan.
        ingress: The ingress-nginx installation.
        ssh: Defaults for every host (provider `ssh`).
        node_ssh: Overrides by node name (provider `ssh`).
        k3s: k3s itself (provider `ssh`).
        kubeconfig: Where the existing cluster is described (provider `kubeconfig`).
        source: The file it was read from; None for the built-in default.
    """

    name: str
    provider: Provider
    nodes: tuple[Node, ...]
    network: Network = Network()
    ingress: Ingress = Ingress()
    ssh: SshOptions = SshOptions()
    node_ssh: Mapping[str, SshOptions] = field(default_factory=dict)
    k3s: K3s = K3s()
    kubeconfig: KubeconfigRef = KubeconfigRef()
    source: Path | None = None

    def ssh_of(self, node: str) -> SshOptions:
        """How a node is reached: its own options, then the cluster's."""
        return self.node_ssh.get(node, SshOptions()).over(self.ssh)

    @property
    def servers(self) -> tuple[Node, ...]:
        """The nodes that run the control plane."""
        return tuple(node for node in self.nodes if node.role is Role.SERVER)


DEFAULT_EMBEDDED_NODES = (
    Node("k3s-s", Role.SERVER, "127.0.10.10"),
    Node("k3s-w1", Role.AGENT, "127.0.10.101"),
    Node("k3s-w2", Role.AGENT, "127.0.10.102"),
    Node("k3s-w3", Role.AGENT, "127.0.10.103"),
)
"""The study's four machines, moved into 127.0.0.0/8."""


def default_inventory() -> Inventory:
    """The cluster that is used when there is no cluster.yaml: the embedded one, named `study`."""
    return Inventory(name="study", provider=Provider.EMBEDDED, nodes=DEFAULT_EMBEDDED_NODES)
