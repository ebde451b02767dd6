"""The packet's way through a lab on the cluster that is up, else as cluster.yaml and the manifests have it."""

from __future__ import annotations

from datetime import UTC, datetime

from labctl.env import Env
from labctl.errors import LabctlError
from labctl.kube.client import KubeApi
from labctl.lab.plan import Overrides, lab_objects, namespace_of, variables
from labctl.lab.way import Backend, Scene, draw
from labctl.model.inventory import Inventory
from labctl.model.lab import Lab
from labctl.objects.manifests import Obj
from labctl.providers.base import ClusterProvider
from labctl.workflows.bench import Bench, LabOptions
from labctl.workflows.facts import controller_pods, lookup


def packets_way(lab: Lab, provider: ClusterProvider, inventory: Inventory, env: Env) -> str:
    """The drawing with its heading, as Markdown; empty when the lab has nothing to draw."""
    try:
        cluster = provider.find()
        api = KubeApi(cluster.kubeconfig, cluster.context)
    except LabctlError:
        nodes = {node.name: node.address for node in inventory.nodes}
        services = {obj["metadata"]["name"]: obj for obj in lab_objects(lab, Overrides()) if obj["kind"] == "Service"}
        return _section(
            "as cluster.yaml and the manifests have it; no cluster is up", Scene(nodes=nodes, services=services), lab
        )
    overrides = Overrides(variables=variables(cluster, lab.namespace))
    now = datetime.now(UTC)
    bench = Bench(cluster, api, env, lambda _: None, LabOptions(), overrides, now, 0.0, provider.transport)
    try:
        scene = _observed(bench, lab)
    finally:
        api.close()
    applied = "" if any(scene.backends.values()) else f"; the lab is not applied: `labctl run --keep {lab.name}`"
    return _section(f"as observed on cluster {cluster.name}{applied}", scene, lab, overrides)


def _section(where: str, scene: Scene, lab: Lab, overrides: Overrides | None = None) -> str:
    objects = lab_objects(lab, overrides or Overrides())
    drawing = draw(scene, [obj for obj in objects if obj["kind"] == "Ingress"])
    return f"\n## The packet's way, {where}\n\n```\n{drawing}\n```\n" if drawing else ""


def _observed(bench: Bench, lab: Lab) -> Scene:
    api, namespace = bench.api, namespace_of(lab, bench.overrides)
    wanted = [obj["metadata"]["name"] for obj in lab_objects(lab, bench.overrides) if obj["kind"] == "Service"]
    manifests = {obj["metadata"]["name"]: obj for obj in lab_objects(lab, bench.overrides) if obj["kind"] == "Service"}
    live = {obj["metadata"]["name"]: obj for obj in api.list("v1", "Service", namespace)}
    slices = api.list("discovery.k8s.io/v1", "EndpointSlice", namespace)
    http = bench.cluster.ingress.http
    return Scene(
        cluster=bench.cluster.name,
        client=_first(bench, lab, "client.address"),
        nodes={node.name: node.address for node in bench.cluster.nodes},
        entry=str(http[0]) if http else "",
        policy=_first(bench, lab, "Service/${controller.namespace}/${controller.service}:spec.externalTrafficPolicy"),
        gateway=_gateway(bench, lab),
        controllers=_controllers(bench),
        backends={name: _backends(slices, name) for name in wanted},
        services={name: live.get(name, manifests[name]) for name in wanted},
    )


def _first(bench: Bench, lab: Lab, name: str) -> str:
    """The first value of a reference (references within it replaced first); empty where there is none."""
    look = lookup(bench, lab)
    try:
        for inner in ("controller.namespace", "controller.service"):
            if f"${{{inner}}}" in name:
                name = name.replace(f"${{{inner}}}", look(inner)[0])
        return look(name)[0]
    except LabctlError:
        return ""


def _gateway(bench: Bench, lab: Lab) -> str:
    prefix = _first(bench, lab, "pod-network/ingress")
    return f"{prefix}1" if prefix else ""


def _controllers(bench: Bench) -> list[Backend]:
    try:
        pods = controller_pods(bench)
    except LabctlError:
        return []
    return [
        Backend(pod["metadata"]["name"], f"{pod['status'].get('podIP', '')}:80", pod["spec"].get("nodeName", ""))
        for pod in pods
    ]


def _backends(slices: list[Obj], service: str) -> list[Backend]:
    found = []
    for piece in slices:
        if piece["metadata"].get("labels", {}).get("kubernetes.io/service-name") != service:
            continue
        port = (piece.get("ports") or [{}])[0].get("port", "")
        for endpoint in piece.get("endpoints") or []:
            if endpoint.get("conditions", {}).get("ready", True):
                pod = endpoint.get("targetRef", {}).get("name", "")
                found.append(Backend(pod, f"{endpoint['addresses'][0]}:{port}", endpoint.get("nodeName", "")))
    return sorted(found, key=lambda backend: backend.pod)
