"""The request engine: a plan in, a result out.

Plain HTTP goes by labctl.probe.plain, everything else by labctl.probe.libcurl; both record through one Recorder, so
that classification, counts and the names of errors are the same. plain's docstring says why there are two.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from labctl.env import Clock
from labctl.errors import UsageError
from labctl.model.probe import KeyKind, ProbePlan, ProbeResult
from labctl.probe import plain
from labctl.probe.pace import Pace, Stop
from labctl.probe.recorder import Recorder

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
"""RFC 9110's token: methods and header names."""


def run(
    plan: ProbePlan,
    *,
    clock: Clock | None = None,
    on_progress: Callable[[int], None] | None = None,
    stop: Stop = None,
) -> ProbeResult:
    """Send the plan's requests, `plan.concurrency` of them at once, and return what came back.

    Ctrl-C (KeyboardInterrupt) and `stop` end the run early; what was finished by then is returned, marked partial.
    Redirects are not followed, compression is not asked for, proxies of the environment are not used: what is measured
    is the answer of the place that the URL names.

    Args:
        plan: What to send.
        clock: Its `monotonic` times the requests; None takes the system's finest.
        on_progress: Called with the number of finished requests, at most every 50 ms and at the end.
        stop: An event, or a function that returns True, when the run shall end.

    Returns:
        The outcome of each request, counted.

    Raises:
        UsageError: The plan cannot be sent: URL, method, header, count, or expression of a version.
        LabctlError: There are no file descriptors left for even one connection.
    """
    check(plan)
    ticks = clock.monotonic if clock is not None else time.perf_counter
    if plan.load.warm_up:
        beforehand = replace(plan, load=replace(plan.load, duration=plan.load.warm_up, warm_up=0.0, open_end=False))
        warmed = _send(beforehand, Pace(ticks, None, stop))
        if warmed.partial:
            return replace(Recorder(plan).result(0.0, partial=True), notices=("interrupted while warming up",))
    return _send(plan, Pace(ticks, on_progress, stop))


def _send(plan: ProbePlan, pace: Pace) -> ProbeResult:
    recorder = Recorder(plan)
    spent, interrupted = time.process_time(), False
    try:
        if plain.suits(plan):
            plain.send(plan, recorder, pace)
        else:
            from labctl.probe import libcurl

            libcurl.send(plan, recorder, pace)
    except KeyboardInterrupt:
        interrupted = True  # The result says that it is partial.
    elapsed = pace.clock() - pace.begun
    pace.finished(recorder.done)
    return recorder.result(
        elapsed, partial=interrupted or _unfinished(plan, pace, recorder.done), cpu=time.process_time() - spent
    )


def _unfinished(plan: ProbePlan, pace: Pace, done: int) -> bool:
    """Whether the run ended before what was asked for: a number of requests, a time, or its caller's word."""
    if plan.load.open_end:
        return False
    if plan.load.duration:
        return pace.was_stopped
    return done < plan.count


def check(plan: ProbePlan) -> None:
    """Whether a plan can be sent.

    Raises:
        UsageError: It cannot: URL, method, header, count, or expression of a version.
    """
    request = plan.request
    if not _is_url(request.url):
        raise UsageError(f"{request.url!r} is no http or https URL", hint="for example http://127.0.10.10:30080/")
    if plan.count < 1 or plan.concurrency < 1 or plan.timeout <= 0:
        raise UsageError("a probe needs at least one request, at least one at once, and a timeout above 0")
    if plan.by.kind is KeyKind.HEADER and not _TOKEN.match(plan.by.header):
        raise UsageError(f"{plan.by.header!r} is no name of a response header to count by")
    if not _TOKEN.match(request.method):
        raise UsageError(f"{request.method!r} is no HTTP method")
    for name, value in request.headers:
        if not _TOKEN.match(name) or any(sign in value for sign in "\r\n\0"):
            raise UsageError(f"{name!r}: {value!r} is no HTTP header")
    load = plan.load
    if min(load.rate, load.duration, load.ramp, load.warm_up, plan.users) < 0:
        raise UsageError("rate, duration, ramp, warm-up and users cannot be below 0")
    _check_versions(plan.versions)


def _check_versions(versions: Mapping[str, str]) -> None:
    for name, expression in versions.items():
        try:
            re.compile(expression)
        except re.error as error:
            raise UsageError(f"version {name}: {expression!r} is no regular expression: {error}") from error


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # A port beyond 65535, brackets without an address.
        return False
