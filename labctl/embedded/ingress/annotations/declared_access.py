"""Annotations on who may ask and what is limited, and those of modules that the embedded controller does not have."""

from __future__ import annotations

from labctl.embedded.ingress.annotations import validators as v
from labctl.embedded.ingress.annotations.catalogue import Annotation, Risk, Support

_LOW, _MEDIUM, _HIGH, _CRITICAL = Risk.LOW, Risk.MEDIUM, Risk.HIGH, Risk.CRITICAL
_PLAIN = v.matches(v.BASIC_CHARACTERS, ignore_spaces=True)
_URL = v.matches(v.URL, ignore_spaces=True)
_URL_VARIABLES = v.matches(v.URL_WITH_VARIABLES, ignore_spaces=True)
_VARIABLE = v.matches(v.NGINX_VARIABLE, ignore_spaces=True)
_HEADERS = v.matches(v.HEADERS, ignore_spaces=True)
_ON_OFF = v.matches(v.ON_OFF, ignore_spaces=True)
_NO_EFFECT = Support.WITHOUT_EFFECT

BASIC_AUTH = (
    Annotation(
        "auth-type",
        "BasicDigestAuth",
        v.matches(v.AUTH_TYPE, ignore_spaces=True),
        _LOW,
        "basic or digest.",
        support=Support.PARTLY,
        note="digest answers 503.",
    ),
    Annotation("auth-secret", "BasicDigestAuth", _PLAIN, _MEDIUM, "Secret with the users."),
    Annotation(
        "auth-secret-type",
        "BasicDigestAuth",
        v.matches(v.AUTH_SECRET_TYPE, ignore_spaces=True),
        _LOW,
        "auth-file (an htpasswd file under `auth`) or auth-map (a user per key).",
    ),
    Annotation(
        "auth-realm",
        "BasicDigestAuth",
        v.matches(v.CHARACTERS_WITH_SPACE, ignore_spaces=False),
        _MEDIUM,
        "Realm in WWW-Authenticate.",
    ),
)

EXTERNAL_AUTH = (
    Annotation(
        "auth-url", "ExternalAuth", _URL_VARIABLES, _HIGH, "URL that decides on every request: 2xx lets it pass."
    ),
    Annotation(
        "auth-method", "ExternalAuth", v.matches(v.METHODS, ignore_spaces=True), _LOW, "Method of that request."
    ),
    Annotation("auth-signin", "ExternalAuth", _URL_VARIABLES, _HIGH, "Where a 401 is redirected to."),
    Annotation(
        "auth-signin-redirect-param", "ExternalAuth", _URL, _MEDIUM, "Name of its parameter with the first URL."
    ),
    Annotation("auth-snippet", "ExternalAuth", v.is_anything, _CRITICAL, "nginx directives for that request."),
    Annotation("auth-cache-key", "ExternalAuth", _VARIABLE, _MEDIUM, "Key under which answers are cached."),
    Annotation("auth-keepalive", "ExternalAuth", v.is_int, _LOW, "Idle connections to the URL's host."),
    Annotation(
        "auth-keepalive-share-vars",
        "ExternalAuth",
        v.is_bool,
        _LOW,
        "Share variables with that request.",
        support=_NO_EFFECT,
        note="Variables are always shared.",
    ),
    Annotation("auth-keepalive-requests", "ExternalAuth", v.is_int, _LOW, "Requests per such connection."),
    Annotation("auth-keepalive-timeout", "ExternalAuth", v.is_int, _LOW, "Seconds such a connection may be idle."),
    Annotation(
        "auth-cache-duration",
        "ExternalAuth",
        v.matches(v.EXTENDED_CHARACTERS, ignore_spaces=False),
        _MEDIUM,
        "How long which answers are cached, for example `200 202 30m`.",
    ),
    Annotation("auth-response-headers", "ExternalAuth", _HEADERS, _MEDIUM, "Headers of its answer passed to the pod."),
    Annotation("auth-proxy-set-headers", "ExternalAuth", _PLAIN, _MEDIUM, "ConfigMap of headers for that request."),
    Annotation("auth-request-redirect", "ExternalAuth", _URL, _MEDIUM, "X-Auth-Request-Redirect of that request."),
    Annotation("auth-always-set-cookie", "ExternalAuth", v.is_bool, _LOW, "Pass its cookies on with any status."),
    Annotation("enable-global-auth", "EnableGlobalAuth", v.is_bool, _LOW, "false leaves out the ConfigMap's auth URL."),
)

