"""Subrequests: external authentication (`auth-url`), and copies for a mirror."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labctl.embedded.ingress.annotations.values import ExternalAuth
from labctl.embedded.ingress.proxy.answers import Answer
from labctl.embedded.ingress.proxy.fetch import FetchError, fetch
from labctl.embedded.ingress.proxy.snippets import parse_snippet
from labctl.embedded.ingress.proxy.variables import Template

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.fetch import Fetched
    from labctl.embedded.ingress.proxy.plane import Generation

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}
_DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d|w|M|y)")


async def authenticate(exchange: Exchange, generation: Generation) -> Answer | None:
    """Ask the auth URL: 2xx lets the request pass, 401 and 403 are passed on, everything else is a 500."""
    plan = exchange.plan
    assert plan is not None
    auth = plan.external_auth
    assert auth is not None
    key = _cache_key(exchange, auth)
    answer = generation.auth_cache.get(key) if key else None
    if answer is None:
        try:
            answer = await _ask(exchange, auth, generation)
        except FetchError:
            return Answer(500)
        if key:
            generation.auth_cache.put(key, answer, _lifetime(answer.status, auth.cache_durations))
    cookies = [("Set-Cookie", value) for name, value in answer.headers if name.lower() == "set-cookie"]
    if 200 <= answer.status < 300:
        wanted = {header.lower() for header in auth.response_headers}
        exchange.auth_headers = [(name, value) for name, value in answer.headers if name.lower() in wanted]
        exchange.response_headers += cookies
        return None
    if answer.status not in {401, 403}:
        return Answer(500)
    challenge = [(name, value) for name, value in answer.headers if name.lower() == "www-authenticate"]
    shown = challenge if answer.status == 401 else []
    return Answer(answer.status, headers=[*shown, *(cookies if auth.always_set_cookie else [])])


async def _ask(exchange: Exchange, auth: ExternalAuth, generation: Generation) -> Fetched:
    url = Template(auth.url).value(exchange)
    parts = urlsplit(url)
    headers: list[tuple[str, str]] = [("X-Request-ID", exchange.req_id)]
    if auth.method:
        headers += [("X-Original-URI", exchange.head.target), ("X-Scheme", exchange.pass_scheme)]
    host = exchange.head.fields.get("host", "")
    headers += [
        ("Host", auth.host),
        ("X-Original-URL", f"{exchange.scheme}://{host}{exchange.head.target}"),
        ("X-Original-Method", exchange.method),
        ("X-Sent-From", "nginx-ingress-controller"),
        ("X-Real-IP", exchange.remote),
        ("X-Forwarded-For", exchange.remote),
        ("X-Auth-Request-Redirect", auth.request_redirect or exchange.head.target),
        *sorted(auth.proxy_set_headers.items()),
        *((name, Template(value).value(exchange)) for name, value in parse_snippet(auth.snippet).request_headers),
    ]
    known = {name.lower() for name, _ in headers} | {"content-length", "x-forwarded-proto", "connection", "te"}
    known |= {"transfer-encoding", "keep-alive", "expect", "upgrade"}
    headers += [(name, value) for name, value in exchange.head.headers if name.lower() not in known]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return await fetch(generation, url, auth.method or exchange.method, path, headers, b"")


def _cache_key(exchange: Exchange, auth: ExternalAuth) -> str:
    if not auth.cache_key:
        return ""
    text = f"{exchange.host}{auth.url}{Template(auth.cache_key).value(exchange)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _lifetime(status: int, durations: tuple[str, ...]) -> float:
    """Seconds that an answer may be used again (`proxy_cache_valid`); 0 for not at all."""
    for duration in durations:
        words = duration.split()
        codes = [word for word in words if word.isdigit() and len(word) == 3]
        times = [match for word in words if (match := _DURATION.fullmatch(word))]
        if times and (str(status) in codes or "any" in words or (not codes and status in {200, 301, 302})):
            return sum(int(match[1]) * _UNITS[match[2]] for match in times)
    return 0.0


class AuthCache:
    """Answers of auth URLs that may be used again."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, Fetched]] = {}

    def get(self, key: str) -> Fetched | None:
        """The answer, unless it is too old."""
        until, answer = self._answers.get(key, (0.0, None))
        return answer if until > time.monotonic() else None

    def put(self, key: str, answer: Fetched, seconds: float) -> None:
        """Keep an answer for a while."""
        if seconds > 0:
            if len(self._answers) > 10_000:
                self._answers.clear()
            self._answers[key] = (time.monotonic() + seconds, answer)


_tasks: set[asyncio.Task[None]] = set()


def mirror(exchange: Exchange, generation: Generation) -> None:
    """Send a copy of the request to the mirror; nobody waits for its answer."""
    plan = exchange.plan
    assert plan is not None
    settings = plan.annotations.mirror
    url = Template(settings.target).value(exchange)
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    skipped = {"host", "connection", "content-length", "transfer-encoding", "te", "keep-alive", "expect", "upgrade"}
    headers = [("Host", settings.host)]
    headers += [(name, value) for name, value in exchange.head.headers if name.lower() not in skipped]
    body = exchange.body if settings.request_body == "on" else b""
    task = asyncio.get_running_loop().create_task(_copy(generation, url, exchange.method, path, headers, body))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _copy(
    generation: Generation, url: str, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    try:
        await fetch(generation, url, method, path, headers, body)
    except FetchError:
        return
