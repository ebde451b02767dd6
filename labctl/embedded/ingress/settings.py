"""The controller's ConfigMap, read as ingress-nginx 1.11.2 reads it.

A value that cannot be read leaves the default in place, as there; what the embedded controller does not implement is
kept as a warning instead of being silently ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from labctl.embedded.ingress.annotations.validators import HEADER_NAME, METHODS
from labctl.embedded.ingress.annotations.values import ExternalAuth
from labctl.embedded.ingress.goscalars import absolute_url, parse_bool

_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
)
_GZIP_TYPES = (
    "application/atom+xml application/javascript application/x-javascript application/json application/rss+xml "
    "application/vnd.ms-fontobject application/x-font-ttf application/x-web-app-manifest+json application/xhtml+xml "
    "application/xml font/opentype image/svg+xml image/x-icon text/css text/javascript text/plain text/x-component"
)
_LOG_FORMAT = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    "$request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr "
    "$upstream_response_length $upstream_response_time $upstream_status $req_id"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Global configuration; a field is the ConfigMap key with underscores, its default is ingress-nginx's.

    Attributes:
        checksum: Changes whenever any value does.
        warnings: Keys that have no effect here, and values that could not be read.
    """

    allow_snippet_annotations: bool = False
    allow_cross_namespace_resources: bool = True
    annotations_risk_level: str = "Critical"
    annotation_value_word_blocklist: str = ""
    add_headers: str = ""
    allow_backend_server_header: bool = False
    block_cidrs: tuple[str, ...] = ()
    block_user_agents: tuple[str, ...] = ()
    block_referers: tuple[str, ...] = ()
    client_header_buffer_size: str = "1k"
    client_header_timeout: int = 60
    client_body_buffer_size: str = "8k"
    client_body_timeout: int = 60
    compute_full_forwarded_for: bool = False
    custom_http_errors: tuple[int, ...] = ()
    default_type: str = "text/html"
    denylist_source_range: tuple[str, ...] = ()
    disable_access_log: bool = False
    disable_http_access_log: bool = False
    disable_proxy_intercept_errors: bool = False
    enable_access_log_for_default_backend: bool = False
    enable_real_ip: bool = False
    enable_underscores_in_headers: bool = False
    force_ssl_redirect: bool = False
    forwarded_for_header: str = "X-Forwarded-For"
    generate_request_id: bool = True
    global_allowed_response_headers: tuple[str, ...] = ()
    global_auth: ExternalAuth = ExternalAuth()
    gzip_disable: str = ""
    gzip_level: int = 1
    gzip_min_length: int = 256
    gzip_types: str = _GZIP_TYPES
    hide_headers: tuple[str, ...] = ()
    hsts: bool = True
    hsts_include_subdomains: bool = True
    hsts_max_age: str = "31536000"
    hsts_preload: bool = False
    http_redirect_code: int = 308
    http_snippet: str = ""
    http2_max_concurrent_streams: int = 128
    ignore_invalid_headers: bool = True
    keep_alive: int = 75
    keep_alive_requests: int = 1000
    large_client_header_buffers: str = "4 8k"
    limit_conn_status_code: int = 503
    limit_conn_zone_variable: str = "$binary_remote_addr"
    limit_rate: int = 0
    limit_rate_after: int = 0
    limit_req_status_code: int = 503
    load_balance: str = ""
    location_snippet: str = ""
    log_format_upstream: str = _LOG_FORMAT
    main_snippet: str = ""
    nginx_status_ipv4_whitelist: tuple[str, ...] = ("127.0.0.1",)
    no_auth_locations: str = "/.well-known/acme-challenge"
    no_tls_redirect_locations: str = "/.well-known/acme-challenge"
    preserve_trailing_slash: bool = False
    proxy_add_original_uri_header: bool = False
    proxy_body_size: str = "1m"
    proxy_buffer_size: str = "4k"
    proxy_buffering: str = "off"
    proxy_buffers_number: int = 4
    proxy_connect_timeout: int = 5
    proxy_cookie_domain: str = "off"
    proxy_cookie_path: str = "off"
    proxy_http_version: str = "1.1"
    proxy_max_temp_file_size: str = "1024m"
    proxy_next_upstream: str = "error timeout"
    proxy_next_upstream_timeout: int = 0
    proxy_next_upstream_tries: int = 3
    proxy_read_timeout: int = 60
    proxy_real_ip_cidr: tuple[str, ...] = ("0.0.0.0/0",)
    proxy_redirect_from: str = "off"
    proxy_redirect_to: str = "off"
    proxy_request_buffering: str = "on"
    proxy_send_timeout: int = 60
    proxy_set_headers: str = ""
    proxy_ssl_location_only: bool = False
    retry_non_idempotent: bool = False
    server_snippet: str = ""
    server_tokens: bool = False
    service_upstream: bool = False
    skip_access_log_urls: tuple[str, ...] = ()
    ssl_ciphers: str = _CIPHERS
    ssl_ecdh_curve: str = "auto"
    ssl_protocols: str = "TLSv1.2 TLSv1.3"
    ssl_redirect: bool = True
    ssl_reject_handshake: bool = False
    stream_snippet: str = ""
    strict_validate_path_type: bool = False
    upstream_keepalive_connections: int = 320
    upstream_keepalive_requests: int = 10000
    upstream_keepalive_timeout: int = 60
    use_forwarded_headers: bool = False
    use_gzip: bool = False
    use_http2: bool = True
    use_port_in_redirects: bool = False
    use_proxy_protocol: bool = False
    whitelist_source_range: tuple[str, ...] = ()
    worker_processes: str = ""
    checksum: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        """Number of nginx workers; a value that is no number counts as one."""
        return max(1, int(self.worker_processes)) if self.worker_processes.isdigit() else 1