CLIENT_CERTIFICATES = (
    Annotation("auth-tls-secret", "CertificateAuth", _PLAIN, _MEDIUM, "Secret with the CA of client certificates."),
    Annotation(
        "auth-tls-verify-client",
        "CertificateAuth",
        v.matches(v.VERIFY_CLIENT, ignore_spaces=True),
        _MEDIUM,
        "on, off, optional or optional_no_ca.",
    ),
    Annotation("auth-tls-verify-depth", "CertificateAuth", v.is_int, _LOW, "Longest chain."),
    Annotation(
        "auth-tls-error-page",
        "CertificateAuth",
        v.matches(v.ERROR_PAGE, ignore_spaces=True),
        _HIGH,
        "Where a client without a good certificate is sent.",
    ),
    Annotation(
        "auth-tls-pass-certificate-to-upstream", "CertificateAuth", v.is_bool, _LOW, "Pass it on as ssl-client-cert."
    ),
    Annotation("auth-tls-match-cn", "CertificateAuth", v.is_common_name, _HIGH, "What its subject must match, or 403."),
)

ACCESS = (
    Annotation(
        "allowlist-source-range",
        "Allowlist",
        v.are_networks,
        _MEDIUM,
        "Only these networks get in, others get 403.",
        aliases=("whitelist-source-range",),
    ),
    Annotation("denylist-source-range", "Denylist", v.are_networks, _MEDIUM, "These networks get 403."),
    Annotation("satisfy", "Satisfy", v.one_of("any", "all"), _LOW, "Whether one kind of access control is enough."),
    Annotation("limit-rate", "RateLimit", v.is_int, _LOW, "KiB/s of a response."),
    Annotation("limit-rate-after", "RateLimit", v.is_int, _LOW, "KiB that are sent before the rate holds."),
    Annotation("limit-rpm", "RateLimit", v.is_int, _LOW, "Requests per minute and client."),
    Annotation("limit-rps", "RateLimit", v.is_int, _LOW, "Requests per second and client."),
    Annotation("limit-connections", "RateLimit", v.is_int, _LOW, "Requests at one time and client."),
    Annotation("limit-burst-multiplier", "RateLimit", v.is_int, _LOW, "Burst as a multiple of the rate; 5 by default."),
    Annotation(
        "limit-allowlist",
        "RateLimit",
        v.are_networks,
        _LOW,
        "Networks without limits.",
        aliases=("limit-whitelist",),
    ),
)

CORS = (
    Annotation("enable-cors", "CorsConfig", v.is_bool, _LOW, "Answer preflights and add the headers."),
    Annotation("cors-allow-origin", "CorsConfig", v.matches(v.CORS_ORIGINS, ignore_spaces=True), _MEDIUM, "Origins."),
    Annotation("cors-allow-headers", "CorsConfig", _HEADERS, _MEDIUM, "Access-Control-Allow-Headers."),
    Annotation(
        "cors-allow-methods",
        "CorsConfig",
        v.matches(v.CORS_METHODS, ignore_spaces=True),
        _MEDIUM,
        "Access-Control-Allow-Methods.",
    ),
    Annotation("cors-allow-credentials", "CorsConfig", v.is_bool, _LOW, "Access-Control-Allow-Credentials."),
    Annotation(
        "cors-expose-headers",
        "CorsConfig",
        v.matches(v.CORS_EXPOSE, ignore_spaces=True),
        _MEDIUM,
        "Access-Control-Expose-Headers.",
    ),
    Annotation("cors-max-age", "CorsConfig", v.is_int, _LOW, "Access-Control-Max-Age."),
)

TLS = (
    Annotation("ssl-prefer-server-ciphers", "SSLCipher", v.is_bool, _LOW, "The server's order of ciphers counts."),
    Annotation(
        "ssl-ciphers", "SSLCipher", v.matches(v.SSL_CIPHERS, ignore_spaces=True), _LOW, "Ciphers up to TLS 1.2."
    ),
    Annotation(
        "ssl-passthrough", "SSLPassthrough", v.is_bool, _LOW, "Hand TLS to the pod, with the controller's flag."
    ),
    Annotation("proxy-ssl-secret", "ProxySSL", _PLAIN, _MEDIUM, "Secret with our key pair and the CA of pods."),
    Annotation(
        "proxy-ssl-ciphers", "ProxySSL", v.matches(v.PROXY_SSL_CIPHERS, ignore_spaces=True), _MEDIUM, "Ciphers to pods."
    ),
    Annotation(
        "proxy-ssl-protocols", "ProxySSL", v.matches(v.SSL_PROTOCOLS, ignore_spaces=True), _LOW, "TLS versions to pods."
    ),
    Annotation("proxy-ssl-name", "ProxySSL", v.is_server_name, _HIGH, "Name to verify in a pod's certificate."),
    Annotation("proxy-ssl-verify", "ProxySSL", _ON_OFF, _LOW, "Verify the pods' certificates."),
    Annotation("proxy-ssl-verify-depth", "ProxySSL", v.is_int, _LOW, "Longest chain of a pod."),
    Annotation("proxy-ssl-server-name", "ProxySSL", _ON_OFF, _LOW, "Send SNI to pods."),
)

