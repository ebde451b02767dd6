"""Apply objects and wait until they are ready."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.env import Env
from labctl.errors import LabctlError
from labctl.events import EventSink, StepDone, StepFailed, StepProgress, StepStarted
from labctl.kube.client import KubeApi
from labctl.objects.manifests import Obj, describe
from labctl.objects.order import apply_order
from labctl.objects.readiness import Readiness, pod_problem, readiness
from labctl.waiting import Pending, wait_for


def apply_and_wait(
    api: KubeApi,
    objects: Sequence[Obj],
    *,
    env: Env,
    sink: EventSink,
    step: str,
    title: str,
    group: str,
    timeout: float,
    owner: str = "",
) -> None:
    """Apply objects server-side in their order, then wait until each is ready; one step for the user.

    Raises:
        ClusterError: The API refuses an object.
        WaitTimeoutError: An object did not become ready; the message says why as far as its pods tell.
    """
    sink(StepStarted(step, title, group))
    try:
        for done, obj in enumerate(apply_order(list(objects)), start=1):
            api.apply(obj, owner=owner)
            sink(StepProgress(step, done, len(objects), describe(obj)))
        for obj in objects:
            wait_ready(api, obj, env=env, sink=sink, step=step, timeout=timeout)
    except LabctlError as error:
        sink(StepFailed(step, error.message))
        raise
    sink(StepDone(step, f"{len(objects)} objects applied and ready"))


def wait_ready(api: KubeApi, obj: Obj, *, env: Env, sink: EventSink, step: str, timeout: float) -> None:
    """Wait until one object is ready."""
    metadata = obj["metadata"]

    def observe() -> bool | Pending:
        found = api.get(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])
        seen = readiness(found) if found is not None else Readiness(False, "it does not exist")
        if seen.ready:
            return True
        reason = _pods_reason(api, found) if found else ""
        return Pending(f"{seen.reason}; {reason}" if reason else seen.reason)

    wait_for(
        f"{describe(obj)} to be ready",
        observe,
        timeout=timeout,
        clock=env.clock,
        interval=0.01,
        on_pending=lambda pending: sink(StepProgress(step, note=f"{describe(obj)}: {pending.observed}")),
    )


def _pods_reason(api: KubeApi, obj: Obj) -> str:
    """What keeps a workload's pods from running, from the first pod that says so."""
    labels = obj.get("spec", {}).get("selector", {})
    labels = labels.get("matchLabels") if isinstance(labels, dict) else None
    if not labels or obj["kind"] == "Service":
        return ""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    for pod in api.list("v1", "Pod", obj["metadata"]["namespace"], selector=selector):
        problem = pod_problem(pod)
        if problem:
            return f"pod {pod['metadata']['name']}: {problem}"
    return ""
