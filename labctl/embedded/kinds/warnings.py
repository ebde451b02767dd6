"""What the API server warns about when a valid object is written: parts that have no effect, or soon none.

Source: the registry strategies' WarningsOnCreate, pkg/api/{pod,service,node,persistentvolumeclaim}/warnings.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import quantity, wire
from labctl.embedded.kinds.field import quote
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.validation.formats import dns1123_label

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NULL_SELECTOR = "a null labelSelector results in matching no pod"
_INGRESS_CLASS = "kubernetes.io/ingress.class"
_TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
_TEMPLATES = {
    "CronJob": "spec.jobTemplate.spec.template",
    "DaemonSet": "spec.template",
    "Deployment": "spec.template",
    "Job": "spec.template",
    "PodTemplate": "template",
    "ReplicaSet": "spec.template",
    "ReplicationController": "spec.template",
    "StatefulSet": "spec.template",
}
_NAMES_PODS = frozenset({"CronJob", "Deployment", "Job", "ReplicaSet", "ReplicationController"})
_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
}
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def warnings(resource: Resource, obj: Obj) -> list[str]:
    """The texts of `Warning` headers for an object of a built-in kind that is new or whose spec was changed."""
    if wire.struct_of(resource) is None:
        return []
    found = _KINDS.get(resource.kind)
    listed = [*_name(resource, obj), *(found(obj) if found is not None else ())]
    path = _TEMPLATES.get(resource.kind)
    if path is not None:
        template = obj
        for step in path.split("."):
            template = template.get(step) or {}
        listed += _pod(template.get("spec") or {}, f"{path}.spec")
    return listed


def _name(resource: Resource, obj: Obj) -> Iterator[str]:
    problems = dns1123_label(obj["metadata"].get("name", ""))
    if not problems:
        return
    consequence = "which can result in surprising behavior; a DNS label is recommended"
    if resource.kind == "Pod":
        yield f"metadata.name: this is used in the Pod's hostname, {consequence}: [{' '.join(problems)}]"
    elif resource.kind in _NAMES_PODS:
        yield f"metadata.name: this is used in Pod names and hostnames, {consequence}: [{' '.join(problems)}]"


def _ingress(obj: Obj) -> Iterator[str]:
    if _INGRESS_CLASS in obj["metadata"].get("annotations", {}) and obj["spec"].get("ingressClassName") is None:
        yield f"annotation {quote(_INGRESS_CLASS)} is deprecated, please use 'spec.ingressClassName' instead"


def _service(obj: Obj) -> Iterator[str]:
    spec = obj["spec"]
    if _TOPOLOGY_HINTS in obj["metadata"].get("annotations", {}):
        yield f"annotation {_TOPOLOGY_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
    kind = spec.get("type")
    if kind == "ClusterIP" and spec.get("clusterIP") == "None":
        for name in ("loadBalancerIP", "externalIPs"):
            if spec.get(name):
                yield f"spec.{name} is ignored for headless services"
        if spec.get("sessionAffinity") != "None":
            yield "spec.SessionAffinity is ignored for headless services"
    if kind == "ExternalName" and spec.get("externalIPs"):
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if kind != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'


def _claim(obj: Obj) -> Iterator[str]:
    yield from _claim_spec(obj["spec"], "spec")


def _claim_spec(spec: Obj, path: str) -> Iterator[str]:
    for name in ("requests", "limits"):
        value = (spec["resources"].get(name) or {}).get("storage", "0")
        yield from _whole_bytes(value, f"{path}.resources.{name}[storage]")


def _whole_bytes(value: str, path: str) -> Iterator[str]:
    if quantity.parse(str(value)).denominator != 1:
        yield f"{path}: fractional byte value {quote(value)} is invalid, must be an integer"


def _pod_object(obj: Obj) -> Iterator[str]:
    yield from _pod(obj["spec"], "spec")


def _pod(spec: Obj, path: str) -> Iterator[str]:
    yield from _placement(spec, path)
    for index, volume in enumerate(spec.get("volumes", ())):
        at = f"{path}.volumes[{index}]"
        yield from (f"{at}.{name}: {text}" for name, text in _VOLUMES.items() if volume.get(name) is not None)
        claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if claim is not None:
            yield from _claim_spec(claim["spec"], f"{at}.ephemeral.volumeClaimTemplate.spec")
    yield from _twice(spec.get("hostAliases", []), "ip", f"{path}.hostAliases")
    yield from _twice(spec.get("imagePullSecrets", []), "name", f"{path}.imagePullSecrets")
    for at, container in _containers(spec, path):
        yield from _container(container, at)
    yield from _ports(spec, path)
    yield from _pod_affinity(spec, f"{path}.affinity")


def _placement(spec: Obj, path: str) -> Iterator[str]:
    for label in spec.get("nodeSelector", {}):
        if label in _NODE_LABELS:
            yield f"{path}.nodeSelector[{label}]: {_NODE_LABELS[label]}"
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    at = f"{path}.affinity.nodeAffinity"
    terms = (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    placed = [(f"{at}.{_REQUIRED}.nodeSelectorTerms[{index}]", term) for index, term in enumerate(terms)]
    preferred = affinity.get(_PREFERRED) or []
    placed += [(f"{at}.{_PREFERRED}[{index}].preference", item["preference"]) for index, item in enumerate(preferred)]
    for where, term in placed:
        for index, expression in enumerate(term.get("matchExpressions", ())):
            key = expression["key"]
            if key in _NODE_LABELS:
                yield f"{where}.matchExpressions[{index}].key: {key} is {_NODE_LABELS[key]}"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints", ())):
        where, key = f"{path}.topologySpreadConstraints[{index}]", constraint["topologyKey"]
        if key in _NODE_LABELS:
            yield f"{where}.topologyKey: {key} is {_NODE_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{where}.labelSelector: {_NULL_SELECTOR}"


def _pod_affinity(spec: Obj, path: str) -> Iterator[str]:
    for name in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(name) or {}
        for index, term in enumerate(affinity.get(_REQUIRED, ())):
            if term.get("labelSelector") is None:
                yield f"{path}.{name}.{_REQUIRED}[{index}].labelSelector: {_NULL_SELECTOR}"
        for index, weighted in enumerate(affinity.get(_PREFERRED, ())):
            if weighted["podAffinityTerm"].get("labelSelector") is None:
                yield f"{path}.{name}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector: {_NULL_SELECTOR}"


def _twice(items: list[Obj], name: str, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        value = item.get(name, "")
        if value in seen:
            yield f"{path}[{index}].{name}: duplicate {name} {quote(value)}"
        seen.add(value)


def _containers(spec: Obj, path: str) -> Iterator[tuple[str, Obj]]:
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(name) or ()):
            yield f"{path}.{name}[{index}]", container


def _container(container: Obj, path: str) -> Iterator[str]:
    for resource in ("memory", "ephemeral-storage"):
        for name in ("limits", "requests"):
            value = (container["resources"].get(name) or {}).get(resource, "0")
            yield from _whole_bytes(value, f"{path}.resources.{name}[{resource}]")
    seen: set[str] = set()
    for index, variable in enumerate(container.get("env", ())):
        name = variable["name"]
        value, reference = variable.get("value", ""), f"$({name})"
        replaced = variable.get("valueFrom") is not None or value == reference or reference not in value
        if name in seen and replaced:
            consequence = "which may be dropped when using apply"
            yield f"{path}.env[{index}]: hides previous definition of {quote(name)}, {consequence}"
        seen.add(name)


def _ports(spec: Obj, path: str) -> Iterator[str]:
    known: list[tuple[str, Obj]] = []
    for at, container in _containers(spec, path):
        for index, port in enumerate(container.get("ports", ())):
            where = f"{at}.ports[{index}]"
            for other_path, other in known:
                problem = _port_problem(port, other)
                if problem:
                    yield f"{where}: {problem} port definition with {other_path}"
            known.append((where, port))
    names: dict[str, str] = {}
    for where, port in known:
        name = port.get("name", "")
        if name in names:
            other_path = names[name]
            uses = f"services and probes that select ports by name will use {other_path}"
            yield f"{where}: duplicate port name {quote(name)} with {other_path}, {uses}"
        elif name:
            names[name] = where


def _port_problem(port: Obj, other: Obj) -> str:
    """How two definitions of one port are at odds; empty when they are not."""
    if any(port.get(name) != other.get(name) for name in ("containerPort", "protocol")):
        return ""
    hosts = port.get("hostIP", ""), other.get("hostIP", "")
    ports = port.get("hostPort", 0), other.get("hostPort", 0)
    if hosts[0] == hosts[1] and ports[0] == ports[1]:
        return "duplicate"
    if not all(ports):
        return "overlapping"
    return "dangerously ambiguous" if ports[0] == ports[1] and (not hosts[0]) != (not hosts[1]) else ""


_KINDS: dict[str, Callable[[Obj], Iterator[str]]] = {
    "Ingress": _ingress,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod_object,
    "Service": _service,
}
