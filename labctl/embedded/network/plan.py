"""kube-proxy's rules as values: which address and port leads to which endpoints. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import Obj

Place = tuple[str, int]
"""Address and port."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One ready endpoint of a Service port; `node` is empty for endpoints without one."""

    ip: str
    port: int
    node: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What a listening place of a Service does with a connection.

    Attributes:
        service: `namespace/name`, for messages.
        endpoints: Where connections go.
        node: The node whose address it is; empty for a ClusterIP.
        keep_source: The endpoint sees the client's own address (externalTrafficPolicy Local).
        drop: There is no endpoint on this node and the policy is Local: packets are dropped, clients time out.
        affinity_seconds: sessionAffinity ClientIP's timeout; 0 without affinity.
    """

    service: str
    endpoints: tuple[Endpoint, ...]
    node: str = ""
    keep_source: bool = False
    drop: bool = False
    affinity_seconds: int = 0


def service_rules(service: Obj, slices: Sequence[Obj], nodes: Mapping[str, str]) -> dict[Place, Rule]:
    """Every place where a Service is reached, with its rule. A place without endpoints has none: it refuses.

    Args:
        service: The Service.
        slices: Its EndpointSlices.
        nodes: Node name → address.
    """
    spec = service["spec"]
    rules: dict[Place, Rule] = {}
    if spec.get("type") == "ExternalName":
        return rules
    for port in spec.get("ports") or []:
        if port.get("protocol", "TCP") == "TCP":
            endpoints = tuple(_endpoints(slices, port.get("name", "")))
            rules.update(_port_rules(service, port, endpoints, nodes))
    return rules


def _port_rules(
    service: Obj, port: Obj, endpoints: tuple[Endpoint, ...], nodes: Mapping[str, str]
) -> Iterator[tuple[Place, Rule]]:
    if not endpoints:
        return
    spec, metadata = service["spec"], service["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    affinity = _affinity(spec)
    cluster_ip = spec.get("clusterIP", "")
    if cluster_ip and cluster_ip != "None":
        yield (cluster_ip, port["port"]), Rule(name, endpoints, affinity_seconds=affinity)
    local_only = spec.get("externalTrafficPolicy") == "Local"
    balanced = {entry.get("ip") for entry in service.get("status", {}).get("loadBalancer", {}).get("ingress") or []}
    for node, address in nodes.items():
        usable = tuple(endpoint for endpoint in endpoints if endpoint.node == node) if local_only else endpoints
        rule = Rule(name, usable, node, local_only, local_only and not usable, affinity)
        if port.get("nodePort"):
            yield (address, port["nodePort"]), rule
        if address in balanced and usable:
            yield (address, port["port"]), rule
    for address in spec.get("externalIPs") or []:
        yield (address, port["port"]), Rule(name, endpoints, affinity_seconds=affinity)


def _affinity(spec: Obj) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    return int(spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds", 10800))


def _endpoints(slices: Sequence[Obj], port_name: str) -> Iterator[Endpoint]:
    seen: set[Place] = set()
    for found in slices:
        for port in found.get("ports") or []:
            if (port.get("name") or "") != port_name or port.get("port") is None:
                continue
            for endpoint in found.get("endpoints") or []:
                if endpoint.get("conditions", {}).get("ready", True) is False:
                    continue
                place = (endpoint["addresses"][0], port["port"])
                if place not in seen:
                    seen.add(place)
                    yield Endpoint(*place, endpoint.get("nodeName", ""))
