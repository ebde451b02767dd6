"""The `curl` command that sends one such request by hand: for reports, so that nobody has to believe labctl."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from urllib.parse import urlsplit

from labctl.model.probe import ProbePlan

_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:/|\Z)")


def curl_command(plan: ProbePlan) -> str:
    """The command, quoted for a POSIX shell. `-i` shows status and headers, which a check may be about."""
    return shlex.join(["curl", "-i", *_options(plan), plan.request.url])


def _options(plan: ProbePlan) -> Iterator[str]:
    request = plan.request
    yield from _method(plan)
    for name, value in request.headers:
        yield from ("-H", f"{name}: {value}" if value else f"{name};")
    if request.body:
        if not any(name.lower() == "content-type" for name, _ in request.headers):
            yield from ("-H", "Content-Type:")
        yield from ("--data-raw", request.body.decode("utf-8", "backslashreplace"))
    if request.cookie_jar:
        yield from ("-b", "cookies.txt", "-c", "cookies.txt")
    for entry in plan.resolve:
        yield from ("--resolve", str(entry))
    if plan.source_address:
        yield from ("--interface", plan.source_address)
    yield from _tls(plan)
    if _DOT_SEGMENT.search(urlsplit(request.url).path):
        yield "--path-as-is"


def _method(plan: ProbePlan) -> Iterator[str]:
    method = plan.request.method
    if method == "HEAD":
        yield "--head"
    elif method != ("POST" if plan.request.body else "GET"):
        yield from ("-X", method)


def _tls(plan: ProbePlan) -> Iterator[str]:
    if not plan.request.url.startswith("https:"):
        return
    if not plan.tls.verify:
        yield "-k"
    elif plan.tls.ca_file is not None:
        yield from ("--cacert", str(plan.tls.ca_file))
