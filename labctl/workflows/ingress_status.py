"""`labctl ingress status | values | logs`: what the controller is, does and says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labctl.errors import ClusterError, UsageError
from labctl.ingress.controllers import CONTROLLERS, Controller, ControllerName, unsupported
from labctl.ingress.install import Effective, effective_values
from labctl.ingress.installed import Installed, Via, find_installed, workloads
from labctl.ingress.masking import masked
from labctl.ingress.values import leaves
from labctl.kube.client import KubeApi
from labctl.kube.logs import LogOptions, follow_log, pod_log
from labctl.model.cluster import Cluster
from labctl.model.inventory import Inventory
from labctl.objects.manifests import Obj
from labctl.objects.readiness import pod_problem, readiness
from labctl.providers.describe import find_ingress

RELOADED = "Backend successfully reloaded"
"""What the controller logs after each reload of nginx."""


@dataclass(frozen=True, slots=True)
class ControllerPod:
    """A pod of the controller: where it runs, whether it is ready, its reloads (None: not known), and what ails it."""

    name: str
    node: str
    ready: bool
    reloads: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class IngressStatus:
    """What `labctl ingress status` shows.

    Attributes:
        controller: `ingress-nginx` or `traefik`.
        installed: What is installed; None for nothing.
        ready: Ready replicas.
        wanted: Replicas that are asked for.
        pods: Its pods.
        leader: The pod that writes statuses.
        addresses: Where it answers from outside.
        classes: IngressClasses, each with its controller.
        ingresses: How many Ingresses ask for one of them.
        unsupported: Annotations that the controller does not support, by Ingress.
        differs: How the installed values differ from those that cluster.yaml asks for.
    """

    controller: str
    installed: Installed | None
    ready: int
    wanted: int
    pods: tuple[ControllerPod, ...]
    leader: str
    addresses: tuple[str, ...]
    classes: tuple[tuple[str, str], ...]
    ingresses: int
    unsupported: Mapping[str, Sequence[str]]
    differs: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether it is there, whole, and every replica is ready."""
        return self.installed is not None and self.installed.status == "deployed" and self.ready >= self.wanted > 0

    @property
    def updated(self) -> datetime | None:
        """When it was last installed or changed."""
        return self.installed.updated if self.installed else None


def ingress_status(cluster: Cluster, inventory: Inventory, name: ControllerName) -> IngressStatus:
    """Ask the cluster about the controller.

    Raises:
        ClusterError: It does not answer.
    """
    controller = CONTROLLERS[name]
    namespace = inventory.ingress.namespace
    effective = effective_values(inventory, study=controller.study(inventory) if controller.study else None)
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        labels = controller.workload_selector(inventory)
        installed = find_installed(api, controller.release(inventory), namespace, labels)
        found = workloads(api, namespace, labels)
        ingresses = api.list("networking.k8s.io/v1", "Ingress")
        classes = _classes(api, installed)
        mine = [obj for obj in ingresses if _class_of(obj) in {name for name, _ in classes}]
        ingress = find_ingress(api, cluster.nodes)
        addresses = [f"http://{endpoint}" for endpoint in ingress.http]
        addresses += [f"https://{endpoint}" for endpoint in ingress.https]
        return IngressStatus(
            controller=name.value,
            installed=installed,
            ready=sum(int(_ready(obj)) for obj in found),
            wanted=sum(_wanted(obj) for obj in found),
            pods=tuple(_pod(api, obj) for obj in _pods(api, namespace, labels)),
            leader=_leader(api, namespace, found),
            addresses=tuple(addresses),
            classes=tuple(classes),
            ingresses=len(mine),
            unsupported=unsupported(controller, mine),
            differs=tuple(_differs(installed, effective)) if installed and installed.values else (),
        )
    finally:
        api.close()


def _ready(obj: Obj) -> int:
    status = obj.get("status", {})
    return int(status.get("readyReplicas") or status.get("numberReady") or 0)


def _wanted(obj: Obj) -> int:
    if obj["kind"] == "DaemonSet":
        return int(obj.get("status", {}).get("desiredNumberScheduled") or 0)
    return int(obj["spec"].get("replicas", 1))


def _pods(api: KubeApi, namespace: str, labels: str) -> list[Obj]:
    return api.list("v1", "Pod", namespace, selector=f"{labels},!batch.kubernetes.io/job-name")


def _pod(api: KubeApi, pod: Obj) -> ControllerPod:
    metadata = pod["metadata"]
    return ControllerPod(
        metadata["name"],
        pod["spec"].get("nodeName", ""),
        readiness(pod).ready,
        _reloads(api, metadata["namespace"], metadata["name"]),
        pod_problem(pod),
    )


def _reloads(api: KubeApi, namespace: str, pod: str) -> int | None:
    """Reloads since the pod began, counted in its log; None where the log cannot be had."""
    try:
        return pod_log(api, namespace, pod).count(RELOADED)
    except ClusterError:
        return None


