"""A Cluster from what its API says; the same for every provider."""

from __future__ import annotations

from pathlib import Path

from labctl.kube.client import KubeApi
from labctl.model.cluster import Cluster, ClusterNode, Endpoint, IngressEndpoints
from labctl.model.inventory import Inventory
from labctl.objects.manifests import Obj
from labctl.objects.readiness import readiness

CONTROLLER_SELECTOR = "app.kubernetes.io/name=ingress-nginx,app.kubernetes.io/component=controller"
"""Labels that the ingress-nginx chart gives its controller's Service and pods."""


def describe_cluster(api: KubeApi, inventory: Inventory, kubeconfig: Path, context: str | None) -> Cluster:
    """Ask the API for version, nodes and ingress endpoints."""
    version = api.version()
    nodes = tuple(_node(obj) for obj in api.list("v1", "Node"))
    return Cluster(
        name=inventory.name,
        provider=inventory.provider,
        version=version,
        kubeconfig=kubeconfig,
        context=context,
        nodes=nodes,
        ingress=find_ingress(api, nodes),
        server=api.server,
    )


def find_ingress(api: KubeApi, nodes: tuple[ClusterNode, ...]) -> IngressEndpoints:
    """Where the controller's Services answer from outside."""
    services = [
        service
        for service in api.list("v1", "Service", selector=CONTROLLER_SELECTOR)
        if service["spec"].get("type") in ("NodePort", "LoadBalancer")
    ]
    if not services:
        return IngressEndpoints()
    service = services[0]
    pods = api.list("v1", "Pod", service["metadata"]["namespace"], selector=CONTROLLER_SELECTOR)
    return ingress_endpoints(service, pods, nodes)


def ingress_endpoints(service: Obj, pods: list[Obj], nodes: tuple[ClusterNode, ...]) -> IngressEndpoints:
    """The outside addresses of a controller Service: load balancer addresses if there are any, else node ports.

    With externalTrafficPolicy Local only the nodes that run a ready controller pod answer (Kubernetes,
    "Preserving the client source IP").
    """
    spec = service["spec"]
    ports = {port.get("name") or str(port["port"]): port for port in spec.get("ports", [])}
    balancers = list(service.get("status", {}).get("loadBalancer", {}).get("ingress", []))
    addresses = [str(entry.get("ip") or entry.get("hostname")) for entry in balancers]
    field = "port"
    if not addresses:
        ready = {pod["spec"].get("nodeName") for pod in pods if readiness(pod).ready}
        local = spec.get("externalTrafficPolicy") == "Local"
        addresses = [node.address for node in nodes if not local or node.name in ready]
        field = "nodePort"

    def endpoints(name: str) -> tuple[Endpoint, ...]:
        port = ports.get(name, {}).get(field)
        return tuple(Endpoint(address, int(port)) for address in addresses) if port else ()

    return IngressEndpoints(http=endpoints("http"), https=endpoints("https"))


def _node(obj: Obj) -> ClusterNode:
    labels = obj["metadata"].get("labels", {})
    prefix = "node-role.kubernetes.io/"
    roles = sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix))
    addresses = {entry["type"]: entry["address"] for entry in obj.get("status", {}).get("addresses", [])}
    return ClusterNode(
        name=obj["metadata"]["name"],
        role=",".join(roles) or "<none>",
        address=addresses.get("ExternalIP") or addresses.get("InternalIP", ""),
        ready=readiness(obj).ready,
        version=str(obj.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")),
    )