SNIPPETS = (
    Annotation(
        "configuration-snippet",
        "ConfigurationSnippet",
        v.is_anything,
        _CRITICAL,
        "nginx directives for the locations, where the administrator allows them.",
        support=Support.PARTLY,
        note="Common directives only; another one gives a warning.",
    ),
    Annotation(
        "server-snippet",
        "ServerSnippet",
        v.is_anything,
        _CRITICAL,
        "nginx directives for the server, where the administrator allows them.",
        support=Support.PARTLY,
        note="Common directives only; another one gives a warning.",
    ),
    Annotation(
        "stream-snippet",
        "StreamSnippet",
        v.is_anything,
        _CRITICAL,
        "nginx directives for streams.",
        support=_NO_EFFECT,
        note="There are no stream servers.",
    ),
)

OTHER_MODULES = (
    Annotation("enable-access-log", "Logs", v.is_bool, _LOW, "Write an access log line per request."),
    Annotation("enable-rewrite-log", "Logs", v.is_bool, _LOW, "Log rewrites.", support=_NO_EFFECT),
    Annotation(
        "http2-push-preload",
        "HTTP2PushPreload",
        v.is_bool,
        _LOW,
        "Push preloaded resources.",
        support=_NO_EFFECT,
        note="nginx 1.25 has no push either.",
    ),
    Annotation("mirror-request-body", "Mirror", _ON_OFF, _LOW, "Mirror bodies too."),
    Annotation("mirror-target", "Mirror", v.is_server_name, _HIGH, "URL that gets a copy of every request."),
    Annotation("mirror-host", "Mirror", v.is_server_name, _HIGH, "Host header of the copy."),
    Annotation(
        "global-rate-limit",
        "GlobalRateLimit",
        v.is_int,
        _LOW,
        "Limit shared by controllers.",
        support=_NO_EFFECT,
        note="Needs memcached.",
    ),
    Annotation("global-rate-limit-window", "GlobalRateLimit", v.is_duration, _LOW, "Its window.", support=_NO_EFFECT),
    Annotation("global-rate-limit-key", "GlobalRateLimit", _VARIABLE, _HIGH, "Its key.", support=_NO_EFFECT),
    Annotation(
        "global-rate-limit-ignored-cidrs",
        "GlobalRateLimit",
        v.are_networks,
        _MEDIUM,
        "Networks without it.",
        support=_NO_EFFECT,
    ),
    Annotation(
        "fastcgi-index",
        "FastCGI",
        v.matches(v.FASTCGI_INDEX, ignore_spaces=True),
        _MEDIUM,
        "Index file.",
        support=_NO_EFFECT,
        note="FCGI is not spoken.",
    ),
    Annotation(
        "fastcgi-params-configmap",
        "FastCGI",
        _PLAIN,
        _MEDIUM,
        "FastCGI parameters.",
        support=_NO_EFFECT,
        note="FCGI is not spoken.",
    ),
    Annotation("enable-opentelemetry", "Opentelemetry", v.is_bool, _LOW, "Trace requests.", support=_NO_EFFECT),
    Annotation(
        "opentelemetry-trust-incoming-span", "Opentelemetry", v.is_bool, _LOW, "Continue spans.", support=_NO_EFFECT
    ),
    Annotation(
        "opentelemetry-operation-name",
        "Opentelemetry",
        v.matches(v.OPERATION_NAME, ignore_spaces=True),
        _MEDIUM,
        "Span name.",
        support=_NO_EFFECT,
    ),
    Annotation(
        "enable-modsecurity",
        "ModSecurity",
        v.is_bool,
        _LOW,
        "Firewall rules.",
        support=_NO_EFFECT,
        note="There is no ModSecurity: nothing is blocked.",
    ),
    Annotation("enable-owasp-core-rules", "ModSecurity", v.is_bool, _LOW, "OWASP rules.", support=_NO_EFFECT),
    Annotation("modsecurity-transaction-id", "ModSecurity", _VARIABLE, _HIGH, "Transaction id.", support=_NO_EFFECT),
    Annotation(
        "modsecurity-snippet", "ModSecurity", v.is_anything, _CRITICAL, "ModSecurity rules.", support=_NO_EFFECT
    ),
)

ALL = (
    *BASIC_AUTH,
    *EXTERNAL_AUTH,
    *CLIENT_CERTIFICATES,
    *ACCESS,
    *CORS,
    *TLS,
    *SNIPPETS,
    *OTHER_MODULES,
)
