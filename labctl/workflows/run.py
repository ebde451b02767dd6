"""`labctl run`: perform labs on the cluster, starting the embedded one when none is up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labctl.env import Env
from labctl.errors import ClusterError
from labctl.events import EventSink, Notice, StepDone, StepStarted
from labctl.kube.client import KubeApi
from labctl.lab.certificate import is_usable, make_certificate, tls_secret
from labctl.lab.plan import Overrides, lab_objects, namespace_of, resets, stamp, step_objects
from labctl.lab.targets import expand
from labctl.model.cluster import Cluster
from labctl.model.inventory import Inventory, Provider
from labctl.model.lab import ApplyStep, CertificateStep, Lab, PatchStep, ProbeStep, Step
from labctl.model.report import Check, LabReport, Report
from labctl.objects.patches import inverse
from labctl.providers.base import ClusterProvider
from labctl.workflows.apply import apply_and_wait
from labctl.workflows.labs import Bench, LabOptions, perform_labs, perform_probe, report_lab
from labctl.workflows.ownership import make_room, refuse_foreign
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
    """Perform the labs one after another; what was done when the user interrupts is reported as such."""
    started, begun = env.clock.now(), env.clock.monotonic()
    cluster = _cluster(provider, inventory, env, sink, options.timeout)
    overrides = Overrides(options.requests, options.concurrency, options.ingress_class or "")
    bench = Bench(cluster, KubeApi(cluster.kubeconfig, cluster.context), env, sink, options, overrides, started, begun)
    try:
        return perform_labs("run", labs, bench, run_lab)
    finally:
        bench.api.close()


def _cluster(provider: ClusterProvider, inventory: Inventory, env: Env, sink: EventSink, timeout: float) -> Cluster:
    try:
        return provider.find()
    except ClusterError:
        if inventory.provider is not Provider.EMBEDDED:
            raise
    sink(Notice("no cluster is up: starting the embedded one"))
    return bring_up(provider, inventory, env=env, sink=sink, timeout=timeout)


def run_lab(bench: Bench, lab: Lab) -> LabReport:
    """Perform one lab's steps in order; what it patched is put back, also after an error or Ctrl-C."""
    performance = Performance(bench, expand(lab, bench.cluster))

    def perform() -> None:
        refuse_foreign(bench, lab)
        make_room(bench, lab)
        performance.perform()

    return report_lab(bench, lab, performance.checks, perform)


class Performance:
    """One run of one lab: its checks so far, and how to undo its patches."""

    def __init__(self, bench: Bench, lab: Lab) -> None:
        self.checks: list[Check] = []
        self._bench = bench
        self._lab = lab
        self._undo: list[tuple[PatchStep, dict[str, Any]]] = []

    def perform(self) -> None:
        """Clear what a killed run has left, perform the steps, then undo the patches, newest first."""
        self._reset()
        try:
            for step in self._lab.steps:
                if self._bench.interrupted:
                    break
                self._step(step)
        finally:
            self._restore()

    def _step(self, step: Step) -> None:
        match step:
            case ApplyStep():
                self._apply(step)
            case PatchStep():
                self._patch(step)
            case CertificateStep():
                self._certificate(step)
            case ProbeStep():
                self.checks.append(perform_probe(self._bench, self._lab, step))

    def _apply(self, step: ApplyStep) -> None:
        bench, lab = self._bench, self._lab
        apply_and_wait(
            bench.api,
            step_objects(lab, step, bench.overrides),
            env=bench.env,
            sink=bench.sink,
            step=f"{lab.name}/{step.name}",
            title=step.title or step.name,
            group=lab.name,
            timeout=bench.options.timeout,
            owner=lab.name,
        )

    def _patch(self, step: PatchStep) -> None:
        bench = self._bench
        step_id = f"{self._lab.name}/{step.name}"
        bench.sink(StepStarted(step_id, step.title or step.name, self._lab.name))
        place = self._place(step)
        target = bench.api.get(*place)
        if target is None:
            raise ClusterError(f"{step.kind} {place[2]}/{step.object_name} is not there to be patched")
        undo = inverse(target, step.patch)
        bench.api.merge_patch(*place, step.patch)
        self._undo.append((step, undo))
        bench.sink(StepDone(step_id, f"{step.kind} {step.object_name} patched"))

    def _reset(self) -> None:
        api = self._bench.api
        for obj, patch in resets(self._lab, self._bench.overrides):
            metadata = obj["metadata"]
            place = (obj["apiVersion"], obj["kind"], metadata["namespace"], metadata["name"])
            if api.get(*place) is not None:
                api.merge_patch(*place, patch)

    def _restore(self) -> None:
        if not self._undo:
            return
        bench = self._bench
        step_id = f"{self._lab.name}/restore"
        bench.sink(StepStarted(step_id, "Put back what was patched", self._lab.name))
        count = len(self._undo)
        while self._undo:
            step, undo = self._undo.pop()
            bench.api.merge_patch(*self._place(step), undo)
        bench.sink(StepDone(step_id, f"{count} patches undone"))

    def _place(self, step: PatchStep) -> tuple[str, str, str, str]:
        """apiVersion, kind, namespace and name of what a step patches."""
        bench = self._bench
        namespace = step.namespace or namespace_of(self._lab, bench.overrides)
        own = {obj["kind"]: obj["apiVersion"] for obj in lab_objects(self._lab, bench.overrides)}
        well_known = {"Ingress": "networking.k8s.io/v1", "Deployment": "apps/v1"}
        version = own.get(step.kind) or well_known.get(step.kind, "v1")
        return version, step.kind, namespace, step.object_name

    def _certificate(self, step: CertificateStep) -> None:
        bench, lab = self._bench, self._lab
        step_id = f"{lab.name}/{step.name}"
        bench.sink(StepStarted(step_id, step.title or step.name, lab.name))
        namespace = namespace_of(lab, bench.overrides)
        now = bench.env.clock.now()
        existing = bench.api.get("v1", "Secret", namespace, step.secret)
        if existing is not None and is_usable(existing, step, now):
            bench.sink(StepDone(step_id, f"Secret {step.secret} holds a valid one", changed=False))
            return
        secret = stamp(tls_secret(step.secret, namespace, make_certificate(step, now)), lab, bench.overrides)
        bench.api.apply(secret, owner=lab.name)
        made = f"CN={step.common_name}, RSA {step.rsa_bits}, {step.days} days"
        bench.sink(StepDone(step_id, f"Secret {step.secret}: {made}"))
