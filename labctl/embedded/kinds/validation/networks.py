"""NetworkPolicies, IPAddresses and ServiceCIDRs.

Source: pkg/apis/networking/validation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.addresses import cidr_causes, family, parse_cidr
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.validation.formats import (
    IMMUTABLE,
    all_of,
    dns1123_subdomain,
    immutable,
    path_segment,
    port_name,
    port_number,
)
from labctl.embedded.kinds.validation.meta import label_selector

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_POLICY_TYPES = ("Ingress", "Egress")


def network_policy(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A NetworkPolicy."""
    spec = obj["spec"]
    yield from label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction, ())):
            path = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports", ())):
                yield from _port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers, ())):
                yield from _peer(peer, f"{path}.{peers}[{number}]")
    types = spec.get("policyTypes", [])
    if len(types) > len(_POLICY_TYPES):
        yield invalid_value("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for index, item in enumerate(types):
        if item not in _POLICY_TYPES:
            yield not_supported(f"spec.policyTypes[{index}]", item, _POLICY_TYPES)


def _port(port: Obj, path: str) -> Iterator[Cause]:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        yield not_supported(f"{path}.protocol", protocol, _PROTOCOLS)
    if number is None:
        if end is not None:
            yield invalid_value(f"{path}.endPort", end, "may not be specified when `port` is not specified")
    elif isinstance(number, str):
        if end is not None:
            yield invalid_value(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
        yield from all_of(f"{path}.port", number, port_name)
    else:
        yield from all_of(f"{path}.port", number, port_number)
        if end is not None and end < number:
            yield invalid_value(f"{path}.endPort", number, "must be greater than or equal to `port`")
        if end is not None:
            yield from all_of(f"{path}.endPort", end, port_number)


def _peer(peer: Obj, path: str) -> Iterator[Cause]:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    for name in ("podSelector", "namespaceSelector"):
        yield from label_selector(peer.get(name), f"{path}.{name}")
    if "ipBlock" in given:
        yield from _block(peer["ipBlock"], f"{path}.ipBlock")
    if not given:
        yield required(path, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        yield forbidden(path, "may not specify both ipBlock and another peer")


def _block(block: Obj, path: str) -> Iterator[Cause]:
    if not block["cidr"]:
        yield required(f"{path}.cidr")
        return
    yield from cidr_causes(f"{path}.cidr", block["cidr"])
    whole = parse_cidr(block["cidr"])
    if whole is None:
        return
    for index, text in enumerate(block.get("except", ())):
        at = f"{path}.except[{index}]"
        yield from cidr_causes(at, text)
        part = parse_cidr(text)
        if part is None:
            continue
        if part.network_address not in whole or whole.prefixlen >= part.prefixlen:
            yield invalid_value(at, text, "must be a strict subset of `cidr`")


def address_name(name: str) -> list[str]:
    """The name of an IPAddress: the address in its canonical form."""
    try:
        canonical = str(ipaddress.ip_address(name))
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return [] if canonical == name else [f'must be in canonical form ("{canonical}")']


def ip_address(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An IPAddress."""
    parent, path = obj["spec"].get("parentRef"), "spec.parentRef"
    if old is not None:
        yield from immutable(path, parent, old["spec"].get("parentRef"))
        return
    if parent is None:
        yield required(path)
        return
    if parent.get("group"):
        yield from all_of(f"{path}.group", parent["group"], dns1123_subdomain)
    for name in ("resource", "name", "namespace"):
        if parent.get(name):
            yield from all_of(f"{path}.{name}", parent[name], path_segment)
        elif name != "namespace":
            yield required(f"{path}.{name}")


def service_cidr(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """A ServiceCIDR."""
    ranges = obj["spec"].get("cidrs", [])
    if old is None:
        yield from _ranges(ranges)
        return
    before = old["spec"].get("cidrs", [])
    if len(before) != len(ranges) and (len(before), len(ranges)) != (1, 2):
        yield invalid_value("spec.cidrs", ranges or None, IMMUTABLE)
        return
    for index, (new, known) in enumerate(zip(ranges, before, strict=False)):
        if new != known:
            yield invalid_value(f"spec.cidrs[{index}]", new, IMMUTABLE)
    if len(before) < len(ranges):
        yield from _ranges(ranges)


def _ranges(ranges: list[str]) -> Iterator[Cause]:
    path = "spec.cidrs"
    if not ranges:
        yield required(path, "at least one CIDR required")
        return
    if len(ranges) > 2:
        yield invalid_value(path, {"CIDRs": ranges}, "may only hold up to 2 values")
        return
    for index, text in enumerate(ranges):
        yield from cidr_causes(f"{path}[{index}]", text)
    families = [family(text.partition("/")[0]) for text in ranges if parse_cidr(text)]
    if len(families) == 2 and families[0] == families[1]:
        detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        yield invalid_value(path, ranges, detail)