_WORDS = """
    access-log-params access-log-path bind-address brotli-level brotli-min-length brotli-types debug-connections
    disable-ipv6 disable-ipv6-dns disable-stream-access-log enable-aio-write enable-auth-access-log enable-brotli
    enable-modsecurity enable-multi-accept enable-ocsp enable-opentelemetry enable-owasp-modsecurity-crs
    enable-serial-reloads enable-syslog error-log-level error-log-path geoip2-autoreload-in-minutes
    global-rate-limit-memcached-connect-timeout global-rate-limit-memcached-host
    global-rate-limit-memcached-max-idle-timeout global-rate-limit-memcached-pool-size
    global-rate-limit-memcached-port global-rate-limit-status-code grpc-buffer-size-kb http-access-log-path
    http2-max-field-size http2-max-header-size http2-max-requests log-format-escape-json log-format-escape-none
    log-format-stream lua-shared-dicts map-hash-bucket-size max-worker-connections max-worker-open-files
    modsecurity-snippet nginx-status-ipv6-whitelist opentelemetry-config opentelemetry-operation-name
    opentelemetry-trust-incoming-span otel-max-export-batch-size otel-max-queuesize otel-sampler
    otel-sampler-parent-based otel-sampler-ratio otel-schedule-delay-millis otel-service-name otlp-collector-host
    otlp-collector-port plugins proxy-headers-hash-bucket-size proxy-headers-hash-max-size
    proxy-protocol-header-timeout proxy-stream-next-upstream proxy-stream-next-upstream-timeout
    proxy-stream-next-upstream-tries proxy-stream-responses proxy-stream-timeout reuse-port
    server-name-hash-bucket-size server-name-hash-max-size ssl-buffer-size ssl-dh-param ssl-early-data
    ssl-session-cache ssl-session-cache-size ssl-session-ticket-key ssl-session-tickets ssl-session-timeout
    stream-access-log-path syslog-host syslog-port upstream-keepalive-time use-geoip2 variables-hash-bucket-size
    variables-hash-max-size worker-cpu-affinity worker-shutdown-timeout
"""
_WITHOUT_EFFECT = frozenset(_WORDS.split())
_TYPES = get_type_hints(Settings)
_OWN_RULES = frozenset({"custom_http_errors", "global_auth", "checksum", "warnings", "worker_processes"})


def split_list(text: str) -> tuple[str, ...]:
    """A comma-separated value: empty pieces left out, spaces trimmed."""
    return tuple(piece.strip() for piece in text.split(",") if piece)


