"""What to do with requests of a server and of a location: the routing table prepared for execution.

Plans are made when the first request needs them, so that a large table costs nothing until it is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.embedded.ingress.annotations.values import ExternalAuth, IngressAnnotations
from labctl.embedded.ingress.model import DEFAULT_BACKEND, Configuration, Location, LocationInfo, Server
from labctl.embedded.ingress.nginx.regexes import match_pattern
from labctl.embedded.ingress.proxy.access import AccessList, Htpasswd
from labctl.embedded.ingress.proxy.cors import CorsPlan
from labctl.embedded.ingress.proxy.exchange import HeaderOperation
from labctl.embedded.ingress.proxy.head import parse_size
from labctl.embedded.ingress.proxy.request_headers import RequestHeaders, location_headers
from labctl.embedded.ingress.proxy.snippets import Snippet, parse_snippet
from labctl.embedded.ingress.proxy.table import LocationTable
from labctl.embedded.ingress.proxy.upstream_tls import UpstreamTls, upstream_tls
from labctl.embedded.ingress.proxy.variables import Template

_SIZE = re.compile(r"[0-9]+[kKmMgG]?")
_NOT_SPOKEN = frozenset({"GRPC", "GRPCS", "FCGI"})


@dataclass(frozen=True, slots=True)
class Rewriting:
    """`rewrite-target`: the expression to match, the new path and its query (None: there is none in the target).

    A target that is a URL redirects instead (ngx_http_rewrite_module.c: status 302, with `break` or without).
    """

    pattern: re.Pattern[str]
    path: Template
    args: Template | None
    keep_args: bool
    redirects: bool = False


class LocationPlan:
    """How one location answers."""

    def __init__(self, location: Location, server: ServerPlan, configuration: Configuration) -> None:
        annotations, settings = location.annotations, configuration.settings
        self.location = location
        self.server = server
        self.info = location.info or LocationInfo()
        self.rule_path = self.info.path or "/"
        self.annotations: IngressAnnotations = annotations
        self.backend = location.backend
        self.proxy = annotations.proxy
        self.denied = bool(annotations.denied)
        self.body_limit = _body_limit(annotations.proxy.body_size, "1m")
        self.header_limit = parse_size(annotations.proxy.buffer_size) or 4096
        self.buffer_request = annotations.proxy.request_buffering != "off"
        self.http_1_0 = annotations.proxy.http_version == "1.0"
        self.next_upstream = _next_upstream(annotations.proxy.next_upstream, retry=settings.retry_non_idempotent)
        self.redirect = Template(annotations.redirect.url) if annotations.redirect.url else None
        self.rewriting = _rewriting(location)
        self.ssl_redirect = annotations.rewrite.ssl_redirect
        self.force_ssl_redirect = annotations.rewrite.force_ssl_redirect
        self.never_redirect = _in_list(location.path, settings.no_tls_redirect_locations)
        self.cors = CorsPlan(annotations.cors) if annotations.cors.enabled else None
        self.access = AccessList(annotations.denylist, annotations.allowlist)
        self.limits = annotations.rate_limit if annotations.rate_limit.zone else None
        no_auth = _in_list(location.path, settings.no_auth_locations)
        self.basic = Htpasswd(annotations.basic_auth.users) if annotations.basic_auth.secured and not no_auth else None
        self.external_auth = None if no_auth else _external_auth(annotations, settings.global_auth)
        self.satisfy_any = annotations.satisfy == "any"
        self.snippet: Snippet = parse_snippet(annotations.configuration_snippet, settings.location_snippet)
        self.tls = self._upstream_tls(location, configuration)
        self.unsupported = annotations.backend_protocol.upper() in _NOT_SPOKEN and location.backend != DEFAULT_BACKEND
        self.request_headers: RequestHeaders = location_headers(location, server.server, configuration, self.snippet)
        self.error_pages = self._error_pages(configuration)
        own_codes = bool(annotations.custom_http_errors) and not annotations.disable_proxy_intercept_errors
        global_codes = bool(settings.custom_http_errors) and not settings.disable_proxy_intercept_errors
        self.intercept = own_codes or global_codes
        self.header_operations = (
            *self.snippet.header_operations,
            *(
                HeaderOperation("set", name, value.replace("$", "${literal_dollar}"))
                for name, value in annotations.custom_headers
            ),
        )
        self.simple = self._is_simple()

    def _is_simple(self) -> bool:
        """Whether a request goes straight to its pod."""
        special = (
            self.denied,
            self.redirect,
            self.cors,
            self.access,
            self.limits,
            self.basic,
            self.external_auth,
            self.snippet,
            self.rewriting,
            self.unsupported,
            self.annotations.mirror.target,
        )
        return not any(special)

    def _upstream_tls(self, location: Location, configuration: Configuration) -> UpstreamTls | None:
        backend = configuration.backends.get(location.backend)
        protocol = location.annotations.backend_protocol.upper()
        passthrough = backend is not None and backend.ssl_passthrough
        if location.backend == DEFAULT_BACKEND or not (protocol in {"HTTPS", "AUTO_HTTP"} or passthrough):
            return None
        own = location.annotations.proxy_ssl
        proxy_ssl = own if own.certificate.secret else self.server.server.proxy_ssl
        return upstream_tls(proxy_ssl, only_for_https=protocol == "AUTO_HTTP" and not passthrough)

    def _error_pages(self, configuration: Configuration) -> dict[int, str]:
        """For each status the backend that answers it. A location with any of its own has none of the global ones."""
        own = dict.fromkeys(self.annotations.custom_http_errors, self.location.error_backend)
        if self.external_auth is not None and self.external_auth.signin_url:
            own.setdefault(401, "")
        if own:
            return own
        return dict.fromkeys(configuration.settings.custom_http_errors, DEFAULT_BACKEND)


class ServerPlan:
    """How one virtual host answers."""

    def __init__(self, server: Server, configuration: Configuration) -> None:
        self.server = server
        self.hostname: str = server.hostname
        self.is_default = server.hostname == "_"
        self._configuration = configuration
        self._table: LocationTable | None = None
        self._plans: dict[int, LocationPlan] = {}
        self.snippet: Snippet = parse_snippet(server.server_snippet, configuration.settings.server_snippet)
        self.app_root = next(
            (root for root in (location.annotations.rewrite.app_root for location in server.locations) if root), ""
        )
        self.match_cn = match_pattern(server.certificate_auth.match_cn, 0) if server.certificate_auth.match_cn else None

    @property
    def table(self) -> LocationTable:
        """Its locations."""
        if self._table is None:
            self._table = LocationTable(self.server.locations)
        return self._table

    def plan(self, location: Location) -> LocationPlan:
        """The plan of one of its locations."""
        plan = self._plans.get(id(location))
        if plan is None:
            plan = self._plans[id(location)] = LocationPlan(location, self, self._configuration)
        return plan


def _body_limit(text: str, default: str) -> int:
    """`client_max_body_size` in bytes, 0 without a limit; what is no size leaves nginx's own 1 MiB."""
    stripped = text.strip()
    return parse_size(stripped if _SIZE.fullmatch(stripped) else default) or 0


def _next_upstream(text: str, *, retry: bool) -> frozenset[str]:
    words = set(text.split())
    if retry:
        words.add("non_idempotent")
    return frozenset() if "off" in words else frozenset(words)


def _rewriting(location: Location) -> Rewriting | None:
    target = location.annotations.rewrite.target
    if target in {"", location.path}:
        return None
    path, mark, args = target.partition("?")
    keep = not (mark and args == "") and not target.endswith("?")
    template = Template(args.removesuffix("?")) if mark and args else None
    redirects = target.startswith(("http://", "https://", "$scheme"))
    return Rewriting(match_pattern(location.path), Template(path), template, keep, redirects)


def _in_list(path: str, prefixes: str) -> bool:
    return any(path.startswith(prefix.strip(" ")) for prefix in prefixes.split(",") if prefix.strip(" "))


def _external_auth(annotations: IngressAnnotations, everywhere: ExternalAuth) -> ExternalAuth | None:
    if annotations.external_auth.url:
        return annotations.external_auth
    return everywhere if everywhere.url and annotations.enable_global_auth else None
