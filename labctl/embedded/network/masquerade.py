"""Which source address an endpoint sees. Pure; the rules are kube-proxy's and flannel's iptables chains."""

from __future__ import annotations

from labctl.embedded.network.plan import Endpoint, Kind, VirtualServer
from labctl.embedded.network.settings import NetworkSettings, NodeRange


def entry_node(settings: NetworkSettings, client: str, server: VirtualServer | None = None) -> NodeRange:
    """The node whose tables translate a connection.

    It is the node whose address was connected to; for other addresses the client's own node (a pod's, or the node
    itself); for whatever comes from outside the first one.
    """
    if server is not None and server.node:
        return settings.ranges[server.node]
    return settings.node_of(client) or settings.first


def locally_made(client: str, entry: NodeRange) -> bool:
    """The node itself connects (iptables' `--src-type LOCAL`)."""
    return client in (entry.address, entry.bridge, entry.tunnel)


def source_seen(
    settings: NetworkSettings, server: VirtualServer | None, client: str, entry: NodeRange, endpoint: Endpoint
) -> str:
    """The source address of a connection as its endpoint's `accept` reports it.

    Args:
        settings: The address plan.
        server: The Service address that was connected to; None for a connection to the pod itself.
        client: The client's own address.
        entry: The node that translates it.
        endpoint: Where it goes.
    """
    if _is_marked(settings, server, client, entry, endpoint):
        return _outgoing(settings, entry, endpoint)
    if not settings.is_pod_address(endpoint.address) and settings.is_pod_address(client):
        return client if endpoint.address == entry.address else entry.address  # flannel's FLANNEL-POSTRTG
    return client


def _is_marked(
    settings: NetworkSettings, server: VirtualServer | None, client: str, entry: NodeRange, endpoint: Endpoint
) -> bool:
    """Whether the packet would carry KUBE-MARK-MASQ (or, to the pod itself, come from the node's own interface)."""
    from_pod = settings.is_pod_address(client) and not locally_made(client, entry)
    if server is None:
        return not from_pod and settings.is_pod_address(endpoint.address)
    if endpoint.address == client:
        return True  # hairpin: otherwise the pod would answer itself directly
    if server.kind is Kind.CLUSTER_IP:
        return not from_pod  # ! -s cluster-cidr
    if server.local:
        return locally_made(client, entry)
    return True  # KUBE-EXT: "masquerade traffic for external destinations"


def _outgoing(settings: NetworkSettings, entry: NodeRange, endpoint: Endpoint) -> str:
    """The address of the interface by which a node reaches an endpoint."""
    target = settings.node_of(endpoint.address)
    if target is None or endpoint.address == target.address:
        return entry.address
    return entry.bridge if target is entry else entry.tunnel
