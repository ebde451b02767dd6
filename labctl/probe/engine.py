"""The request engine: a plan in, a result out.

Plain HTTP goes by labctl.probe.plain, everything else by labctl.probe.libcurl; both record through one Recorder, so
that classification, counts and the names of errors are the same. plain's docstring says why there are two.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
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
    _check(plan)
    recorder = Recorder(plan)
    pace = Pace(clock.monotonic if clock is not None else time.perf_counter, on_progress, stop)
    try:
        if plain.suits(plan):
            plain.send(plan, recorder, pace)
        else:
            from labctl.probe import libcurl

            libcurl.send(plan, recorder, pace)
    except KeyboardInterrupt:
        pass  # The result says that it is partial.
    elapsed = pace.clock() - pace.begun
    pace.finished(recorder.done)
    return recorder.result(elapsed)


def _check(plan: ProbePlan) -> None:
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
