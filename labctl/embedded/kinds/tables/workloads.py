"""Cells of the kinds that make pods, and of what limits them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import human

_JOB_STATES = (
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def _deployment(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        *_containers(spec["template"]),
        human.selector(spec.get("selector")),
    ]


def _replica_set(obj: Obj, now: datetime) -> list[Any]:
    return [
        *_replicas(obj, now),
        *_containers(obj["spec"]["template"]),
        human.selector_or_none(obj["spec"]["selector"]),
    ]


def _replication_controller(obj: Obj, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [*_replicas(obj, now), *_containers(spec.get("template")), human.labels(spec.get("selector"))]


def _replicas(obj: Obj, now: datetime) -> list[Any]:
    status = obj.get("status", {})
    numbers = [obj["spec"].get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [obj["metadata"]["name"], *numbers, _age(obj, now)]


def _stateful_set(obj: Obj, now: datetime) -> list[Any]:
    ready = f"{obj.get('status', {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"
    return [obj["metadata"]["name"], ready, _age(obj, now), *_containers(obj["spec"]["template"])]


def _daemon_set(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    counted = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    return [
        obj["metadata"]["name"],
        *(status.get(name, 0) for name in (*counted, "numberAvailable")),
        human.labels(spec["template"]["spec"].get("nodeSelector")),
        _age(obj, now),
        *_containers(spec["template"]),
        human.selector_or_none(spec.get("selector")),
    ]


def _job(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism", 0)
    completions = f"{succeeded}/{spec.get('completions', 1)}"
    if spec.get("completions") is None and parallelism > 1:
        completions = f"{succeeded}/1 of {parallelism}"
    elapsed = ""
    if status.get("startTime"):
        end = human.parse_time(status["completionTime"]) if status.get("completionTime") else now
        elapsed = human.duration(end - human.parse_time(status["startTime"]))
    return [
        obj["metadata"]["name"],
        _job_state(obj),
        completions,
        elapsed,
        _age(obj, now),
        *_containers(spec["template"]),
        human.selector_or_none(spec.get("selector")),
    ]


def _job_state(obj: Obj) -> str:
    conditions = {c["type"] for c in obj.get("status", {}).get("conditions", ()) if c["status"] == "True"}
    for condition, state in _JOB_STATES:
        if condition in conditions or (not condition and obj["metadata"].get("deletionTimestamp")):
            return state
    return "Running"


def _cron_job(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    last = status.get("lastScheduleTime")
    job = spec["jobTemplate"]["spec"]
    return [
        obj["metadata"]["name"],
        spec["schedule"],
        spec.get("timeZone", "<none>"),
        str(spec["suspend"]) if "suspend" in spec else "<unset>",
        len(status.get("active", ())),
        human.age(last, now) if last else "<none>",
        _age(obj, now),
        *_containers(job["template"]),
        human.selector_or_none(job.get("selector")),
    ]


def _pod_template(obj: Obj, now: datetime) -> list[Any]:
    template = obj["template"]
    return [obj["metadata"]["name"], *_containers(template), human.labels(template["metadata"].get("labels"))]


def _controller_revision(obj: Obj, now: datetime) -> list[Any]:
    owner = next((ref for ref in obj["metadata"].get("ownerReferences", ()) if ref.get("controller")), None)
    controller = "<none>"
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = f"{owner['kind']}.{group}" if group else owner["kind"]
        controller = f"{kind.lower()}/{owner['name']}"
    return [obj["metadata"]["name"], controller, obj.get("revision", 0), _age(obj, now)]


def _disruption_budget(obj: Obj, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        obj.get("status", {}).get("disruptionsAllowed", 0),
        _age(obj, now),
    ]


def _autoscaler(obj: Obj, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    target = spec["scaleTargetRef"]
    return [
        obj["metadata"]["name"],
        f"{target['kind']}/{target['name']}",
        _metrics(spec.get("metrics", ()), status.get("currentMetrics") or ()),
        str(spec.get("minReplicas", "<unset>")),
        spec["maxReplicas"],
        status.get("currentReplicas", 0),
        _age(obj, now),
    ]


def _metrics(specs: Any, statuses: Any) -> str:
    if not specs:
        return "<none>"
    shown = [_metric(item, statuses[i] if i < len(statuses) else {}) for i, item in enumerate(specs)]
    text = ", ".join(shown[:2])
    return f"{text} + {len(shown) - 2} more..." if len(shown) > 2 else text


def _metric(spec: Obj, status: Obj) -> str:
    key = spec["type"][0].lower() + spec["type"][1:]
    source = spec.get(key)
    if source is None:
        return "<unknown type>"
    target, current = source["target"], (status.get(key) or {}).get("current", {})
    if key in ("resource", "containerResource"):
        if target.get("averageValue") is not None:
            return f"{source['name']}: {current.get('averageValue', '<unknown>')}/{target['averageValue']}"
        return f"{source['name']}: {_percent(current, '<unknown>')}/{_percent(target, '<auto>')}"
    if target.get("averageValue") is not None:
        text = f"{current.get('averageValue', '<unknown>')}/{target['averageValue']}"
        return text if key == "pods" else f"{text} (avg)"
    return f"{current.get('value', '<unknown>')}/{target.get('value', '0')}"


def _percent(values: Obj, missing: str) -> str:
    utilization = values.get("averageUtilization")
    return missing if utilization is None else f"{utilization}%"


def _containers(template: Any) -> tuple[str, str]:
    """Names and images of the template's containers."""
    listed = ((template or {}).get("spec") or {}).get("containers") or ()
    return ",".join(c["name"] for c in listed), ",".join(c.get("image", "") for c in listed)


def _age(obj: Obj, now: datetime) -> str:
    return human.age(obj["metadata"].get("creationTimestamp"), now)


CELLS: dict[str, Callable[[Obj, datetime], list[Any]]] = {
    "ControllerRevision": _controller_revision,
    "CronJob": _cron_job,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "HorizontalPodAutoscaler": _autoscaler,
    "Job": _job,
    "PodDisruptionBudget": _disruption_budget,
    "PodTemplate": _pod_template,
    "ReplicaSet": _replica_set,
    "ReplicationController": _replication_controller,
    "StatefulSet": _stateful_set,
}
