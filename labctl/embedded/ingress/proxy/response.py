"""Writing a response to the client: nginx's header order, framing for the client's HTTP version, compression."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from labctl.embedded.ingress.proxy import pages
from labctl.embedded.ingress.proxy.answers import Answer, apply_operations, http_date
from labctl.embedded.ingress.proxy.cookies import rewrite_attribute
from labctl.embedded.ingress.proxy.head import HTTP_2, lower_name
from labctl.embedded.ingress.proxy.variables import Template

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.answers import Headers
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.plan import LocationPlan
    from labctl.embedded.ingress.proxy.plane import Generation
    from labctl.embedded.ingress.proxy.requester import Requester
    from labctl.embedded.ingress.proxy.upstream import ResponseHead

_HIDDEN = frozenset(
    {
        "date",
        "server",
        "x-pad",
        "x-accel-expires",
        "x-accel-redirect",
        "x-accel-limit-rate",
        "x-accel-buffering",
        "x-accel-charset",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
    }
)
_NO_BODY = frozenset({204, 304})
_GZIP_ACCEPTED = re.compile(r"(?:^|[,\s])gzip(?:\s*;\s*q=(?!0(?:\.0*)?(?:\s|,|$))|\s*(?:,|$))")


class ResponseWriter:
    """Writes one response."""

    __slots__ = (
        "_chunked",
        "_client",
        "_close",
        "_exchange",
        "_generation",
        "_gzip",
        "_held",
        "_no_body",
        "bytes_sent",
        "sent",
        "status",
    )

    def __init__(self, client: Requester, exchange: Exchange, generation: Generation) -> None:
        self._client = client
        self._exchange = exchange
        self._generation = generation
        self._chunked = False
        self._close = False
        self._no_body = False
        self._gzip: zlib._Compress | None = None
        self._held = b""
        self.status = 0
        self.sent = 0
        self.bytes_sent = 0

    def _write(self, data: bytes) -> None:
        self.bytes_sent += len(data)
        self._client.write(data)

    # nginx's own responses

    def answer(self, answer: Answer, plan: LocationPlan | None) -> None:
        """Write a response that nginx makes itself."""
        exchange = self._exchange
        body = answer.body
        if body is None:
            body = self._generation.page(answer.status, answer.special)
        content_type = answer.content_type if body or answer.status == 200 else ""
        if answer.close:
            exchange.keep_alive = False
        self._no_body = exchange.method == "HEAD" or answer.status in _NO_BODY
        headers = [*answer.headers, *exchange.response_headers]
        length = None if answer.status in _NO_BODY else len(body)
        head = self._head(
            answer.status, answer.reason, content_type, length, headers, plan, location=answer.location, own=True
        )
        self.sent = 0 if self._no_body else len(body)
        self._write(head if self._no_body else head + body)
        self._client.finished()

    # Responses of pods

    def begin(self, head: ResponseHead, plan: LocationPlan | None) -> None:
        """The head of a pod's response; it is held back until the first piece of the body, or its end."""
        exchange = self._exchange
        content_type, headers = self._pod_headers(head, plan)
        length = head.length if head.length >= 0 else None
        self._no_body = exchange.method == "HEAD" or head.status in _NO_BODY
        vary = False
        if self._generation.settings.use_gzip and not self._no_body:
            vary = self._start_gzip(head, content_type, headers)
            length = None if self._gzip is not None else length
        if length is None and not self._no_body:
            self._chunked = exchange.head.minor == 1
            if not self._chunked:
                exchange.keep_alive = False
        self._held = self._head(head.status, head.reason, content_type, length, headers, plan, vary=vary)

    def upgrade(self, head: ResponseHead, plan: LocationPlan | None) -> None:
        """101: the connection becomes a tunnel."""
        content_type, headers = self._pod_headers(head, plan)
        self._write(self._head(101, head.reason, content_type, None, headers, plan))

    def raw(self) -> None:
        """Bytes without a head follow, until the pod closes."""
        self._exchange.keep_alive = False
        self.status = 200

    def data(self, data: bytes) -> None:
        """A piece of the body."""
        if self._no_body:
            return
        if self._gzip is not None:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        self.sent += len(data)
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._held:
            data, self._held = self._held + data, b""
        self._write(data)

    def end(self) -> None:
        """The response is complete."""
        tail = b""
        if self._gzip is not None:
            rest = self._gzip.flush()
            tail = b"%x\r\n%b\r\n" % (len(rest), rest) if self._chunked else rest
        if self._chunked:
            tail += b"0\r\n\r\n"
        if self._held or tail:
            self._write(self._held + tail)
            self._held = b""
        self._client.finished()

    # Heads

    def _pod_headers(self, head: ResponseHead, plan: LocationPlan | None) -> tuple[str, Headers]:
        """Content-Type and the other headers of a pod's response, hidden ones left out, some rewritten."""
        server = self._generation.settings.allow_backend_server_header
        hidden = self._generation.hidden_headers
        if plan is not None and plan.snippet.hidden:
            hidden = hidden | plan.snippet.hidden
        content_type = ""
        headers: Headers = list(self._exchange.response_headers)
        for name, value in head.headers:
            lower = lower_name(name)
            if lower == "content-type":
                content_type = content_type or value
            elif (lower == "server" and server) or (lower not in _HIDDEN and lower not in hidden):
                headers.append((name, value))
        if plan is not None:
            headers = _rewritten(headers, plan, self._exchange)
        return content_type, headers

    def _head(
        self,
        status: int,
        reason: str,
        content_type: str,
        length: int | None,
        headers: Headers,
        plan: LocationPlan | None,
        *,
        location: str = "",
        vary: bool = False,
        own: bool = False,
    ) -> bytes:
        exchange, generation = self._exchange, self._generation
        self.status = status
        content_type, headers = self._operated(status, content_type, headers, plan, own=own)
        if exchange.head.minor == 9:
            return b""
        lines = [f"HTTP/1.1 {pages.status_line(status, reason)}"]
        if generation.settings.server_tokens:
            lines.append(f"Server: {generation.product}")
        lines.append(f"Date: {http_date()}")
        if content_type:
            lines.append(f"Content-Type: {content_type}")
        if length is not None:
            lines.append(f"Content-Length: {length}")
        if location:
            lines.append(f"Location: {location}")
        if self._chunked:
            lines.append("Transfer-Encoding: chunked")
        if status == 101:
            lines.append("Connection: upgrade")
        else:
            lines.append("Connection: keep-alive" if self._client.stays_open(exchange) else "Connection: close")
        if vary:
            lines.append("Vary: Accept-Encoding")
        lines += [f"{name}: {value}" for name, value in headers]
        return self._encoded(lines)

    def _operated(
        self, status: int, content_type: str, headers: Headers, plan: LocationPlan | None, *, own: bool
    ) -> tuple[str, Headers]:
        """Content-Type and headers after what the configuration does to them."""
        operations = self._generation.header_operations(self._exchange, plan)
        if operations:
            content_type, headers = apply_operations(status, content_type, headers, operations, self._exchange)
        if own and status == 204:
            content_type = ""  # ngx_http_header_filter takes it off again, whatever set it
        return content_type, headers

    def _encoded(self, lines: list[str]) -> bytes:
        """Status line and header lines as bytes for the client."""
        lines.append("\r\n")
        return "\r\n".join(lines).encode("latin-1", "replace")

    def _start_gzip(self, head: ResponseHead, content_type: str, headers: Headers) -> bool:
        """Begin to compress when client, type and length allow. Returns whether Vary is added."""
        settings = self._generation.settings
        kind = content_type.partition(";")[0].strip().lower()
        encoded = any(name.lower() == "content-encoding" for name, _ in headers)
        if encoded or head.status not in {200, 403, 404} or kind not in {"text/html", *settings.gzip_types.split()}:
            return False
        if 0 <= head.length < settings.gzip_min_length:
            return False
        fields = self._exchange.head.fields
        accepted = self._exchange.head.minor in (1, HTTP_2) and _GZIP_ACCEPTED.search(
            fields.get("accept-encoding", "").lower()
        )
        disabled = settings.gzip_disable and re.search(settings.gzip_disable, fields.get("user-agent", ""))
        if accepted and not disabled:
            self._gzip = zlib.compressobj(settings.gzip_level, zlib.DEFLATED, 31)
            headers[:] = [(name, value) for name, value in headers if name.lower() != "accept-ranges"]
            headers.append(("Content-Encoding", "gzip"))
        return True


