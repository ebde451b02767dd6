"""What a namespace uses of what its ResourceQuotas allow. Source of the rules: `pkg/quota/v1/evaluator/core`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.quantity import format_value, parse

Lister = Callable[[str], Iterable[Obj]]
"""From a resource key to the objects of the namespace."""

COMPUTE = ("cpu", "memory", "ephemeral-storage")
_FINISHED = ("Succeeded", "Failed")
_BARE = frozenset(
    {"configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets", "services"}
)


def names_of(resource: str, obj: Obj) -> dict[str, Fraction]:
    """What one object uses, by quota name.

    Args:
        resource: Its resource key.
        obj: The object.
    """
    found = {f"count/{resource}": Fraction(1)}
    if resource in _BARE:
        found[resource] = Fraction(1)
    spec = obj.get("spec") or {}
    if resource == "services":
        found["services.loadbalancers"] = Fraction(spec.get("type") == "LoadBalancer")
        found["services.nodeports"] = Fraction(sum(bool(port.get("nodePort")) for port in spec.get("ports") or ()))
    elif resource == "persistentvolumeclaims":
        asked = (spec.get("resources") or {}).get("requests") or {}
        found["requests.storage"] = parse(str(asked.get("storage", 0)))
    elif resource == "pods":
        found |= _pod(obj)
    return found


def _pod(pod: Obj) -> dict[str, Fraction]:
    if (pod.get("status") or {}).get("phase") in _FINISHED:
        return {}
    found = {"pods": Fraction(1), "count/pods": Fraction(1)}
    for kind in ("requests", "limits"):
        for name, amount in _together(pod.get("spec") or {}, kind).items():
            found[f"{kind}.{name}"] = amount
            if kind == "requests":
                found[name] = amount
    return found


def _together(spec: Obj, kind: str) -> dict[str, Fraction]:
    """The containers' amounts in sum, or the largest init container's where that is more."""
    total: dict[str, Fraction] = {}
    for container in spec.get("containers") or ():
        for name, amount in amounts(container, kind).items():
            total[name] = total.get(name, Fraction(0)) + amount
    for container in spec.get("initContainers") or ():
        for name, amount in amounts(container, kind).items():
            total[name] = max(total.get(name, Fraction(0)), amount)
    return total


def amounts(container: Obj, kind: str) -> dict[str, Fraction]:
    """A container's `requests` or `limits`."""
    found: Mapping[str, Any] = (container.get("resources") or {}).get(kind) or {}
    return {name: parse(str(amount)) for name, amount in found.items()}


def in_scope(quota: Obj, pod: Obj) -> bool:
    """Whether a pod counts, by the quota's scopes."""
    best_effort = (pod.get("status") or {}).get("qosClass") == "BestEffort"
    terminating = (pod.get("spec") or {}).get("activeDeadlineSeconds") is not None
    verdicts = {
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "Terminating": terminating,
        "NotTerminating": not terminating,
    }
    spec = quota.get("spec") or {}
    selected = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    scopes = [*(spec.get("scopes") or ()), *(item.get("scopeName", "") for item in selected)]
    return all(verdicts.get(scope, True) for scope in scopes)


def used(quota: Obj, name: str, members: Lister) -> Fraction:
    """How much of one of its names a quota's namespace uses."""
    resource = _counted_resource(name)
    objects = members(resource)
    if resource == "pods":
        objects = [pod for pod in objects if in_scope(quota, pod)]
    return sum((names_of(resource, obj).get(name, Fraction(0)) for obj in objects), Fraction(0))


def _counted_resource(name: str) -> str:
    if name.startswith("count/"):
        return name.removeprefix("count/")
    if name.startswith("services"):
        return "services"
    if name == "requests.storage":
        return "persistentvolumeclaims"
    return name if name in _BARE else "pods"


def written(name: str, amount: Fraction) -> str:
    """An amount as the status of a quota shows it."""
    base = name.rpartition(".")[2]
    return format_value(amount, "binary" if base in ("memory", "storage", "ephemeral-storage") else "decimal")
