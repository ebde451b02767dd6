"""Annotations on where a request goes, from text to values."""

from __future__ import annotations

import re

from labctl.embedded.ingress.annotations.reader import AnnotationError, DeniedError, Reader, Resolver
from labctl.embedded.ingress.annotations.validators import COOKIE_EXPIRES, HEADER_NAME, HEADER_VALUE
from labctl.embedded.ingress.annotations.values import (
    AffinityCookie,
    Canary,
    HashBy,
    Mirror,
    Proxy,
    Redirect,
    Rewrite,
    SessionAffinity,
)
from labctl.embedded.ingress.goscalars import absolute_url, parse_url
from labctl.embedded.ingress.settings import Settings


class ConfigurationError(AnnotationError):
    """Annotations that make no sense together."""


def aliases(reader: Reader, resolver: Resolver) -> tuple[str, ...]:
    """`server-alias`: sorted, each once."""
    names = (name.strip() for name in reader.text("server-alias").split(","))
    return tuple(sorted({name for name in names if name}))


def backend_protocol(reader: Reader, resolver: Resolver) -> str:
    """`backend-protocol`; HTTP when absent or refused."""
    return reader.text_or("backend-protocol", "HTTP")


def canary(reader: Reader, resolver: Resolver) -> Canary:
    """`canary*`; rules without `canary: "true"` are no canary, and not an error of the Ingress either."""
    parsed = Canary(
        enabled=reader.boolean_or("canary"),
        weight=reader.integer_or("canary-weight"),
        weight_total=reader.integer_or("canary-weight-total", 100),
        header=reader.text_or("canary-by-header"),
        header_value=reader.text_or("canary-by-header-value"),
        header_pattern=reader.text_or("canary-by-header-pattern"),
        cookie=reader.text_or("canary-by-cookie"),
    )
    rules = parsed.header or parsed.header_value or parsed.header_pattern or parsed.cookie
    if not parsed.enabled and (parsed.weight > 0 or rules):
        raise ConfigurationError("the annotation canary does not contain a valid configuration")
    return parsed


def client_body_buffer_size(reader: Reader, resolver: Resolver) -> str:
    """`client-body-buffer-size`."""
    return reader.text("client-body-buffer-size")


def connection(reader: Reader, resolver: Resolver) -> str:
    """`connection-proxy-header`."""
    return reader.text("connection-proxy-header")


def custom_headers(reader: Reader, resolver: Resolver) -> tuple[tuple[str, str], ...]:
    """`custom-headers`: every header must be in `global-allowed-response-headers`."""
    key = reader.text_or("custom-headers")
    if not key:
        return ()
    config_map = resolver.config_map(key)
    if config_map is None:
        raise DeniedError(f'location denied, reason: unable to find configMap "{key}"')
    allowed = resolver.settings.global_allowed_response_headers
    data: dict[str, str] = config_map.get("data") or {}
    for header, value in data.items():
        if not HEADER_NAME.search(header):
            raise DeniedError("location denied, reason: invalid header name in configmap")
        if not HEADER_VALUE.search(value):
            raise DeniedError("location denied, reason: invalid header value in configmap")
        if header not in allowed:
            reason = f"header {header} is not allowed, defined allowed headers inside global-allowed-response-headers"
            raise DeniedError(f"location denied, reason: {reason} [{' '.join(allowed)}]")
    return tuple(sorted(data.items()))


def custom_http_errors(reader: Reader, resolver: Resolver) -> tuple[int, ...]:
    """`custom-http-errors`; one item that is no number makes all of it void."""
    items = reader.text("custom-http-errors").split(",")
    if not all(re.fullmatch(r"[+-]?[0-9]+", item) for item in items):
        raise ConfigurationError("custom-http-errors is not a list of numbers")
    return tuple(int(item) for item in items)


def default_backend(reader: Reader, resolver: Resolver) -> str:
    """`default-backend`: the Service must exist when the annotation is read."""
    key = f"{reader.namespace}/{reader.text('default-backend')}"
    if resolver.service(key) is None:
        raise ConfigurationError(f"unexpected error reading service {key}")
    return key


