"""Cluster IPs and node ports of Services: what the API server allocates before it validates.

Source: pkg/registry/core/service/storage/{alloc,storage}.go, ipallocator and portallocator. There is no allocation
bitmap that could get out of step: what other Services hold is read from them.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Iterator
from itertools import chain

from labctl.embedded.clientset import ApiError, Clientset, Obj
from labctl.embedded.kinds import service_families
from labctl.embedded.kinds.field import invalid, invalid_value
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.settings import ClusterSettings


class ServiceAllocator:
    """Fills in what a Service gets from the cluster's ranges."""

    def __init__(self, settings: ClusterSettings, random_source: random.Random | None = None) -> None:
        self._settings = settings
        self._random = random_source or random.SystemRandom()

    def create(self, resource: Resource, service: Obj, state: Clientset) -> None:
        """Allocate for a new Service, in place.

        Raises:
            ApiError: 422 for an address or port that is taken or out of range, 500 when a range is used up.
        """
        spec: Obj = service["spec"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        others = _others(service, state)
        service_families.fill_in(resource, service, None)
        self._cluster_ips(resource, service, others)
        ports = _PortOperation(self._settings.node_ports, others, self._random)
        if needs_node_port(spec):
            _init_node_ports(resource, service, ports)
        if needs_health_check(spec):
            _health_check_port(spec, ports)

    def update(self, resource: Resource, new: Obj, old: Obj, state: Clientset) -> None:
        """Keep, allocate or give back for a changed Service, in place.

        Raises:
            ApiError: As `create`.
        """
        spec, before = new["spec"], old["spec"]
        _keep_allocated(spec, before)
        _normalize_cluster_ips(spec, before)
        others = _others(new, state)
        service_families.fill_in(resource, new, old)
        if before.get("type") == "ExternalName" and spec.get("type") != "ExternalName":
            self._cluster_ips(resource, new, others)
        ports = _PortOperation(self._settings.node_ports, others, self._random)
        if needs_node_port(spec):
            _update_node_ports(resource, new, before, ports)
        if needs_health_check(spec) and not needs_health_check(before):
            _health_check_port(spec, ports)

    def _cluster_ips(self, resource: Resource, service: Obj, others: list[Obj]) -> None:
        spec: Obj = service["spec"]
        if spec.get("type") == "ExternalName" or (spec.get("clusterIPs") or [""])[0] == "None":
            return
        taken = {ip for other in others for ip in other["spec"].get("clusterIPs", ())}
        wanted = (spec.get("clusterIPs") or [""])[0]
        if wanted:
            problem = self._why_not(wanted, taken)
            if problem:
                detail = f"failed to allocate IP {wanted}: {problem}"
                cause = invalid_value("spec.clusterIPs", spec["clusterIPs"], detail)
                raise invalid(resource, service["metadata"].get("name", ""), [cause])
        else:
            wanted = self._next_ip(taken)
        spec["clusterIP"] = wanted
        spec["clusterIPs"] = [wanted, *spec.get("clusterIPs", ())[1:]]

    def _why_not(self, wanted: str, taken: set[str]) -> str:
        network = ipaddress.ip_network(self._settings.service_cidr)
        address = ipaddress.ip_address(wanted)
        if address not in network:
            return "the provided network does not match the current range"
        if address in (network.network_address, network.broadcast_address):
            return f"the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {network}"
        return "provided IP is already allocated" if wanted in taken else ""

    def _next_ip(self, taken: set[str]) -> str:
        network = ipaddress.ip_network(self._settings.service_cidr)
        size = network.num_addresses
        offset = 0 if size <= 16 else min(max(16, size // 16), 256)
        base = int(network.network_address)
        held = {int(ipaddress.ip_address(ip)) for ip in taken if ip != "None"}
        found = _pick(self._random, base + 1, base + size - 2, offset, held)
        if found is None:
            raise internal_error("failed to allocate a serviceIP: range is full")
        return str(ipaddress.ip_address(found))


class _PortOperation:
    """Node ports of one request: what other Services hold, and what this one has got so far."""

    def __init__(self, bounds: tuple[int, int], others: list[Obj], random_source: random.Random) -> None:
        self._first, self._last = bounds
        self._random = random_source
        self._taken = set(node_ports(others))

    def allocate(self, port: int) -> str:
        """Take one port; returns why it cannot be had, or nothing."""
        if not self._first <= port <= self._last:
            valid = f"{self._first}-{self._last}"
            return f"provided port is not in the valid range. The range of valid ports is {valid}"
        if port in self._taken:
            return "provided port is already allocated"
        self._taken.add(port)
        return ""

    def allocate_next(self) -> int:
        """Take any free port."""
        size = self._last - self._first + 1
        offset = 0 if size <= 16 else min(max(16, size // 32), 128)
        found = _pick(self._random, self._first, self._last, offset, self._taken)
        if found is None:
            raise internal_error("failed to allocate a nodePort: range is full")
        self._taken.add(found)
        return found


def _pick(source: random.Random, first: int, last: int, offset: int, taken: set[int]) -> int | None:
    """A free number: from the upper band while it has one, since people choose theirs from the lower band."""
    for low, high in ((first + offset, last), (first, first + offset - 1)):
        if low > high:
            continue
        start: int = source.randint(low, high)
        for number in chain(range(start, high + 1), range(low, start)):
            if number not in taken:
                return number
    return None


def needs_node_port(spec: Obj) -> bool:
    """Whether the type of Service has node ports."""
    return spec.get("type") in ("NodePort", "LoadBalancer")


def needs_health_check(spec: Obj) -> bool:
    """Whether the Service has a health check node port."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def internal_error(text: str) -> ApiError:
    """A 500 as `errors.NewInternalError` makes it."""
    return ApiError(500, "InternalError", f"Internal error occurred: {text}", {"causes": [{"message": text}]})


def _others(service: Obj, state: Clientset) -> list[Obj]:
    mine = (service["metadata"].get("namespace"), service["metadata"].get("name"))
    return [
        other
        for other in state.list("services")
        if (other["metadata"].get("namespace"), other["metadata"]["name"]) != mine
    ]


def node_ports(services: Iterable[Obj]) -> Iterator[int]:
    """All node ports that Services hold, those of health checks too."""
    for service in services:
        for port in service["spec"].get("ports") or ():
            if port.get("nodePort"):
                yield port["nodePort"]
        if service["spec"].get("healthCheckNodePort"):
            yield service["spec"]["healthCheckNodePort"]


def _allocates(spec: Obj) -> bool:
    return spec.get("type") == "NodePort" or bool(spec.get("allocateLoadBalancerNodePorts", True))


def _init_node_ports(resource: Resource, service: Obj, ports: _PortOperation) -> None:
    """Ports of one number with different protocols share a node port."""
    spec: Obj = service["spec"]
    allocated: dict[int, int] = {}
    listed = spec.get("ports", ())
    for index, port in enumerate(listed):
        if not port.get("nodePort") and not _allocates(spec):
            continue
        held = allocated.get(port["port"], 0)
        asked = next((p["nodePort"] for p in listed if p["port"] == port["port"] and p.get("nodePort")), 0)
        if not held:
            if asked:
                _take(resource, service, ports, index, asked)
            held = allocated[port["port"]] = port["nodePort"] = asked or ports.allocate_next()
        elif not port.get("nodePort"):
            port["nodePort"] = held
        elif port["nodePort"] != held:
            _take(resource, service, ports, index, port["nodePort"])


def _update_node_ports(resource: Resource, service: Obj, before: Obj, ports: _PortOperation) -> None:
    spec: Obj = service["spec"]
    held = {port["nodePort"] for port in before.get("ports") or () if port.get("nodePort")}
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.get("ports", ())):
        wanted = port.get("nodePort", 0)
        if not wanted and not _allocates(spec):
            continue
        if not wanted:
            wanted = port["nodePort"] = ports.allocate_next()
        elif wanted not in held:
            _take(resource, service, ports, index, wanted)
            held.add(wanted)
        entry = (port.get("protocol", "TCP"), wanted)
        if entry in seen:
            raise internal_error(f"duplicate nodePort: {{{entry[0]} {entry[1]}}}")
        seen.add(entry)


def _take(resource: Resource, service: Obj, ports: _PortOperation, index: int, wanted: int) -> None:
    problem = ports.allocate(wanted)
    if problem:
        cause = invalid_value(f"spec.ports[{index}].nodePort", wanted, problem)
        raise invalid(resource, service["metadata"].get("name", ""), [cause])


def _health_check_port(spec: Obj, ports: _PortOperation) -> None:
    wanted = spec.get("healthCheckNodePort", 0)
    problem = ports.allocate(wanted) if wanted else ""
    if problem:
        raise internal_error(f"failed to allocate requested HealthCheck NodePort {wanted}: {problem}")
    if not wanted:
        spec["healthCheckNodePort"] = ports.allocate_next()


def _keep_allocated(spec: Obj, before: Obj) -> None:
    """What a client left out keeps its allocated value."""
    if before.get("type") != "ExternalName" and spec.get("type") != "ExternalName":
        for name in ("clusterIP", "clusterIPs"):
            if not spec.get(name) and before.get(name):
                spec[name] = before[name]
    if needs_node_port(before) and needs_node_port(spec):
        _keep_node_ports(spec, before)
    if needs_health_check(before) and needs_health_check(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort", 0)


def _keep_node_ports(spec: Obj, before: Obj) -> None:
    def of(holder: Obj) -> set[int]:
        return {port["nodePort"] for port in holder.get("ports") or () if port.get("nodePort")}

    used = of(before) & of(spec)
    by_name = {port.get("name", ""): port.get("nodePort", 0) for port in before.get("ports") or ()}
    for port in spec.get("ports", ()):
        known = by_name.get(port.get("name", ""), 0)
        if not port.get("nodePort") and known and known not in used:
            port["nodePort"] = known


def _normalize_cluster_ips(spec: Obj, before: Obj) -> None:
    """Keep the singular and the plural field in step for clients that know one of them."""
    single, plural = spec.get("clusterIP", ""), spec.get("clusterIPs", [])
    old_single, old_plural = before.get("clusterIP", ""), before.get("clusterIPs", [])
    if old_plural and not plural and single == old_single:
        spec["clusterIPs"] = plural = list(old_plural)
    if single == old_single or plural != old_plural:
        return
    if old_single and not single:
        spec.pop("clusterIPs", None)
    else:
        spec["clusterIPs"] = [single]


def externally_accessible(spec: Obj) -> bool:
    """Whether the Service can be reached from outside: by node ports, a load balancer or external IPs."""
    return needs_node_port(spec) or (spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs")))
