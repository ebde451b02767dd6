"""`labctl probe URL`: the loop alone, on any URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from labctl.config.decode import did_you_mean
from labctl.env import Env
from labctl.errors import UsageError
from labctl.events import CheckDone, EventSink, StepProgress, StepStarted
from labctl.model.lab import Distribution, Expectation, Split
from labctl.model.probe import Connection, CountBy, KeyKind, ProbePlan, Request, Resolve, Tls
from labctl.model.report import Check, LabReport, Report
from labctl.probe.engine import run as send
from labctl.verdict.judge import Directory, build_check
from labctl.verdict.repeat import combine, needs_second_round


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """The command line of `probe`, as given."""

    url: str
    requests: int
    concurrency: int
    headers: tuple[str, ...]
    method: str
    body: bytes
    resolve: tuple[str, ...]
    ca_file: Path | None
    insecure: bool
    keep_alive: bool
    cookie_jar: bool
    by: str
    expect: tuple[str, ...]
    confidence: float
    timeout: float


def probe_url(options: ProbeOptions, *, env: Env, sink: EventSink) -> Report:
    """Send the requests and judge them.

    Raises:
        UsageError: An option cannot be understood.
    """
    plan = probe_plan(options)
    expectation = parse_expectation(options.expect)
    started, begun = env.clock.now(), env.clock.monotonic()
    sink(StepStarted("probe", f"{options.requests} × {options.method} {options.url}"))

    def progress(done: int) -> None:
        sink(StepProgress("probe", done, plan.count))

    def judged(wanted: ProbePlan) -> Check:
        result = send(wanted, on_progress=progress)
        return build_check(result, expectation, Directory(), confidence=options.confidence)

    check = judged(plan)
    second = None if check.partial else needs_second_round(check, plan)
    if second is not None:
        check = combine(check, judged(second))
    elapsed = env.clock.monotonic() - begun
    sink(CheckDone("probe", "probe", check))
    lab = LabReport("probe", check.result, (check,), elapsed_s=elapsed)
    return Report("probe", started, elapsed, check.result, (lab,), partial=check.partial)


def probe_plan(options: ProbeOptions) -> ProbePlan:
    """The plan that the options ask for."""
    parts = urlsplit(options.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{options.url!r} is no http or https URL", hint="for example http://127.0.10.10:30080/")
    return ProbePlan(
        name="probe",
        request=Request(
            options.url,
            options.method,
            tuple(_header(text) for text in options.headers),
            options.body,
            options.cookie_jar,
        ),
        count=options.requests,
        concurrency=min(options.concurrency, options.requests),
        connection=Connection.KEEP_ALIVE if options.keep_alive else Connection.NEW,
        timeout=options.timeout,
        resolve=tuple(_resolve(text) for text in options.resolve),
        tls=Tls(verify=not options.insecure, ca_file=options.ca_file),
        by=parse_by(options.by),
    )


def parse_by(text: str) -> CountBy:
    """`pod`, `version`, `node`, `status` or `header:NAME`.

    Raises:
        UsageError: It is none of them.
    """
    kind, _, header = text.partition(":")
    kinds = [kind.value for kind in KeyKind]
    if kind not in kinds or (kind == KeyKind.HEADER) != bool(header):
        near = did_you_mean(kind, kinds)
        raise UsageError(
            f"--by {text!r} is no key to count by",
            hint=(f"did you mean {near!r}? " if near else "") + "pod, version, node, status or header:NAME",
        )
    return CountBy(KeyKind(kind), header)


def parse_expectation(texts: tuple[str, ...]) -> Expectation:
    """Statuses, a distribution by name, or weights `KEY=WEIGHT,…`; nothing expects that every request is answered.

    Raises:
        UsageError: A text is none of them.
    """
    status: list[int] = []
    split: Split | None = None
    for text in texts:
        if text.isdigit() and len(text) == 3:
            status.append(int(text))
        elif text in (Distribution.ROUND_ROBIN, Distribution.RANDOM, Distribution.STICKY):
            split = Split(Distribution(text))
        elif "=" in text:
            split = Split(Distribution.WEIGHTED, _weights(text))
        else:
            raise UsageError(
                f"--expect {text!r} is not understood",
                hint="a status such as 200, round-robin, random, sticky, or weights such as v1=90,v2=10",
            )
    return Expectation(status=tuple(status), split=split)


def _weights(text: str) -> dict[str, float]:
    return {key: _number(value, text) for key, _, value in (part.partition("=") for part in text.split(","))}


def _number(value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if number < 0:
        raise UsageError(f"--expect {text!r}: {value!r} is no weight")
    return number


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"-H {text!r} is no header", hint="Name: value")
    return name.strip(), value.strip()


def _resolve(text: str) -> Resolve:
    host, _, rest = text.partition(":")
    port, _, address = rest.partition(":")
    if not host or not port.isdigit() or not address:
        raise UsageError(f"--resolve {text!r} is not understood", hint="HOST:PORT:ADDRESS, as curl's")
    return Resolve(host, int(port), address.strip("[]"))