def disable_proxy_intercept_errors(reader: Reader, resolver: Resolver) -> bool:
    """`disable-proxy-intercept-errors`."""
    return reader.boolean_or("disable-proxy-intercept-errors")


def hash_by(reader: Reader, resolver: Resolver) -> HashBy:
    """`upstream-hash-by*`."""
    return HashBy(
        by=reader.present_text("upstream-hash-by"),
        subset=reader.present_boolean("upstream-hash-by-subset"),
        subset_size=reader.present_integer("upstream-hash-by-subset-size") or 3,
    )


def load_balance(reader: Reader, resolver: Resolver) -> str:
    """`load-balance`."""
    return reader.text("load-balance")


def mirror(reader: Reader, resolver: Resolver) -> Mirror:
    """`mirror-*`; the host is the target's own unless given."""
    body = reader.text_or("mirror-request-body", "on")
    target = reader.text_or("mirror-target")
    host = reader.text_or("mirror-host")
    if target and not host:
        url, _ = absolute_url(target.split("$")[0])
        host = (url.hostname or "") if url else ""
    source = f"/_mirror-{reader.uid}" if target else ""
    return Mirror(source, "off" if body == "off" else "on", target, host)


def default_proxy(settings: Settings) -> Proxy:
    """`proxy-*` as the ConfigMap sets it."""
    return Proxy(
        body_size=settings.proxy_body_size,
        connect_timeout=settings.proxy_connect_timeout,
        send_timeout=settings.proxy_send_timeout,
        read_timeout=settings.proxy_read_timeout,
        buffers_number=settings.proxy_buffers_number,
        buffer_size=settings.proxy_buffer_size,
        cookie_domain=settings.proxy_cookie_domain,
        cookie_path=settings.proxy_cookie_path,
        next_upstream=settings.proxy_next_upstream,
        next_upstream_timeout=settings.proxy_next_upstream_timeout,
        next_upstream_tries=settings.proxy_next_upstream_tries,
        redirect_from=settings.proxy_redirect_from,
        redirect_to=settings.proxy_redirect_to,
        request_buffering=settings.proxy_request_buffering,
        buffering=settings.proxy_buffering,
        http_version=settings.proxy_http_version,
        max_temp_file_size=settings.proxy_max_temp_file_size,
    )


def proxy(reader: Reader, resolver: Resolver) -> Proxy:
    """`proxy-*`: a value that cannot be read leaves the ConfigMap's."""
    base = default_proxy(resolver.settings)
    text, integer = reader.text_or, reader.integer_or
    return Proxy(
        body_size=text("proxy-body-size", base.body_size),
        connect_timeout=integer("proxy-connect-timeout", base.connect_timeout),
        send_timeout=integer("proxy-send-timeout", base.send_timeout),
        read_timeout=integer("proxy-read-timeout", base.read_timeout),
        buffers_number=integer("proxy-buffers-number", base.buffers_number),
        buffer_size=text("proxy-buffer-size", base.buffer_size),
        cookie_domain=text("proxy-cookie-domain", base.cookie_domain),
        cookie_path=text("proxy-cookie-path", base.cookie_path),
        next_upstream=text("proxy-next-upstream", base.next_upstream),
        next_upstream_timeout=integer("proxy-next-upstream-timeout", base.next_upstream_timeout),
        next_upstream_tries=integer("proxy-next-upstream-tries", base.next_upstream_tries),
        redirect_from=text("proxy-redirect-from", base.redirect_from),
        redirect_to=text("proxy-redirect-to", base.redirect_to),
        request_buffering=text("proxy-request-buffering", base.request_buffering),
        buffering=text("proxy-buffering", base.buffering),
        http_version=text("proxy-http-version", base.http_version),
        max_temp_file_size=text("proxy-max-temp-file-size", base.max_temp_file_size),
    )


def redirect(reader: Reader, resolver: Resolver) -> Redirect:
    """`temporal-redirect`, then `permanent-redirect`, and `from-to-www-redirect`."""
    from_to_www = reader.present_boolean("from-to-www-redirect")
    temporal = reader.present_text("temporal-redirect")
    if temporal:
        parts, error = parse_url(temporal)
        if parts is None or not parts.scheme.startswith("http"):
            raise ConfigurationError(error or "only http and https are valid protocols")
        return Redirect(temporal, 302, from_to_www)
    permanent = reader.present_text("permanent-redirect")
    code = reader.present_integer("permanent-redirect-code")
    if not permanent and not from_to_www:
        return Redirect()
    return Redirect(permanent, code if 300 <= code <= 308 else 301, from_to_www)


