"""Where the requests of a probe come from: a pod, a node, or Jobs on the cluster's nodes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

from labctl.env import Env
from labctl.errors import ClusterError, UsageError
from labctl.kube.client import KubeApi
from labctl.kube.exec import exec_in_pod
from labctl.kube.logs import pod_log
from labctl.model.cluster import Cluster
from labctl.model.probe import ProbePlan, ProbeResult
from labctl.objects.manifests import Obj
from labctl.probe import elsewhere
from labctl.probe.workers import split
from labctl.providers.base import ClusterProvider
from labctl.waiting import Pending, wait_for

PER_EXEC = 200
"""Requests that one command in a pod sends: its text has to fit into a URL."""
START_SECONDS = 90.0
"""How long a Job's pods may take to start (an image may have to be pulled)."""
IMAGE = "docker.io/curlimages/curl:8.10.1"

Send = Callable[[Sequence[ProbePlan]], tuple[ProbeResult, ...]]


def sender_from(text: str, provider: ClusterProvider, env: Env, *, workers: int, image: str) -> Send:
    """What sends plans from `pod:NAMESPACE/NAME`, `node:NAME` or `cluster`.

    Raises:
        UsageError: It is none of them.
        ClusterError: The cluster is not up.
    """
    kind, _, name = text.partition(":")
    namespace, slash, pod = name.partition("/")
    if kind == "pod" and namespace and slash and pod:
        send = _pod_sender(provider.find(), env, namespace, pod)
    elif kind == "node" and name:
        send = _node_sender(provider, env, name)
    elif text == "cluster":
        send = _cluster_sender(provider.find(), env, workers, image)
    else:
        raise UsageError(f"--from {text!r} is not understood", hint="pod:NAMESPACE/NAME, node:NAME or cluster")

    def all_of(plans: Sequence[ProbePlan]) -> tuple[ProbeResult, ...]:
        return tuple(send(plan) for plan in plans)

    return all_of


def _pod_sender(cluster: Cluster, env: Env, namespace: str, pod: str) -> Callable[[ProbePlan], ProbeResult]:
    def run(api: KubeApi, part: ProbePlan) -> ProbeResult:
        script, begun = elsewhere.script(part), env.clock.monotonic()
        timeout = part.count * part.timeout + 30
        done = exec_in_pod(api, namespace, pod, ["sh", "-c", script.text], timeout=timeout)
        _check_curl(f"pod {namespace}/{pod}", done.exit_code, done.stderr, done.stdout)
        return elsewhere.read(part, script, done.stdout, env.clock.monotonic() - begun)

    def send(plan: ProbePlan) -> ProbeResult:
        api = KubeApi(cluster.kubeconfig, cluster.context)
        try:
            return _in_turn(plan, [run(api, part) for part in _batches(plan)])
        finally:
            api.close()

    return send


def _node_sender(provider: ClusterProvider, env: Env, node: str) -> Callable[[ProbePlan], ProbeResult]:
    def send(plan: ProbePlan) -> ProbeResult:
        transport = provider.transport(node)
        try:
            script, begun = elsewhere.script(plan), env.clock.monotonic()
            done = transport.run(script.text, timeout=plan.count * plan.timeout + 30)
            _check_curl(f"node {node}", done.exit_status, done.stderr, done.stdout)
            return elsewhere.read(plan, script, done.stdout, env.clock.monotonic() - begun)
        finally:
            transport.close()

    return send


def _check_curl(where: str, code: int, stderr: bytes, stdout: bytes) -> None:
    """The script ends with `true`: any other end means that no shell or no curl was there."""
    words = stderr.decode(errors="replace").strip()
    if code or (not stdout and words):
        raise ClusterError(
            f"{where}: no requests could be sent: {words or f'exit code {code}'}", hint="it needs sh and curl"
        )


def _batches(plan: ProbePlan) -> list[ProbePlan]:
    whole, rest = divmod(plan.count, PER_EXEC)
    return [replace(plan, count=count) for count in [PER_EXEC] * whole + ([rest] if rest else [])]


