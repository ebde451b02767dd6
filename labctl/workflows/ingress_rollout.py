"""Wait until a controller's pods run, or are gone; when they are not, say what they say themselves."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.env import Env
from labctl.errors import ClusterError, WaitTimeoutError
from labctl.events import EventSink
from labctl.ingress.installed import workloads
from labctl.kube.client import KubeApi
from labctl.kube.logs import LogOptions, pod_log
from labctl.objects.manifests import Obj, describe
from labctl.waiting import Pending, wait_for
from labctl.workflows.apply import wait_ready

WORKLOADS = ("Deployment", "DaemonSet")
LAST_LINES = 5


def wait_rollout(api: KubeApi, objects: Sequence[Obj], *, env: Env, sink: EventSink, timeout: float) -> None:
    """Wait for every Deployment and DaemonSet among the objects.

    Raises:
        WaitTimeoutError: One did not become ready; with its pods' reasons, and the last lines of one that crashes.
    """
    for obj in objects:
        if obj["kind"] not in WORKLOADS:
            continue
        try:
            wait_ready(api, obj, env=env, sink=sink, step="ingress", timeout=timeout)
        except WaitTimeoutError as error:
            more = _last_words(api, obj)
            raise WaitTimeoutError(
                error.message + more,
                hint="it stays as it is: `labctl ingress upgrade` with other values, or `labctl ingress uninstall`",
            ) from error


def wait_removed(api: KubeApi, namespace: str, selector: str, *, env: Env, timeout: float) -> None:
    """Wait until nothing of a removed controller runs any more, so that its ports are free for the next.

    Raises:
        WaitTimeoutError: Something stayed; names it.
    """

    def gone() -> bool | Pending:
        left = [*workloads(api, namespace, selector), *api.list("v1", "Pod", namespace, selector=selector)]
        return Pending(f"{', '.join(describe(obj) for obj in left)} still there") if left else True

    wait_for(f"the controller in namespace {namespace} to go", gone, timeout=timeout, clock=env.clock)


def _last_words(api: KubeApi, obj: Obj) -> str:
    """The last lines of the log of a pod whose container ended."""
    labels = obj["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    for pod in api.list("v1", "Pod", obj["metadata"]["namespace"], selector=selector):
        for status in pod.get("status", {}).get("containerStatuses", []):
            if not status.get("restartCount"):
                continue
            options = LogOptions(container=status["name"], tail=LAST_LINES, previous=True)
            try:
                text = pod_log(api, pod["metadata"]["namespace"], pod["metadata"]["name"], options)
            except ClusterError:
                continue
            if text.strip():
                return "\nits last lines:\n  " + "\n  ".join(text.strip().splitlines())
    return ""
