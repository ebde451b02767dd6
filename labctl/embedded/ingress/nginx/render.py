"""The configuration as the text that nginx would be given: for people who look into the pod, and for the checker.

Structure, order and directives are those of ingress-nginx 1.11.2; what only its Lua code needs is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.ingress.annotations.values import ProxySSL
from labctl.embedded.ingress.log import quote
from labctl.embedded.ingress.model import DEFAULT_BACKEND, DEFAULT_SERVER, Configuration, Location, Server
from labctl.embedded.ingress.nginx.locations import location_lines
from labctl.embedded.ingress.settings import Settings

INDENT = "\t"


def render(configuration: Configuration) -> str:
    """The whole nginx.conf."""
    lines = [*_head(configuration), ""]
    for server in configuration.servers.values():
        lines += [*server_lines(server, configuration), ""]
    lines += [*_tail(configuration.settings), ""]
    return "\n".join(lines)


def head_line_count(configuration: Configuration) -> int:
    """Lines before the first server."""
    return len(_head(configuration)) + 1


def _head(configuration: Configuration) -> list[str]:
    settings = configuration.settings
    lines = [
        f"# Configuration checksum: {settings.checksum}",
        "",
        "# setup custom paths that do not require root access",
        "pid /tmp/nginx/nginx.pid;",
        "",
        "daemon off;",
        "",
        f"worker_processes {settings.workers};",
        *settings.main_snippet.splitlines(),
        "",
        "events {",
        f"{INDENT}multi_accept on;",
        f"{INDENT}worker_connections 16384;",
        f"{INDENT}use epoll;",
        "}",
        "",
        "http {",
    ]
    return [*lines, *(INDENT + line if line else "" for line in _http(settings))]


def _http(settings: Settings) -> list[str]:
    return [
        "aio threads;",
        "tcp_nopush on;",
        "tcp_nodelay on;",
        "log_subrequest on;",
        "reset_timedout_connection on;",
        "",
        f"keepalive_timeout {settings.keep_alive}s;",
        f"keepalive_requests {settings.keep_alive_requests};",
        "",
        f"client_header_buffer_size {settings.client_header_buffer_size};",
        f"client_header_timeout {settings.client_header_timeout}s;",
        f"large_client_header_buffers {settings.large_client_header_buffers};",
        f"client_body_buffer_size {settings.client_body_buffer_size};",
        f"client_body_timeout {settings.client_body_timeout}s;",
        "",
        f"underscores_in_headers {_on(settings.enable_underscores_in_headers)};",
        f"ignore_invalid_headers {_on(settings.ignore_invalid_headers)};",
        f"limit_req_status {settings.limit_req_status_code};",
        f"limit_conn_status {settings.limit_conn_status_code};",
        "",
        *_gzip(settings),
        f"server_tokens {_on(settings.server_tokens)};",
        "",
        f"log_format upstreaminfo '{settings.log_format_upstream}';",
        "access_log /var/log/nginx/access.log upstreaminfo;",
        "error_log /var/log/nginx/error.log notice;",
        "",
        f"ssl_protocols {settings.ssl_protocols};",
        f"ssl_ciphers '{settings.ssl_ciphers}';",
        "",
        *(f"proxy_hide_header {name};" for name in settings.hide_headers),
        *(["proxy_intercept_errors on;"] if settings.custom_http_errors else []),
        *(f"error_page {code} = @custom_{DEFAULT_BACKEND}_{code};" for code in settings.custom_http_errors),
        *settings.http_snippet.splitlines(),
        "",
        "upstream upstream_balancer {",
        f"{INDENT}server 0.0.0.1; # placeholder",
        f"{INDENT}balancer_by_lua_block {{",
        f"{INDENT}{INDENT}balancer.balance()",
        f"{INDENT}}}",
        f"{INDENT}keepalive {settings.upstream_keepalive_connections};",
        f"{INDENT}keepalive_timeout {settings.upstream_keepalive_timeout}s;",
        f"{INDENT}keepalive_requests {settings.upstream_keepalive_requests};",
        "}",
    ]


def _gzip(settings: Settings) -> list[str]:
    if not settings.use_gzip:
        return []
    return [
        "gzip on;",
        f"gzip_comp_level {settings.gzip_level};",
        f"gzip_min_length {settings.gzip_min_length};",
        f"gzip_types {settings.gzip_types};",
        "gzip_proxied any;",
        "gzip_vary on;",
    ]


def _tail(settings: Settings) -> list[str]:
    lines = [
        "# backend for when default-backend-service is not configured or it does not have endpoints",
        "server {",
        f"{INDENT}listen 8181 default_server backlog=4096;",
        f'{INDENT}set $proxy_upstream_name "internal";',
        f"{INDENT}access_log off;",
        f"{INDENT}location / {{",
        f"{INDENT}{INDENT}return 404;",
        f"{INDENT}}}",
        "}",
    ]
    return [*(INDENT + line for line in lines), "}", *settings.stream_snippet.splitlines()]


def server_lines(server: Server, configuration: Configuration) -> list[str]:
    """The block of one server, with comments around it."""
    settings, name = configuration.settings, server.hostname
    lines = [
        f"server_name {server_name(name)} {' '.join(server.aliases)};",
        *(["http2 on;"] if settings.use_http2 else []),
        *_listen(name),
        'set $proxy_upstream_name "-";',
        *(
            [
                f"if ( $ssl_client_s_dn !~ {server.certificate_auth.match_cn} ) {{",
                f'{INDENT}return 403 "client certificate unauthorized";',
                "}",
            ]
            if server.certificate_auth.match_cn
            else []
        ),
        "ssl_certificate_by_lua_block {",
        f"{INDENT}certificate.call()",
        "}",
    ]
    if server.auth_tls_error:
        lines += [f"# {server.auth_tls_error}", "return 403;"]
    else:
        lines += _server_body(server, configuration)
    lines += settings.server_snippet.splitlines()
    for code in settings.custom_http_errors:
        lines += _error_location(DEFAULT_BACKEND, code)
    inner = (INDENT * 2 + line if line else "" for line in lines)
    return [
        f"{INDENT}## start server {name}",
        f"{INDENT}server {{",
        *inner,
        f"{INDENT}}}",
        f"{INDENT}## end server {name}",
    ]


def server_name(hostname: str) -> str:
    """`server_name` of a host: wildcards are regular expressions for one label."""
    if not hostname.startswith("*"):
        return hostname
    labels = hostname.replace("*.", "", 1).split(".")
    return r"~^(?<subdomain>[\w-]+)\." + r"\.".join(labels) + "$"


def _listen(name: str) -> list[str]:
    suffix = " default_server reuseport backlog=4096" if name == DEFAULT_SERVER else ""
    return [f"listen 80{suffix};", f"listen 443{suffix} ssl;"]


def _server_body(server: Server, configuration: Configuration) -> Iterator[str]:
    auth = server.certificate_auth
    if auth.certificate.ca:
        yield f"ssl_client_certificate /etc/ingress-controller/ssl/ca-{auth.certificate.secret.replace('/', '-')}.pem;"
        yield f"ssl_verify_client {auth.verify_client};"
        yield f"ssl_verify_depth {auth.depth};"
        if auth.error_page:
            yield f"error_page 495 496 = {auth.error_page};"
    yield from proxy_ssl_lines(server.proxy_ssl)
    if server.ssl_ciphers:
        yield f"ssl_ciphers {server.ssl_ciphers};"
    if server.ssl_prefer_server_ciphers:
        yield f"ssl_prefer_server_ciphers {server.ssl_prefer_server_ciphers};"
    yield from server.server_snippet.splitlines()
    yield from _error_locations(server)
    yield from _mirrors(server)
    regex = any(_is_regex(location) for location in server.locations)
    for location in server.locations:
        if location.annotations.rewrite.app_root:
            yield "if ($uri = /) {"
            yield f"{INDENT}return 302 $scheme://$http_host{location.annotations.rewrite.app_root};"
            yield "}"
        yield f"location {location_match(location, regex=regex)} {{"
        for line in location_lines(location, server, configuration):
            yield INDENT + line
        yield "}"
    if server.hostname == DEFAULT_SERVER:
        yield from ("location /healthz {", f"{INDENT}access_log off;", f"{INDENT}return 200;", "}")


def location_match(location: Location, *, regex: bool) -> str:
    """What stands after `location`."""
    if regex:
        return f'~* "^{location.path}"'
    return f"= {location.path}" if location.path_type == "Exact" else location.path


def _is_regex(location: Location) -> bool:
    rewrite = location.annotations.rewrite
    return rewrite.use_regex or rewrite.target not in {"", location.path}


def proxy_ssl_lines(proxy_ssl: ProxySSL) -> Iterator[str]:
    """TLS towards pods."""
    if not proxy_ssl.certificate.ca:
        return
    name = proxy_ssl.certificate.secret.replace("/", "-")
    yield f"proxy_ssl_trusted_certificate /etc/ingress-controller/ssl/ca-{name}.pem;"
    yield f"proxy_ssl_ciphers {proxy_ssl.ciphers};"
    yield f"proxy_ssl_protocols {proxy_ssl.protocols};"
    yield f"proxy_ssl_verify {proxy_ssl.verify};"
    yield f"proxy_ssl_verify_depth {proxy_ssl.verify_depth};"


def _error_locations(server: Server) -> Iterator[str]:
    """Named locations of `custom-http-errors`."""
    found = {
        (location.error_backend or DEFAULT_BACKEND, code)
        for location in server.locations
        for code in location.annotations.custom_http_errors
    }
    for backend, code in sorted(found):
        yield from _error_location(backend, code)


def _error_location(backend: str, code: int) -> Iterator[str]:
    yield f"location @custom_{backend}_{code} {{"
    yield f"{INDENT}internal;"
    yield f"{INDENT}proxy_intercept_errors off;"
    headers = (
        ("X-Code", str(code)),
        ("X-Format", "$http_accept"),
        ("X-Original-URI", "$request_uri"),
        ("X-Namespace", "$namespace"),
        ("X-Ingress-Name", "$ingress_name"),
        ("X-Service-Name", "$service_name"),
        ("X-Service-Port", "$service_port"),
        ("X-Request-ID", "$req_id"),
        ("X-Forwarded-For", "$remote_addr"),
        ("Host", "$best_http_host"),
    )
    for name, value in headers:
        yield f"{INDENT}proxy_set_header {name} {value};"
    yield f"{INDENT}set $proxy_upstream_name {quote(backend)};"
    yield f"{INDENT}rewrite (.*) / break;"
    yield f"{INDENT}proxy_pass http://upstream_balancer;"
    yield "}"


def _mirrors(server: Server) -> Iterator[str]:
    seen: set[str] = set()
    for mirror in (location.annotations.mirror for location in server.locations):
        if mirror.source and mirror.target and mirror.host and mirror.source not in seen:
            seen.add(mirror.source)
            yield f"location = {mirror.source} {{"
            yield f"{INDENT}internal;"
            yield f'{INDENT}proxy_set_header Host "{mirror.host}";'
            yield f'{INDENT}proxy_pass "{mirror.target}";'
            yield "}"


def _on(value: bool) -> str:
    return "on" if value else "off"
