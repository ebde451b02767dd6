"""`labctl verify`: check labs as they stand. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.env import Env
from labctl.errors import UsageError
from labctl.events import EventSink
from labctl.lab.plan import first_objects
from labctl.lab.targets import expand
from labctl.model.inventory import Inventory
from labctl.model.lab import CheckStep, Lab
from labctl.model.report import Check, LabReport, Report, Result
from labctl.objects.manifests import describe
from labctl.providers.base import ClusterProvider
from labctl.workflows.bench import Bench, LabOptions
from labctl.workflows.checks import perform_check
from labctl.workflows.directory import ready_pods
from labctl.workflows.labs import perform_labs, report_lab
from labctl.workflows.ownership import applied_labs
from labctl.workflows.run import open_bench


def verify_labs(
    labs: Sequence[Lab],
    provider: ClusterProvider,
    inventory: Inventory,
    *,
    env: Env,
    sink: EventSink,
    options: LabOptions,
    only_applied: bool,
) -> Report:
    """Check the labs; with `only_applied` just those that have objects on the cluster."""
    bench = open_bench(provider.find(), provider, inventory, env=env, sink=sink, options=options)
    bench.settle = False
    try:
        names = [lab.name for lab in labs]
        present = applied_labs(bench.api, names) if only_applied else names
        if not present:
            hint = "`labctl run --keep path` leaves a lab on the cluster"
            raise UsageError("no lab is applied on this cluster: there is nothing to verify", hint=hint)
        return perform_labs("verify", [lab for lab in labs if lab.name in present], bench, verify_lab)
    finally:
        bench.api.close()


def verify_lab(bench: Bench, lab: Lab) -> LabReport:
    """Make those checks of a lab that hold before it changes anything; beside a failure stands what is missing."""
    checks: list[Check] = []

    def perform() -> None:
        steps = [step for step in expand(lab, bench.cluster).first_steps if isinstance(step, CheckStep)]
        checks.extend(perform_check(bench, lab, step) for step in steps if not bench.interrupted)

    report = report_lab(bench, lab, checks, perform)
    if report.result is Result.PASSED or report.reason:
        return report
    return replace(report, warnings=(*missing_objects(bench, lab), *idle_services(bench, lab)))


def idle_services(bench: Bench, lab: Lab) -> tuple[str, ...]:
    """A warning for each of the lab's Services that no ready pod is behind: the likeliest cause of a failure."""
    found = []
    for obj in first_objects(lab, bench.overrides):
        metadata = obj["metadata"]
        selects = obj["kind"] == "Service" and obj.get("spec", {}).get("selector")
        if selects and not ready_pods(bench.api, metadata["namespace"], metadata["name"]):
            found.append(f"{describe(obj)} has no ready pod behind it")
    return tuple(found)


def missing_objects(bench: Bench, lab: Lab) -> tuple[str, ...]:
    """A warning that names the lab's objects that are not on the cluster: why it may have failed."""
    missing = [
        describe(obj)
        for obj in first_objects(lab, bench.overrides)
        if bench.api.get(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        is None
    ]
    if not missing:
        return ()
    return (f"not on the cluster: {', '.join(missing)}; `labctl run --keep {lab.name}` applies the lab",)
