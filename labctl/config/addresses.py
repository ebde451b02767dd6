"""The address plan of a cluster, checked: nodes, pods and Services must not stand in each other's way."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from itertools import combinations

from labctl.config.decode import Fields
from labctl.model.inventory import Network, Node, Provider, Role

Net = ipaddress.IPv4Network
LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
OUTSIDE = ipaddress.IPv4Address("255.255.255.255")
"""Stands for an address that is none, or no IPv4 address: it lies in no network that is checked."""
POD_PREFIX = 24
"""Each node takes a /24 of the cluster CIDR: the default of kube-controller-manager's `--node-cidr-mask-size`."""
_HOST_NAME = re.compile(
    r"(?!\d+(\.\d+)*$)[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """What of an inventory has to do with addresses."""

    provider: Provider
    nodes: tuple[Node, ...]
    network: Network


def check_addresses(fields: Fields, plan: AddressPlan) -> None:
    """Note every mistake of an address plan: clashes, ranges that are too small, addresses that are none.

    Args:
        fields: The top of the document.
        plan: What was read from it, defaults included.
    """
    if plan.provider is Provider.KUBECONFIG:
        return
    _check_nodes(fields, plan)
    networks = {key: _network(fields, key, text) for key, text in _cidrs(plan.network).items()}
    _check_overlaps(fields, {key: net for key, net in networks.items() if net is not None})
    pods = networks["clusterCidr"]
    if pods is not None:
        _check_room(fields, pods, len(plan.nodes))
    for key, net in networks.items():
        if net is None:
            continue
        if plan.provider is Provider.EMBEDDED and not net.subnet_of(LOOPBACK):
            hint = "the embedded cluster lives on loopback: take a range inside 127.0.0.0/8"
            fields.problems.add(("network", key), f"{net} is not inside {LOOPBACK}", hint)
        _check_nodes_outside(fields, plan.nodes, key, net)


def _check_nodes_outside(fields: Fields, nodes: tuple[Node, ...], key: str, net: Net) -> None:
    hint = "nodes need addresses of their own"
    inside = [(index, node) for index, node in enumerate(nodes) if (_address(node.address) or OUTSIDE) in net]
    if inside and "nodes" not in fields.data:
        names = ", ".join(f"{node.name} {node.address}" for _, node in inside)
        fields.problems.add(("network", key), f"the default nodes lie inside it: {names}", hint)
        return
    for index, node in inside:
        fields.problems.add(("nodes", index, "address"), f"{node.address} ({node.name}) lies inside {key} {net}", hint)


def _cidrs(network: Network) -> dict[str, str]:
    return {"clusterCidr": network.cluster_cidr, "serviceCidr": network.service_cidr}


def _check_nodes(fields: Fields, plan: AddressPlan) -> None:
    names: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for index, node in enumerate(plan.nodes):
        if node.name and node.name in names:
            message = f"there are two nodes named {node.name!r}"
            fields.problems.add(("nodes", index, "name"), message, "node names are unique in a cluster")
        if node.address and node.address in addresses:
            message = f"{node.address} is also the address of {addresses[node.address]}"
            fields.problems.add(("nodes", index, "address"), message, "each node has an address of its own")
        names.setdefault(node.name, node.name)
        addresses.setdefault(node.address, node.name)
        _check_node_address(fields, plan.provider, index, node)
    if plan.nodes and not any(node.role is Role.SERVER for node in plan.nodes):
        fields.problems.add(
            ("nodes",), "no node has `role: server`", "one node, usually the first, runs the control plane"
        )
    if not plan.nodes and fields.data.get("nodes") == []:
        fields.problems.add(("nodes",), "there are no nodes", "list at least one, with `role: server`")


def _check_node_address(fields: Fields, provider: Provider, index: int, node: Node) -> None:
    if not node.address:
        return
    address = _address(node.address)
    path = ("nodes", index, "address")
    if provider is Provider.EMBEDDED and (address is None or address not in LOOPBACK):
        near = DEFAULT_HINTS.get(node.role, "127.0.10.101")
        hint = f"the embedded cluster lives on loopback: take one such as {near}; real hosts need `provider: ssh`"
        fields.problems.add(path, f"{node.address} is not a loopback address (127.x.x.x)", hint)
    elif address is None and not _is_ipv6(node.address) and not _HOST_NAME.fullmatch(node.address):
        fields.problems.add(path, f"{node.address!r} is neither an IP address nor a host name")


DEFAULT_HINTS = {Role.SERVER: "127.0.10.10", Role.AGENT: "127.0.10.101"}


def _network(fields: Fields, key: str, text: str) -> Net | None:
    if not text:
        return None
    path = ("network", key)
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        pass
    try:
        whole = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        fields.problems.add(path, f"{text!r} is not an IPv4 CIDR", "write one such as 172.16.0.0/16")
        return None
    fields.problems.add(path, f"{text} has bits set behind its prefix", f"did you mean {str(whole)!r}?")
    return None


def _check_overlaps(fields: Fields, networks: dict[str, Net]) -> None:
    for (first, one), (second, other) in combinations(networks.items(), 2):
        if one.overlaps(other):
            given = fields.data.get("network")
            at = second if isinstance(given, dict) and second in given else first
            hint = "pods and Services need ranges of their own"
            fields.problems.add(("network", at), f"{first} {one} and {second} {other} overlap", hint)


def _check_room(fields: Fields, pods: Net, nodes: int) -> None:
    room = 2 ** (POD_PREFIX - pods.prefixlen) if pods.prefixlen <= POD_PREFIX else 0
    if room < nodes:
        message = f"{pods} has room for {room} nodes (each takes a /{POD_PREFIX}), and there are {nodes}"
        fields.problems.add(("network", "clusterCidr"), message, "take a larger range, for example a /16")


def _address(text: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
