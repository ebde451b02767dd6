"""The command line of `probe`, read into plans and expectations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from labctl.config.decode import did_you_mean
from labctl.errors import UsageError
from labctl.model.lab import Distribution, Expectation, Split
from labctl.model.probe import Connection, CountBy, KeyKind, Load, ProbePlan, Request, Resolve, Tls

CONCURRENCY = 16
OPEN_CONCURRENCY = 512
"""Most requests in flight of an open loop, which must not wait for the server."""
DURING_RATE = 100.0
"""Requests per second beside a command, unless another rate is asked for."""


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """The command line of `probe`, as given; what its defaults depend on is None."""

    url: str
    requests: int | None = None
    concurrency: int | None = None
    headers: tuple[str, ...] = ()
    method: str = "GET"
    body: bytes = b""
    resolve: tuple[str, ...] = ()
    ca_file: Path | None = None
    insecure: bool = False
    keep_alive: bool = False
    cookie_jar: bool = False
    by: str = "pod"
    versions: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    confidence: float = 0.999
    timeout: float = 10.0
    targets: tuple[str, ...] = ()
    load: Load = Load()
    http2: bool = False
    tls_sessions: bool = False
    source_address: str = ""
    users: int = 0
    processes: int = 1
    during: str = ""
    detect: str = ""
    until_sure: bool = False
    origin: str = ""
    workers: int = 1


def probe_plans(options: ProbeOptions) -> tuple[ProbePlan, ...]:
    """One plan per URL; requests, rate and concurrency are shared out by weight.

    Raises:
        UsageError: An option cannot be understood, or does not go with another.
    """
    _check_combinations(options)
    whole = _plan(options)
    if not options.targets:
        return (whole,)
    targets = [(1.0, options.url), *(_target(text) for text in options.targets)]
    total = sum(weight for weight, _ in targets)
    plans, given = [], 0
    for number, (weight, url) in enumerate(targets, 1):
        share = weight / total
        until = round(whole.count * sum(weight for weight, _ in targets[:number]) / total)
        _check_url(url)
        plans.append(
            replace(
                whole,
                name=f"target-{number}",
                request=replace(whole.request, url=url),
                count=max(1, until - given),
                concurrency=max(1, round(whole.concurrency * share)),
                load=replace(whole.load, rate=whole.load.rate * share),
            )
        )
        given = until
    return tuple(plans)


def _check_combinations(options: ProbeOptions) -> None:
    clashes = {
        "--requests and --duration": options.requests is not None and options.load.duration > 0,
        "--during and --duration": bool(options.during) and options.load.duration > 0,
        "--until-sure and --duration": options.until_sure and options.load.duration > 0,
        "--until-sure and --during": options.until_sure and bool(options.during),
        "--detect and --requests": bool(options.detect) and options.requests is not None and not options.until_sure,
        "--users and --rate": options.users > 0 and options.load.rate > 0,
        "--users and --cookie-jar": options.users > 0 and options.cookie_jar,
    }
    for names, clash in clashes.items():
        if clash:
            raise UsageError(f"{names} do not go together")
    if options.origin and (options.during or options.processes > 1):
        raise UsageError("--during and --processes do not go together with --from")
    if options.workers > 1 and options.origin != "cluster":
        raise UsageError("--workers needs --from cluster", hint="--processes uses more processors of this machine")
    if options.ca_file is not None and not options.ca_file.is_file():
        raise UsageError(f"--cacert {options.ca_file}: there is no such file")


def _plan(options: ProbeOptions) -> ProbePlan:
    _check_url(options.url)
    load = options.load
    if options.during:
        load = replace(load, rate=load.rate or (0.0 if options.concurrency else DURING_RATE), open_end=True)
    count = options.requests or 100
    concurrency = options.users or options.concurrency or (OPEN_CONCURRENCY if load.rate else CONCURRENCY)
    endless = load.duration or load.open_end
    return ProbePlan(
        name="probe",
        request=Request(
            options.url,
            options.method,
            tuple(_header(text) for text in options.headers),
            options.body,
            options.cookie_jar,
        ),
        count=count,
        concurrency=concurrency if endless else min(concurrency, count),
        connection=Connection.KEEP_ALIVE if options.keep_alive else Connection.NEW,
        timeout=options.timeout,
        resolve=tuple(_resolve(text) for text in options.resolve),
        tls=Tls(verify=not options.insecure, ca_file=options.ca_file, sessions=options.tls_sessions),
        by=parse_by(options.by),
        versions=dict(_version(text) for text in options.versions),
        source_address=options.source_address,
        load=load,
        http2=options.http2,
        users=min(options.users, count) if not endless else options.users,
    )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fine = False
    if not fine:
        raise UsageError(f"{url!r} is no http or https URL", hint="for example http://127.0.10.10:30080/")


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


def parse_share(text: str) -> float:
    """`5%` or `0.05`: a distance between shares, above 0 and below 1.

    Raises:
        UsageError: It is none.
    """
    try:
        value = float(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise UsageError(f"--detect {text!r} is no share", hint="for example 5%: a share that is wrong by 5 points")
    return value


def _weights(text: str) -> dict[str, float]:
    return {key: _number(value, f"--expect {text!r}") for key, _, value in _parted(text)}


def _parted(text: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in text.split(",")]


def _number(value: str, where: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise UsageError(f"{where}: {value!r} is no weight")
    return number


def _target(text: str) -> tuple[float, str]:
    weight, equals, url = text.partition("=")
    number = _number(weight, f"--target {text!r}") if equals and "://" not in weight else 0.0
    if number <= 0:
        raise UsageError(
            f"--target {text!r} is not understood", hint="WEIGHT=URL, for example 3=http://127.0.10.10:30080/"
        )
    return number, url


def _version(text: str) -> tuple[str, str]:
    name, equals, expression = text.partition("=")
    if not equals or not name or not expression:
        raise UsageError(f"--version-pattern {text!r} is not understood", hint="NAME=REGEX, for example v2=echo-v2")
    return name, expression


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
