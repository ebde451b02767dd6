"""The head of the request that a pod gets: the controller's headers in their order, then the client's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from labctl.embedded.http.messages import Flow, Request
from labctl.embedded.ingress.compiler.error_backends import PREFIX
from labctl.embedded.ingress.model import Configuration, Location, Server
from labctl.embedded.ingress.proxy.head import lower_name
from labctl.embedded.ingress.proxy.uri import escape_uri
from labctl.embedded.ingress.proxy.variables import Template

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.snippets import Snippet

Value = Callable[["Exchange"], str | None]

_NEVER_PASSED = ("host", "connection", "content-length", "transfer-encoding", "te", "keep-alive", "expect", "upgrade")
"""Client headers that nginx replaces or drops on the way to an upstream."""


class RequestHeaders:
    """Headers for one location's pods.

    Args:
        headers: Name and value, in order; an empty value leaves the header out, the client's too.
        defaults: Whether Host and Connection are nginx's own (`proxy_set_header` names them in every real location).
    """

    def __init__(self, headers: Iterable[tuple[str, Value]]) -> None:
        self._headers = tuple(headers)
        names = {name.lower() for name, _ in self._headers}
        self._hidden = names.union(_NEVER_PASSED)
        self._prefixed = tuple((f"{name}: ", value) for name, value in self._headers)
        self._close = "connection" not in names

    def build(self, exchange: Exchange, length: int, *, minor: int = 1) -> bytes:
        """The request head as bytes.

        Args:
            exchange: The request.
            length: Length of the body.
            minor: HTTP version towards the pod: 1.0 or 1.1.
        """
        lines = [f"{exchange.method} {upstream_uri(exchange)} HTTP/1.{minor}"]
        for prefix, value in self._prefixed:
            text = value(exchange)
            if text:
                lines.append(prefix + text)
        if self._close:
            lines.append("Connection: close")
        head, hidden = exchange.head, self._hidden
        if length or head.length < 0 or "content-length" in head.fields:
            lines.append(f"Content-Length: {length}")
        lines += [f"{name}: {value}" for name, value in head.headers if lower_name(name) not in hidden]
        lines.append("\r\n")
        return "\r\n".join(lines).encode("latin-1", "replace")

    def request(self, exchange: Exchange, length: int, minor: int, flow: Flow) -> Request:
        """The same for a pod in the process."""
        fields = self._fields(exchange, length)
        return Request(exchange.method, upstream_uri(exchange), fields, exchange.body, flow, f"1.{minor}")

    def _fields(self, exchange: Exchange, length: int) -> list[tuple[str, str]]:
        fields: list[tuple[str, str]] = []
        for name, value in self._headers:
            text = value(exchange)
            if text:
                fields.append((name, text))
        if self._close:
            fields.append(("Connection", "close"))
        head = exchange.head
        if length or head.length < 0 or "content-length" in head.fields:
            fields.append(("Content-Length", str(length)))
        hidden = self._hidden
        fields += [field for field in head.headers if lower_name(field[0]) not in hidden]
        return fields


def upstream_uri(exchange: Exchange) -> str:
    """The request target for the pod: as the client sent it, or the rewritten path, encoded again."""
    if not exchange.rewritten:
        return exchange.head.target
    path = escape_uri(exchange.uri)
    return f"{path}?{exchange.args}" if exchange.args else path


def text_value(text: str) -> Value:
    """A text with variables as a header value."""
    template = Template(text)
    constant = template.constant
    if constant is not None:
        return lambda exchange: constant
    return template.value


def _upgrade(exchange: Exchange) -> str | None:
    return exchange.head.fields.get("upgrade")


def _connection(exchange: Exchange) -> str:
    return "upgrade" if exchange.head.fields.get("upgrade") else ""


def _forwarded_for(exchange: Exchange) -> str:
    return exchange.remote


def location_headers(
    location: Location, server: Server, configuration: Configuration, snippet: Snippet
) -> RequestHeaders:
    """Headers of a location, in the order of the controller's template."""
    settings, annotations = configuration.settings, location.annotations
    full = settings.use_forwarded_headers and settings.compute_full_forwarded_for
    original = settings.forwarded_for_header.lower()
    headers: list[tuple[str, Value]] = [(name, _auth_header(name)) for name in _auth_names(location, configuration)]
    if annotations.basic_auth.secured:
        headers.append(("Authorization", text_value("")))
    headers.append(("Host", text_value(annotations.upstream_vhost) if annotations.upstream_vhost else _best_host))
    headers += _client_certificate(server)
    headers += [
        ("Upgrade", _upgrade),
        ("Connection", text_value(annotations.connection) if annotations.connection else _connection),
        ("X-Request-ID", lambda exchange: exchange.req_id),
        ("X-Real-IP", _forwarded_for),
        ("X-Forwarded-For", text_value("$full_x_forwarded_for") if full else _forwarded_for),
        ("X-Forwarded-Host", _best_host),
        ("X-Forwarded-Port", lambda exchange: exchange.pass_port),
        ("X-Forwarded-Proto", _pass_scheme),
        ("X-Forwarded-Scheme", _pass_scheme),
    ]
    if settings.proxy_add_original_uri_header:
        headers.append(("X-Original-URI", lambda exchange: exchange.head.target))
    headers += [
        ("X-Scheme", _pass_scheme),
        ("X-Original-Forwarded-For", lambda exchange: exchange.head.fields.get(original)),
        ("Proxy", text_value("")),
    ]
    headers += [(name, text_value(value)) for name, value in configuration.proxy_set_headers]
    headers += [(name, text_value(value)) for name, value in snippet.request_headers]
    if location.backend.startswith(PREFIX):
        headers += error_headers("503", original_uri=False)
    if annotations.rewrite.target not in {"", location.path} and annotations.x_forwarded_prefix:
        headers.append(("X-Forwarded-Prefix", text_value(annotations.x_forwarded_prefix)))
    return RequestHeaders(headers)


