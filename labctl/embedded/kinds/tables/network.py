"""Cells of Services, endpoints, Ingresses and what belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import human


def _service(obj: Obj, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        next(iter(spec.get("clusterIPs", ())), "<none>"),
        _external_ip(obj),
        ",".join(_service_port(port) for port in spec.get("ports") or ()) or "<none>",
        _age(obj, now),
        human.labels(spec.get("selector")),
    ]


def _service_port(port: Obj) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"


def _external_ip(obj: Obj) -> str:
    spec = obj["spec"]
    kind, external = spec.get("type"), spec.get("externalIPs", [])
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(external) or "<none>"
    if kind == "LoadBalancer":
        return ",".join([*_ingress_points(obj), *external]) or "<pending>"
    return str(spec.get("externalName", "")) if kind == "ExternalName" else "<unknown>"


def _ingress_points(obj: Obj) -> list[str]:
    """Addresses (or names) in a load balancer status, sorted."""
    points = obj.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    return sorted({point.get("ip") or point.get("hostname", "") for point in points} - {""})


def _endpoints(obj: Obj, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], human.some(_endpoint_addresses(obj), empty="<none>"), _age(obj, now)]


def _endpoint_addresses(obj: Obj) -> Iterator[str]:
    for subset in obj.get("subsets") or ():
        addresses = subset.get("addresses", ())
        if not subset.get("ports"):
            yield from (address["ip"] for address in addresses)
        for port in subset.get("ports", ()):
            for address in addresses:
                ip = f"[{address['ip']}]" if ":" in address["ip"] else address["ip"]
                yield f"{ip}:{port['port']}"


def _endpoint_slice(obj: Obj, now: datetime) -> list[Any]:
    ports = (str(port.get("port") or port.get("name", "*")) for port in obj.get("ports") or ())
    addresses = (address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ())
    return [
        obj["metadata"]["name"],
        obj.get("addressType", ""),
        human.some(ports),
        human.some(addresses),
        _age(obj, now),
    ]


def _ingress(obj: Obj, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("ingressClassName", "<none>"),
        _hosts(spec.get("rules", [])),
        ",".join(_ingress_points(obj)),
        "80, 443" if spec.get("tls") else "80",
        _age(obj, now),
    ]


def _hosts(rules: list[Obj]) -> str:
    """The first three hosts; once there are three, the number of rules (not hosts) that follow is told."""
    listed: list[str] = []
    more = False
    for rule in rules:
        more = more or len(listed) == 3
        if not more and rule.get("host"):
            listed.append(rule["host"])
    text = ",".join(listed) or "*"
    return f"{text} + {len(rules) - 3} more..." if more else text


def _ingress_class(obj: Obj, now: datetime) -> list[Any]:
    parameters = obj["spec"].get("parameters")
    text = "<none>"
    if parameters is not None:
        group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") is not None else ""
        text = f"{parameters['kind']}{group}/{parameters['name']}"
    return [obj["metadata"]["name"], obj["spec"].get("controller", ""), text, _age(obj, now)]


def _network_policy(obj: Obj, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], human.selector_or_none(obj["spec"].get("podSelector")), _age(obj, now)]


def _service_cidr(obj: Obj, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], ",".join(obj["spec"].get("cidrs", ())), _age(obj, now)]


def _ip_address(obj: Obj, now: datetime) -> list[Any]:
    parent = obj["spec"].get("parentRef")
    text = "<none>"
    if parent is not None:
        group = f".{parent['group']}" if parent.get("group") else ""
        namespace = f"/{parent['namespace']}" if parent.get("namespace") else ""
        text = f"{parent.get('resource', '')}{group}".lower() + f"{namespace}/{parent.get('name', '')}"
    return [obj["metadata"]["name"], text, _age(obj, now)]


def _age(obj: Obj, now: datetime) -> str:
    return human.age(obj["metadata"].get("creationTimestamp"), now)


CELLS: dict[str, Callable[[Obj, datetime], list[Any]]] = {
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "IPAddress": _ip_address,
    "Ingress": _ingress,
    "IngressClass": _ingress_class,
    "NetworkPolicy": _network_policy,
    "Service": _service,
    "ServiceCIDR": _service_cidr,
}
