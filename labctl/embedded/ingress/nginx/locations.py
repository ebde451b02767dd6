"""The inside of a location block."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from labctl.embedded.ingress.annotations.values import Cors, ExternalAuth, ProxySSL
from labctl.embedded.ingress.log import quote
from labctl.embedded.ingress.model import DEFAULT_BACKEND, Configuration, Location, LocationInfo, Server
from labctl.embedded.ingress.settings import Settings

_SIZE = re.compile(r"\d+[kKmM]?")
_OFFSET = re.compile(r"\d+[kKmMgG]?")


def location_lines(location: Location, server: Server, configuration: Configuration) -> Iterator[str]:
    """Directives of one location, in the controller's order."""
    settings, annotations = configuration.settings, location.annotations
    yield from _identity(location)
    if annotations.mirror.source:
        yield f"mirror {annotations.mirror.source};"
        yield f"mirror_request_body {annotations.mirror.request_body};"
    yield from ("rewrite_by_lua_block {", "\tbalancer.rewrite()", "}", "log_by_lua_block {", "\tbalancer.log()", "}")
    if not annotations.access_log:
        yield "access_log off;"
    if annotations.rewrite_log:
        yield "rewrite_log on;"
    yield f"port_in_redirect {_on(annotations.use_port_in_redirects)};"
    yield from _variables(location)
    if annotations.denied:
        yield f"# Location denied. Reason: {quote(annotations.denied)}"
        yield "return 503;"
    else:
        yield from _access(location, settings)
        yield from _limits(location)
        yield from _sizes(location)
        yield from _request_headers(location, server, configuration)
        yield from _proxy(location, settings)
        yield from annotations.configuration_snippet.splitlines()
        yield from settings.location_snippet.splitlines()
        yield from _response(location)
        yield from _pass(location)
    yield from _tls(annotations.proxy_ssl)


def _identity(location: Location) -> Iterator[str]:
    info = location.info or LocationInfo()
    for name, value in (
        ("namespace", info.namespace),
        ("ingress_name", info.ingress),
        ("service_name", info.service),
        ("service_port", info.port),
        ("location_path", info.path.replace("$", "${literal_dollar}")),
    ):
        yield f"set ${name} {quote(value)};"


def _variables(location: Location) -> Iterator[str]:
    yield "set $balancer_ewma_score -1;"
    yield f"set $proxy_upstream_name {quote(location.backend)};"
    yield "set $proxy_host $proxy_upstream_name;"
    yield "set $pass_access_scheme $scheme;"
    yield "set $pass_server_port $server_port;"
    yield "set $best_http_host $http_host;"
    yield "set $pass_port $pass_server_port;"
    yield 'set $proxy_alternative_upstream_name "";'


def _access(location: Location, settings: Settings) -> Iterator[str]:
    annotations = location.annotations
    for address in annotations.denylist:
        yield f"deny {address};"
    for address in annotations.allowlist:
        yield f"allow {address};"
    if annotations.allowlist:
        yield "deny all;"
    if annotations.cors.enabled:
        yield from _cors(annotations.cors)
    auth = _external_auth(location, settings)
    if auth.url:
        yield f"auth_request {_auth_path(location)};"
        yield "auth_request_set $auth_cookie $upstream_http_set_cookie;"
        yield f"add_header Set-Cookie $auth_cookie{' always' if auth.always_set_cookie else ''};"
        for number, name in enumerate(auth.response_headers):
            yield f"auth_request_set $authHeader{number} $upstream_http_{name.lower().replace('-', '_')};"
            yield f"proxy_set_header '{name}' $authHeader{number};"
    if annotations.basic_auth.secured:
        yield f"auth_basic {quote(annotations.basic_auth.realm)};"
        yield f"auth_basic_user_file /etc/ingress-controller/auth/{annotations.basic_auth.secret.replace('/', '-')};"
        yield 'proxy_set_header Authorization "";'


def _external_auth(location: Location, settings: Settings) -> ExternalAuth:
    own = location.annotations.external_auth
    return own if own.url or not location.annotations.enable_global_auth else settings.global_auth


def _auth_path(location: Location) -> str:
    encoded = base64.urlsafe_b64encode(location.path.encode()).decode().rstrip("=")
    return f"/_external-auth-{encoded}-{location.path_type}"


