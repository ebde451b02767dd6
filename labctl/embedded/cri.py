"""Containers as the kubelet sees them (the container runtime interface, so to speak)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from labctl.embedded.clientset import Clientset
from labctl.embedded.cni import PodNetwork, PodPort
from labctl.embedded.http.messages import Duplex
from labctl.embedded.images.filesystem import FileSystem
from labctl.embedded.images.streams import Source


class NetworkClient(Protocol):
    """How a pod's processes reach others."""

    async def connect(self, source: str, address: tuple[str, int]) -> Duplex:
        """Open a TCP connection from a pod's address; Services are translated as kube-proxy does.

        Raises:
            OSError: ECONNREFUSED, ETIMEDOUT, ENETUNREACH.
        """

    async def query(self, message: bytes) -> bytes:
        """Ask the cluster's DNS: a DNS message in wire format, and its answer.

        Raises:
            OSError: ETIMEDOUT when there is no DNS service.
        """


@dataclass(frozen=True, slots=True)
class ContainerContext:
    """Everything a container is started with.

    Attributes:
        namespace: The pod's namespace.
        pod: The pod's name, which is also its hostname unless the spec says otherwise.
        uid: The pod's uid.
        pod_ip: Its address.
        node: Name of its node.
        name: The container's name.
        image: Image reference as written in the spec.
        command: `command` of the spec, expanded; empty takes the image's entrypoint.
        args: `args` of the spec, expanded.
        env: The environment, resolved.
        ports: Declared containerPorts.
        labels: The pod's labels.
        service_account: The pod's service account.
        log: Writes one line to the container's log (with a time stamp added by the runtime).
        clientset: The API with this pod's rights.
        network: The pod network.
        hostname: The pod's hostname.
        files: The container's files: the image's own, the pod's volumes, and what the image adds (`install`), which
            is also what `kubectl exec` sees.
        client: How its processes reach others; None where nothing can be reached.
        stdin: Standard input of its process; None without one (`stdin` of the spec).
        tty: Whether its process gets a terminal (`tty` of the spec).
        working_dir: `workingDir` of the spec; empty takes the image's.
    """

    namespace: str
    pod: str
    uid: str
    pod_ip: str
    node: str
    name: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: Mapping[str, str]
    ports: tuple[int, ...]
    labels: Mapping[str, str]
    service_account: str
    log: Callable[[str], None]
    clientset: Clientset
    network: PodNetwork
    hostname: str = ""
    files: FileSystem = field(default_factory=FileSystem)
    client: NetworkClient | None = None
    stdin: Source | None = None
    tty: bool = False
    working_dir: str = ""


class StartError(Exception):
    """The container's process could not be started: the runtime's words, for example an executable not found."""


class Container(Protocol):
    """A running container."""

    @property
    def ports(self) -> Mapping[int, PodPort]:
        """TCP ports it listens on, once started."""

    @property
    def exited(self) -> asyncio.Future[int]:
        """Done with the exit code when the process has ended by itself or by `stop`."""

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL after the grace period; `exited` tells when it has ended."""


class Image(Protocol):
    """What an image's containers do."""

    def start(self, context: ContainerContext) -> Container:
        """Start a container; must not block.

        Raises:
            StartError: Its process cannot be started.
        """