def _leader(api: KubeApi, namespace: str, found: Sequence[Obj]) -> str:
    """Who holds the Lease that the controller's `--election-id` names."""
    for obj in found:
        for container in obj["spec"]["template"]["spec"]["containers"]:
            for argument in container.get("args") or []:
                name = re.fullmatch(r"--election-id=(.+)", str(argument))
                lease = api.get("coordination.k8s.io/v1", "Lease", namespace, name[1]) if name else None
                if lease is not None:
                    return str(lease.get("spec", {}).get("holderIdentity") or "")
    return ""


def _classes(api: KubeApi, installed: Installed | None) -> list[tuple[str, str]]:
    """The IngressClasses of the installed controller, or all where that is not known."""
    every = [
        (str(obj["metadata"]["name"]), str(obj.get("spec", {}).get("controller") or ""))
        for obj in api.list("networking.k8s.io/v1", "IngressClass")
    ]
    objects = installed.objects if installed else ()
    own = {obj["spec"]["controller"] for obj in objects if obj["kind"] == "IngressClass"}
    return [found for found in every if not own or found[1] in own]


def _class_of(ingress: Obj) -> str:
    annotations = ingress["metadata"].get("annotations") or {}
    return str(ingress.get("spec", {}).get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or "")


def _differs(installed: Installed, effective: Effective) -> Iterator[str]:
    """Values that are installed otherwise than cluster.yaml has them."""
    there, wanted = dict(leaves(installed.values)), dict(leaves(effective.values))
    for path in dict.fromkeys((*wanted, *there)):
        have, want = there.get(path), wanted.get(path)
        if have != want:
            place = effective.origins.get(path, "cluster.yaml")
            yield f"{'.'.join(path)}: installed {_shown(have)}, {place} has {_shown(want)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


def status_document(status: IngressStatus) -> dict[str, Any]:
    """The status as plain data (`labctl.ingress/v1`)."""
    there = status.installed
    return {
        "schema": "labctl.ingress/v1",
        "controller": status.controller,
        "version": there.app_version if there else "",
        "chart": there.chart_version if there else "",
        "via": (there.via.value if there.via is not Via.AUTO else "unknown") if there else "",
        "status": there.status if there else "not installed",
        "updated": status.updated.isoformat() if status.updated else None,
        "replicas": {"ready": status.ready, "wanted": status.wanted},
        "leader": status.leader,
        "addresses": list(status.addresses),
        "classes": [{"name": name, "controller": controller} for name, controller in status.classes],
        "ingresses": status.ingresses,
        "pods": [
            {"name": pod.name, "node": pod.node, "ready": pod.ready, "reloads": pod.reloads, "problem": pod.problem}
            for pod in status.pods
        ],
        "unsupported": {name: list(found) for name, found in status.unsupported.items()},
        "differs": list(status.differs),
        "warnings": list(_warnings(status)),
    }


def _warnings(status: IngressStatus) -> Iterator[str]:
    there = status.installed
    if there is None:
        yield f"{status.controller} is not installed; `labctl ingress install` installs it"
        return
    if there.via is Via.AUTO:
        yield "neither Helm nor labctl has a record of this installation"
    elif not there.by_labctl:
        yield "its last revision was made by hand, not by labctl"
    if there.status != "deployed":
        yield f"its release is {there.status}; `labctl ingress upgrade` mends it"
    for name, lacking in status.unsupported.items():
        yield f"{status.controller} does not support {', '.join(lacking)} of Ingress {name}"
    yield from status.differs


def controller_log(
    cluster: Cluster, inventory: Inventory, controller: Controller, options: LogOptions, *, pod: str, follow: bool
) -> Iterator[str]:
    """The log of one of the controller's pods, line by line; private keys are masked.

    Args:
        cluster: Where it runs.
        inventory: Names.
        controller: Which controller.
        options: Which part of the log.
        pod: Which pod; empty takes the leader's, else the first ready one.
        follow: Go on as it grows.

    Raises:
        UsageError: There is no such pod.
        ClusterError: The cluster does not answer.
    """
    namespace, labels = inventory.ingress.namespace, controller.workload_selector(inventory)
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        pods = _pods(api, namespace, labels)
        chosen = pod or _best(pods, _leader(api, namespace, workloads(api, namespace, labels)))
        if chosen not in {found["metadata"]["name"] for found in pods}:
            names = ", ".join(found["metadata"]["name"] for found in pods)
            what = f"pod {chosen}" if chosen else "pod"
            raise UsageError(
                f"no {what} of {controller.name} in namespace {namespace}",
                hint=f"its pods: {names}" if names else "`labctl ingress install` installs it",
            )
        lines = (
            follow_log(api, namespace, chosen, options)
            if follow
            else iter(pod_log(api, namespace, chosen, options).splitlines())
        )
        yield from masked(lines)
    finally:
        api.close()


def _best(pods: Sequence[Obj], leader: str) -> str:
    names = [pod["metadata"]["name"] for pod in pods]
    ready = [pod["metadata"]["name"] for pod in pods if readiness(pod).ready]
    return leader if leader in names else (ready or names or [""])[0]