def _cors(cors: Cors) -> Iterator[str]:
    if cors.allow_origin == ("*",):
        yield "set $http_origin *;"
        yield "set $cors 'true';"
    else:
        origins = "|".join(_origin(origin.strip()) for origin in cors.allow_origin if origin.strip())
        yield f"if ($http_origin ~* ({origins})$ ) {{ set $cors 'true'; }}"
    yield "if ($request_method = 'OPTIONS') {"
    yield "\tset $cors ${cors}options;"
    yield "}"
    headers = [
        ("Access-Control-Allow-Origin", "$http_origin"),
        *([("Access-Control-Allow-Credentials", "true")] if cors.allow_credentials else []),
        ("Access-Control-Allow-Methods", cors.allow_methods),
        ("Access-Control-Allow-Headers", cors.allow_headers),
        *([("Access-Control-Expose-Headers", cors.expose_headers)] if cors.expose_headers else []),
        ("Access-Control-Max-Age", str(cors.max_age)),
    ]
    for value, tail in (
        ("true", []),
        ("trueoptions", [("Content-Type", "text/plain charset=UTF-8"), ("Content-Length", "0")]),
    ):
        yield f'if ($cors = "{value}") {{'
        for name, text in (*headers, *tail):
            yield f"\tmore_set_headers '{name}: {text}';"
        if tail:
            yield "\treturn 204;"
        yield "}"


def _origin(origin: str) -> str:
    pattern = re.sub(r"([.+?])", r"\\\1", origin)
    return "(" + pattern.replace("*", r"[A-Za-z0-9\-]+") + ")"


def _limits(location: Location) -> Iterator[str]:
    limit = location.annotations.rate_limit
    if limit.connections > 0:
        yield f"limit_conn {limit.zone}_conn {limit.connections};"
    for kind, rate in (("rps", limit.rps), ("rpm", limit.rpm)):
        if rate > 0:
            yield f"limit_req zone={limit.zone}_{kind} burst={rate * limit.burst_multiplier} nodelay;"
    if limit.rate_after > 0:
        yield f"limit_rate_after {limit.rate_after}k;"
    if limit.rate > 0:
        yield f"limit_rate {limit.rate}k;"


def _sizes(location: Location) -> Iterator[str]:
    body, buffer = location.annotations.proxy.body_size.strip(), location.annotations.client_body_buffer_size.strip()
    if _OFFSET.fullmatch(body):
        yield f"client_max_body_size {body};"
    if _SIZE.fullmatch(buffer):
        yield f"client_body_buffer_size {buffer};"


def _request_headers(location: Location, server: Server, configuration: Configuration) -> Iterator[str]:
    annotations, settings = location.annotations, configuration.settings
    host = quote(annotations.upstream_vhost) if annotations.upstream_vhost else "$best_http_host"
    full = settings.use_forwarded_headers and settings.compute_full_forwarded_for
    auth = server.certificate_auth
    certificate = [
        *([("ssl-client-cert", "$ssl_client_escaped_cert")] if auth.pass_certificate else []),
        ("ssl-client-verify", "$ssl_client_verify"),
        ("ssl-client-subject-dn", "$ssl_client_s_dn"),
        ("ssl-client-issuer-dn", "$ssl_client_i_dn"),
    ]
    original = settings.forwarded_for_header.lower().replace("-", "_")
    headers = [
        ("Host", host),
        *(certificate if auth.certificate.ca else []),
        ("Upgrade", "$http_upgrade"),
        ("Connection", annotations.connection or "$connection_upgrade"),
        ("X-Request-ID", "$req_id"),
        ("X-Real-IP", "$remote_addr"),
        ("X-Forwarded-For", "$full_x_forwarded_for" if full else "$remote_addr"),
        ("X-Forwarded-Host", "$best_http_host"),
        ("X-Forwarded-Port", "$pass_port"),
        ("X-Forwarded-Proto", "$pass_access_scheme"),
        ("X-Forwarded-Scheme", "$pass_access_scheme"),
        *([("X-Original-URI", "$request_uri")] if settings.proxy_add_original_uri_header else []),
        ("X-Scheme", "$pass_access_scheme"),
        ("X-Original-Forwarded-For", f"$http_{original}"),
        ("Proxy", '""'),
        *((name, quote(value)) for name, value in configuration.proxy_set_headers),
    ]
    for name, value in headers:
        yield f"proxy_set_header {name} {value};"


