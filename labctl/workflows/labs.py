"""What running and verifying labs share: the cluster they are performed on, and one probe from plan to judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from labctl.env import Env
from labctl.errors import LabctlError, UsageError
from labctl.events import CheckDone, EventSink, LabDone, StepFailed, StepProgress, StepStarted
from labctl.kube.client import KubeApi
from labctl.lab.certificate import certificate_of
from labctl.lab.plan import Overrides, namespace_of, probe_plan
from labctl.model.cluster import Cluster
from labctl.model.lab import Lab, ProbeStep, TargetKind, TlsMode
from labctl.model.probe import ProbePlan, ProbeResult
from labctl.model.report import Check, ClusterInfo, LabReport, Report, Result, worst
from labctl.objects.manifests import Obj
from labctl.probe.engine import run as send
from labctl.verdict.judge import Directory, build_check
from labctl.verdict.repeat import combine, needs_second_round
from labctl.workflows.directory import pod_nodes, ready_pods

SETTLE_SECONDS = 10.0
"""How long a change may take until the controller answers by it (a real one was seen to take up to 3 s)."""
SETTLE_REQUESTS = 10
"""Requests in a row that must be answered as expected before a check begins: one could be right by chance."""


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What the command line says about running labs.

    Attributes:
        requests: Requests per check; None takes the lab's.
        concurrency: Most in flight; None takes the lab's.
        confidence: Of statistical checks.
        ingress_class: IngressClass; None takes the cluster file's.
        timeout: Seconds that one wait may take.
    """

    requests: int | None = None
    concurrency: int | None = None
    confidence: float = 0.999
    ingress_class: str | None = None
    timeout: float = 60.0


@dataclass(slots=True)
class Bench:
    """Where labs are performed: the cluster, its API, and where events go.

    Attributes:
        started: When the command began (UTC).
        begun: The same on the monotonic clock, seconds.
        settle: Whether changes may be on their way to the controller, so that checks wait for the first good answers.
        interrupted: Set once the user pressed Ctrl-C; nothing new is begun after that.
    """

    cluster: Cluster
    api: KubeApi
    env: Env
    sink: EventSink
    options: LabOptions
    overrides: Overrides
    started: datetime
    begun: float
    settle: bool = True
    interrupted: bool = field(default=False)

    @property
    def info(self) -> ClusterInfo:
        """The cluster, as reports name it."""
        cluster = self.cluster
        return ClusterInfo(cluster.provider.value, cluster.name, cluster.version, len(cluster.nodes))


def perform_probe(bench: Bench, lab: Lab, step: ProbeStep) -> Check:
    """Send a probe's requests, judge the answers, and ask again where chance may have misled (once).

    Raises:
        LabctlError: The probe cannot be sent (no endpoint, no certificate).
    """
    services = _services(bench, lab, step)
    plan = probe_plan(lab, step, bench.cluster, bench.overrides, _ca_file(bench, lab, step), services)
    step_id = f"{lab.name}/{step.name}"
    bench.sink(StepStarted(step_id, step.title or step.name, lab.name))
    try:
        check = _judged(bench, lab, step, plan, step_id)
    except LabctlError as error:
        bench.sink(StepFailed(step_id, error.message))
        raise
    bench.sink(CheckDone(step_id, lab.name, check))
    return check


def _judged(bench: Bench, lab: Lab, step: ProbeStep, plan: ProbePlan, step_id: str) -> Check:
    directory = _directory(bench, lab, step)

    def judged(wanted: ProbePlan) -> Check:
        result = _send(bench, wanted, step_id)
        bench.interrupted = bench.interrupted or result.partial
        check = build_check(result, step.expect, directory, confidence=bench.options.confidence)
        if check.partial and check.result is Result.PASSED:
            check = replace(check, result=Result.ERROR)  # what was not asked to the end is not found out
        return replace(check, title=step.title)

    check = (_settled(bench, plan, judged) if bench.settle else None) or judged(plan)
    second = None if bench.interrupted else needs_second_round(check, plan)
    return combine(check, judged(second)) if second is not None else check


def _settled(bench: Bench, plan: ProbePlan, judged: Callable[[ProbePlan], Check]) -> Check | None:
    """Wait until a few requests are answered as expected: a change takes a moment to reach a controller.

    Returns the check when the plan has no more requests than that, so that they are not sent again. What never settles
    is left to the judgement, which says what was seen instead.
    """
    clock = bench.env.clock
    deadline = clock.monotonic() + min(SETTLE_SECONDS, bench.options.timeout)
    few = replace(plan, count=min(plan.count, SETTLE_REQUESTS))
    pause = 0.01
    while not bench.interrupted:
        check = judged(few)
        if _exact_part_holds(check) or clock.monotonic() >= deadline:
            return check if plan.count == few.count else None
        clock.sleep(pause)
        pause = min(pause * 2, 0.5)
    return None


