"""`labctl probe URL`: the loop alone, on any URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from labctl.env import Env
from labctl.errors import UsageError
from labctl.events import CheckDone, EventSink, StepProgress, StepStarted
from labctl.model.lab import Distribution, Expectation
from labctl.model.probe import ProbePlan, ProbeResult
from labctl.model.report import Check, LabReport, Report, Result, Verdict, worst
from labctl.probe import workers
from labctl.verdict import sequential
from labctl.verdict.judge import Directory, build_check
from labctl.verdict.power import POWER, requests_to_detect
from labctl.verdict.repeat import combine, needs_second_round
from labctl.verdict.spread import spread_of
from labctl.verdict.tally import tally
from labctl.verdict.words import percent
from labctl.workflows.beside import Beside
from labctl.workflows.probeplan import ProbeOptions, parse_expectation, parse_share, probe_plans

PILOT = 100
"""Requests that find out which keys there are, where `--detect` has to know."""
BATCH = 50
"""Requests between two looks of `--until-sure`."""
UNTIL_SURE_MOST = 100_000
"""Requests after which `--until-sure` ends undecided, unless -n says otherwise."""
MARGIN = "5%"

Send = Callable[[Sequence[ProbePlan]], tuple[ProbeResult, ...]]


def probe_url(options: ProbeOptions, *, env: Env, sink: EventSink, sender: Send | None = None) -> Report:
    """Send the requests and judge them.

    Args:
        options: What the user asked for.
        env: Surroundings.
        sink: Where events go.
        sender: Sends from elsewhere (a pod, a node); None: from here.

    Raises:
        UsageError: An option cannot be understood.
    """
    plans = probe_plans(options)
    expectation = parse_expectation(options.expect)
    started, begun = env.clock.now(), env.clock.monotonic()
    sink(StepStarted("probe", _title(plans)))
    job = _Probe(options, expectation, sink, sender)
    checks = job.perform(plans)
    elapsed = env.clock.monotonic() - begun
    for check in checks:
        sink(CheckDone("probe", "probe", check))
    result = worst(tuple(check.result for check in checks))
    lab = LabReport("probe", result, checks, elapsed_s=elapsed, warnings=job.warnings)
    return Report("probe", started, elapsed, result, (lab,), partial=any(check.partial for check in checks))


def _title(plans: Sequence[ProbePlan]) -> str:
    plan = plans[0]
    load = plan.load
    amount = f"{load.duration:g} s" if load.duration else "until told" if load.open_end else f"{plan.count:,}"
    also = f" and {len(plans) - 1} more" if len(plans) > 1 else ""
    return f"{amount} × {plan.request.method} {plan.request.url}{also}"


class _Probe:
    """One `probe`: how its requests are sent and judged."""

    def __init__(self, options: ProbeOptions, expectation: Expectation, sink: EventSink, sender: Send | None) -> None:
        self.warnings: tuple[str, ...] = ()
        self._options = options
        self._expectation = expectation
        self._sink = sink
        self._sender = sender
        self._total = 0

    def perform(self, plans: tuple[ProbePlan, ...]) -> tuple[Check, ...]:
        """Send, judge, and send again where that was asked for or chance may have misled."""
        options = self._options
        if options.during:
            return self._during(plans)
        if options.until_sure:
            return tuple(self._until_sure(plan) for plan in plans)
        notices: tuple[str, ...] = ()
        if options.detect:
            plans, notices = self._sized(plans)
        results = self._send(plans)
        checks = tuple(self._second_round(plan, self._judge(each)) for plan, each in zip(plans, results, strict=True))
        return tuple(replace(check, notices=(*check.notices, *notices)) for check in checks)

    def _send(self, plans: Sequence[ProbePlan], stop: Callable[[], bool] | None = None) -> tuple[ProbeResult, ...]:
        if self._sender is not None:
            return self._sender(plans)
        before = self._total
        bounded = not plans[0].load.duration and not plans[0].load.open_end
        total = before + sum(plan.count for plan in plans) if bounded else 0

        def progress(done: int) -> None:
            self._total = before + done
            self._sink(StepProgress("probe", before + done, total))

        return workers.send(plans, self._options.processes, on_progress=progress, stop=stop)

    def _judge(self, result: ProbeResult) -> Check:
        return build_check(result, self._expectation, Directory(), confidence=self._options.confidence)

    def _second_round(self, plan: ProbePlan, check: Check) -> Check:
        if plan.load.duration:
            return check
        second = needs_second_round(check, plan)
        return check if second is None else combine(check, self._judge(self._send([second])[0]))

    def _during(self, plans: tuple[ProbePlan, ...]) -> tuple[Check, ...]:
        """Send while a command runs, a second before and after it too."""
        beside = Beside(self._options.during)
        try:
            results = self._send(plans, stop=beside.over)
        finally:
            beside.end()
        self.warnings = beside.warnings
        return tuple(replace(self._judge(each), title=beside.title) for each in results)

    def _sized(self, plans: tuple[ProbePlan, ...]) -> tuple[tuple[ProbePlan, ...], tuple[str, ...]]:
        """The plans with as many requests as the wanted sensitivity takes."""
        stray = parse_share(self._options.detect)
        pilot = self._send([replace(plans[0], count=PILOT, concurrency=min(plans[0].concurrency, PILOT))])[0]
        shares = self._shares(pilot)
        try:
            count = requests_to_detect(shares, stray, self._options.confidence)
        except ValueError as error:
            raise UsageError(f"--detect {self._options.detect}: {error}") from error
        words = (
            f"{count:,} requests find a share that is wrong by {percent(stray)} points with probability {POWER:g}, "
            f"at confidence {self._options.confidence:g}"
        ).replace(" % points", " points")
        return tuple(replace(plan, count=count) for plan in plans), (words,)

    def _shares(self, result: ProbeResult) -> dict[str, float]:
        """Expected shares of the keys that are known or were seen."""
        split = self._expectation.split
        if split is None or split.distribution is Distribution.STICKY:
            raise UsageError(
                "--detect and --until-sure need a spread to judge", hint="--expect random, round-robin or v1=90,v2=10"
            )
        found = tally(result.fold, result.plan.by, {})
        return dict(spread_of(split, found.hits).shares)

    def _until_sure(self, plan: ProbePlan) -> Check:
        """Send batches until the counts decide, at a confidence that looking often does not weaken."""
        margin = parse_share(self._options.detect or MARGIN)
        most = self._options.requests or UNTIL_SURE_MOST
        batch = replace(plan, count=min(BATCH, most), concurrency=min(plan.concurrency, BATCH))
        whole = self._send([replace(batch, count=min(PILOT, most))])[0]
        shares = self._shares(whole)  # the keys are those of the first requests
        while True:
            counts = tally(whole.fold, plan.by, {}).hits
            state = sequential.progress(counts, shares, margin, self._options.confidence)
            check = self._judge(replace(whole, plan=replace(plan, count=whole.fold.requests)))
            exact = check.verdict is not None and not check.verdict.passed and check.verdict.p_value is None
            if exact or state.sure or whole.partial or whole.fold.requests >= most:
                return (
                    check
                    if exact or whole.partial
                    else _sequential_check(check, state, margin, self._options.confidence)
                )
            whole = _after(whole, self._send([batch])[0])


def _after(first: ProbeResult, second: ProbeResult) -> ProbeResult:
    """One run after another, as one."""
    timeline = second.fold.timeline.later(first.elapsed)
    later = replace(second, folded=replace(second.fold, timeline=timeline))
    return replace(first.merge(later), elapsed=first.elapsed + second.elapsed)


def _sequential_check(check: Check, state: sequential.Progress, margin: float, confidence: float) -> Check:
    """The check with the sequential judgement in place of the one that is made for a fixed number of requests."""
    shown = "/".join(str(hits.hits) for hits in check.hits[:6])
    if state.refused:
        words = f"{shown} after {check.requests:,} requests: refused (anytime-valid p = {state.p_value:.2g})"
    elif state.sure:
        words = f"{shown} after {check.requests:,} requests: no share is wrong by {percent(margin)} or more"
    else:
        words = (
            f"undecided after {check.requests:,} requests ({shown}): a share may still be wrong by "
            f"{percent(state.widest)}; nothing refutes the expectation"
        )
    verdict = Verdict(
        not state.refused, "sequential-multinomial", f"{words}, at confidence {confidence:g}", state.p_value, confidence
    )
    return replace(check, result=Result.FAILED if state.refused else Result.PASSED, verdict=verdict)
