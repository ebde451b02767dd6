"""What a lab takes for itself: two labs that claim the same thing are not performed at the same time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.lab.plan import Overrides, host_paths, lab_objects, namespace_of
from labctl.model.actions import CertificateStep, PatchStep
from labctl.model.lab import Lab, actions
from labctl.objects.manifests import Obj, describe

CONTROLLER = "the ingress controller"
"""Labs behind the controller share it: a reload for one may break off another's connections, and its counts."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Objects, hosts with paths and ports that a lab uses.

    Attributes:
        things: Their names.
        exclusive: Whether nothing may happen beside the lab at all.
    """

    things: frozenset[str]
    exclusive: bool = False

    def fits(self, others: Iterable[Claims]) -> bool:
        """Whether a lab with these claims may run beside labs with the others."""
        beside = list(others)
        if self.exclusive and beside:
            return False
        return not any(other.exclusive or self.things & other.things for other in beside)


def claims_of(lab: Lab, overrides: Overrides) -> Claims:
    """What a lab claims."""
    objects = [obj for obj in lab_objects(lab, overrides) if obj["kind"] != "Namespace"]
    things = {describe(obj) for obj in objects}
    things |= {f"port {port}" for obj in objects if obj["kind"] == "Service" for port in _ports(obj)}
    things |= {CONTROLLER} if lab.needs_ingress else set()
    ingresses = [obj for obj in objects if obj["kind"] == "Ingress"]
    things |= {f"host {host}{path}" for host, path in host_paths(ingresses)}
    namespace = namespace_of(lab, overrides)
    for step in actions(lab.steps):
        if isinstance(step, PatchStep):
            things.add(f"{step.kind} {step.namespace or namespace}/{step.object_name}")
        elif isinstance(step, CertificateStep):
            things.add(f"Secret {namespace}/{step.secret}")
    return Claims(frozenset(things), lab.exclusive)


def _ports(service: Obj) -> Iterable[str]:
    """Node ports that a Service asks for by number, and the ports that its load balancer takes on every node."""
    spec = service.get("spec", {})
    for port in spec.get("ports") or []:
        if port.get("nodePort"):
            yield str(port["nodePort"])
        if spec.get("type") == "LoadBalancer":
            yield str(port["port"])
