"""Who is behind a name? Pods, their nodes, and which of them a Service sends to."""

from __future__ import annotations

from labctl.kube.client import KubeApi
from labctl.objects.manifests import Obj


def pod_nodes(api: KubeApi, namespace: str) -> dict[str, str]:
    """Pod name → node, for every pod of a namespace that is on a node."""
    pods = api.list("v1", "Pod", namespace)
    return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")}


def ready_pods(api: KubeApi, namespace: str, service: str) -> tuple[str, ...]:
    """Names of the pods that a Service's EndpointSlices list as ready."""
    slices = api.list(
        "discovery.k8s.io/v1", "EndpointSlice", namespace, selector=f"kubernetes.io/service-name={service}"
    )
    return tuple(sorted({name for found in slices for name in _ready_targets(found)}))


def _ready_targets(found: Obj) -> list[str]:
    return [
        endpoint["targetRef"]["name"]
        for endpoint in found.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready", True) and endpoint.get("targetRef", {}).get("kind") == "Pod"
    ]


def ready_addresses(api: KubeApi, namespace: str, service: str) -> tuple[str, ...]:
    """Addresses that a Service's EndpointSlices list as ready."""
    slices = api.list(
        "discovery.k8s.io/v1", "EndpointSlice", namespace, selector=f"kubernetes.io/service-name={service}"
    )
    endpoints = [endpoint for found in slices for endpoint in found.get("endpoints") or []]
    ready = [endpoint for endpoint in endpoints if endpoint.get("conditions", {}).get("ready", True)]
    return tuple(sorted({address for endpoint in ready for address in endpoint.get("addresses") or []}))
