"""What the annotations of one Ingress say, as frozen values.

Field names follow ingress-nginx; a default is what a location without any annotation has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AuthCertificate:
    """A Secret with a CA certificate (`ca.crt`), for verifying peers, and perhaps a key pair of our own.

    Attributes:
        secret: `namespace/name`.
        ca: PEM of the trusted certificates; empty disables verification.
        crl: PEM of a revocation list.
        key_pair: PEM of certificate and key; empty without one.
    """

    secret: str = ""
    ca: str = ""
    crl: str = ""
    key_pair: str = ""


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """`auth-type`, `auth-secret`, `auth-realm`: user names and their crypt(3) hashes."""

    secured: bool = False
    type: str = ""
    realm: str = ""
    secret: str = ""
    users: str = ""


@dataclass(frozen=True, slots=True)
class Canary:
    """`canary*`."""

    enabled: bool = False
    weight: int = 0
    weight_total: int = 100
    header: str = ""
    header_value: str = ""
    header_pattern: str = ""
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class ClientCertificateAuth:
    """`auth-tls-*`; `error` holds why the configured one cannot work: every request then gets 403."""

    certificate: AuthCertificate = AuthCertificate()
    verify_client: str = ""
    depth: int = 0
    error_page: str = ""
    pass_certificate: bool = False
    match_cn: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Cors:
    """`enable-cors` and `cors-*`."""

    enabled: bool = False
    allow_origin: tuple[str, ...] = ()
    allow_methods: str = ""
    allow_headers: str = ""
    allow_credentials: bool = False
    expose_headers: str = ""
    max_age: int = 0


@dataclass(frozen=True, slots=True)
class ExternalAuth:
    """`auth-url` and the other `auth-*` of an authentication subrequest."""

    url: str = ""
    host: str = ""
    method: str = ""
    signin_url: str = ""
    signin_redirect_param: str = ""
    response_headers: tuple[str, ...] = ()
    request_redirect: str = ""
    snippet: str = ""
    cache_key: str = ""
    cache_durations: tuple[str, ...] = ()
    keepalive_connections: int = 0
    proxy_set_headers: Mapping[str, str] = field(default_factory=dict)
    always_set_cookie: bool = False


@dataclass(frozen=True, slots=True)
class Proxy:
    """`proxy-*`: how a location talks to its upstream. Timeouts in seconds, sizes as nginx writes them."""

    body_size: str = "1m"
    connect_timeout: int = 5
    send_timeout: int = 60
    read_timeout: int = 60
    buffers_number: int = 4
    buffer_size: str = "4k"
    cookie_domain: str = "off"
    cookie_path: str = "off"
    next_upstream: str = "error timeout"
    next_upstream_timeout: int = 0
    next_upstream_tries: int = 3
    redirect_from: str = "off"
    redirect_to: str = "off"
    request_buffering: str = "on"
    buffering: str = "off"
    http_version: str = "1.1"
    max_temp_file_size: str = "1024m"


@dataclass(frozen=True, slots=True)
class ProxySSL:
    """`proxy-ssl-*`: TLS towards the upstream."""

    certificate: AuthCertificate = AuthCertificate()
    ciphers: str = ""
    protocols: str = ""
    name: str = ""
    verify: str = ""
    verify_depth: int = 0
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`limit-*`. `zone` names the shared memory, one per Ingress; limits of 0 are off; rates in KiB/s."""

    zone: str = ""
    connections: int = 0
    rps: int = 0
    rpm: int = 0
    burst_multiplier: int = 5
    rate: int = 0
    rate_after: int = 0
    allowlist: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """`permanent-redirect`, `temporal-redirect`, `from-to-www-redirect`."""

    url: str = ""
    code: int = 0
    from_to_www: bool = False


@dataclass(frozen=True, slots=True)
class Rewrite:
    """`rewrite-target`, `use-regex`, `app-root` and the redirects to https."""

    target: str = ""
    ssl_redirect: bool = False
    force_ssl_redirect: bool = False
    preserve_trailing_slash: bool = False
    app_root: str = ""
    use_regex: bool = False


@dataclass(frozen=True, slots=True)
class AffinityCookie:
    """`session-cookie-*`."""

    name: str = "INGRESSCOOKIE"
    expires: str = ""
    max_age: str = ""
    path: str = ""
    domain: str = ""
    samesite: str = ""
    secure: bool = False
    conditional_samesite_none: bool = False
    change_on_failure: bool = False


@dataclass(frozen=True, slots=True)
class SessionAffinity:
    """`affinity`, `affinity-mode`, `affinity-canary-behavior`."""

    type: str = ""
    mode: str = ""
    canary_behavior: str = ""
    cookie: AffinityCookie = AffinityCookie()


@dataclass(frozen=True, slots=True)
class HashBy:
    """`upstream-hash-by*`."""

    by: str = ""
    subset: bool = False
    subset_size: int = 3


@dataclass(frozen=True, slots=True)
class Mirror:
    """`mirror-*`."""

    source: str = ""
    request_body: str = "on"
    target: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class IngressAnnotations:
    """Everything the annotations of one Ingress say.

    Attributes:
        denied: Why locations of this Ingress answer 503; empty when they do not.
        default_backend: `namespace/name` of the Service of the `default-backend` annotation.
        custom_headers: Response headers from the ConfigMap named by `custom-headers`.
        connection: Value of `connection-proxy-header`, empty without one.
    """

    aliases: tuple[str, ...] = ()
    backend_protocol: str = ""
    basic_auth: BasicAuth = BasicAuth()
    canary: Canary = Canary()
    certificate_auth: ClientCertificateAuth = ClientCertificateAuth()
    client_body_buffer_size: str = ""
    configuration_snippet: str = ""
    connection: str = ""
    cors: Cors = Cors()
    custom_headers: tuple[tuple[str, str], ...] = ()
    custom_http_errors: tuple[int, ...] = ()
    default_backend: str = ""
    denied: str = ""
    denylist: tuple[str, ...] = ()
    allowlist: tuple[str, ...] = ()
    disable_proxy_intercept_errors: bool = False
    enable_global_auth: bool = False
    external_auth: ExternalAuth = ExternalAuth()
    hash_by: HashBy = HashBy()
    load_balance: str = ""
    access_log: bool = False
    rewrite_log: bool = False
    mirror: Mirror = Mirror()
    proxy: Proxy = Proxy()
    proxy_ssl: ProxySSL = ProxySSL()
    rate_limit: RateLimit = RateLimit()
    redirect: Redirect = Redirect()
    rewrite: Rewrite = Rewrite()
    satisfy: str = ""
    server_snippet: str = ""
    service_upstream: bool = False
    session_affinity: SessionAffinity = SessionAffinity()
    ssl_ciphers: str = ""
    ssl_prefer_server_ciphers: str = ""
    ssl_passthrough: bool = False
    stream_snippet: str = ""
    upstream_vhost: str = ""
    use_port_in_redirects: bool = False
    x_forwarded_prefix: str = ""
