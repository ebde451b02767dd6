"""The contract of every provider, and the way to the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from labctl.env import Env
from labctl.events import EventSink
from labctl.model.cluster import Cluster, HostState
from labctl.model.inventory import Inventory, Provider
from labctl.ssh.transport import Transport


class ClusterProvider(Protocol):
    """Makes, finds and removes one cluster. Nothing after it asks which provider it was."""

    def up(self, sink: EventSink, *, timeout: float) -> Cluster:
        """Bring the cluster up; a no-op, said so, when it is."""

    def plan(self, sink: EventSink) -> tuple[str, ...]:
        """What `up` would do, in lines; changes nothing."""

    def find(self) -> Cluster:
        """The cluster as it is now.

        Raises:
            ClusterError: It is not up or does not answer.
        """

    def hosts(self) -> tuple[HostState, ...]:
        """The nodes' machines, where labctl can log in to them; asked at once, an unreachable one says why."""

    def limits(self) -> tuple[str, ...]:
        """What this way of having a cluster cannot do on this machine, each with how to allow it."""

    def conflicts(self) -> tuple[str, ...]:
        """Addresses of the cluster that something else on this machine answers on."""

    def transport(self, node: str) -> Transport:
        """A connection to the machine that a node is; the caller closes it.

        Raises:
            UsageError: The cluster's nodes are no machines that labctl can log in to, or there is no such node.
            HostError: The machine cannot be reached.
        """

    def down(self, sink: EventSink, *, timeout: float, keep_data: bool) -> None:
        """Remove what `up` made."""


def provider_for(inventory: Inventory, env: Env) -> ClusterProvider:
    """The provider that the inventory names."""
    makers: dict[Provider, Callable[[], ClusterProvider]] = {
        Provider.EMBEDDED: lambda: _embedded(inventory, env),
        Provider.SSH: lambda: _ssh(inventory, env),
        Provider.KUBECONFIG: lambda: _kubeconfig(inventory, env),
    }
    return makers[inventory.provider]()


def _embedded(inventory: Inventory, env: Env) -> ClusterProvider:
    from labctl.providers.embedded import EmbeddedProvider

    return EmbeddedProvider(inventory, env)


def _ssh(inventory: Inventory, env: Env) -> ClusterProvider:
    from labctl.providers.ssh import SshProvider

    return SshProvider(inventory, env)


def _kubeconfig(inventory: Inventory, env: Env) -> ClusterProvider:
    from labctl.providers.kubeconfig import KubeconfigProvider

    return KubeconfigProvider(inventory, env)
