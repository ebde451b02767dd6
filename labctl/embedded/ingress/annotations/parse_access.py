"""Annotations on who may ask and what is limited, from text to values."""

from __future__ import annotations

import base64
import re

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.annotations.parse_routing import ConfigurationError
from labctl.embedded.ingress.annotations.reader import AnnotationError, DeniedError, Reader, RejectedError, Resolver
from labctl.embedded.ingress.annotations.validators import (
    AUTH_TYPE,
    CORS_EXPOSE,
    CORS_METHODS,
    CORS_ORIGIN,
    HEADER_NAME,
    HEADERS,
    ON_OFF,
    VERIFY_CLIENT,
)
from labctl.embedded.ingress.annotations.values import (
    BasicAuth,
    ClientCertificateAuth,
    Cors,
    ExternalAuth,
    ProxySSL,
    RateLimit,
)
from labctl.embedded.ingress.goscalars import absolute_url, parse_networks
from labctl.embedded.ingress.log import LogLine, quote

_CORS_METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
_CORS_HEADERS = (
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
)
_CORS_MAX_AGE = 1728000
_STATUS_CODE = re.compile(r"[0-9]{3}")
_CACHE_TIME = re.compile(r"[0-9]+(ms|s|m|h|d|w|M|y)")
_CROSS_NAMESPACE = "cross namespace secrets are not supported"


def _split_key(key: str) -> tuple[str, str]:
    """`namespace/name` or `name`, as client-go splits object keys."""
    parts = key.split("/")
    if len(parts) > 2:
        raise ValueError(f'unexpected key format: "{key}"')
    return (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])


def _full_key(key: str, reader: Reader, resolver: Resolver, what: str, refusal: str) -> str:
    """The key with its namespace, which by default is the Ingress's."""
    try:
        namespace, name = _split_key(key)
    except ValueError as error:
        raise DeniedError(f"error reading {what} from annotation: {error}") from error
    namespace = namespace or reader.namespace
    if not resolver.settings.allow_cross_namespace_resources and namespace != reader.namespace:
        raise DeniedError(refusal)
    return f"{namespace}/{name}"


def basic_auth(reader: Reader, resolver: Resolver) -> BasicAuth:
    """`auth-type` with its Secret: without a usable Secret nobody gets in."""
    kind = reader.text("auth-type")
    if not AUTH_TYPE.search(kind):
        raise DeniedError("location denied, reason: invalid authentication type")
    secret_type = reader.strict_text("auth-secret-type", "auth-file")
    try:
        name = reader.text("auth-secret")
    except AnnotationError as error:
        raise DeniedError(f"error reading secret name from annotation: {error}") from error
    key = _full_key(name, reader, resolver, "secret name", "cross namespace usage of secrets is not allowed")
    secret = resolver.secret(key)
    if secret is None:
        raise DeniedError(f'unexpected error reading secret {key}: no object matching key "{key}" in local store')
    realm = reader.strict_text("auth-realm")
    return BasicAuth(True, kind, realm, key, _password_file(secret, secret_type))


def _password_file(secret: Obj, form: str) -> str:
    data: dict[str, str] = secret.get("data") or {}
    if form == "auth-map":
        return "".join(f"{user}:{_decoded(value)}\n" for user, value in data.items())
    if form != "auth-file":
        raise DeniedError("invalid auth-secret-type in annotation, must be 'auth-file' or 'auth-map': %!w(<nil>)")
    if "auth" not in data:
        raise DeniedError(f"the secret {secret['metadata']['name']} does not contain a key with value auth")
    return _decoded(data["auth"])


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode("utf-8", "surrogateescape")


def certificate_auth(reader: Reader, resolver: Resolver) -> ClientCertificateAuth:
    """`auth-tls-*`."""
    key = reader.text("auth-tls-secret")
    if not re.fullmatch(r"[^/]+/[^/]+", key):
        raise DeniedError(f"location denied, reason: invalid format (namespace/name) found in '{key}'")
    if not resolver.settings.allow_cross_namespace_resources and key.split("/")[0] != reader.namespace:
        raise DeniedError(f"location denied, reason: {_CROSS_NAMESPACE}")
    certificate = resolver.auth_certificate(key)
    if certificate is None:
        raise DeniedError(f"error obtaining certificate: local SSL certificate {key} was not found")
    verify = reader.text_or("auth-tls-verify-client", "on")
    return ClientCertificateAuth(
        certificate=certificate,
        verify_client=verify if VERIFY_CLIENT.search(verify) else "on",
        depth=reader.integer_or("auth-tls-verify-depth") or 1,
        error_page=reader.strict_text("auth-tls-error-page"),
        pass_certificate=reader.boolean_or("auth-tls-pass-certificate-to-upstream"),
        match_cn=reader.strict_text("auth-tls-match-cn"),
    )


