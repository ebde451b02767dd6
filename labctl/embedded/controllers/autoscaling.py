"""HorizontalPodAutoscalers without metrics: sizes are kept within their bounds, and the conditions say what is missing.

Source of the rules and texts: `pkg/controller/podautoscaler`, on a cluster whose metrics API has no data.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import WARNING, Note, Plan, Recheck, Record, Update, Wanted, update_status
from labctl.embedded.kinds.resources import find_kind

AUTOSCALERS = "horizontalpodautoscalers.autoscaling"
_NO_METRICS = "the server could not find the requested resource (get pods.metrics.k8s.io)"
_TARGETS = frozenset({"deployments.apps", "replicasets.apps", "statefulsets.apps", "replicationcontrollers"})


class HorizontalPodAutoscalerController(BaseController):
    """Keeps the conditions of autoscalers, and their targets within the bounds."""

    name = "horizontal-pod-autoscaler"
    resources = frozenset({AUTOSCALERS, *_TARGETS})

    def __init__(self, period: float) -> None:
        """Make a controller.

        Args:
            period: Seconds after its creation until an autoscaler is first looked at.
        """
        self._period = period

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The autoscaler, or those of a target whose size changed."""
        obj, before = change.object, change.previous
        if change.resource == AUTOSCALERS:
            return (meta.key(obj),)
        if before is not None and meta.spec(before).get("replicas") == meta.spec(obj).get("replicas"):
            return ()
        return tuple(
            meta.key(autoscaler)
            for autoscaler in view.list(AUTOSCALERS, meta.namespace(obj))
            if meta.spec(autoscaler)["scaleTargetRef"]["name"] == meta.name(obj)
        )

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Judge the target's size."""
        autoscaler = view.get(AUTOSCALERS, *key)
        if autoscaler is None or meta.deleting(autoscaler):
            return ()
        first = meta.created(autoscaler) + self._period
        return (Recheck(first),) if now < first else _judge(view, autoscaler, now)


def _judge(view: View, autoscaler: Obj, now: float) -> list[Wanted]:
    reference = meta.spec(autoscaler)["scaleTargetRef"]
    kind = find_kind(reference.get("apiVersion", "v1"), reference["kind"])
    resource = kind.key if kind is not None else ""
    target = view.get(resource, meta.namespace(autoscaler), reference["name"]) if resource in _TARGETS else None
    if target is None:
        error = f'{resource or reference["kind"].lower()} "{reference["name"]}" not found'
        text = f"the HPA controller was unable to get the target's current scale: {error}"
        return _report(
            autoscaler, now, 0, [("AbleToScale", "False", "FailedGetScale", text)], [_warn("FailedGetScale", error)]
        )
    size = meta.spec(target).get("replicas", 1)
    able = ("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
    if size == 0:
        text = "scaling is disabled since the replica count of the target is zero"
        return _report(autoscaler, now, 0, [able, ("ScalingActive", "False", "ScalingDisabled", text)], [])
    bounded = max(meta.spec(autoscaler).get("minReplicas", 1), min(size, meta.spec(autoscaler)["maxReplicas"]))
    if bounded != size:
        return _rescale(autoscaler, resource, target, bounded, now)
    error = f"failed to get {_metric(autoscaler)}: unable to get metrics for resource {_name(autoscaler)}: {_fetch()}"
    text = f"the HPA was unable to compute the replica count: {error}"
    conditions = [able, ("ScalingActive", "False", "FailedGetResourceMetric", text)]
    invalid = (
        f"invalid metrics (1 invalid out of 1), first error is: failed to get {_name(autoscaler)} resource metric value"
    )
    events = [_warn("FailedGetResourceMetric", error), _warn("FailedComputeMetricsReplicas", f"{invalid}: {error}")]
    return _report(autoscaler, now, size, conditions, events)


def _fetch() -> str:
    return f"unable to fetch metrics from resource metrics API: {_NO_METRICS}"


def _resource_metric(autoscaler: Obj) -> Obj:
    metrics = meta.spec(autoscaler).get("metrics") or [{}]
    found: Obj = metrics[0].get("resource") or {}
    return found


def _name(autoscaler: Obj) -> str:
    name: str = _resource_metric(autoscaler).get("name", "cpu")
    return name


def _metric(autoscaler: Obj) -> str:
    utilization = (_resource_metric(autoscaler).get("target") or {}).get("type", "Utilization") == "Utilization"
    return f"{_name(autoscaler)} {'utilization' if utilization else 'usage'}"


def _warn(reason: str, message: str) -> Note:
    return Note(reason, message, WARNING)


def _rescale(autoscaler: Obj, resource: str, target: Obj, size: int, now: float) -> list[Wanted]:
    current = meta.spec(target).get("replicas", 1)
    bound = "above Spec.MaxReplicas" if size < current else "below Spec.MinReplicas"
    text = f"New size: {size}; reason: Current number of replicas {bound}"
    event = Record(autoscaler, Note("SuccessfulRescale", text))
    able = (
        "AbleToScale",
        "True",
        "SucceededRescale",
        f"the HPA controller was able to update the target scale to {size}",
    )
    plan: list[Wanted] = [Update(resource, meta.with_spec(target, replicas=size), then=event)]
    return plan + _report(autoscaler, now, current, [able], [], desired=size)


def _report(
    autoscaler: Obj,
    now: float,
    current: int,
    conditions: list[tuple[str, str, str, str]],
    events: list[Note],
    *,
    desired: int = 0,
) -> list[Wanted]:
    known = {entry["type"]: entry for entry in meta.status(autoscaler).get("conditions") or ()}
    for type_, verdict, reason, message in conditions:
        before = known.get(type_)
        kept = before is not None and before["status"] == verdict
        since = before["lastTransitionTime"] if before is not None and kept else meta.rfc3339(now)
        known[type_] = {
            "type": type_,
            "status": verdict,
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        }
    status = {
        **meta.status(autoscaler),
        **({"currentReplicas": current} if current else {}),
        **({"lastScaleTime": meta.rfc3339(now)} if desired else {}),
        "desiredReplicas": desired,
        "currentMetrics": [{"type": ""}] if events else None,
        "conditions": list(known.values()),
    }
    update = update_status(AUTOSCALERS, autoscaler, status)
    return [*(Record(autoscaler, event) for event in events), *update] if update else []
