"""What the recorded cluster held besides each case's own objects, and how its addresses map to loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

CLIENT = "172.16.0.20"
CONTROLLER = "172.16.0.10"
REFUSING = "172.16.8."
BLACK_HOLE = "172.16.9."
_FAMILIES = "abcdef"
_PODS = 6
_RECORDED = re.compile(r"172\.16\.(\d+)\.(\d+)")


class Addresses:
    """Recorded addresses 172.16.x.y as loopback addresses 127.n.x.y and back.

    Args:
        slot: Tells worlds apart that exist at the same time, 0 to 100.
    """

    def __init__(self, slot: int = 0) -> None:
        self._first = f"127.{17 + slot}."

    def local(self, recorded: str) -> str:
        """The loopback address of a recorded one; others as they are."""
        match = _RECORDED.fullmatch(recorded)
        return f"{self._first}{match[1]}.{match[2]}" if match else recorded

    def recorded(self, local: str) -> str:
        """The recorded address of a loopback one; others as they are."""
        return "172.16." + local.removeprefix(self._first) if local.startswith(self._first) else local


def pod_address(pod: str) -> str:
    """The recorded address of a pod: `a2` is 172.16.1.2."""
    return f"172.16.{_FAMILIES.index(pod[0]) + 1}.{pod[1:]}"


def pods() -> list[str]:
    """All echo pods."""
    return [f"{family}{number}" for family in _FAMILIES for number in range(1, _PODS + 1)]


def pod_name(address: str) -> str:
    """The pod at a recorded address; empty when it is none."""
    match = _RECORDED.fullmatch(address)
    if match is None or not 1 <= int(match[1]) <= len(_FAMILIES):
        return ""
    return f"{_FAMILIES[int(match[1]) - 1]}{match[2]}"


def namespace(name: str) -> Json:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service(name: str, port: int = 80, target: int = 8080) -> Json:
    """A Service without selector."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": target}]},
    }


def endpoint_slice(name: str, addresses: list[tuple[str, bool]], port: int = 8080, suffix: str = "-1") -> Json:
    """The EndpointSlice of a Service; each address with whether it is ready."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}{suffix}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address, ready in addresses],
    }


def standing_objects() -> Iterator[Json]:
    """Namespaces, the class, and the standing Services with their endpoints."""
    for name in ("default", "ingress-nginx"):
        yield namespace(name)
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "nginx"},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }
    for family in _FAMILIES:
        yield from _standing(f"svc-{family}", [pod_address(f"{family}1")])
    for family in "abc":
        yield from _standing(f"svc-{family}3", [pod_address(f"{family}{number}") for number in (1, 2, 3)])
    a1, a2 = pod_address("a1"), pod_address("a2")
    yield from _standing("svc-none", [])
    yield service("svc-noslice")
    yield from _standing("svc-refuse", [f"{REFUSING}1"])
    yield from _standing("svc-refuse3", [f"{REFUSING}{number}" for number in (1, 2, 3)])
    yield from _standing("svc-black", [f"{BLACK_HOLE}1"])
    yield from _standing("svc-mixed", [a1, f"{REFUSING}1", a2])
    yield service("svc-notready")
    yield endpoint_slice("svc-notready", [(a1, False), (a2, True)])
    yield service("svc-allnotready")
    yield endpoint_slice("svc-allnotready", [(a1, False), (a2, False)])
    yield service("svc-tls", 443, 8443)
    yield endpoint_slice("svc-tls", [(a1, True)], 8443)


def _standing(name: str, addresses: list[str]) -> Iterator[Json]:
    yield service(name)
    yield endpoint_slice(name, [(address, True) for address in addresses])


def sentinel(name: str, host: str, *, namespace: str = "default", ingress_class: str = "nginx") -> Json:
    """An Ingress whose host is routable once everything before it has been taken in."""
    backend = {"service": {"name": "svc-a", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ingressClassName": ingress_class, "rules": [rule]},
    }