def cors(reader: Reader, resolver: Resolver) -> Cors:
    """`enable-cors` and `cors-*`; an origin that is no URL is left out."""
    headers = reader.text_or("cors-allow-headers", _CORS_HEADERS)
    methods = reader.text_or("cors-allow-methods", _CORS_METHODS)
    expose = reader.text_or("cors-expose-headers")
    return Cors(
        enabled=reader.boolean_or("enable-cors"),
        allow_origin=_origins(reader),
        allow_methods=methods if CORS_METHODS.search(methods) else _CORS_METHODS,
        allow_headers=headers if HEADERS.search(headers) else _CORS_HEADERS,
        allow_credentials=reader.boolean_or("cors-allow-credentials", True),
        expose_headers=expose if CORS_EXPOSE.search(expose) else "",
        max_age=reader.integer_or("cors-max-age", _CORS_MAX_AGE),
    )


def _origins(reader: Reader) -> tuple[str, ...]:
    origins: list[str] = []
    for origin in (piece.strip() for piece in reader.text_or("cors-allow-origin", "*").split(",")):
        if origin == "*":
            return ("*",)
        if origin and CORS_ORIGIN.search(origin):
            origins.append(origin)
        elif origin:
            message = f"Error parsing cors-allow-origin parameters. Supplied incorrect origin: {origin}. Skipping."
            reader.log.append(LogLine("E", "main.go:214", message))
    return tuple(origins)


def enable_global_auth(reader: Reader, resolver: Resolver) -> bool:
    """`enable-global-auth`."""
    return reader.boolean_or("enable-global-auth", True)


def external_auth(reader: Reader, resolver: Resolver) -> ExternalAuth:
    """`auth-url` and what belongs to it."""
    url = reader.text("auth-url")
    parts, error = absolute_url(url)
    if parts is None:
        raise DeniedError(f"could not parse auth-url annotation: {error}")
    try:
        method = reader.strict_text("auth-method")
    except RejectedError as refused:
        raise DeniedError("location denied, reason: invalid HTTP method") from refused
    return ExternalAuth(
        url=url,
        host=parts.hostname or "",
        method=method,
        signin_url=reader.text_or("auth-signin"),
        signin_redirect_param=reader.text_or("auth-signin-redirect-param"),
        response_headers=_response_headers(reader),
        request_redirect=reader.strict_text("auth-request-redirect"),
        snippet=reader.text_or("auth-snippet"),
        cache_key=reader.text_or("auth-cache-key"),
        cache_durations=_cache_durations(reader.strict_text("auth-cache-duration")),
        keepalive_connections=_auth_keepalive(reader, parts.netloc),
        proxy_set_headers=_auth_headers(reader, resolver),
        always_set_cookie=reader.boolean_or("auth-always-set-cookie"),
    )


def _auth_keepalive(reader: Reader, host: str) -> int:
    """Idle connections to the auth URL's host; none when the host or another limit makes them impossible."""
    connections = max(0, reader.integer_or("auth-keepalive"))
    requests = reader.integer_or("auth-keepalive-requests", 1000)
    timeout = reader.integer_or("auth-keepalive-timeout", 60)
    return 0 if "$" in host or requests <= 0 or timeout <= 0 else connections


def _response_headers(reader: Reader) -> tuple[str, ...]:
    try:
        text = reader.strict_text("auth-response-headers")
    except RejectedError as refused:
        raise DeniedError("location denied, reason: validation error") from refused
    headers = tuple(piece.strip() for piece in text.split(",") if piece.strip())
    if not all(HEADER_NAME.search(header) for header in headers):
        raise DeniedError("location denied, reason: invalid headers list")
    return headers


def _cache_durations(text: str) -> tuple[str, ...]:
    """Nginx's `proxy_cache_valid` parameters; five minutes for 200, 202 and 401 by default."""
    durations = tuple(piece.strip() for piece in text.split(",") if piece.strip())
    for duration in durations:
        times = [bool(_CACHE_TIME.fullmatch(item)) for item in duration.split()]
        codes = [bool(_STATUS_CODE.fullmatch(item)) for item in duration.split()]
        if not any(times) or any(codes[times.index(True) :]):
            raise DeniedError(f"location denied, reason: invalid cache duration: {duration}")
    return durations or ("200 202 401 5m",)


def _auth_headers(reader: Reader, resolver: Resolver) -> dict[str, str]:
    key = reader.text_or("auth-proxy-set-headers")
    if not key:
        return {}
    _full_key(key, reader, resolver, f"configmap name {key}", "cross namespace usage of secrets is not allowed")
    config_map = resolver.config_map(key)
    if config_map is None:
        raise DeniedError(f"location denied, reason: unable to find configMap {quote(key)}")
    data: dict[str, str] = config_map.get("data") or {}
    if not all(HEADER_NAME.search(header) for header in data):
        raise DeniedError("location denied, reason: invalid proxy-set-headers in configmap")
    return data


def _source_range(reader: Reader, name: str) -> tuple[str, ...] | None:
    """The networks of an access list; None when the annotation is absent."""
    if not reader.names & {name, "whitelist-source-range" if name.startswith("allow") else name}:
        return None
    try:
        networks, error = parse_networks(reader.text(name).split(","))
    except AnnotationError as failure:
        raise DeniedError(str(failure)) from failure
    if error:
        raise DeniedError(f"the annotation does not contain a valid IP address or network: {error}")
    return tuple(networks)


