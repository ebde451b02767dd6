"""Emptying a node as `kubectl drain --ignore-daemonsets --delete-emptydir-data` does, and giving it back."""

from __future__ import annotations

from collections.abc import Callable

from labctl.env import Clock
from labctl.errors import WaitTimeoutError
from labctl.kube.client import ApiRefusedError, KubeApi
from labctl.objects.manifests import Obj
from labctl.waiting import Pending, wait_for


def cordon(api: KubeApi, node: str, *, unschedulable: bool = True) -> None:
    """Keep new pods off a node, or let them on again."""
    api.merge_patch("v1", "Node", "", node, {"spec": {"unschedulable": unschedulable or None}})


def drain(
    api: KubeApi, node: str, clock: Clock, *, timeout: float, on_pending: Callable[[Pending], None] | None = None
) -> int:
    """Cordon a node and evict its pods, but for DaemonSets' and the kubelet's own; returns how many were evicted.

    Eviction honours PodDisruptionBudgets (policy/v1): a refusal is tried again until the deadline.

    Raises:
        WaitTimeoutError: Pods are still there at the deadline; names them.
        ApiRefusedError: The API refuses an eviction for good.
    """
    cordon(api, node)
    evicted: set[str] = set()

    def observe() -> int | Pending:
        left = [pod for pod in api.list("v1", "Pod", field_selector=f"spec.nodeName={node}") if is_evictable(pod)]
        if not left:
            return len(evicted)
        held = []
        for pod in left:
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            if "deletionTimestamp" not in pod["metadata"] and not _evict(api, pod):
                held.append(name)
            evicted.add(name)
        names = ", ".join(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in left[:5])
        budget = f"; held by a PodDisruptionBudget: {', '.join(held)}" if held else ""
        return Pending(f"{len(left)} pods are still there: {names}{budget}")

    try:
        return wait_for(f"node {node} to be drained", observe, timeout=timeout, clock=clock, on_pending=on_pending)
    except WaitTimeoutError as late:
        raise WaitTimeoutError(
            late.message, hint="`kubectl uncordon` gives the node back; --no-drain leaves its pods"
        ) from late


def is_evictable(pod: Obj) -> bool:
    """Whether a drain moves the pod: it has not ended, and no DaemonSet or static manifest would bring it back."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return False
    if "kubernetes.io/config.mirror" in pod["metadata"].get("annotations", {}):
        return False
    return all(owner.get("kind") != "DaemonSet" for owner in pod["metadata"].get("ownerReferences", []))


def _evict(api: KubeApi, pod: Obj) -> bool:
    """Ask for an eviction; False while a budget forbids it."""
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
    }
    try:
        api.request("POST", path, body=body)
    except ApiRefusedError as error:
        if error.code == 404:
            return True
        if error.code == 429:
            return False
        raise
    return True