def read_settings(data: Mapping[str, str]) -> Settings:
    """Read the ConfigMap's data.

    Args:
        data: Key to value; unknown keys are ignored with a warning.
    """
    # `auto` is one worker a processor; this controller runs on one.
    values: dict[str, Any] = {"worker_processes": "1"}
    warnings: list[str] = []
    for key, text in data.items():
        name = key.replace("-", "_")
        if name in _TYPES and name not in _OWN_RULES:
            _read_plain(name, key, text, values, warnings)
        elif key in _WITHOUT_EFFECT:
            warnings.append(f"ConfigMap key {key} has no effect in the embedded controller")
        elif name not in _OWN_RULES and not key.startswith("global-auth-"):
            warnings.append(f"ConfigMap key {key} is unknown")
    _read_special(data, values, warnings)
    values["global_auth"] = _global_auth(data, warnings)
    digest = hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:20]
    return Settings(**values, checksum=str(int(digest, 16)), warnings=tuple(warnings))


def _read_plain(name: str, key: str, text: str, values: dict[str, Any], warnings: list[str]) -> None:
    kind = _TYPES[name]
    parsed: Any
    if kind is bool:
        parsed = parse_bool(text) if text else False
    elif kind is int:
        parsed = _weak_int(text)
    elif kind is str:
        parsed = text
    else:
        parsed = split_list(text)
    if parsed is None:
        warnings.append(f"ConfigMap key {key}: {text!r} is not a valid value, the default stays")
    else:
        values[name] = parsed


def _weak_int(text: str) -> int | None:
    try:
        return int(text, 0) if text else 0
    except ValueError:
        return None


def _read_special(data: Mapping[str, str], values: dict[str, Any], warnings: list[str]) -> None:
    codes: list[int] = []
    for item in split_list(data.get("custom-http-errors", "")):
        if item.isascii() and item.isdigit() and 299 < int(item) < 600:
            codes.append(int(item))
        else:
            warnings.append(f"ConfigMap key custom-http-errors: {item} is not valid for custom error pages")
    values["custom_http_errors"] = tuple(codes)
    if values.get("http_redirect_code", 308) not in {301, 302, 307, 308}:
        warnings.append("ConfigMap key http-redirect-code: only 301, 302, 307 and 308 redirect; the default stays")
        del values["http_redirect_code"]
    if data.get("worker-processes", "auto") != "auto":
        values["worker_processes"] = data["worker-processes"]
    allowed = values.get("global_allowed_response_headers", ())
    values["global_allowed_response_headers"] = tuple(name for name in allowed if HEADER_NAME.search(name))


def _global_auth(data: Mapping[str, str], warnings: list[str]) -> ExternalAuth:
    """`global-auth-*`: each value that is not valid is left out."""
    auth = ExternalAuth()
    if "global-auth-url" in data:
        url, error = absolute_url(data["global-auth-url"])
        if url is None:
            warnings.append(f"Global auth location denied - {error}.")
        else:
            auth = replace(auth, url=data["global-auth-url"], host=url.hostname or "")
    if METHODS.search(data.get("global-auth-method", "")):
        auth = replace(auth, method=data["global-auth-method"])
    signin, _ = absolute_url(data.get("global-auth-signin", ""))
    if signin is not None:
        auth = replace(auth, signin_url=data["global-auth-signin"])
        auth = replace(auth, signin_redirect_param=data.get("global-auth-signin-redirect-param", "").strip())
    headers = split_list(data.get("global-auth-response-headers", ""))
    return replace(
        auth,
        response_headers=tuple(header for header in headers if HEADER_NAME.search(header)),
        request_redirect=data.get("global-auth-request-redirect", ""),
        snippet=data.get("global-auth-snippet", ""),
        cache_key=data.get("global-auth-cache-key", ""),
        cache_durations=split_list(data.get("global-auth-cache-duration", "")) or ("200 202 401 5m",),
        always_set_cookie=parse_bool(data.get("global-auth-always-set-cookie", "")) or False,
    )


def setting_keys() -> tuple[list[str], list[str]]:
    """ConfigMap keys that have an effect, and those accepted without one; both sorted."""
    own = {field.name.replace("_", "-") for field in fields(Settings)} - {"global-auth", "checksum", "warnings"}
    return sorted(own), sorted(_WITHOUT_EFFECT)
