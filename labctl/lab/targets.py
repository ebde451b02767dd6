"""Where a probe is sent: the ingress controller, a node port, or a Service's external address. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from labctl.config.decode import did_you_mean
from labctl.errors import ClusterError, UsageError
from labctl.model.cluster import Cluster, Endpoint
from labctl.model.lab import EACH_NODE, OTHER_NODES, ExecStep, Lab, Place, PlaceKind, ProbeStep, Step, TargetKind
from labctl.objects.manifests import Obj


def expand(lab: Lab, cluster: Cluster) -> Lab:
    """The lab for a cluster: a probe of `each` node, or of the `others`, becomes one probe per node.

    The checks are then named `NAME@NODE`. On a cluster without such nodes none is left.
    """
    steps = tuple(found for step in lab.steps for found in _expand_step(step, cluster))
    return replace(lab, steps=steps)


def _expand_step(step: Step, cluster: Cluster) -> Iterator[Step]:
    if isinstance(step, ExecStep) and step.place == Place(PlaceKind.NODE, EACH_NODE):
        for node in cluster.nodes:
            yield replace(step, name=f"{step.name}@{node.name}", place=Place(PlaceKind.NODE, node.name))
        return
    if not isinstance(step, ProbeStep) or step.target.node not in (EACH_NODE, OTHER_NODES):
        yield step
        return
    answering = {endpoint.address for endpoint in (*cluster.ingress.http, *cluster.ingress.https)}
    for node in cluster.nodes:
        if step.target.node == EACH_NODE or node.address not in answering:
            target = replace(step.target, node=node.name)
            title = f"{step.title} ({node.name})" if step.title else ""
            yield replace(step, name=f"{step.name}@{node.name}", title=title, target=target)


def endpoint_for(step: ProbeStep, cluster: Cluster, services: Sequence[Obj]) -> Endpoint:
    """Where a probe is sent.

    Args:
        step: The probe.
        cluster: Its nodes and ingress endpoints.
        services: The Services of the lab's namespace as they are on the cluster, or as the lab's manifests have them.

    Raises:
        ClusterError: Nothing is there to be asked: no controller, no such Service, no port or address yet.
        UsageError: There is no node of that name.
    """
    match step.target.kind:
        case TargetKind.INGRESS:
            return _ingress(step, cluster)
        case TargetKind.NODE_PORT:
            return Endpoint(_node_address(step, cluster), _node_port(step, _service(step, services)))
        case TargetKind.LOAD_BALANCER:
            return _external(step, _service(step, services))
        case TargetKind.API:
            return _server(step, cluster)


def _ingress(step: ProbeStep, cluster: Cluster) -> Endpoint:
    endpoints = cluster.ingress.https if step.scheme == "https" else cluster.ingress.http
    if not endpoints:
        raise ClusterError(
            f"no ingress controller answers {step.scheme} on cluster {cluster.name!r}",
            hint="`labctl ingress install` installs one, `labctl status` shows what there is",
        )
    if not step.target.node:
        return endpoints[0]
    return Endpoint(_node_address(step, cluster), endpoints[0].port)


def _server(step: ProbeStep, cluster: Cluster) -> Endpoint:
    parts = urlsplit(cluster.server)
    if not parts.hostname:
        raise ClusterError(f"check {step.name}: the kubeconfig names no API server")
    return Endpoint(parts.hostname, parts.port or 443)


def _node_address(step: ProbeStep, cluster: Cluster) -> str:
    wanted = step.target.node
    for node in cluster.nodes:
        if wanted in ("", node.name):
            return node.address
    names = [node.name for node in cluster.nodes]
    near = did_you_mean(wanted, names)
    hint = f"did you mean {near!r}?" if near else f"nodes: {', '.join(names)}"
    raise UsageError(f"check {step.name}: the cluster has no node {wanted!r}", hint=hint)


def _service(step: ProbeStep, services: Sequence[Obj]) -> Obj:
    for service in services:
        if service["metadata"]["name"] == step.target.service:
            return service
    raise ClusterError(f"check {step.name}: there is no Service {step.target.service}", hint="`labctl run` creates it")


def _port(step: ProbeStep, service: Obj) -> dict[str, Any]:
    ports: list[dict[str, Any]] = service.get("spec", {}).get("ports") or []
    for port in ports:
        if step.target.port in ("", port.get("name"), str(port.get("port"))):
            return port
    raise ClusterError(f"check {step.name}: Service {step.target.service} has no port {step.target.port or 'at all'}")


def _node_port(step: ProbeStep, service: Obj) -> int:
    port = _port(step, service).get("nodePort")
    if not port:
        kind = service.get("spec", {}).get("type", "ClusterIP")
        raise ClusterError(f"check {step.name}: Service {step.target.service} ({kind}) has no node port")
    return int(port)


def _external(step: ProbeStep, service: Obj) -> Endpoint:
    found = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    for entry in found:
        address = entry.get("ip") or entry.get("hostname")
        if address:
            return Endpoint(address, int(_port(step, service)["port"]))
    raise ClusterError(
        f"check {step.name}: Service {step.target.service} has no external address",
        hint="a LoadBalancer needs something that gives out addresses: k3s's ServiceLB, MetalLB or a cloud",
    )
