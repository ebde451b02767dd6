"""Built-in kinds that are served in two versions.

Source: k8s.io/kubernetes v1.34.4 `pkg/apis/events/v1/conversion.go` and `pkg/apis/autoscaling/v1/conversion.go`.
"""

from __future__ import annotations

from collections.abc import Callable

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource

Conversion = Callable[[Obj, str], Obj]
"""An object and the apiVersion it is wanted in; gives a new object."""

# core/v1 Event → events.k8s.io/v1 Event
_EVENT_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENT_FIELDS_BACK = {new: old for old, new in _EVENT_FIELDS.items()}
_EVENT_SERIES = "lastObservedTime"


def _event(obj: Obj, api_version: str) -> Obj:
    names = _EVENT_FIELDS if api_version != "v1" else _EVENT_FIELDS_BACK
    result = {names.get(key, key): value for key, value in obj.items()}
    result["apiVersion"] = api_version
    return result


_CPU = "autoscaling.alpha.kubernetes.io/"


def _autoscaler(obj: Obj, api_version: str) -> Obj:
    """Version 1 knows one metric only, the CPU utilization; the others it cannot show."""
    result = dict(obj)
    result["apiVersion"] = api_version
    spec = dict(obj.get("spec") or {})
    if api_version.endswith("/v1"):
        for metric in spec.pop("metrics", None) or ():
            target = (metric.get("resource") or {}).get("target") or {}
            if (metric.get("resource") or {}).get("name") == "cpu" and "averageUtilization" in target:
                spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        spec.pop("behavior", None)
        status = obj.get("status") or {}
        result["status"] = {
            key: status[key]
            for key in ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
            if key in status
        }
    else:
        percentage = spec.pop("targetCPUUtilizationPercentage", None)
        if percentage is not None:
            target = {"type": "Utilization", "averageUtilization": percentage}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    result["spec"] = spec
    return result


def _same(obj: Obj, api_version: str) -> Obj:
    return {**obj, "apiVersion": api_version}


_CONVERSIONS: dict[tuple[str, str], Conversion] = {
    ("", "Event"): _event,
    ("events.k8s.io", "Event"): _event,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
}


def conversion_of(resource: Resource) -> Conversion:
    """How to turn objects of a resource into another version; custom kinds only change their apiVersion."""
    return _CONVERSIONS.get((resource.group, resource.kind), _same)
