"""Defaults of the kinds that make pods (`pkg/apis/apps/v1`, `batch/v1`, `autoscaling/v2`)."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.defaulting import pods

_LARGEST_INT32 = 2**31 - 1


def deployment(obj: Obj) -> None:
    """Defaults of a Deployment."""
    spec: Obj = obj["spec"]
    pods.template(spec["template"])
    spec.setdefault("replicas", 1)
    strategy = spec["strategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def replica_set(obj: Obj) -> None:
    """Defaults of a ReplicaSet."""
    obj["spec"].setdefault("replicas", 1)
    pods.template(obj["spec"]["template"])


def daemon_set(obj: Obj) -> None:
    """Defaults of a DaemonSet."""
    spec: Obj = obj["spec"]
    pods.template(spec["template"])
    strategy = spec["updateStrategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def stateful_set(obj: Obj) -> None:
    """Defaults of a StatefulSet."""
    spec: Obj = obj["spec"]
    pods.template(spec["template"])
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec["updateStrategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    for claim in spec.get("volumeClaimTemplates", ()):
        claim["kind"], claim["apiVersion"] = "PersistentVolumeClaim", "v1"
        claim["spec"].setdefault("volumeMode", "Filesystem")
        claim["status"].setdefault("phase", "Pending")


def job(obj: Obj) -> None:
    """Defaults of a Job."""
    job_spec(obj["spec"])
    labels = obj["spec"]["template"]["metadata"].get("labels")
    if labels:
        obj["metadata"].setdefault("labels", dict(labels))
    spec: Obj = obj["spec"]
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else _LARGEST_INT32)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)


def job_spec(spec: Obj) -> None:
    """The defaults that a Job's spec has within a CronJob too: those of its parts, none of its own."""
    pods.template(spec["template"])
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions", ()):
            if not pattern.get("status"):
                pattern["status"] = "True"


def cron_job(obj: Obj) -> None:
    """Defaults of a CronJob."""
    spec: Obj = obj["spec"]
    job_spec(spec["jobTemplate"]["spec"])
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def horizontal_pod_autoscaler(obj: Obj) -> None:
    """Defaults of a HorizontalPodAutoscaler: of v1 only its least number of pods, of v2 metrics and behaviour too."""
    spec: Obj = obj["spec"]
    spec.setdefault("minReplicas", 1)
    if obj["apiVersion"] != "autoscaling/v2":
        return
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        behavior["scaleUp"] = {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
            **(behavior.get("scaleUp") or {}),
        }
        behavior["scaleDown"] = {
            "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
            **(behavior.get("scaleDown") or {}),
        }
