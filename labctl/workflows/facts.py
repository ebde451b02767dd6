"""What references in a lab stand for on a cluster: addresses, and fields of objects."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

from labctl.errors import ClusterError
from labctl.lab.plan import namespace_of
from labctl.model.actions import DeleteStep
from labctl.model.cluster import Cluster
from labctl.model.lab import ExecStep, Lab, ProbeStep
from labctl.model.reference import Lookup, expanded, field_values
from labctl.objects.manifests import Obj
from labctl.objects.readiness import readiness
from labctl.objects.versions import api_version
from labctl.providers.describe import CONTROLLER_SELECTOR
from labctl.workflows.bench import Bench
from labctl.workflows.directory import ready_addresses


class MissingFactError(ClusterError):
    """A reference stands for nothing on this cluster: an object is missing, or has no such field."""


def lookup(bench: Bench, lab: Lab) -> Lookup:
    """Where a lab's references get their values.

    The lookup raises MissingFactError where there is no such object or it has no such field.
    """
    namespace = namespace_of(lab, bench.overrides)

    def values(name: str) -> tuple[str, ...]:
        if name in bench.overrides.variables:
            return (bench.overrides.variables[name],)
        found = _values(bench, namespace, name)
        if not found:
            raise MissingFactError(f"the cluster has nothing for ${{{name}}}")
        return found

    return values


def _values(bench: Bench, namespace: str, name: str) -> tuple[str, ...]:
    named: dict[str, Callable[[], tuple[str, ...]]] = {
        "lab.namespace": lambda: (namespace,),
        "controller.address": lambda: tuple(pod["status"]["podIP"] for pod in controller_pods(bench)),
        "controller.pods": lambda: tuple(pod["metadata"]["name"] for pod in controller_pods(bench)),
        "controller.namespace": lambda: _controller_service(bench, "namespace"),
        "controller.service": lambda: _controller_service(bench, "name"),
        "controller.lease": lambda: _controller_lease(bench, "metadata.name"),
        "controller.leader": lambda: _controller_lease(bench, "spec.holderIdentity"),
        "client.address": lambda: _own_address(bench.cluster),
    }
    if name in named:
        return named[name]()
    kind, _, rest = name.partition("/")
    if kind == "node":
        return (node_named(bench.cluster, rest)[1],)
    if kind == "pod-network":
        return _pod_network(bench, bench.overrides.variables.get("ingress.node", "") if rest == "ingress" else rest)
    if kind == "pods":
        return ready_addresses(bench.api, namespace, rest)
    return _field(bench, namespace, name)


def _field(bench: Bench, namespace: str, name: str) -> tuple[str, ...]:
    place, _, path = name.partition(":")
    kind, *names = place.split("/")
    obj = bench.api.get(api_version(kind), kind, names[0] if len(names) > 1 else namespace, names[-1])
    return field_values(obj, path) if obj is not None else ()


def _controller_service(bench: Bench, field: str) -> tuple[str, ...]:
    services = bench.api.list("v1", "Service", selector=CONTROLLER_SELECTOR)
    outside = (found for found in services if found["spec"].get("type") in ("NodePort", "LoadBalancer"))
    return tuple(str(found["metadata"][field]) for found in outside)[:1]


def _controller_lease(bench: Bench, path: str) -> tuple[str, ...]:
    """A field of the Lease that one of the controller's pods holds."""
    pods = controller_pods(bench)
    names = {pod["metadata"]["name"] for pod in pods}
    leases = bench.api.list("coordination.k8s.io/v1", "Lease", pods[0]["metadata"]["namespace"])
    held = [lease for lease in leases if lease["spec"].get("holderIdentity") in names]
    leaders = held or [lease for lease in leases if lease["metadata"]["name"].endswith("-leader")]
    return field_values(leaders[0], path) if leaders else ()


def _pod_network(bench: Bench, node: str) -> tuple[str, ...]:
    """The whole octets of a node's pod network, with the dot behind them."""
    cidr = field_values(bench.api.get("v1", "Node", "", node_named(bench.cluster, node)[0]), "spec.podCIDR")
    address, _, length = cidr[0].partition("/") if cidr else ("", "", "0")
    whole = int(length) // 8
    return (".".join(address.split(".")[:whole]) + ".",) if whole else ()


def _own_address(cluster: Cluster) -> tuple[str, ...]:
    """The address from which this machine reaches the controller; nothing is sent to find it out."""
    for endpoint in cluster.ingress.http:
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((endpoint.address, endpoint.port))
            return (str(probe.getsockname()[0]),)
    return ()


def node_named(cluster: Cluster, name: str) -> tuple[str, str]:
    """Name and address of a node; `server` is the first control plane node, `server-2` the second, and so on.

    Raises:
        ClusterError: There is no such node.
    """
    servers = [node for node in cluster.nodes if "control-plane" in node.role]
    roles = {f"server-{number}": node for number, node in enumerate(servers, start=1)}
    roles |= {"server": servers[0]} if servers else {}
    for node in (*cluster.nodes, *(node for role, node in roles.items() if role == name)):
        if name == node.name or roles.get(name) is node:
            return node.name, node.address
    raise ClusterError(f"the cluster has no node {name!r}", hint=f"nodes: {', '.join(n.name for n in cluster.nodes)}")


def controller_pods(bench: Bench) -> list[Obj]:
    """The ready pods of the ingress controller that are to stay.

    Raises:
        ClusterError: There is none.
    """
    pods = [
        pod
        for pod in bench.api.list("v1", "Pod", selector=CONTROLLER_SELECTOR)
        if readiness(pod).ready and "deletionTimestamp" not in pod["metadata"]
    ]
    if not pods:
        raise ClusterError("no ready pod of ingress-nginx is on this cluster", hint="`labctl up` installs it")
    return pods


def one(text: str, look: Lookup) -> str:
    """A text whose references have one value each (of several, the first)."""
    return expanded(text, look)[0]


def filled_probe(step: ProbeStep, look: Lookup) -> ProbeStep:
    """A probe with its references replaced."""
    expect = step.expect
    return replace(
        step,
        host=one(step.host, look),
        path=one(step.path, look),
        headers=tuple((name, one(value, look)) for name, value in step.headers),
        expect=replace(
            expect,
            body=tuple(form for text in expect.body for form in expanded(text, look, escape=True)),
            headers={name: expanded(text, look, escape=True)[0] for name, text in expect.headers.items()},
            only=tuple(form for text in expect.only for form in expanded(text, look)),
        ),
    )


def filled_exec(step: ExecStep, look: Lookup) -> ExecStep:
    """A command with its references replaced; those of its expectations are replaced when it is judged."""
    place = replace(step.place, name=one(step.place.name, look))
    return replace(step, place=place, command=tuple(one(word, look) for word in step.command))


def filled_delete(step: DeleteStep, look: Lookup) -> DeleteStep:
    """A deletion with its references replaced."""
    return replace(step, object_name=one(step.object_name, look), namespace=one(step.namespace, look))