def default_rewrite(settings: Settings) -> Rewrite:
    """Redirects to https as the ConfigMap sets them."""
    return Rewrite(
        ssl_redirect=settings.ssl_redirect,
        force_ssl_redirect=settings.force_ssl_redirect,
        preserve_trailing_slash=settings.preserve_trailing_slash,
    )


def rewrite(reader: Reader, resolver: Resolver) -> Rewrite:
    """`rewrite-target`, `use-regex`, `app-root` and the redirects to https."""
    base = default_rewrite(resolver.settings)
    return Rewrite(
        target=reader.text_or("rewrite-target"),
        ssl_redirect=reader.boolean_or("ssl-redirect", base.ssl_redirect),
        force_ssl_redirect=reader.boolean_or("force-ssl-redirect", base.force_ssl_redirect),
        preserve_trailing_slash=reader.boolean_or("preserve-trailing-slash", base.preserve_trailing_slash),
        use_regex=reader.boolean_or("use-regex"),
        app_root=_app_root(reader),
    )


def _app_root(reader: Reader) -> str:
    """`app-root`: an absolute path, not a URL."""
    root = reader.text_or("app-root")
    if not root:
        return ""
    parts, error = parse_url(root)
    if parts is None or (not root.startswith("/") and not parts.scheme):
        reason = error or f'parse "{root}": invalid URI for request'
        reader.warn("main.go:190", f"Annotation app-root contains an invalid value: {reason}")
        return ""
    if parts.scheme:
        reader.warn("main.go:196", f"Annotation app-root only allows absolute paths ({root})")
        return ""
    return root


def session_affinity(reader: Reader, resolver: Resolver) -> SessionAffinity:
    """`affinity*` and `session-cookie-*`; an affinity other than cookie has no effect."""
    kind = reader.text_or("affinity")
    mode = reader.text_or("affinity-mode")
    behavior = reader.text_or("affinity-canary-behavior")
    if kind != "cookie":
        return SessionAffinity(kind, mode, behavior, AffinityCookie(name=""))
    return SessionAffinity(kind, mode, behavior, _affinity_cookie(reader))


def _affinity_cookie(reader: Reader) -> AffinityCookie:
    expires = reader.text_or("session-cookie-expires")
    max_age = reader.text_or("session-cookie-max-age")
    return AffinityCookie(
        name=reader.text_or("session-cookie-name", "INGRESSCOOKIE"),
        expires=expires if COOKIE_EXPIRES.search(expires) else "",
        max_age=max_age if COOKIE_EXPIRES.search(max_age) else "",
        path=reader.text_or("session-cookie-path"),
        domain=reader.text_or("session-cookie-domain"),
        samesite=reader.text_or("session-cookie-samesite"),
        secure=reader.boolean_or("session-cookie-secure"),
        conditional_samesite_none=reader.boolean_or("session-cookie-conditional-samesite-none"),
        change_on_failure=reader.boolean_or("session-cookie-change-on-failure"),
    )


def service_upstream(reader: Reader, resolver: Resolver) -> bool:
    """`service-upstream`; a value that is no boolean is false, whatever the ConfigMap says."""
    if "service-upstream" not in reader.names:
        return resolver.settings.service_upstream
    return reader.boolean_or("service-upstream")


def upstream_vhost(reader: Reader, resolver: Resolver) -> str:
    """`upstream-vhost`."""
    return reader.text("upstream-vhost")


def use_port_in_redirects(reader: Reader, resolver: Resolver) -> bool:
    """`use-port-in-redirects`."""
    return reader.boolean_or("use-port-in-redirects", resolver.settings.use_port_in_redirects)


def x_forwarded_prefix(reader: Reader, resolver: Resolver) -> str:
    """`x-forwarded-prefix`."""
    return reader.text("x-forwarded-prefix")
