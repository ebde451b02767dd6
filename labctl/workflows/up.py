"""Bring a cluster up: the provider's part, then ingress-nginx."""

from __future__ import annotations

import socket

from labctl.env import Env
from labctl.errors import ClusterError
from labctl.events import EventSink, StepDone, StepStarted
from labctl.ingress.install import controller_objects
from labctl.kube.client import KubeApi
from labctl.model.cluster import Cluster
from labctl.model.inventory import Inventory, Provider
from labctl.objects.manifests import Obj
from labctl.providers.base import ClusterProvider
from labctl.providers.describe import CONTROLLER_SELECTOR, describe_cluster
from labctl.waiting import Pending, wait_for
from labctl.workflows.apply import wait_ready
from labctl.workflows.ingress import IngressOptions, install_ingress


def plan_up(inventory: Inventory, provider: ClusterProvider, sink: EventSink) -> list[str]:
    """What `up` would do, in words; changes nothing."""
    lines = [f"bring up cluster '{inventory.name}' with provider {inventory.provider}:"]
    lines += [f"  {line}" for line in provider.plan(sink)]
    if inventory.ingress.install:
        objects = controller_objects(inventory)
        lines.append(f"install ingress-nginx (chart {inventory.ingress.chart_version}) unless it is there:")
        lines += [f"  {obj['kind']} {obj['metadata']['name']}" for obj in objects]
    return lines


def bring_up(provider: ClusterProvider, inventory: Inventory, *, env: Env, sink: EventSink, timeout: float) -> Cluster:
    """Bring the cluster up and install ingress-nginx unless it is there; returns it as it then is."""
    cluster = provider.up(sink, timeout=timeout)
    if not inventory.ingress.install or inventory.provider is Provider.KUBECONFIG:
        return cluster
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        _install_ingress(api, cluster, inventory, env=env, sink=sink, timeout=timeout)
        conflicts = provider.conflicts()
        if conflicts:
            raise ClusterError(
                "; ".join(conflicts), hint="stop that process, or choose other addresses in cluster.yaml"
            )
        return _wait_for_ingress(api, inventory, cluster, env=env, timeout=timeout)
    finally:
        api.close()


def _wait_for_ingress(api: KubeApi, inventory: Inventory, cluster: Cluster, *, env: Env, timeout: float) -> Cluster:
    """The cluster once its ingress can be connected to: after a restart the API still shows what was ready before."""

    def observe() -> Cluster | Pending:
        found = describe_cluster(api, inventory, cluster.kubeconfig, cluster.context)
        if not found.ingress.http:
            return Pending("no ready controller pod is behind its Service")
        first = found.ingress.http[0]
        try:
            socket.create_connection((first.address, first.port), timeout=1.0).close()
        except OSError as error:
            return Pending(f"{first}: {error.strerror or error}")
        return found

    return wait_for("ingress to answer", observe, timeout=timeout, clock=env.clock, interval=0.01)


def _install_ingress(
    api: KubeApi, cluster: Cluster, inventory: Inventory, *, env: Env, sink: EventSink, timeout: float
) -> None:
    found = _controllers(api, inventory.ingress.namespace)
    if not found:
        options = IngressOptions(timeout=timeout)
        install_ingress(cluster, inventory, options, env=env, sink=sink, upgrade=False)
        return
    sink(StepStarted("ingress", "Install ingress-nginx"))
    for workload in found:
        wait_ready(api, workload, env=env, sink=sink, step="ingress", timeout=timeout)
    version = found[0]["metadata"].get("labels", {}).get("app.kubernetes.io/version", "?")
    sink(StepDone("ingress", f"controller {version} is installed", changed=False))


def _controllers(api: KubeApi, namespace: str) -> list[Obj]:
    kinds = ("Deployment", "DaemonSet")
    return [obj for kind in kinds for obj in api.list("apps/v1", kind, namespace, selector=CONTROLLER_SELECTOR)]
