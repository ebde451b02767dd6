"""The scale subresource: `autoscaling/v1 Scale` of a workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from labctl.embedded.api.columns import Columns
from labctl.embedded.api.errors import bad_request
from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import human
from labctl.embedded.kinds.resources import Resource

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the numbers of a scale subresource stand, as keys from the object's root.

    Attributes:
        spec: The wanted replicas.
        status: The present replicas.
        selector: The selector, as an object or text; empty when there is none.
    """

    spec: tuple[str, ...]
    status: tuple[str, ...]
    selector: tuple[str, ...]


BUILTIN_SCALE = ScalePaths(("spec", "replicas"), ("status", "replicas"), ("spec", "selector"))


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj


def scale_of(obj: Obj, paths: ScalePaths = BUILTIN_SCALE) -> Obj:
    """The Scale that describes a workload."""
    metadata = obj["metadata"]
    scale_status: Obj = {"replicas": _at(obj, paths.status) or 0}
    selector = _at(obj, paths.selector) if paths.selector else None
    if selector:
        scale_status["selector"] = selector if isinstance(selector, str) else selector_text(selector)
    replicas = _at(obj, paths.spec)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in _METADATA if key in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": scale_status,
    }


def replicas_of(scale: Obj) -> int:
    """The number of replicas a Scale asks for.

    Raises:
        ApiError: 400, it is no number.
    """
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise bad_request("spec.replicas of a Scale must be an integer")
    return replicas


def with_replicas(obj: Obj, replicas: int, paths: ScalePaths = BUILTIN_SCALE) -> Obj:
    """A copy of the workload with another number of replicas."""
    new: Obj = copy(obj)
    place = new
    for key in paths.spec[:-1]:
        place = place.setdefault(key, {})
    place[paths.spec[-1]] = replicas
    return new


def selector_text(selector: Any) -> str:
    """A selector in the form that `labelSelector` takes: `labels.Selector.String`."""
    if not selector:
        return ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={selector[key]}" for key in sorted(selector))
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    terms += [(item["key"], _expression_text(item)) for item in selector.get("matchExpressions") or ()]
    return ",".join(text for _, text in sorted(terms))


def _expression_text(expression: Obj) -> str:
    key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
    match expression["operator"]:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "Exists":
            return str(key)
        case _:
            return f"!{key}"


SCALE = Resource("autoscaling", "v1", "scales", "scale", "Scale", namespaced=True)


def scale_resource(resource: Resource) -> Resource:
    """The kind of the scale subresource, under the name of the resource it belongs to (for error texts)."""
    return replace(SCALE, plural=resource.plural)


def scale_columns(definitions: Sequence[Obj]) -> Columns:
    """How a Scale is shown as a Table.

    Args:
        definitions: The columns of another resource, of which Name and Age are taken.

    Source: k8s.io/kubernetes v1.34.4 `pkg/printers/internalversion/printers.go`.
    """
    named = {column["name"]: column for column in definitions}
    numbers = [
        {"name": name, "type": "integer", "format": "", "description": text, "priority": 0}
        for name, text in (
            ("Desired", "replicas is the desired number of instances for the scaled object."),
            ("Available", "replicas is the actual number of observed instances of the scaled object."),
        )
    ]

    def cells(obj: Obj, now: datetime) -> list[Any]:
        metadata = obj["metadata"]
        wanted, present = obj["spec"].get("replicas", 0), obj["status"]["replicas"]
        return [metadata["name"], wanted, present, human.age(metadata.get("creationTimestamp"), now)]

    return Columns([named["Name"], *numbers, named["Age"]], cells, lambda obj: [])
