"""Services.

Source: validateService and ValidateServiceUpdate in pkg/apis/core/validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.addresses import cidr_causes, ip_causes
from labctl.embedded.kinds.field import Cause, duplicate, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.service_families import cluster_ip_causes
from labctl.embedded.kinds.services import externally_accessible, needs_health_check
from labctl.embedded.kinds.validation import probes
from labctl.embedded.kinds.validation.endpoints import endpoint_ip
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1123_label,
    dns1123_subdomain,
    in_range,
    port_number,
    qualified_name,
)
from labctl.embedded.kinds.validation.meta import labels

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_ONE_DAY = 86400


def service(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A Service."""
    spec = obj["spec"]
    if old is not None:
        yield from _update(spec, old["spec"])
    yield from _topology(obj["metadata"].get("annotations", {}))
    ports = spec.get("ports", [])
    if not ports and not _headless(spec) and spec.get("type") != "ExternalName":
        yield required("spec.ports")
    yield from _of_type(spec)
    yield from _ports(ports)
    yield from labels(spec.get("selector", {}), "spec.selector")
    yield from _session_affinity(spec)
    yield from cluster_ip_causes(spec)
    yield from _external_ips(spec.get("externalIPs", []))
    if not spec.get("type"):
        yield required("spec.type")
    elif spec["type"] not in _TYPES:
        yield not_supported("spec.type", spec["type"], _TYPES)
    yield from _node_ports(spec)
    yield from _duplicate_ports(ports)
    yield from _source_ranges(obj, old)
    yield from _load_balancer(spec)
    yield from _external_traffic(spec)
    yield from _internal_traffic(spec)


def _headless(spec: Obj) -> bool:
    return bool(spec.get("clusterIPs") == ["None"])


def _topology(annotations: Obj) -> Iterator[Cause]:
    if _MODE in annotations and annotations.get(_HINTS, annotations[_MODE]) != annotations[_MODE]:
        text = f"must match annotations[{_HINTS}] when both are specified"
        yield invalid_value(f"metadata.annotations[{_MODE}]", annotations[_MODE], text)


def _of_type(spec: Obj) -> Iterator[Cause]:
    kind = spec.get("type")
    if kind in ("LoadBalancer", "NodePort") and _headless(spec):
        yield invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind != "ExternalName":
        return
    for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(name):
            yield forbidden(f"spec.{name}", "may not be set for ExternalName services")
    target = spec.get("externalName", "").removesuffix(".")
    if target:
        yield from all_of("spec.externalName", target, dns1123_subdomain)
    else:
        yield required("spec.externalName")


def _ports(ports: list[Obj]) -> Iterator[Cause]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name", "")
        if name:
            yield from all_of(f"{path}.name", name, dns1123_label)
            if name in names:
                yield duplicate(f"{path}.name", name)
            names.add(name)
        elif len(ports) > 1:
            yield required(f"{path}.name")
        yield from all_of(f"{path}.port", port["port"], port_number)
        protocol = port.get("protocol", "")
        if not protocol:
            yield required(f"{path}.protocol")
        elif protocol not in _PROTOCOLS:
            yield not_supported(f"{path}.protocol", protocol, _PROTOCOLS)
        yield from probes.port(f"{path}.targetPort", port["targetPort"])
        if port.get("appProtocol") is not None:
            yield from all_of(f"{path}.appProtocol", port["appProtocol"], qualified_name)


def _session_affinity(spec: Obj) -> Iterator[Cause]:
    affinity, config = spec.get("sessionAffinity", ""), spec.get("sessionAffinityConfig")
    path = "spec.sessionAffinityConfig"
    if not affinity:
        yield required("spec.sessionAffinity")
    elif affinity not in ("ClientIP", "None"):
        yield not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    if affinity == "ClientIP":
        yield from _client_ip(config, path)
    elif affinity == "None" and config is not None:
        yield forbidden(path, "must not be set when session affinity is None")


def _client_ip(config: Any, path: str) -> Iterator[Cause]:
    if config is None:
        yield required(path, "when session affinity type is ClientIP")
    elif config.get("clientIP") is None:
        yield required(f"{path}.clientIP", "when session affinity type is ClientIP")
    elif config["clientIP"].get("timeoutSeconds") is None:
        yield required(f"{path}.clientIP.timeoutSeconds", "when session affinity type is ClientIP")
    else:
        seconds = config["clientIP"]["timeoutSeconds"]
        if in_range(seconds, 1, _ONE_DAY):
            text = f"must be greater than 0 and less than {_ONE_DAY}"
            yield invalid_value(f"{path}.clientIP.timeoutSeconds", seconds, text)


def _external_ips(listed: list[str]) -> Iterator[Cause]:
    for index, address in enumerate(listed):
        path = f"spec.externalIPs[{index}]"
        causes = ip_causes(path, address)
        yield from causes or endpoint_ip(path, address)


