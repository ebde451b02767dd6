"""What a provider yields: a cluster that exists, and how to reach it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labctl.model.inventory import Provider


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node as the API reports it.

    Attributes:
        name: Its name.
        role: As kubectl shows it.
        address: Its ExternalIP, else its InternalIP.
        ready: Whether it is Ready.
        version: Its kubelet's version.
    """

    name: str
    role: str
    address: str
    ready: bool = True
    version: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place where the ingress controller answers from outside: an address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class IngressEndpoints:
    """Where the controller's http and https ports are reached from outside; empty when no controller is installed."""

    http: tuple[Endpoint, ...] = ()
    https: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster. Nothing after a provider asks which provider it was.

    Attributes:
        name: The cluster's name.
        provider: Who made it; for display only.
        version: The API server's gitVersion.
        kubeconfig: File with the credentials.
        context: Context in that file.
        nodes: Nodes as the API reports them.
        ingress: Where ingress answers.
        server: URL of the API server.
    """

    name: str
    provider: Provider
    version: str
    kubeconfig: Path
    context: str | None
    nodes: tuple[ClusterNode, ...]
    ingress: IngressEndpoints = IngressEndpoints()
    server: str = ""


@dataclass(frozen=True, slots=True)
class HostState:
    """A node's machine as SSH shows it.

    Attributes:
        name: The node's name.
        service: k3s's service and its state, for example `k3s active`.
        restarts: How often systemd has started it again.
        free_mb: Room for k3s's data, in megabytes.
        certificates_until: When the first of k3s's certificates there ends (RFC 3339); empty: unknown.
        etcd: Whether a member of etcd is there.
        error: Why it could not be asked; empty: it was.
    """

    name: str
    service: str = ""
    restarts: int = 0
    free_mb: int = 0
    certificates_until: str = ""
    etcd: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of a cluster's datastore: its name, host and path there, size in bytes, time (RFC 3339)."""

    name: str
    host: str
    path: str
    size: int
    created: str
