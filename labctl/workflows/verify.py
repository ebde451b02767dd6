"""`labctl verify`: check labs as they stand. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.env import Env
from labctl.errors import UsageError
from labctl.events import EventSink
from labctl.kube.client import KubeApi
from labctl.lab.plan import Overrides, lab_objects, probe_steps
from labctl.lab.targets import expand
from labctl.model.lab import Lab
from labctl.model.report import Check, LabReport, Report, Result
from labctl.objects.manifests import describe
from labctl.providers.base import ClusterProvider
from labctl.workflows.directory import ready_pods
from labctl.workflows.labs import Bench, LabOptions, perform_labs, perform_probe, report_lab
from labctl.workflows.ownership import applied_labs


def verify_labs(
    labs: Sequence[Lab],
    provider: ClusterProvider,
    *,
    env: Env,
    sink: EventSink,
    options: LabOptions,
    only_applied: bool,
) -> Report:
    """Check the labs; with `only_applied` just those that have objects on the cluster."""
    started, begun = env.clock.now(), env.clock.monotonic()
    cluster = provider.find()
    api = KubeApi(cluster.kubeconfig, cluster.context)
    overrides = Overrides(options.requests, options.concurrency)
    bench = Bench(cluster, api, env, sink, options, overrides, started, begun, settle=False)
    try:
        present = applied_labs(api, [lab.name for lab in labs]) if only_applied else [lab.name for lab in labs]
        if not present:
            raise UsageError("no lab is applied on this cluster: there is nothing to verify", hint="`labctl run path`")
        return perform_labs("verify", [lab for lab in labs if lab.name in present], bench, verify_lab)
    finally:
        api.close()


def verify_lab(bench: Bench, lab: Lab) -> LabReport:
    """Perform those probes of a lab that hold without its patches; beside a failure stands what is missing."""
    checks: list[Check] = []

    def perform() -> None:
        for step in probe_steps(expand(lab, bench.cluster), changes=False):
            if bench.interrupted:
                break
            checks.append(perform_probe(bench, lab, step))

    report = report_lab(bench, lab, checks, perform)
    if report.result is Result.PASSED or report.reason:
        return report
    return replace(report, warnings=(*missing_objects(bench, lab), *idle_services(bench, lab)))


def idle_services(bench: Bench, lab: Lab) -> tuple[str, ...]:
    """A warning for each of the lab's Services that no ready pod is behind: the likeliest cause of a failure."""
    found = []
    for obj in lab_objects(lab, bench.overrides):
        metadata = obj["metadata"]
        selects = obj["kind"] == "Service" and obj.get("spec", {}).get("selector")
        if selects and not ready_pods(bench.api, metadata["namespace"], metadata["name"]):
            found.append(f"{describe(obj)} has no ready pod behind it")
    return tuple(found)


def missing_objects(bench: Bench, lab: Lab) -> tuple[str, ...]:
    """A warning that names the lab's objects that are not on the cluster: why it may have failed."""
    missing = [
        describe(obj)
        for obj in lab_objects(lab, bench.overrides)
        if bench.api.get(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        is None
    ]
    if not missing:
        return ()
    return (f"not on the cluster: {', '.join(missing)}; `labctl run {lab.name}` applies the lab",)
