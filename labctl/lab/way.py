"""The packet's way through a lab, as a drawing: client, node, controller's pod, application pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from labctl.objects.manifests import Obj


@dataclass(frozen=True, slots=True)
class Backend:
    """A pod that answers: its name, address with port, and node."""

    pod: str
    address: str
    node: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of the cluster; empty where nothing is.

    Attributes:
        cluster: Its name; empty when it is not up.
        client: Our own address.
        nodes: Node → address.
        entry: Node and port where the controller answers, `127.0.10.10:30080`; empty without one.
        policy: externalTrafficPolicy of the controller's Service.
        gateway: What the source becomes where it is rewritten (SNAT).
        controllers: The controller's pods.
        backends: Service → the pods behind it.
        services: The lab's Services, as they are on the cluster or as its manifests have them.
    """

    cluster: str = ""
    client: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    entry: str = ""
    policy: str = ""
    gateway: str = ""
    controllers: Sequence[Backend] = ()
    backends: Mapping[str, Sequence[Backend]] = field(default_factory=dict)
    services: Mapping[str, Obj] = field(default_factory=dict)


def draw(scene: Scene, ingresses: Iterable[Obj]) -> str:
    """The way, in lines; empty when the lab has neither Ingress nor Service."""
    rules = [rule for ingress in ingresses for rule in _rules(ingress)]
    lines = _through_ingress(scene, rules) if rules else _through_services(scene)
    return "\n".join(lines)


def _rules(ingress: Obj) -> Iterable[tuple[str, str, str]]:
    """Host with path, Service and port of every rule."""
    spec = ingress.get("spec", {})
    canary = "canary " if "nginx.ingress.kubernetes.io/canary" in str(ingress["metadata"].get("annotations")) else ""
    default = (spec.get("defaultBackend") or {}).get("service")
    if default:
        yield "everything else", default["name"], _port(default)
    for rule in spec.get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            service = path["backend"]["service"]
            yield f"{canary}{rule.get('host', '')}{path.get('path', '/')}", service["name"], _port(service)


def _port(service: Obj) -> str:
    port = service.get("port", {})
    return str(port.get("number") or port.get("name") or "")


def _through_ingress(scene: Scene, rules: Sequence[tuple[str, str, str]]) -> list[str]:
    names = {address: node for node, address in scene.nodes.items()}
    node = names.get(scene.entry.rpartition(":")[0], "node")
    lines = [f"client {scene.client}".rstrip(), "  │ http request", "  ▼"]
    lines.append(f"{node}  {scene.entry or '(no ingress controller answers)'}")
    source = f"source stays {scene.client}" if scene.policy == "Local" else f"source becomes {scene.gateway} (SNAT)"
    if scene.controllers:
        lines.append(f"  │ DNAT to the controller's pod; externalTrafficPolicy {scene.policy}: {source}")
    for controller in scene.controllers or (Backend("the controller's pod", "", ""),):
        lines += ["  ▼", _pod(controller)]
    seen = scene.client if scene.policy == "Local" else scene.gateway
    lines.append(
        f"  │ a connection of its own to a pod; X-Forwarded-For: {seen}" if seen else "  │ a connection of its own"
    )
    width = max(len(label) for label, _, _ in rules)
    for label, service, port in rules:
        lines.append(f"  ├▶ {label:<{width}}  Service {service}:{port}")
        lines += [f"  │    → {_pod(backend)}" for backend in scene.backends.get(service, ())] or ["  │    → no pod yet"]
    return lines


def _through_services(scene: Scene) -> list[str]:
    lines: list[str] = []
    for name, service in scene.services.items():
        spec = service.get("spec", {})
        kind = "headless" if spec.get("clusterIP") == "None" else spec.get("type", "ClusterIP")
        for port in spec.get("ports") or []:
            lines += ["", f"Service {name} ({kind})"]
            lines += _doors(scene, service, port, kind)
            lines += [f"  → {_pod(backend)}" for backend in scene.backends.get(name, ())] or ["  → no pod yet"]
    return lines[1:]


def _doors(scene: Scene, service: Obj, port: Mapping[str, object], kind: str) -> list[str]:
    """Where a Service is entered, and what becomes of addresses."""
    spec = service.get("spec", {})
    balancers = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    addresses = [entry.get("ip") or entry.get("hostname") for entry in balancers]
    doors = [f"  client {scene.client} ─▶ {address}:{port['port']}" for address in addresses]
    if port.get("nodePort"):
        kept = spec.get("externalTrafficPolicy") == "Local"
        rewritten = "source kept" if kept else "source becomes the node's (SNAT)"
        for node, address in scene.nodes.items():
            doors.append(f"  client {scene.client} ─▶ {node} {address}:{port['nodePort']}  DNAT, {rewritten}")
    if kind == "headless":
        return [*doors, "  pod ─▶ DNS gives the pods' addresses; no ClusterIP, no rewriting"]
    address = spec.get("clusterIP") or "its ClusterIP"
    return [*doors, f"  pod ─▶ {address}:{port['port']}  DNAT on the pod's own node: kube-proxy draws a pod"]


def _pod(backend: Backend) -> str:
    return f"{backend.pod}  {backend.address}  {f'on {backend.node}' if backend.node else ''}".rstrip()