def _rewritten(headers: Headers, plan: LocationPlan, exchange: Exchange) -> Headers:
    """`proxy_redirect`, `proxy_cookie_domain` and `proxy_cookie_path`."""
    proxy = plan.proxy
    redirects = proxy.redirect_from not in {"off", "default", ""} and proxy.redirect_to != "off"
    if not redirects and proxy.cookie_domain == "off" and proxy.cookie_path == "off":
        return headers
    return [(name, _rewrite_value(name.lower(), value, plan, exchange, redirects=redirects)) for name, value in headers]


def _rewrite_value(name: str, value: str, plan: LocationPlan, exchange: Exchange, *, redirects: bool) -> str:
    proxy = plan.proxy
    if name in {"location", "refresh"} and redirects:
        old, new = Template(proxy.redirect_from).value(exchange), Template(proxy.redirect_to).value(exchange)
        if name == "location":
            return new + value[len(old) :] if value.startswith(old) else value
        before, found, url = value.partition("url=")
        return before + found + new + url[len(old) :] if found and url.startswith(old) else value
    if name == "set-cookie":
        for attribute, setting in (("domain", proxy.cookie_domain), ("path", proxy.cookie_path)):
            old, _, new = setting.partition(" ")
            if new:
                value = rewrite_attribute(value, attribute, old, new.strip())
    return value
