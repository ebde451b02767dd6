"""Resource quantities, and what a pod asks of a node."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta
from labctl.embedded.kinds.quantity import parse

# What the scheduler assumes for spreading when a container asks for nothing: util.DefaultMilliCPURequest and -Memory.
ASSUMED = {"cpu": Fraction(1, 10), "memory": Fraction(200 * 1024 * 1024)}


def _requests(container: Obj) -> Mapping[str, Any]:
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    found: Mapping[str, Any] = {**limits, **requests}
    return found


def pod_requests(pod: Obj, *, assumed: bool = False) -> dict[str, Fraction]:
    """What a pod's containers ask for together; the largest init container counts when it is more.

    Args:
        pod: The pod.
        assumed: Whether a container that asks for no CPU or memory counts with an assumed amount.
    """
    total: dict[str, Fraction] = {}
    spec = meta.spec(pod)
    for container in spec.get("containers") or ():
        asked = {name: parse(str(amount)) for name, amount in _requests(container).items()}
        if assumed:
            asked = {**ASSUMED, **asked}
        for name, amount in asked.items():
            total[name] = total.get(name, Fraction(0)) + amount
    for container in spec.get("initContainers") or ():
        for name, amount in _requests(container).items():
            total[name] = max(total.get(name, Fraction(0)), parse(str(amount)))
    for name, amount in (spec.get("overhead") or {}).items():
        total[name] = total.get(name, Fraction(0)) + parse(str(amount))
    return total


def allocatable(node: Obj) -> dict[str, Fraction]:
    """What a node has for pods."""
    status = meta.status(node)
    found = status.get("allocatable") or status.get("capacity") or {}
    return {name: parse(str(amount)) for name, amount in found.items()}
