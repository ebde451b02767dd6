"""Endpoints and EndpointSlices.

Source: pkg/apis/core/validation and pkg/apis/discovery/validation.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.addresses import Address, ip_causes, parse_ip
from labctl.embedded.kinds.field import Cause, duplicate, invalid_value, not_supported, required, too_many
from labctl.embedded.kinds.validation.formats import (
    all_of,
    dns1123_label,
    dns1123_subdomain,
    immutable,
    label_value,
    port_number,
    qualified_name,
)
from labctl.embedded.kinds.validation.meta import labels

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_MOST = {"addresses": 100, "endpoints": 1000, "hints": 8, "ports": 20000, "topology": 16}


def endpoint_ip(path: str, text: str) -> list[Cause]:
    """Addresses that no endpoint can have."""
    address = parse_ip(text)
    if address is None:
        return [invalid_value(path, text, "must be a valid IP address")]
    causes = []
    if address.is_unspecified:
        causes.append(invalid_value(path, text, f"may not be unspecified ({text})"))
    if _is_own_loopback(address):
        causes.append(invalid_value(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        causes.append(invalid_value(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    if _is_link_local_multicast(address.packed):
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        causes.append(invalid_value(path, text, detail))
    return causes


def _is_own_loopback(address: Address) -> bool:
    """Whether an address is the machine's own, which is 127.0.0.0/24 here.

    The embedded cluster's nodes, pods and Services live in the rest of 127.0.0.0/8.
    """
    return address.is_loopback and (address.version == 6 or address.packed[:3] == b"\x7f\0\0")


def _is_link_local_multicast(packed: bytes) -> bool:
    if len(packed) == 4:
        return packed[:3] == b"\xe0\0\0"
    return packed[0] == 0xFF and packed[1] & 0x0F == 2


def endpoints(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An Endpoints object."""
    if old is not None and old.get("subsets") == obj.get("subsets"):
        return
    for index, subset in enumerate(obj.get("subsets", ())):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(path, "must specify `addresses` or `notReadyAddresses`")
        for name in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(name, ())):
                yield from _address(address, f"{path}.{name}[{number}]")
        ports = subset.get("ports", [])
        for number, port in enumerate(ports):
            yield from _subset_port(port, f"{path}.ports[{number}]", name_required=len(ports) > 1)


def _address(address: Obj, path: str) -> Iterator[Cause]:
    yield from ip_causes(f"{path}.ip", address["ip"])
    if address.get("hostname"):
        yield from all_of(f"{path}.hostname", address["hostname"], dns1123_label)
    if address.get("nodeName") is not None:
        yield from all_of(f"{path}.nodeName", address["nodeName"], dns1123_subdomain)
    yield from endpoint_ip(f"{path}.ip", address["ip"])


def _subset_port(port: Obj, path: str, *, name_required: bool) -> Iterator[Cause]:
    if port.get("name"):
        yield from all_of(f"{path}.name", port["name"], dns1123_label)
    elif name_required:
        yield required(f"{path}.name")
    yield from all_of(f"{path}.port", port["port"], port_number)
    yield from _protocol(port, path)


def _protocol(port: Obj, path: str) -> Iterator[Cause]:
    protocol = port.get("protocol")
    if not protocol:
        yield required(f"{path}.protocol")
    elif protocol not in _PROTOCOLS:
        yield not_supported(f"{path}.protocol", protocol, _PROTOCOLS)
    if port.get("appProtocol") is not None:
        yield from all_of(f"{path}.appProtocol", port["appProtocol"], qualified_name)


def endpoint_slice(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An EndpointSlice."""
    kind = obj.get("addressType", "")
    if not kind:
        yield required("addressType")
    elif kind not in _ADDRESS_TYPES:
        yield not_supported("addressType", kind, _ADDRESS_TYPES)
    yield from _slice_ports(obj.get("ports") or [])
    listed = obj.get("endpoints") or []
    if old is None or (old.get("endpoints") or []) != listed:
        yield from _endpoints(listed, kind)
    if old is not None:
        yield from immutable("addressType", kind, old.get("addressType"))


def _slice_ports(ports: list[Obj]) -> Iterator[Cause]:
    if len(ports) > _MOST["ports"]:
        yield too_many("ports", len(ports), _MOST["ports"])
        return
    names: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"ports[{index}]", port.get("name") or ""
        if name:
            yield from all_of(f"{path}.name", name, dns1123_label)
        if name in names:
            yield duplicate(f"{path}.name", name)
        names.add(name)
        yield from _protocol(port, path)


def _endpoints(listed: list[Obj], kind: str) -> Iterator[Cause]:
    if len(listed) > _MOST["endpoints"]:
        yield too_many("endpoints", len(listed), _MOST["endpoints"])
        return
    for index, endpoint in enumerate(listed):
        yield from _endpoint(endpoint, kind, f"endpoints[{index}]")


def _endpoint(endpoint: Obj, kind: str, path: str) -> Iterator[Cause]:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        yield required(f"{path}.addresses", "must contain at least 1 address")
    elif len(addresses) > _MOST["addresses"]:
        yield too_many(f"{path}.addresses", len(addresses), _MOST["addresses"])
    for number, address in enumerate(addresses):
        yield from _slice_address(address, kind, f"{path}.addresses", number)
    if endpoint.get("nodeName") is not None:
        yield from all_of(f"{path}.nodeName", endpoint["nodeName"], dns1123_subdomain)
    topology = endpoint.get("deprecatedTopology", {})
    if len(topology) > _MOST["topology"]:
        yield too_many(f"{path}.deprecatedTopology", len(topology), _MOST["topology"])
    yield from labels(topology, f"{path}.deprecatedTopology")
    if endpoint.get("hostname") is not None:
        yield from all_of(f"{path}.hostname", endpoint["hostname"], dns1123_label)
    hints = endpoint.get("hints") or {}
    yield from _hints(hints.get("forZones", []), f"{path}.hints.forZones", nodes=False)
    yield from _hints(hints.get("forNodes", []), f"{path}.hints.forNodes", nodes=True)


def _slice_address(address: str, kind: str, path: str, number: int) -> Iterator[Cause]:
    at = f"{path}[{number}]"
    if kind == "FQDN":
        yield from _domain_name(address, at)
    elif kind in ("IPv4", "IPv6"):
        causes = ip_causes(at, address)
        yield from causes
        if not causes:
            version = parse_ip(address)
            if version is not None and f"IPv{version.version}" != kind:
                yield invalid_value(path, address, f"must be an {kind} address")
            yield from endpoint_ip(at, address)


def _domain_name(name: str, path: str) -> Iterator[Cause]:
    if not name:
        yield required(path)
        return
    problems = dns1123_subdomain(name)
    for text in problems:
        yield invalid_value(path, name, text)
    if not problems and len(name.split(".")) < 2:
        yield invalid_value(path, name, "should be a domain with at least two segments separated by dots")


def _hints(listed: list[Obj], path: str, *, nodes: bool) -> Iterator[Cause]:
    if len(listed) > _MOST["hints"]:
        yield too_many(path, len(listed), _MOST["hints"])
        return
    names: set[str] = set()
    for index, hint in enumerate(listed):
        if hint["name"] in names:
            yield duplicate(f"{path}[{index}].name", hint["name"])
        names.add(hint["name"])
        yield from all_of(f"{path}[{index}].name", hint["name"], dns1123_subdomain if nodes else label_value)
