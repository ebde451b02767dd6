"""What is looked at before an ingress controller is installed: ports that are taken, nodes that do not exist."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.errors import ClusterError
from labctl.ingress.diff import Lookup
from labctl.kube.client import KubeApi
from labctl.objects.manifests import Obj


def live_object(api: KubeApi) -> Lookup:
    """Looks objects up on a cluster."""

    def look_up(obj: Obj) -> Obj | None:
        metadata = obj["metadata"]
        return api.get(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])

    return look_up


def check_node_ports(api: KubeApi, objects: Sequence[Obj]) -> None:
    """Refuse node ports that another Service has.

    Raises:
        ClusterError: Names each with its holder.
    """
    services = [obj for obj in objects if obj["kind"] == "Service"]
    wanted = {port: _name(obj) for obj in services for port in _node_ports(obj)}
    if not wanted:
        return
    own = {_name(obj) for obj in services}
    taken = [
        f"nodePort {port} is taken by Service {_name(other)}"
        for other in api.list("v1", "Service")
        if _name(other) not in own
        for port in _node_ports(other)
        if port in wanted
    ]
    if taken:
        raise ClusterError(
            "; ".join(taken), hint="free it, or choose others: --set controller.service.nodePorts.http=PORT"
        )


def check_node_selector(api: KubeApi, objects: Sequence[Obj]) -> None:
    """Refuse a node selector that no node fulfils: its pods would be pending for ever.

    Raises:
        ClusterError: Says which labels the nodes have instead.
    """
    nodes = {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in api.list("v1", "Node")}
    for obj in objects:
        if obj["kind"] not in ("Deployment", "DaemonSet"):
            continue
        selector = obj["spec"]["template"]["spec"].get("nodeSelector") or {}
        if nodes and not any(selector.items() <= labels.items() for labels in nodes.values()):
            raise ClusterError(_no_node(selector, nodes), hint="change controller.nodeSelector; --yes installs anyway")


def _no_node(selector: dict[str, str], nodes: dict[str, dict[str, str]]) -> str:
    wanted = ",".join(f"{key}={value}" for key, value in selector.items())
    lines = [f"no node has the labels {wanted}; the nodes have:"]
    for name, labels in nodes.items():
        relevant = [f"{key}={labels[key]}" if key in labels else f"no {key}" for key in selector]
        own = sorted(
            f"{key}={value}" for key, value in labels.items() if "kubernetes.io/" not in key and key not in selector
        )
        lines.append(f"  {name}: {', '.join([*relevant, *own])}")
    return "\n".join(lines)


def _name(obj: Obj) -> str:
    metadata = obj["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _node_ports(obj: Obj) -> list[int]:
    return [int(port["nodePort"]) for port in obj["spec"].get("ports") or [] if port.get("nodePort")]
