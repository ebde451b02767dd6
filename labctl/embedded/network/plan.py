"""What kube-proxy makes of Services and EndpointSlices: virtual servers. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.network.settings import NetworkSettings

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_AFFINITY_SECONDS = 10800


class Kind(StrEnum):
    """By which of a Service's addresses a connection comes."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_IP = "ExternalIP"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a Service port; `node` is empty when the slice does not say."""

    address: str
    port: int
    node: str = ""


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """One address and port of a Service, and what is behind it.

    Attributes:
        address: The address that clients connect to.
        port: Its TCP port.
        kind: Which of the Service's addresses it is.
        service: `namespace/name`.
        port_name: Name of the Service port; empty for the only one.
        node: The node whose address it is; empty for addresses that are no node's.
        endpoints: All usable endpoints.
        local: Only endpoints on the node that the connection enters at may answer (the traffic policy Local).
        affinity: Seconds that a client stays with its endpoint (sessionAffinity ClientIP); 0: not at all.
        source_ranges: Clients that may connect (loadBalancerSourceRanges); empty: all.
    """

    address: str
    port: int
    kind: Kind
    service: str
    port_name: str = ""
    node: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    local: bool = False
    affinity: int = 0
    source_ranges: tuple[str, ...] = ()

    def candidates(self, node: str, *, from_pod: bool = False) -> tuple[Endpoint, ...]:
        """The endpoints that may answer a connection.

        Args:
            node: Where the connection enters the Service: the address's own node, or the client's.
            from_pod: The client is a pod. For these external addresses are as good as the ClusterIP, whatever the
                external traffic policy (kube-proxy: "pod traffic for … external destinations").
        """
        if not self.local or (from_pod and self.kind is not Kind.CLUSTER_IP):
            return self.endpoints
        return tuple(endpoint for endpoint in self.endpoints if endpoint.node == node)

    def admits(self, client: str) -> bool:
        """Whether a client's address is in the source ranges."""
        if not self.source_ranges:
            return True
        address = ipaddress.IPv4Address(client)
        return any(address in ipaddress.IPv4Network(cidr, strict=False) for cidr in self.source_ranges)


def plan(
    services: Iterable[Obj], slices: Iterable[Obj], settings: NetworkSettings
) -> dict[tuple[str, int], VirtualServer]:
    """All virtual servers of a cluster; of two Services that claim one address and port the first has it."""
    by_service: dict[str, list[Obj]] = {}
    for entry in slices:
        by_service.setdefault(owner(entry), []).append(entry)
    planned: dict[tuple[str, int], VirtualServer] = {}
    for service in services:
        for server in plan_service(service, by_service.get(key(service), []), settings):
            planned.setdefault((server.address, server.port), server)
    return planned


def plan_service(service: Obj, slices: Iterable[Obj], settings: NetworkSettings) -> list[VirtualServer]:
    """The virtual servers of one Service: every TCP port on every address that it has."""
    spec = service.get("spec", {})
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") in (None, "", "None"):
        return []
    ready = list(slices)
    servers: list[VirtualServer] = []
    for port in spec.get("ports", []):
        if port.get("protocol", "TCP") == "TCP":
            servers += _port_servers(service, port, _endpoints(ready, port.get("name") or ""), settings)
    return servers


def _port_servers(
    service: Obj, port: Obj, endpoints: tuple[Endpoint, ...], settings: NetworkSettings
) -> Iterator[VirtualServer]:
    spec = service["spec"]
    external_local = spec.get("externalTrafficPolicy") == "Local"
    for address, number, kind in _addresses(service, port, settings):
        inside = kind is Kind.CLUSTER_IP
        node = settings.by_address.get(address)
        yield VirtualServer(
            address=address,
            port=number,
            kind=kind,
            service=key(service),
            port_name=port.get("name") or "",
            node=node.name if node else "",
            endpoints=endpoints,
            local=spec.get("internalTrafficPolicy") == "Local" if inside else external_local,
            affinity=_affinity(spec),
            source_ranges=tuple(spec.get("loadBalancerSourceRanges") or ()) if kind is Kind.LOAD_BALANCER else (),
        )


def _addresses(service: Obj, port: Obj, settings: NetworkSettings) -> Iterator[tuple[str, int, Kind]]:
    """Where a Service port is reached; kube-proxy takes load balancers' addresses from the status."""
    spec = service["spec"]
    number = int(port["port"])
    yield spec["clusterIP"], number, Kind.CLUSTER_IP
    for address in spec.get("externalIPs") or ():
        yield address, number, Kind.EXTERNAL_IP
    if spec.get("type") == "LoadBalancer":
        for point in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
            if point.get("ip") and point.get("ipMode", "VIP") == "VIP":
                yield point["ip"], number, Kind.LOAD_BALANCER
    if port.get("nodePort"):
        for node in settings.ranges.values():
            yield node.address, int(port["nodePort"]), Kind.NODE_PORT


def _affinity(spec: dict[str, Any]) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or _AFFINITY_SECONDS)


def _endpoints(slices: list[Obj], port_name: str) -> tuple[Endpoint, ...]:
    """Ready endpoints; when there are none, those that end but still serve (KEP-1669)."""
    ready: set[Endpoint] = set()
    ending: set[Endpoint] = set()
    for entry in slices:
        number = _port_number(entry, port_name)
        if number is None or entry.get("addressType", "IPv4") != "IPv4":
            continue
        for item in entry.get("endpoints") or ():
            conditions = item.get("conditions") or {}
            wanted = _wanted(conditions, ready, ending)
            if wanted is not None:
                wanted.update(Endpoint(address, number, item.get("nodeName") or "") for address in item["addresses"])
    return tuple(sorted(ready or ending, key=lambda found: (ipaddress.IPv4Address(found.address), found.port)))


def _wanted(conditions: Obj, ready: set[Endpoint], ending: set[Endpoint]) -> set[Endpoint] | None:
    """Which set an endpoint belongs to; a condition that is not said counts as true, but for `terminating`."""
    if conditions.get("ready") is not False:
        return ready
    serving = conditions.get("serving")
    return ending if conditions.get("terminating") and serving is not False else None


def _port_number(entry: Obj, port_name: str) -> int | None:
    for port in entry.get("ports") or ():
        if (port.get("name") or "") == port_name and port.get("protocol", "TCP") == "TCP":
            number = port.get("port")
            return int(number) if number else None
    return None


def key(obj: Obj) -> str:
    """`namespace/name` of an object."""
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def owner(entry: Obj) -> str:
    """`namespace/name` of the Service that an EndpointSlice belongs to."""
    meta = entry["metadata"]
    return f"{meta.get('namespace', '')}/{(meta.get('labels') or {}).get(SERVICE_NAME_LABEL, '')}"
