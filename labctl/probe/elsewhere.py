"""Requests sent by curl somewhere else (a pod, a node): the shell script that does it, and its output read back.

What runs there must be in the images people have, so it is sh and curl. One curl sends ten requests; each is
followed by a line that begins with a mark of this run's own, with what curl's `--write-out` says of it.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from labctl.errors import UsageError
from labctl.model.probe import Connection, ProbePlan, ProbeResult
from labctl.probe.codes import COULDNT_CONNECT, probe_error
from labctl.probe.recorder import BODY_KEPT, Recorder

PER_CURL = 10
_TIMES = ("time_total", "time_namelookup", "time_connect", "time_appconnect", "time_starttransfer")
_FORM = "%{http_code} %{exitcode} " + " ".join(f"%{{{name}}}" for name in _TIMES) + " %{errormsg}"
_RESULT = re.compile(rb"(\d+) (\S+) ([0-9.]+) (\S+) (\S+) (\S+) (\S+) ?(.*)")


@dataclass(frozen=True, slots=True)
class Script:
    """What to run, and how its output is known.

    Attributes:
        text: For /bin/sh.
        mark: What the lines about requests begin with: nobody else knows it.
        count: How many requests it sends.
    """

    text: str
    mark: str
    count: int


def script(plan: ProbePlan) -> Script:
    """The script that sends a plan's requests, one after another.

    Raises:
        UsageError: The plan asks for what curl in a loop cannot do.
    """
    _check(plan)
    mark = f"labctl-{secrets.token_hex(8)}"
    curl = shlex.join(["curl", *_options(plan, mark)])
    url = shlex.quote(plan.request.url)
    rounds, rest = divmod(plan.count, PER_CURL)
    lines = [f"u={url}"]
    if rounds:
        urls = " ".join(['"$u"'] * PER_CURL)
        lines.append(f"for i in {' '.join(map(str, range(rounds)))}; do {curl} {urls}; done")
    if rest:
        lines.append(curl + ' "$u"' * rest)
    return Script("\n".join([*lines, "true"]), mark, plan.count)


def _check(plan: ProbePlan) -> None:
    load = plan.load
    wanted = {
        "--rate, --duration, --ramp, --warm-up or --during": load.rate or load.duration or load.ramp or load.open_end,
        "--http2": plan.http2,
        "--users or --cookie-jar": plan.users or plan.request.cookie_jar,
        "--source-address": plan.source_address,
        "--cacert": plan.tls.ca_file,
    }
    for option, asked in wanted.items():
        if asked or (option.startswith("--rate") and load.warm_up):
            raise UsageError(f"{option} and --from do not go together: curl in a loop sends the requests there")


def _options(plan: ProbePlan, mark: str) -> Iterator[str]:
    request = plan.request
    yield from ("-s", "-i", "--http1.1", "--noproxy", "*", "-m", f"{plan.timeout:g}", "-w", f"\\n{mark} {_FORM}\\n")
    if request.method == "HEAD":
        yield "--head"
    elif request.method != ("POST" if request.body else "GET"):
        yield from ("-X", request.method)
    for name, value in request.headers:
        yield from ("-H", f"{name}: {value}" if value else f"{name};")
    if plan.connection is Connection.NEW:
        yield from ("-H", "Connection: close")
    if request.body:
        yield from ("-H", "Content-Type:", "--data-raw", request.body.decode("utf-8", "surrogateescape"))
    for entry in plan.resolve:
        yield from ("--resolve", str(entry))
    if not plan.tls.verify:
        yield "-k"


def read(plan: ProbePlan, done: Script, output: bytes, elapsed: float) -> ProbeResult:
    """The result in a script's output.

    Args:
        plan: What was to be sent.
        done: The script.
        output: Its standard output.
        elapsed: Seconds that it took.
    """
    recorder = Recorder(plan)
    at = 0.0
    *answers, _ = output.split(f"\n{done.mark} ".encode())
    results = output.split(f"\n{done.mark} ".encode())[1:]
    for index, (before, after) in enumerate(zip(answers, results, strict=True)):
        line, _, _ = after.partition(b"\n")
        found = _RESULT.match(line)
        if found is None:
            continue
        # What is before the mark begins with the rest of the line of the one before.
        answer = before if index == 0 else before.partition(b"\n")[2]
        at += _record(recorder, index, at, found, answer)
    if recorder.done < plan.count:
        recorder.notices.append(f"only {recorder.done} of {plan.count} requests are in the output that came back")
    return recorder.result(max(elapsed, at))


def _record(recorder: Recorder, index: int, at: float, found: re.Match[bytes], answer: bytes) -> float:
    """Record one request; returns its seconds."""
    status, code, total = int(found[1]), found[2].decode(), float(found[3])
    failed = int(code) if code.isdigit() else (0 if status else COULDNT_CONNECT)
    if failed or not status:
        recorder.failed(index, at, total, probe_error(failed or COULDNT_CONNECT, found[8].decode("utf-8", "replace")))
        return total
    marks = [float(mark) if re.fullmatch(rb"[0-9.]+", mark) else None for mark in found.group(4, 5, 6, 7)]
    _phases(recorder, *marks)
    head, body = _answer(answer)
    recorder.answered(index, at, total, status, head, body[:BODY_KEPT])
    return total


def _phases(
    recorder: Recorder, lookup: float | None, connect: float | None, tls: float | None, first: float | None
) -> None:
    """The parts of a request by curl's marks, where that curl writes them."""
    if lookup is None or connect is None or first is None:
        return
    recorder.phase("lookup", lookup)
    recorder.phase("connect", connect - lookup)
    if tls:
        recorder.phase("tls", tls - connect)
    recorder.phase("first byte", first - max(connect, tls or 0.0))


def _answer(data: bytes) -> tuple[bytes, bytes]:
    """Head and body; heads that only announce the answer (1xx) are left out."""
    head, _, body = data.partition(b"\r\n\r\n")
    while re.match(rb"HTTP/[0-9.]+ 1\d\d", head) and body.startswith(b"HTTP/"):
        head, _, body = body.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body
