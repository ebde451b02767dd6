"""The pods of a Job."""

from __future__ import annotations

from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.jobs.tracking import FINALIZER, INDEX
from labctl.embedded.controllers.wanted import Create

_ENV = "JOB_COMPLETION_INDEX"


def is_indexed(job: Obj) -> bool:
    """Whether each pod stands for one index."""
    return bool(meta.spec(job).get("completionMode") == "Indexed")


def create(job: Obj, index: int | None) -> Create:
    """Create one more pod, for an index when the Job is indexed."""
    template = meta.spec(job)["template"]
    given = template.get("metadata") or {}
    finalizers = [*(given.get("finalizers") or ()), FINALIZER]
    if index is None:
        made = pods.from_template(template, job, generateName=f"{meta.name(job)}-", finalizers=finalizers)
        return pods.create(made, job)
    mark = {INDEX: str(index)}
    made = pods.from_template(
        template,
        job,
        generateName=f"{meta.name(job)}-{index}-",
        finalizers=finalizers,
        labels={**(given.get("labels") or {}), **mark},
        annotations={**(given.get("annotations") or {}), **mark},
    )
    changes: dict[str, Any] = {"hostname": f"{meta.name(job)}-{index}"}
    for group in ("initContainers", "containers"):
        if template["spec"].get(group):
            changes[group] = [_with_index(container) for container in template["spec"][group]]
    return pods.create(meta.with_spec(made, **changes), job)


def _with_index(container: Obj) -> Obj:
    env = container.get("env") or []
    if any(entry["name"] == _ENV for entry in env):
        return container
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*env, {"name": _ENV, "valueFrom": source}]}
