"""`labctl run`: perform labs on the cluster, starting the embedded one when none is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from labctl.env import Env
from labctl.errors import ClusterError
from labctl.events import EventSink, Notice
from labctl.kube.client import KubeApi
from labctl.lab.plan import Overrides, lab_objects
from labctl.lab.targets import expand
from labctl.model.actions import ApplyStep, CertificateStep, DeleteStep, PatchStep
from labctl.model.cluster import Cluster
from labctl.model.inventory import Inventory, Provider
from labctl.model.lab import CheckStep, ExecStep, Lab, LogStep, ProbeStep, Step
from labctl.model.report import Check, LabReport, Report
from labctl.providers.base import ClusterProvider
from labctl.workflows.actions import Actions
from labctl.workflows.bench import Bench, LabOptions
from labctl.workflows.checks import perform_check
from labctl.workflows.clean import clean_up
from labctl.workflows.ingress_warnings import ingress_warnings
from labctl.workflows.labs import perform_labs, report_lab
from labctl.workflows.ownership import make_room, prepare_namespace, refuse_foreign, require_permissions
from labctl.workflows.probing import perform_probe
from labctl.workflows.up import bring_up


def run_labs(
    labs: Sequence[Lab],
    provider: ClusterProvider,
    inventory: Inventory,
    *,
    env: Env,
    sink: EventSink,
    options: LabOptions,
) -> Report:
    """Perform the labs; what was done when the user interrupts is reported as such."""
    cluster = _cluster(provider, inventory, env, sink, options.timeout)
    bench = open_bench(cluster, provider, inventory, env=env, sink=sink, options=options)
    try:
        return perform_labs("run", labs, bench, run_lab)
    finally:
        bench.api.close()


def open_bench(
    cluster: Cluster,
    provider: ClusterProvider,
    inventory: Inventory,
    *,
    env: Env,
    sink: EventSink,
    options: LabOptions,
) -> Bench:
    """Where the labs of one command are performed."""
    overrides = Overrides(
        options.requests,
        options.concurrency,
        options.ingress_class or inventory.ingress.ingress_class,
        options.namespace or "",
    )
    api = KubeApi(cluster.kubeconfig, cluster.context)
    begun = env.clock.monotonic()
    return Bench(cluster, api, env, sink, options, overrides, env.clock.now(), begun, provider.transport)


def _cluster(provider: ClusterProvider, inventory: Inventory, env: Env, sink: EventSink, timeout: float) -> Cluster:
    try:
        return provider.find()
    except ClusterError:
        if inventory.provider is not Provider.EMBEDDED:
            raise
    sink(Notice("no cluster is up: starting the embedded one"))
    return bring_up(provider, inventory, env=env, sink=sink, timeout=timeout)


def run_lab(bench: Bench, lab: Lab) -> LabReport:
    """Perform one lab's steps in order, and leave the cluster as it was: also after an error or Ctrl-C.

    With `keep` the lab's objects stay, as its first manifests have them.
    """
    performance = Performance(bench, expand(lab, bench.cluster))
    said: list[str] = []

    def perform() -> None:
        require_permissions(bench, lab)
        refuse_foreign(bench, lab)
        make_room(bench, lab)
        prepare_namespace(bench, lab)
        try:
            performance.perform()
            said.extend(_controller_warnings(bench, lab))
        finally:
            if not bench.options.keep:
                clean_up(bench, lab.name)

    report = report_lab(bench, lab, performance.checks, perform)
    return replace(report, warnings=(*report.warnings, *said))


def _controller_warnings(bench: Bench, lab: Lab) -> list[str]:
    """What the controller said of the lab's Ingresses while they are there: annotations without effect, mostly."""
    objects = lab_objects(lab, bench.overrides)
    ingresses = [
        f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
        for obj in objects
        if obj["kind"] == "Ingress"
    ]
    return ingress_warnings(bench.api, ingresses) if ingresses else []


class Performance:
    """One run of one lab: its checks so far, and its changes."""

    def __init__(self, bench: Bench, lab: Lab) -> None:
        self.checks: list[Check] = []
        self._bench = bench
        self._lab = lab
        self._actions = Actions(bench, lab)

    def perform(self) -> None:
        """Clear what a killed run has left, perform the steps, then take the changes back."""
        self._actions.reset()
        try:
            for step in self._lab.steps:
                if self._bench.interrupted:
                    break
                self._step(step)
        finally:
            self._actions.restore()

    def _step(self, step: Step) -> None:
        if isinstance(step, (ApplyStep, PatchStep, CertificateStep, DeleteStep)):
            self._actions.perform(step)
        else:
            self.checks.append(perform_check(self._bench, self._lab, step, self._meanwhile(step)))

    def _meanwhile(self, step: CheckStep) -> Callable[[], None] | None:
        """What is done during a check."""
        if isinstance(step, ExecStep) and step.during is not None:
            probe = step.during
            return lambda: self.checks.append(perform_probe(self._bench, self._lab, probe))
        if isinstance(step, (ProbeStep, LogStep)) and step.during is not None:
            action = step.during
            return lambda: self._actions.perform(action)
        return None
