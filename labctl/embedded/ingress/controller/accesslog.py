"""The access log: nginx's log format, filled in when a request is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from labctl.embedded.ingress.model import DEFAULT_BACKEND
from labctl.embedded.ingress.proxy.variables import Template
from labctl.embedded.ingress.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.response import ResponseWriter


class AccessLog:
    """Formats lines as `log-format-upstream` says.

    Args:
        settings: The ConfigMap's values.
        write: Where lines go.
    """

    def __init__(self, settings: Settings, write: Callable[[str], None]) -> None:
        self._write = write
        self._template = Template(settings.log_format_upstream)
        self._usual = settings.log_format_upstream == Settings().log_format_upstream
        self._off = settings.disable_access_log or settings.disable_http_access_log
        self._default_backend = settings.enable_access_log_for_default_backend
        self._skipped = frozenset(settings.skip_access_log_urls)

    def record(self, exchange: Exchange, writer: ResponseWriter) -> None:
        """Log a request, unless the configuration says otherwise."""
        plan = exchange.plan
        if self._off or exchange.uri in self._skipped or (plan is not None and not plan.annotations.access_log):
            return
        if not self._default_backend and exchange.upstream_name == DEFAULT_BACKEND and plan is None:
            return
        line = _usual_line(exchange, writer) if self._usual else self._template.value(_Line(exchange, writer))
        self._write(line)


def _usual_line(exchange: Exchange, writer: ResponseWriter) -> str:
    """A line in the default format, which nearly everyone has: written in one go, for it is done for every request."""
    head, tries = exchange.head, exchange.tries
    fields, user = head.fields, exchange.variables.get("remote_user")
    request = f"{head.method} {head.target} {head.protocol}"
    referer, agent = fields.get("referer", "-"), fields.get("user-agent", "-")
    if len(tries) == 1:
        seconds, statuses = exchange.upstream_seconds, exchange.upstream_statuses
        status = statuses[0] if statuses else "-"
        upstream = f"{tries[0]} {writer.sent} {seconds[0] if seconds else 0:.3f} {status}"
    elif tries:
        statuses = exchange.upstream_statuses
        shown = ", ".join(map(str, statuses)) or "-"
        upstream = f"{', '.join(tries)} {_lengths(exchange, writer)} {_seconds(exchange.upstream_seconds)} {shown}"
    else:
        upstream = "- - - -"
    return (
        f'{exchange.remote} - {_escape(user) if user else "-"} [{_local_time()}] "{_escape(request)}" {writer.status}'
        f' {writer.sent} "{_escape(referer)}" "{_escape(agent)}" {head.size + len(exchange.body)}'
        f" {time.monotonic() - exchange.started:.3f} [{exchange.upstream_name or '-'}] [{exchange.alternative}]"
        f" {upstream} {_escape(exchange.req_id) or '-'}"
    )


_now: tuple[int, str] = (0, "")


def _local_time() -> str:
    """`$time_local`, made once a second."""
    global _now  # noqa: PLW0603 - nginx keeps its time string the same way
    second = int(time.time())
    if _now[0] != second:
        _now = (second, time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second)))
    return _now[1]


class _Line:
    """Variables of the log phase."""

    __slots__ = ("_exchange", "_writer")

    def __init__(self, exchange: Exchange, writer: ResponseWriter) -> None:
        self._exchange = exchange
        self._writer = writer

    def variable(self, name: str) -> str | None:
        """Its value, `-` without one, as nginx's log module writes it."""
        getter = _GETTERS.get(name)
        value = getter(self._exchange, self._writer) if getter is not None else self._exchange.variable(name)
        return _escape(value) if value else ("" if name == "proxy_alternative_upstream_name" else "-")


def _escape(value: str) -> str:
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return value
    return "".join(char if " " <= char <= "~" and char not in '"\\' else f"\\x{ord(char) & 0xFF:02X}" for char in value)


def _seconds(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _lengths(exchange: Exchange, writer: ResponseWriter) -> str:
    if not exchange.tries:
        return ""
    return ", ".join(["0"] * (len(exchange.tries) - 1) + [str(writer.sent)])


_GETTERS: dict[str, Callable[[Exchange, ResponseWriter], str]] = {
    "status": lambda _, writer: str(writer.status),
    "body_bytes_sent": lambda _, writer: str(writer.sent),
    "bytes_sent": lambda _, writer: str(writer.sent),
    "remote_user": lambda exchange, _: exchange.variables.get("remote_user", ""),
    "request_length": lambda exchange, _: str(exchange.head.size + len(exchange.body)),
    "request_time": lambda exchange, _: f"{time.monotonic() - exchange.started:.3f}",
    "upstream_addr": lambda exchange, _: ", ".join(exchange.tries),
    "upstream_status": lambda exchange, _: ", ".join(map(str, exchange.upstream_statuses)),
    "upstream_response_time": lambda exchange, _: _seconds(exchange.upstream_seconds),
    "upstream_response_length": _lengths,
}