def _exact_part_holds(check: Check) -> bool:
    """Whether nothing but a distribution can be wrong (few requests say little about that)."""
    return check.verdict is not None and (check.verdict.passed or check.verdict.p_value is not None)


def _send(bench: Bench, plan: ProbePlan, step_id: str) -> ProbeResult:
    def progress(done: int) -> None:
        bench.sink(StepProgress(step_id, done, plan.count))

    return send(plan, on_progress=progress)


def _directory(bench: Bench, lab: Lab, step: ProbeStep) -> Directory:
    namespace = namespace_of(lab, bench.overrides)
    split = step.expect.split
    members: Mapping[str, tuple[str, ...]] = {}
    if split is not None and split.pods_of:
        members = {split.pods_of: ready_pods(bench.api, namespace, split.pods_of)}
    return Directory(nodes=pod_nodes(bench.api, namespace), members=members)


def _services(bench: Bench, lab: Lab, step: ProbeStep) -> list[Obj]:
    """The Services that the probe may be sent to, as they are: their node ports and addresses are allocated."""
    if step.target.kind is TargetKind.INGRESS:
        return []
    return bench.api.list("v1", "Service", namespace_of(lab, bench.overrides))


def _ca_file(bench: Bench, lab: Lab, step: ProbeStep) -> Path | None:
    """The certificate to trust, from the step's Secret, as a file for libcurl.

    It stays, so that the curl command of the report can be typed afterwards.
    """
    if step.scheme != "https" or step.tls is not TlsMode.VERIFY or not step.ca_secret:
        return None
    namespace = namespace_of(lab, bench.overrides)
    secret = bench.api.get("v1", "Secret", namespace, step.ca_secret)
    pem = certificate_of(secret) if secret else b""
    if not pem:
        raise LabctlError(
            f"Secret {namespace}/{step.ca_secret} holds no certificate", hint=f"`labctl run {lab.name}` makes it"
        )
    path = bench.env.state_dir / "certificates" / f"{bench.cluster.name}-{namespace}-{step.ca_secret}.pem"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pem)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="set LABCTL_STATE_DIR to a directory that you can write"
        ) from error
    return path


def unfit_report(lab: Lab, cluster: Cluster) -> LabReport | None:
    """Why a lab cannot be performed on a cluster: skipped where it never can, an error where something is missing."""
    never = lab.unsupported.get(cluster.provider, "")
    if never:
        return LabReport(lab.name, Result.SKIPPED, title=lab.title, reason=never)
    if lab.needs_ingress and not cluster.ingress.http:
        reason = "no ingress controller answers on this cluster"
        return LabReport(
            lab.name, Result.ERROR, title=lab.title, reason=reason, hint="`labctl up` installs ingress-nginx"
        )
    return None


def lab_result(checks: tuple[Check, ...]) -> Result:
    """A lab's result from its checks'."""
    return worst(tuple(check.result for check in checks))


def perform_labs(command: str, labs: Iterable[Lab], bench: Bench, perform: Callable[[Bench, Lab], LabReport]) -> Report:
    """Perform labs one after another; what was done when the user interrupts is reported as such."""
    reports: list[LabReport] = []
    for lab in labs:
        if bench.interrupted:
            break
        reports.append(perform(bench, lab))
        bench.sink(LabDone(reports[-1]))
    result = worst(tuple(report.result for report in reports))
    return Report(
        command=command,
        started=bench.started,
        elapsed_s=bench.env.clock.monotonic() - bench.begun,
        result=Result.ERROR if bench.interrupted and result is not Result.FAILED else result,
        labs=tuple(reports),
        cluster=bench.info,
        partial=bench.interrupted,
    )


def report_lab(bench: Bench, lab: Lab, checks: list[Check], perform: Callable[[], None]) -> LabReport:
    """A lab's report, however its performance ends: well, with an error, or by Ctrl-C.

    Args:
        bench: Where it is performed.
        lab: The lab.
        checks: What `perform` adds its checks to.
        perform: Performs the lab.
    """
    unfit = unfit_report(lab, bench.cluster)
    if unfit is not None:
        return unfit
    begun = bench.env.clock.monotonic()
    try:
        perform()
    except LabctlError as error:
        return failed_lab(lab, error, tuple(checks), bench.env.clock.monotonic() - begun)
    except KeyboardInterrupt:
        bench.interrupted = True
    done = tuple(checks)
    return LabReport(lab.name, lab_result(done), done, lab.title, elapsed_s=bench.env.clock.monotonic() - begun)


def failed_lab(lab: Lab, error: LabctlError, checks: tuple[Check, ...], elapsed: float) -> LabReport:
    """A lab that could not be carried through."""
    return LabReport(
        name=lab.name,
        result=Result.ERROR,
        checks=checks,
        title=lab.title,
        reason=error.message,
        hint=error.hint,
        elapsed_s=elapsed,
    )
