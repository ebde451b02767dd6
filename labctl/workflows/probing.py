"""One probe of a lab, from its plan to its judgement; also while something is done to the cluster."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from labctl.errors import LabctlError, UsageError
from labctl.events import CheckDone, StepFailed, StepProgress, StepStarted
from labctl.lab.certificate import certificate_of
from labctl.lab.plan import namespace_of, probe_plan
from labctl.model.lab import Lab, ProbeStep, TargetKind, TlsMode
from labctl.model.probe import ProbePlan, ProbeResult
from labctl.model.report import Check, Result, Verdict
from labctl.objects.manifests import Obj
from labctl.probe.curl import curl_command
from labctl.probe.engine import run as send
from labctl.verdict.judge import Directory, build_check
from labctl.verdict.repeat import combine, needs_second_round
from labctl.workflows.bench import Bench
from labctl.workflows.directory import pod_nodes, ready_pods
from labctl.workflows.facts import filled_probe, lookup

SETTLE_SECONDS = 10.0
"""How long a change may take until the controller answers by it (a real one was seen to take up to 3 s)."""
SETTLE_REQUESTS = 10
"""Requests in a row that must be answered as expected before a check begins: one could be right by chance."""
STEADY_ROUND = 20
"""Requests of one round while something is done to the cluster."""
STEADY_PAUSE = 0.02
"""Seconds between such rounds, so that the load leaves room for what is done."""


def perform_probe(bench: Bench, lab: Lab, step: ProbeStep, act: Callable[[], None] | None = None) -> Check:
    """Send a probe's requests, judge the answers, and ask again where chance may have misled (once).

    Args:
        bench: Where.
        lab: The lab.
        step: The probe.
        act: What is done while the requests flow, and returns when it has taken effect.

    Raises:
        LabctlError: The probe cannot be sent (no endpoint, no certificate).
    """
    step_id = f"{lab.name}/{step.name}"
    bench.sink(StepStarted(step_id, step.title or step.name, lab.name))
    try:
        step = filled_probe(step, lookup(bench, lab))
        token = _token(bench, lab, step)
        services = _services(bench, lab, step)
        plan = probe_plan(lab, step, bench.cluster, bench.overrides, _ca_file(bench, lab, step), services, token)
        check = _steady(bench, step, plan, act) if act is not None else _judged(bench, lab, step, plan, step_id)
    except LabctlError as error:
        bench.sink(StepFailed(step_id, error.message))
        raise
    if token:
        check = replace(check, curl=check.curl.replace(token, "$TOKEN"))
    bench.sink(CheckDone(step_id, lab.name, check))
    return check


def _token(bench: Bench, lab: Lab, step: ProbeStep) -> str:
    """A token of the step's ServiceAccount, good for ten minutes (TokenRequest); empty when it has none."""
    if not step.token_of:
        return ""
    path = f"/api/v1/namespaces/{namespace_of(lab, bench.overrides)}/serviceaccounts/{step.token_of}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    return str(bench.api.request("POST", path, body=body)["status"]["token"])


@dataclass(slots=True)
class _Flow:
    """Requests that flow while something else is done: what became of them, round by round."""

    step: ProbeStep
    plan: ProbePlan
    clock: Callable[[], float]
    status: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    lost: int = 0
    first_loss: float | None = None
    last_loss: float = 0.0
    clean_rounds: int = 0

    def round(self, stop: threading.Event) -> None:
        """Send one round."""
        began = self.clock()
        result = send(
            replace(self.plan, count=STEADY_ROUND, concurrency=min(2, self.plan.concurrency)), stop=stop.is_set
        )
        check = build_check(result, replace(self.step.expect, status=(), split=None, only=(), body=(), headers={}))
        allowed = {str(code) for code in self.step.expect.status}
        bad = check.errors + sum(n for code, n in check.status.items() if allowed and code not in allowed)
        self.status.update(check.status)
        self.errors.update(check.error_kinds)
        self.requests += check.requests
        self.lost += bad
        self.clean_rounds = 0 if bad else self.clean_rounds + 1
        if bad:
            self.first_loss = began if self.first_loss is None else self.first_loss
            self.last_loss = self.clock()

    def run(self, done: threading.Event, stop: threading.Event, limit: float) -> None:
        """Send rounds until something is done and two rounds in a row were clean, or the limit has passed."""
        ended = 0.0
        while not stop.is_set():
            self.round(stop)
            if done.is_set():
                ended = ended or self.clock()
                if self.clean_rounds >= 2 or self.clock() - ended > limit:
                    return
            stop.wait(STEADY_PAUSE)

    @property
    def outage(self) -> float:
        """Seconds from the first lost request to the last."""
        return 0.0 if self.first_loss is None else self.last_loss - self.first_loss


