"""What the cluster's ingress controller said about Ingresses that it does not take as they are written."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.kube.client import ApiRefusedError, KubeApi
from labctl.model.cluster import Cluster

_QUERY = {"fieldSelector": "type=Warning", "limit": "500"}
_NOT_IMPLEMENTED = "NotImplemented"


def ingress_warnings(api: KubeApi, ingresses: Iterable[str] | None = None) -> list[str]:
    """Warning events about Ingresses that exist, and about the controller's ConfigMap: a line for each message.

    The embedded controller writes one (reason `NotImplemented`) for every annotation and ConfigMap key that has no
    effect there; any controller writes others about Ingresses.

    Args:
        api: The cluster's API.
        ingresses: Which, `namespace/name`; None for all, and the ConfigMap.

    Raises:
        ClusterError: The cluster cannot be reached.
    """
    wanted = None if ingresses is None else set(ingresses)
    try:
        events = api.request("GET", "/api/v1/events", query=_QUERY)["items"]
        existing = {_key(obj["metadata"]): obj for obj in api.list("networking.k8s.io/v1", "Ingress")}
    except ApiRefusedError as error:
        if error.code == 403:
            return []
        raise
    found: dict[str, None] = {}
    for event in events:
        about = event["involvedObject"]
        key = f"{about.get('namespace', '')}/{about['name']}"
        if about.get("kind") == "ConfigMap" and event.get("reason") == _NOT_IMPLEMENTED and wanted is None:
            found[f"ConfigMap {key}: {event.get('message', '')}"] = None
        ingress = existing.get(key) if about.get("kind") == "Ingress" else None
        if ingress is None or about.get("uid") != ingress["metadata"].get("uid"):
            continue
        if wanted is None or key in wanted:
            found[f"Ingress {key}: {event.get('message', '')}"] = None
    return list(found)


def cluster_ingress_warnings(cluster: Cluster) -> list[str]:
    """The same of a whole cluster."""
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        return ingress_warnings(api)
    finally:
        api.close()


def _key(metadata: dict[str, str]) -> str:
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
