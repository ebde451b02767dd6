"""One node at a time: adding it, taking it away, replacing its k3s."""

from __future__ import annotations

from dataclasses import replace

from labctl.env import Env
from labctl.errors import ClusterError, LabctlError, UsageError
from labctl.events import EventSink, Level, Notice, StepDone, StepProgress, StepStarted
from labctl.k3s.removal import remove
from labctl.kube.client import KubeApi
from labctl.kube.drain import drain
from labctl.model.cluster import Cluster
from labctl.model.inventory import Inventory, Node, Role
from labctl.providers.ssh import SshProvider
from labctl.ssh.transport import HostError


def node_of(inventory: Inventory, name: str) -> Node:
    """The node of that name in cluster.yaml.

    Raises:
        UsageError: There is none.
    """
    found = next((node for node in inventory.nodes if node.name == name), None)
    if found is None:
        names = ", ".join(node.name for node in inventory.nodes)
        raise UsageError(f"cluster.yaml has no node {name!r}", hint=f"nodes: {names}")
    return found


def add_node(provider: SshProvider, inventory: Inventory, name: str, sink: EventSink, *, timeout: float) -> Cluster:
    """Bring one node of cluster.yaml into the cluster; the others are only asked what they are."""
    node = node_of(inventory, name)
    servers = [server for server in inventory.servers if server != node] or [node]
    part = replace(inventory, nodes=tuple(n for n in inventory.nodes if n in servers or n == node))
    return provider.with_inventory(part).up(sink, timeout=timeout)


def remove_node(
    provider: SshProvider, inventory: Inventory, name: str, env: Env, sink: EventSink, *, draining: bool, timeout: float
) -> None:
    """Drain a node, delete it from the cluster, and take k3s off its host.

    A host that cannot be reached is only deleted from the cluster, and that is said.

    Raises:
        UsageError: It is the only server.
        WaitTimeoutError: Its pods do not go.
    """
    node = node_of(inventory, name)
    if node.role is Role.SERVER and len(inventory.servers) == 1:
        raise UsageError(f"{name} is the only server", hint="`labctl down` removes the whole cluster")
    cluster = provider.find()
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        known = api.get("v1", "Node", "", name)
        if known is not None and draining:
            _drain(api, name, env, sink, timeout)
        _uninstall(provider, inventory, node, sink, timeout)
        if known is not None:
            sink(StepStarted(f"{name}/delete", "delete it from the cluster", name))
            api.delete(known)
            sink(StepDone(f"{name}/delete", "deleted; its node password went with it"))
    finally:
        api.close()
    sink(Notice(f"{name} is still in cluster.yaml: take it out, or `labctl up` brings it back"))


def _drain(api: KubeApi, name: str, env: Env, sink: EventSink, timeout: float) -> None:
    step = f"{name}/drain"
    sink(StepStarted(step, "drain", name))
    count = drain(
        api,
        name,
        env.clock,
        timeout=timeout,
        on_pending=lambda pending: sink(StepProgress(step, note=pending.observed)),
    )
    sink(StepDone(step, f"{count} pods moved", changed=count > 0))


def _uninstall(provider: SshProvider, inventory: Inventory, node: Node, sink: EventSink, timeout: float) -> None:
    step = f"{node.name}/uninstall"
    try:
        with provider.survey(sink, (node,)) as survey:
            sink(StepStarted(step, "remove k3s", node.name))
            transport, facts = survey.transports[node.name], survey.facts[node.name]
            removed = remove(inventory, facts, transport, keep_data=False, timeout=timeout)
            sink(StepDone(step, "removed" if removed else "there is none", changed=removed))
    except LabctlError as error:
        if not isinstance(error, HostError) and not hasattr(error, "failed"):
            raise
        sink(Notice(f"{error.message}: k3s stays on that host", Level.WARNING, error.hint))


def ssh_provider(provider: object) -> SshProvider:
    """The provider, if it is one with hosts.

    Raises:
        UsageError: It is another one.
    """
    if not isinstance(provider, SshProvider):
        raise UsageError(
            "this cluster's nodes are not hosts that labctl set up", hint="that is for clusters with `provider: ssh`"
        )
    return provider


def reachable(cluster: Cluster) -> None:
    """Refuse to begin work on a cluster that is not whole.

    Raises:
        ClusterError: A node is not Ready.
    """
    bad = [node.name for node in cluster.nodes if not node.ready]
    if bad:
        raise ClusterError(
            f"not Ready: {', '.join(bad)}; an upgrade begins with a cluster that is whole",
            hint="`labctl node logs NAME` and `labctl doctor` say why",
        )