def _best_host(exchange: Exchange) -> str:
    return exchange.best_host


def _pass_scheme(exchange: Exchange) -> str:
    return exchange.pass_scheme


def _auth_names(location: Location, configuration: Configuration) -> tuple[str, ...]:
    auth = location.annotations.external_auth
    if auth.url:
        return auth.response_headers
    everywhere = configuration.settings.global_auth
    return everywhere.response_headers if everywhere.url and location.annotations.enable_global_auth else ()


def _auth_header(name: str) -> Value:
    wanted = name.lower()

    def value(exchange: Exchange) -> str:
        return ", ".join(text for key, text in exchange.auth_headers if key.lower() == wanted)

    return value


def _client_certificate(server: Server) -> list[tuple[str, Value]]:
    """What the controller tells pods about the client's certificate."""
    auth = server.certificate_auth
    if not auth.certificate.ca:
        return []
    headers: list[tuple[str, Value]] = []
    if auth.pass_certificate:
        headers.append(("ssl-client-cert", text_value("$ssl_client_escaped_cert")))
    return [
        *headers,
        ("ssl-client-verify", text_value("$ssl_client_verify")),
        ("ssl-client-subject-dn", text_value("$ssl_client_s_dn")),
        ("ssl-client-issuer-dn", text_value("$ssl_client_i_dn")),
    ]


def error_headers(code: str, *, original_uri: bool) -> list[tuple[str, Value]]:
    """What an error backend is told about the request."""
    headers: list[tuple[str, Value]] = [("X-Code", text_value(code)), ("X-Format", text_value("$http_accept"))]
    if original_uri:
        headers.append(("X-Original-URI", text_value("$request_uri")))
    return [
        *headers,
        ("X-Namespace", text_value("$namespace")),
        ("X-Ingress-Name", text_value("$ingress_name")),
        ("X-Service-Name", text_value("$service_name")),
        ("X-Service-Port", text_value("$service_port")),
        ("X-Request-ID", text_value("$req_id")),
    ]


def error_page_headers(code: int) -> RequestHeaders:
    """Headers of the request for an error page: HTTP/1.0, and nothing about how the client came."""
    headers = error_headers(str(code), original_uri=True)
    return RequestHeaders([*headers, ("X-Forwarded-For", _forwarded_for), ("Host", _best_host)])