def _steady(bench: Bench, step: ProbeStep, plan: ProbePlan, act: Callable[[], None]) -> Check:
    """Let requests flow while `act` is done and takes effect, until they are answered well again."""
    clock = bench.env.clock.monotonic
    flow = _Flow(step, plan, clock)
    done = threading.Event()
    began = clock()
    thread = threading.Thread(target=flow.run, args=(done, bench.halt, bench.options.timeout), daemon=True)
    thread.start()
    try:
        act()
    finally:
        done.set()
        thread.join()
    elapsed = clock() - began
    recovered = flow.clean_rounds >= 2
    passed = flow.lost <= step.expect.lost and recovered
    kinds = ", ".join(f"{name}×{n}" for name, n in (flow.errors + flow.status).items())
    words = f"{flow.lost} of {flow.requests} requests lost" + (f" within {flow.outage:.1f} s" if flow.lost else "")
    words += "" if recovered else "; not answered well again until the end"
    allowed = f", {step.expect.lost} allowed" if not passed else ""
    return Check(
        name=step.name,
        title=step.title,
        result=(Result.PASSED if passed else Result.FAILED) if not bench.interrupted else Result.ERROR,
        url=plan.request.url,
        curl=curl_command(plan),
        requests=flow.requests,
        errors=sum(flow.errors.values()),
        error_kinds=dict(flow.errors),
        elapsed_s=elapsed,
        requests_per_s=flow.requests / elapsed if elapsed > 0 else 0.0,
        status=dict(flow.status),
        by=str(plan.by),
        verdict=Verdict(passed, "exact", f"{words}{allowed} ({kinds})", None, bench.options.confidence),
        partial=bench.interrupted,
    )


def _judged(bench: Bench, lab: Lab, step: ProbeStep, plan: ProbePlan, step_id: str) -> Check:
    directory = _directory(bench, lab, step)

    def judged(wanted: ProbePlan) -> Check:
        result = _send(bench, wanted, step_id)
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

    return send(plan, on_progress=progress, stop=bench.halt.is_set)


def _directory(bench: Bench, lab: Lab, step: ProbeStep) -> Directory:
    namespace = namespace_of(lab, bench.overrides)
    split = step.expect.split
    members: Mapping[str, tuple[str, ...]] = {}
    if split is not None and split.pods_of:
        members = {split.pods_of: ready_pods(bench.api, namespace, split.pods_of)}
    return Directory(nodes=pod_nodes(bench.api, namespace), members=members)


def _services(bench: Bench, lab: Lab, step: ProbeStep) -> list[Obj]:
    """The Services that the probe may be sent to, as they are: their node ports and addresses are allocated."""
    if step.target.kind in (TargetKind.INGRESS, TargetKind.API):
        return []
    return bench.api.list("v1", "Service", namespace_of(lab, bench.overrides))


def _ca_file(bench: Bench, lab: Lab, step: ProbeStep) -> Path | None:
    """The certificate to trust, from the step's Secret, as a file for libcurl.

    It stays, so that the curl command of the report can be typed afterwards.
    """
    if step.scheme != "https" or step.tls is not TlsMode.VERIFY:
        return None
    if step.target.kind is TargetKind.API:
        found = bench.api.ca_file
        return _kept(bench, f"{bench.cluster.name}-api", found.read_bytes()) if found else None
    if not step.ca_secret:
        return None
    namespace = namespace_of(lab, bench.overrides)
    secret = bench.api.get("v1", "Secret", namespace, step.ca_secret)
    pem = certificate_of(secret) if secret else b""
    if not pem:
        raise LabctlError(
            f"Secret {namespace}/{step.ca_secret} holds no certificate", hint=f"`labctl run {lab.name}` makes it"
        )
    return _kept(bench, f"{bench.cluster.name}-{namespace}-{step.ca_secret}", pem)


def _kept(bench: Bench, name: str, pem: bytes) -> Path:
    path = bench.env.state_dir / "certificates" / f"{name}.pem"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pem)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="set LABCTL_STATE_DIR to a directory that you can write"
        ) from error
    return path
