"""The pod network as the kubelet and the ingress see it (the container network interface, so to speak)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from labctl.embedded.http.messages import App, Flow


@dataclass(frozen=True, slots=True)
class PodPort:
    """What listens on one TCP port of a pod.

    Attributes:
        connected: Makes the asyncio protocol that serves one connection; called with the connection's flow
            before `connection_made`. The transport is the very socket the client is connected to.
        app: The same service as an HTTP application, for callers in the process (the ingress proxy), which skip
            the socket; None when the port does not speak plain HTTP.
    """

    connected: Callable[[Flow], asyncio.BaseProtocol]
    app: App | None = None


class PodNetwork(Protocol):
    """Addresses and listening ports of pods."""

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        """Give the pod an address of its node's range (its node's own with host networking) and return it.

        `wanted` is the address it had before a restart; it gets that again when it is free.

        Raises:
            RuntimeError: The node's range is used up.
        """

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        """Open a port of the pod.

        It is reachable through Services, NodePorts and ingress at once, and by a socket of its own on the pod's
        address where the system allows to bind it.
        """

    def close(self, uid: str, port: int) -> None:
        """Close one port; connections that are open go on."""

    def remove_pod(self, uid: str) -> None:
        """Close all its ports, cut its connections, and give its address back."""

    def port_at(self, ip: str, port: int) -> PodPort | None:
        """What an embedded pod has listening there; None when it is no embedded pod or nothing listens."""

    def is_pod(self, ip: str) -> bool:
        """Whether the address belongs to an embedded pod (so that no listener means: connection refused)."""
