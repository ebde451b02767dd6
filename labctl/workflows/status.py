"""What is the state of the cluster?"""

from __future__ import annotations

from dataclasses import dataclass

from labctl.model.cluster import Cluster, HostState
from labctl.model.inventory import Inventory
from labctl.providers.base import ClusterProvider


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster and what should be known about it besides.

    Attributes:
        cluster: As its API describes it.
        warnings: What limits it, each with what to do.
        hosts: The nodes' machines, where labctl can log in to them.
    """

    cluster: Cluster
    warnings: tuple[str, ...] = ()
    hosts: tuple[HostState, ...] = ()


def cluster_status(provider: ClusterProvider, inventory: Inventory) -> ClusterStatus:
    """Ask the cluster.

    Raises:
        ClusterError: It is not up or does not answer.
    """
    cluster = provider.find()
    warnings = [f"node {node.name} is not Ready" for node in cluster.nodes if not node.ready]
    if not cluster.ingress.http:
        warnings.append("no ingress-nginx controller is reachable from outside; `labctl up` installs it")
    return ClusterStatus(cluster, (*warnings, *provider.conflicts(), *provider.limits()), provider.hosts())