def allowlist(reader: Reader, resolver: Resolver) -> tuple[str, ...]:
    """`allowlist-source-range`, else the ConfigMap's `whitelist-source-range`."""
    found = _source_range(reader, "allowlist-source-range")
    return tuple(sorted(resolver.settings.whitelist_source_range)) if found is None else found


def denylist(reader: Reader, resolver: Resolver) -> tuple[str, ...]:
    """`denylist-source-range`, else the ConfigMap's."""
    found = _source_range(reader, "denylist-source-range")
    return tuple(sorted(resolver.settings.denylist_source_range)) if found is None else found


def proxy_ssl(reader: Reader, resolver: Resolver) -> ProxySSL:
    """`proxy-ssl-*`; without a Secret none of them counts."""
    key = reader.text("proxy-ssl-secret")
    if not re.fullmatch(r"[^/]+/[^/]+", key):
        raise DeniedError(f"location denied, reason: invalid format (namespace/name) found in '{key}'")
    if not resolver.settings.allow_cross_namespace_resources and key.split("/")[0] != reader.namespace:
        raise DeniedError(f"location denied, reason: {_CROSS_NAMESPACE}")
    certificate = resolver.auth_certificate(key)
    if certificate is None:
        raise DeniedError(f"error obtaining certificate: local SSL certificate {key} was not found")
    verify, server_name = reader.text_or("proxy-ssl-verify"), reader.text_or("proxy-ssl-server-name")
    protocols = [word for word in reader.text_or("proxy-ssl-protocols").split() if word in {"TLSv1.2", "TLSv1.3"}]
    return ProxySSL(
        certificate=certificate,
        ciphers=reader.text_or("proxy-ssl-ciphers", "DEFAULT"),
        protocols=" ".join(sorted(protocols)) or "TLSv1.2",
        name=reader.text_or("proxy-ssl-name"),
        verify=verify if ON_OFF.search(verify) else "off",
        verify_depth=reader.integer_or("proxy-ssl-verify-depth") or 1,
        server_name=server_name if ON_OFF.search(server_name) else "off",
    )


def rate_limit(reader: Reader, resolver: Resolver) -> RateLimit:
    """`limit-*`; the burst is a multiple of the rate."""
    rate = reader.integer_or("limit-rate", resolver.settings.limit_rate)
    rate_after = reader.integer_or("limit-rate-after", resolver.settings.limit_rate_after)
    rpm, rps = reader.strict_integer("limit-rpm"), reader.strict_integer("limit-rps")
    connections = reader.strict_integer("limit-connections")
    allowed = reader.strict_text("limit-allowlist")
    networks, error = parse_networks(allowed.split(",")) if allowed else ([], "")
    if error:
        raise ConfigurationError(error)
    if not (rpm or rps or connections):
        return RateLimit(rate=rate, rate_after=rate_after)
    return RateLimit(
        zone=f"{reader.namespace}_{reader.name}_{reader.uid}",
        connections=connections,
        rps=rps,
        rpm=rpm,
        burst_multiplier=reader.integer_or("limit-burst-multiplier", 5),
        rate=rate,
        rate_after=rate_after,
        allowlist=tuple(networks),
    )


def satisfy(reader: Reader, resolver: Resolver) -> str:
    """`satisfy`: any or all."""
    word = reader.text_or("satisfy")
    return word if word in {"any", "all"} else ""


def ssl_ciphers(reader: Reader, resolver: Resolver) -> str:
    """`ssl-ciphers`; a refused list is an error of the Ingress."""
    return reader.strict_text("ssl-ciphers")


def ssl_prefer_server_ciphers(reader: Reader, resolver: Resolver) -> str:
    """`ssl-prefer-server-ciphers` as nginx writes it, empty when absent."""
    try:
        return "on" if reader.boolean("ssl-prefer-server-ciphers") else "off"
    except AnnotationError:
        return ""


def ssl_passthrough(reader: Reader, resolver: Resolver) -> bool:
    """`ssl-passthrough`."""
    return reader.boolean("ssl-passthrough")


def configuration_snippet(reader: Reader, resolver: Resolver) -> str:
    """`configuration-snippet`, when snippets are allowed at all."""
    return reader.text("configuration-snippet") if resolver.settings.allow_snippet_annotations else ""


def server_snippet(reader: Reader, resolver: Resolver) -> str:
    """`server-snippet`, when snippets are allowed at all."""
    return reader.text("server-snippet") if resolver.settings.allow_snippet_annotations else ""


def stream_snippet(reader: Reader, resolver: Resolver) -> str:
    """`stream-snippet`, when snippets are allowed at all."""
    return reader.text("stream-snippet") if resolver.settings.allow_snippet_annotations else ""


def access_log(reader: Reader, resolver: Resolver) -> bool:
    """`enable-access-log`."""
    return reader.boolean_or("enable-access-log", True)


def rewrite_log(reader: Reader, resolver: Resolver) -> bool:
    """`enable-rewrite-log`."""
    return reader.boolean_or("enable-rewrite-log")