def _in_turn(plan: ProbePlan, parts: list[ProbeResult]) -> ProbeResult:
    """Parts that were sent one after another, as one."""
    whole = parts[0]
    for part in parts[1:]:
        later = replace(part.fold, timeline=part.fold.timeline.later(whole.elapsed))
        whole = replace(whole.merge(replace(part, folded=later)), elapsed=whole.elapsed + part.elapsed)
    return replace(whole, plan=plan)


def _cluster_sender(cluster: Cluster, env: Env, workers: int, image: str) -> Callable[[ProbePlan], ProbeResult]:
    def send(plan: ProbePlan) -> ProbeResult:
        api = KubeApi(cluster.kubeconfig, cluster.context)
        name = f"labctl-probe-{secrets.token_hex(4)}"
        # As many in flight as there are workers, whatever the plan says for one sender.
        parts = split(replace(plan, concurrency=max(workers, plan.concurrency)), workers)
        scripts = [elsewhere.script(part) for part in parts]
        job = indexed_job(name, scripts, image, START_SECONDS + parts[0].count * plan.timeout)
        begun = env.clock.monotonic()
        try:
            api.apply(job)
            pods = _finished(api, env, name, len(parts), START_SECONDS + parts[0].count * plan.timeout)
            elapsed = env.clock.monotonic() - begun
            results = [
                elsewhere.read(part, script, pod_log(api, "default", pods[index][0]).encode(), elapsed)
                for index, (part, script) in enumerate(zip(parts, scripts, strict=True))
            ]
        finally:
            api.delete(job)
            api.close()
        where = ", ".join(sorted({node for _, node in pods.values()}))
        # Each worker's own clock: how long it took to start says nothing about the requests.
        longest = max(sum(sample.elapsed for sample in each.samples) for each in results)
        words = f"sent by {len(parts)} workers on {where}"
        whole = reduce(ProbeResult.merge, results)
        return replace(whole, plan=plan, elapsed=longest or whole.elapsed, notices=(*whole.notices, words))

    return send


def indexed_job(name: str, scripts: Sequence[elsewhere.Script], image: str, deadline: float) -> Obj:
    """The Job: each of its pods runs the script of its index, spread over the nodes.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
    """
    cases = "\n".join(f"{index})\n{script.text}\n;;" for index, script in enumerate(scripts))
    labels = {"app.kubernetes.io/managed-by": "labctl", "app.kubernetes.io/name": name}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    container = {
        "name": "curl",
        "image": image,
        "command": ["sh", "-c", f'case "$JOB_COMPLETION_INDEX" in\n{cases}\nesac'],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {
            "completions": len(scripts),
            "parallelism": len(scripts),
            "completionMode": "Indexed",
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(deadline) + 1,
            "template": {
                "metadata": {"labels": labels},
                "spec": {"restartPolicy": "Never", "containers": [container], "topologySpreadConstraints": [spread]},
            },
        },
    }


def _finished(api: KubeApi, env: Env, name: str, workers: int, timeout: float) -> dict[int, tuple[str, str]]:
    """Index → name and node of the Job's pods, once all have ended."""

    def observe() -> dict[int, tuple[str, str]] | Pending:
        pods = api.list("v1", "Pod", "default", selector=f"app.kubernetes.io/name={name}")
        phases = {pod["metadata"]["name"]: pod.get("status", {}).get("phase", "Pending") for pod in pods}
        ended = {
            int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]): (
                pod["metadata"]["name"],
                pod["spec"].get("nodeName", ""),
            )
            for pod in pods
            if phases[pod["metadata"]["name"]] in ("Succeeded", "Failed")
        }
        if len(ended) == workers:
            return ended
        return Pending(", ".join(f"{pod} {phase}" for pod, phase in phases.items()) or "no pods yet")

    return wait_for(f"the {workers} workers of Job {name}", observe, timeout=timeout, clock=env.clock)