def _node_ports(spec: Obj) -> Iterator[Cause]:
    ports = spec.get("ports", [])
    if spec.get("type") == "ClusterIP":
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                yield forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        number = port.get("nodePort", 0)
        key = (port.get("protocol", ""), number)
        if number and key in seen:
            yield duplicate(f"spec.ports[{index}].nodePort", number)
        seen.add(key)


def _duplicate_ports(ports: list[Obj]) -> Iterator[Cause]:
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol", ""), port["port"])
        if key in seen:
            # The server's own type, with only that what must differ.
            shown = {
                "Name": "",
                "Protocol": key[0],
                "AppProtocol": None,
                "Port": key[1],
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield duplicate(f"spec.ports[{index}]", shown)
        seen.add(key)


def _source_ranges(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    spec, annotations = obj["spec"], obj["metadata"].get("annotations", {})
    ranges = spec.get("loadBalancerSourceRanges", [])
    path = "spec.LoadBalancerSourceRanges" if ranges else f"metadata.annotations[{_SOURCE_RANGES}]"
    if not ranges and _SOURCE_RANGES not in annotations:
        return
    if spec.get("type") != "LoadBalancer":
        yield forbidden(path, _ONLY_LOAD_BALANCER)
    if ranges:
        for index, value in enumerate(ranges):
            yield from cidr_causes(f"{path}[{index}]", value.strip())
        return
    text = annotations[_SOURCE_RANGES]
    before = (old or {}).get("metadata", {}).get("annotations", {}).get(_SOURCE_RANGES)
    if text != before and text.strip():
        for value in text.split(","):
            yield from cidr_causes(path, value.strip())


def _load_balancer(spec: Obj) -> Iterator[Cause]:
    is_one, allocates = spec.get("type") == "LoadBalancer", spec.get("allocateLoadBalancerNodePorts")
    if allocates is not None and not is_one:
        yield forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER)
    if allocates is None and is_one:
        yield required("allocateLoadBalancerNodePorts")
    yield from _load_balancer_class(spec)


def _load_balancer_class(spec: Obj) -> Iterator[Cause]:
    name = spec.get("loadBalancerClass")
    if name is None:
        return
    if spec.get("type") == "LoadBalancer":
        yield from all_of("spec.loadBalancerClass", name, qualified_name)
    else:
        yield forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER)


def _external_traffic(spec: Obj) -> Iterator[Cause]:
    policy, path = spec.get("externalTrafficPolicy", ""), "spec.externalTrafficPolicy"
    if not externally_accessible(spec):
        if policy:
            yield invalid_value(path, policy, "may only be set for externally-accessible services")
    elif not policy:
        yield required(path)
    elif policy not in _POLICIES:
        yield not_supported(path, policy, _POLICIES)
    port, path = spec.get("healthCheckNodePort", 0), "spec.healthCheckNodePort"
    if not needs_health_check(spec):
        if port:
            text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            yield invalid_value(path, port, text)
    elif not port:
        yield required(path)
    else:
        yield from all_of(path, port, port_number)


def _internal_traffic(spec: Obj) -> Iterator[Cause]:
    policy, path = spec.get("internalTrafficPolicy"), "spec.internalTrafficPolicy"
    if policy is None:
        if spec.get("type") in ("NodePort", "LoadBalancer", "ClusterIP"):
            yield required(path)
    elif policy not in _POLICIES:
        yield not_supported(path, policy, _POLICIES)
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        yield not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS)


def _update(spec: Obj, before: Obj) -> Iterator[Cause]:
    if "ExternalName" not in (spec.get("type"), before.get("type")):
        yield from _fixed(spec, before)
    if spec.get("type") == before.get("type") == "LoadBalancer":
        name = spec.get("loadBalancerClass")
        if name != before.get("loadBalancerClass"):
            yield invalid_value("spec.loadBalancerClass", name, "may not change once set")
    yield from _load_balancer_class(spec)
    kept = spec.get("healthCheckNodePort") == before.get("healthCheckNodePort")
    if needs_health_check(before) and needs_health_check(spec) and not kept:
        yield forbidden("spec.healthCheckNodePort", "field is immutable")


def _fixed(spec: Obj, before: Obj) -> Iterator[Cause]:
    """The first address and family stay; a second one may come and go."""
    headless = _headless(spec), _headless(before)
    new, old = spec.get("clusterIPs", []), before.get("clusterIPs", [])
    if not all(headless):
        if old and not new:
            yield invalid_value("spec.clusterIPs[0]", None, "primary clusterIP can not be unset")
        for index in range(min(len(new), len(old))):
            if new[index] != old[index]:
                yield invalid_value(f"spec.clusterIPs[{index}]", new, "may not change once set")
    if any(headless):
        return
    families, known = spec.get("ipFamilies", []), before.get("ipFamilies", [])
    if any(one != other for one, other in zip(families, known, strict=False)):
        yield invalid_value("spec.ipFamilies[0]", families, "may not change once set")
