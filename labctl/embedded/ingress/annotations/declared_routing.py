"""Annotations on where a request goes: rewriting, redirects, canaries, balancing, affinity, upstreams."""

from __future__ import annotations

from labctl.embedded.ingress.annotations import validators as v
from labctl.embedded.ingress.annotations.catalogue import Annotation, Risk, Support

_LOW, _MEDIUM, _HIGH = Risk.LOW, Risk.MEDIUM, Risk.HIGH
_PATH = v.matches(v.PATH_WITH_CAPTURE, ignore_spaces=False)
_PLAIN = v.matches(v.BASIC_CHARACTERS, ignore_spaces=True)
_URL = v.matches(v.URL, ignore_spaces=True)
_SIZE = v.matches(v.SIZE, ignore_spaces=True)
_ON_OFF = v.one_of("on", "off")

REWRITE = (
    Annotation("rewrite-target", "Rewrite", _PATH, _MEDIUM, "URI the request is rewritten to; $1, $2 are captures."),
    Annotation("ssl-redirect", "Rewrite", v.is_bool, _LOW, "Redirect http to https where the host has a certificate."),
    Annotation(
        "preserve-trailing-slash", "Rewrite", v.is_bool, _MEDIUM, "Keep a trailing slash in that redirect's Location."
    ),
    Annotation("force-ssl-redirect", "Rewrite", v.is_bool, _MEDIUM, "Redirect http to https in any case."),
    Annotation("use-regex", "Rewrite", v.is_bool, _LOW, "Paths of the whole host are regular expressions."),
    Annotation("app-root", "Rewrite", _PATH, _MEDIUM, "Redirect / of the host there."),
    Annotation(
        "from-to-www-redirect", "Redirect", v.is_bool, _LOW, "Redirect the www form of the host to it, or back."
    ),
    Annotation(
        "temporal-redirect", "Redirect", v.matches(v.URL, ignore_spaces=False), _MEDIUM, "Answer 302 to that URL."
    ),
    Annotation(
        "permanent-redirect", "Redirect", v.matches(v.URL, ignore_spaces=False), _MEDIUM, "Answer 301 to that URL."
    ),
    Annotation("permanent-redirect-code", "Redirect", v.is_int, _LOW, "Status of permanent-redirect, 300 to 308."),
    Annotation("use-port-in-redirects", "UsePortInRedirects", v.is_bool, _LOW, "Name the port in redirects."),
    Annotation("server-alias", "Aliases", v.are_server_names, _HIGH, "More names of the host, wildcards and regexes."),
)

CANARY = (
    Annotation("canary", "Canary", v.is_bool, _LOW, "This Ingress is the alternative of another with the same rules."),
    Annotation("canary-weight", "Canary", v.is_int, _LOW, "Share of requests out of canary-weight-total."),
    Annotation("canary-weight-total", "Canary", v.is_int, _LOW, "What the weight is a share of; below 100 it is 100."),
    Annotation("canary-by-header", "Canary", _PLAIN, _MEDIUM, "Header whose value always or never decides."),
    Annotation("canary-by-header-value", "Canary", _PLAIN, _MEDIUM, "The value that decides instead of always."),
    Annotation(
        "canary-by-header-pattern",
        "Canary",
        v.matches(v.IS_REGEX, ignore_spaces=False),
        _MEDIUM,
        "A regular expression for the value, when no fixed value is given.",
    ),
    Annotation("canary-by-cookie", "Canary", _PLAIN, _MEDIUM, "Cookie whose value always or never decides."),
)

BALANCING = (
    Annotation(
        "load-balance",
        "LoadBalancing",
        v.one_of("round_robin", "chash", "chashsubset", "sticky_balanced", "sticky_persistent", "ewma"),
        _LOW,
        "Balancing algorithm of the Service: round_robin or ewma.",
    ),
    Annotation(
        "upstream-hash-by",
        "UpstreamHashBy",
        v.matches(v.HASH_BY, ignore_spaces=True),
        _HIGH,
        "Key to hash requests by.",
    ),
    Annotation("upstream-hash-by-subset", "UpstreamHashBy", v.is_bool, _LOW, "Hash to a set of pods, not to one."),
    Annotation("upstream-hash-by-subset-size", "UpstreamHashBy", v.is_int, _LOW, "Size of such a set."),
    Annotation("affinity", "SessionAffinity", v.one_of("cookie"), _LOW, "Keep a client on one pod; only by cookie."),
    Annotation(
        "affinity-mode",
        "SessionAffinity",
        v.one_of("balanced", "persistent"),
        _MEDIUM,
        "Whether scaling up moves clients to new pods.",
    ),
    Annotation(
        "affinity-canary-behavior",
        "SessionAffinity",
        v.one_of("sticky", "legacy"),
        _LOW,
        "Whether a client of the canary stays with it.",
    ),
    Annotation("session-cookie-name", "SessionAffinity", _PLAIN, _MEDIUM, "Name of the cookie."),
    Annotation("session-cookie-secure", "SessionAffinity", v.is_bool, _LOW, "Set Secure also over http."),
    Annotation(
        "session-cookie-expires",
        "SessionAffinity",
        v.matches(v.COOKIE_EXPIRES, ignore_spaces=True),
        _MEDIUM,
        "Seconds until Expires.",
    ),
    Annotation(
        "session-cookie-max-age",
        "SessionAffinity",
        v.matches(v.COOKIE_EXPIRES, ignore_spaces=False),
        _MEDIUM,
        "Max-Age in seconds.",
    ),
    Annotation("session-cookie-path", "SessionAffinity", _URL, _MEDIUM, "Path attribute; the rule's path without it."),
    Annotation("session-cookie-domain", "SessionAffinity", _PLAIN, _MEDIUM, "Domain attribute."),
    Annotation(
        "session-cookie-samesite",
        "SessionAffinity",
        v.one_of("none", "lax", "strict", case_sensitive=False),
        _LOW,
        "SameSite attribute.",
    ),
    Annotation(
        "session-cookie-conditional-samesite-none",
        "SessionAffinity",
        v.is_bool,
        _LOW,
        "Leave SameSite=None out for browsers that misread it.",
    ),
    Annotation(
        "session-cookie-change-on-failure", "SessionAffinity", v.is_bool, _LOW, "Take another pod after a failed try."
    ),
)