def _proxy(location: Location, settings: Settings) -> Iterator[str]:
    proxy = location.annotations.proxy
    yield f"proxy_connect_timeout {proxy.connect_timeout}s;"
    yield f"proxy_send_timeout {proxy.send_timeout}s;"
    yield f"proxy_read_timeout {proxy.read_timeout}s;"
    yield f"proxy_buffering {proxy.buffering};"
    yield f"proxy_buffer_size {proxy.buffer_size};"
    yield f"proxy_buffers {proxy.buffers_number} {proxy.buffer_size};"
    if _OFFSET.fullmatch(proxy.max_temp_file_size.strip()):
        yield f"proxy_max_temp_file_size {proxy.max_temp_file_size};"
    yield f"proxy_request_buffering {proxy.request_buffering};"
    yield f"proxy_http_version {proxy.http_version};"
    yield f"proxy_cookie_domain {proxy.cookie_domain};"
    yield f"proxy_cookie_path {proxy.cookie_path};"
    retry = " non_idempotent" if settings.retry_non_idempotent else ""
    yield f"proxy_next_upstream {proxy.next_upstream}{retry};"
    yield f"proxy_next_upstream_timeout {proxy.next_upstream_timeout};"
    yield f"proxy_next_upstream_tries {proxy.next_upstream_tries};"


def _response(location: Location) -> Iterator[str]:
    annotations = location.annotations
    for name, value in annotations.custom_headers:
        header = f"{name}: {value}".replace("$", "${literal_dollar}")
        yield f"more_set_headers {quote(header)};"
    if annotations.satisfy:
        yield f"satisfy {annotations.satisfy};"
    if annotations.custom_http_errors and not annotations.disable_proxy_intercept_errors:
        yield "proxy_intercept_errors on;"
    for code in annotations.custom_http_errors:
        yield f"error_page {code} = @custom_{location.error_backend or DEFAULT_BACKEND}_{code};"


def _pass(location: Location) -> Iterator[str]:
    annotations = location.annotations
    if annotations.redirect.url:
        yield f"return {annotations.redirect.code} {annotations.redirect.url};"
    target = annotations.rewrite.target
    if target not in {"", location.path}:
        yield f'rewrite "(?i){location.path}" {target} break;'
        if annotations.x_forwarded_prefix:
            yield f"proxy_set_header X-Forwarded-Prefix {quote(annotations.x_forwarded_prefix)};"
    schemes = {"AUTO_HTTP": "$scheme://", "HTTPS": "https://", "GRPC": "grpc://", "GRPCS": "grpcs://", "FCGI": ""}
    protocol = annotations.backend_protocol.upper() if location.backend != DEFAULT_BACKEND else "HTTP"
    name = {"GRPC": "grpc_pass", "GRPCS": "grpc_pass", "FCGI": "fastcgi_pass"}.get(protocol, "proxy_pass")
    yield f"{name} {schemes.get(protocol, 'http://')}upstream_balancer;"
    old, new = annotations.proxy.redirect_from, annotations.proxy.redirect_to
    if old in {"default", "off"}:
        yield f"proxy_redirect {old};"
    elif new != "off":
        yield f"proxy_redirect {old} {new};"


def _tls(proxy_ssl: ProxySSL) -> Iterator[str]:
    if not proxy_ssl.certificate.ca:
        return
    yield (
        "proxy_ssl_trusted_certificate"
        f" /etc/ingress-controller/ssl/ca-{proxy_ssl.certificate.secret.replace('/', '-')}.pem;"
    )
    yield f"proxy_ssl_ciphers {proxy_ssl.ciphers};"
    yield f"proxy_ssl_protocols {proxy_ssl.protocols};"
    yield f"proxy_ssl_verify {proxy_ssl.verify};"
    yield f"proxy_ssl_verify_depth {proxy_ssl.verify_depth};"
    if proxy_ssl.name:
        yield f"proxy_ssl_name {proxy_ssl.name};"
    if proxy_ssl.server_name:
        yield f"proxy_ssl_server_name {proxy_ssl.server_name};"


def _on(value: bool) -> str:
    return "on" if value else "off"