UPSTREAM = (
    Annotation(
        "backend-protocol",
        "BackendProtocol",
        v.one_of("auto_http", "http", "https", "grpc", "grpcs", "fcgi", case_sensitive=False),
        _LOW,
        "Protocol of the pods.",
        support=Support.PARTLY,
        note="GRPC, GRPCS and FCGI are not spoken: such locations answer 502.",
    ),
    Annotation("service-upstream", "ServiceUpstream", v.is_bool, _LOW, "Go through the Service's ClusterIP."),
    Annotation("upstream-vhost", "UpstreamVhost", v.is_server_name, _LOW, "Host header for the pods."),
    Annotation(
        "x-forwarded-prefix",
        "XForwardedPrefix",
        v.matches(v.PATH_WITH_CAPTURE, ignore_spaces=True),
        _MEDIUM,
        "X-Forwarded-Prefix header for the pods, where the path is rewritten.",
    ),
    Annotation(
        "default-backend", "DefaultBackend", v.is_service_name, _LOW, "Service for errors and missing endpoints."
    ),
    Annotation(
        "custom-http-errors",
        "CustomHTTPErrors",
        v.matches(v.HTTP_ERRORS, ignore_spaces=True),
        _LOW,
        "Statuses that the default backend answers instead.",
    ),
    Annotation(
        "disable-proxy-intercept-errors",
        "DisableProxyInterceptErrors",
        v.is_bool,
        _LOW,
        "Leave the pods' own error responses alone.",
    ),
    Annotation("proxy-connect-timeout", "Proxy", v.is_int, _LOW, "Seconds for connecting to a pod."),
    Annotation("proxy-send-timeout", "Proxy", v.is_int, _LOW, "Seconds between two writes to a pod."),
    Annotation("proxy-read-timeout", "Proxy", v.is_int, _LOW, "Seconds between two reads from a pod."),
    Annotation(
        "proxy-buffers-number",
        "Proxy",
        v.is_int,
        _LOW,
        "Number of response buffers.",
        support=Support.WITHOUT_EFFECT,
        note="Responses are passed on as they come.",
    ),
    Annotation("proxy-buffer-size", "Proxy", _SIZE, _LOW, "Room for a response's header: more is a 502."),
    Annotation("proxy-cookie-path", "Proxy", _URL, _MEDIUM, "Rewrite Path of the pods' cookies."),
    Annotation("proxy-cookie-domain", "Proxy", _PLAIN, _MEDIUM, "Rewrite Domain of the pods' cookies."),
    Annotation("proxy-body-size", "Proxy", _SIZE, _MEDIUM, "Largest request body; more is a 413, 0 is no limit."),
    Annotation(
        "proxy-next-upstream",
        "Proxy",
        v.matches(v.NEXT_UPSTREAM, ignore_spaces=False),
        _MEDIUM,
        "In which cases another pod is tried.",
    ),
    Annotation("proxy-next-upstream-timeout", "Proxy", v.is_int, _LOW, "Seconds for all tries; 0 is no limit."),
    Annotation("proxy-next-upstream-tries", "Proxy", v.is_int, _LOW, "Number of tries; 0 is no limit."),
    Annotation("proxy-request-buffering", "Proxy", _ON_OFF, _LOW, "Read the whole body before connecting."),
    Annotation("proxy-redirect-from", "Proxy", _URL, _MEDIUM, "Part of Location and Refresh to replace."),
    Annotation("proxy-redirect-to", "Proxy", _URL, _MEDIUM, "What it is replaced with."),
    Annotation(
        "proxy-buffering",
        "Proxy",
        _ON_OFF,
        _LOW,
        "Read responses ahead of the client.",
        support=Support.WITHOUT_EFFECT,
        note="Responses are passed on as they come.",
    ),
    Annotation("proxy-http-version", "Proxy", v.one_of("1.0", "1.1"), _LOW, "HTTP version towards the pods."),
    Annotation(
        "proxy-max-temp-file-size",
        "Proxy",
        _SIZE,
        _LOW,
        "Size of response files.",
        support=Support.WITHOUT_EFFECT,
        note="No files are written.",
    ),
    Annotation(
        "client-body-buffer-size",
        "ClientBodyBufferSize",
        _SIZE,
        _LOW,
        "Body size kept in memory.",
        support=Support.WITHOUT_EFFECT,
        note="Bodies stay in memory.",
    ),
    Annotation(
        "connection-proxy-header",
        "Connection",
        v.matches(v.CONNECTION, ignore_spaces=True),
        _LOW,
        "Connection header for the pods.",
    ),
    Annotation(
        "custom-headers", "CustomHeaders", _PLAIN, _MEDIUM, "ConfigMap of response headers, each allowed globally."
    ),
)

ALL = (*REWRITE, *CANARY, *BALANCING, *UPSTREAM)
