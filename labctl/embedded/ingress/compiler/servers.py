"""Virtual hosts: built from the Ingresses that name them, oldest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labctl.embedded.ingress.annotations.parse_routing import default_proxy
from labctl.embedded.ingress.annotations.values import ClientCertificateAuth, IngressAnnotations, ProxySSL, Rewrite
from labctl.embedded.ingress.compiler.locations import LocationList
from labctl.embedded.ingress.compiler.parsed import ParsedIngress, Rule
from labctl.embedded.ingress.compiler.sources import Sources
from labctl.embedded.ingress.compiler.tls import server_certificate
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import (
    DEFAULT_BACKEND,
    DEFAULT_SERVER,
    ROOT,
    Backend,
    Location,
    Server,
)


@dataclass(frozen=True, slots=True)
class HostInput:
    """What one host is built from.

    Attributes:
        hostname: The host; `_` for the default server.
        ingresses: Ingresses with rules for it, in order of precedence, with those rules. For the default server also
            those of canaries whose host does not exist.
        catch_all: For the default server: Ingresses with a default backend and no rules, in order.
    """

    hostname: str
    ingresses: Sequence[tuple[ParsedIngress, Sequence[Rule]]]
    catch_all: Sequence[ParsedIngress] = ()


def build_server(
    host: HostInput, backends: Mapping[str, Backend], sources: Sources, log: list[LogLine]
) -> Server | None:
    """Build a host; None when only canaries name it, because a canary has no host of its own.

    Args:
        host: Its Ingresses.
        backends: All backends, without session affinity.
        sources: Settings and certificates.
        log: Gets what the controller logs.
    """
    stable = [(ingress, rules) for ingress, rules in host.ingresses if not ingress.annotations.canary.enabled]
    if host.hostname == DEFAULT_SERVER:
        server = _default_server(host, backends, sources)
    elif stable:
        server = _first(host.hostname, stable[0][0], backends)
    else:
        return None
    own = [ingress for ingress, rules in stable if any(rule.host == host.hostname for rule in rules)]
    server = _server_annotations(server, own, sources, log)
    return _apply_rules(server, host.ingresses, backends, sources, log)


def _default_server(host: HostInput, backends: Mapping[str, Backend], sources: Sources) -> Server:
    """The server for unknown hosts: nginx's own root location, or the oldest Ingress that is only a default backend."""
    default = backends[DEFAULT_BACKEND]
    annotations = IngressAnnotations(
        proxy=default_proxy(sources.settings), access_log=sources.settings.enable_access_log_for_default_backend
    )
    root = Location(ROOT, "Prefix", DEFAULT_BACKEND, annotations, service=default.service, is_default=True)
    for ingress in host.catch_all:
        path = ingress.default_backend
        if ingress.annotations.canary.enabled or path is None:
            continue
        root = Location(
            ROOT,
            "Prefix",
            path.backend,
            # Redirects and rewrites of a catch-all Ingress are left out, as ingress-nginx does.
            replace(ingress.annotations, redirect=annotations.redirect, rewrite=Rewrite()),
            service=backends[path.backend].service,
            ingress=ingress.ref,
            error_backend=DEFAULT_BACKEND,
        )
        break
    return Server(DEFAULT_SERVER, (root,), certificate=sources.default_certificate())


def _first(hostname: str, ingress: ParsedIngress, backends: Mapping[str, Backend]) -> Server:
    """A host as the oldest Ingress that names it founds it: a root location with its default backend."""
    backend = ingress.default_backend.backend if ingress.default_backend is not None else DEFAULT_BACKEND
    root = Location(
        ROOT,
        "Prefix",
        backend,
        ingress.annotations,
        is_default=True,
        ingress=ingress.ref,
        error_backend=DEFAULT_BACKEND,
    )
    assert backend in backends
    annotations = ingress.annotations
    return Server(
        hostname,
        (root,),
        ssl_passthrough=annotations.ssl_passthrough,
        ssl_ciphers=annotations.ssl_ciphers,
        ssl_prefer_server_ciphers=annotations.ssl_prefer_server_ciphers,
    )


def _server_annotations(
    server: Server, ingresses: Sequence[ParsedIngress], sources: Sources, log: list[LogLine]
) -> Server:
    """Aliases, snippet, ciphers and certificate: each from the oldest Ingress that has one."""
    aliases, snippet = server.aliases, server.server_snippet
    ciphers, prefer, certificate = server.ssl_ciphers, server.ssl_prefer_server_ciphers, server.certificate
    for ingress in ingresses:
        annotations = ingress.annotations
        if not aliases:
            aliases = annotations.aliases
        elif annotations.aliases:
            message = f"Aliases already configured for server {quote(server.hostname)}, skipping"
            log.append(LogLine("W", "controller.go:1393", f"{message} (Ingress {quote(str(ingress.ref))})"))
        snippet = snippet or annotations.server_snippet
        ciphers = ciphers or annotations.ssl_ciphers
        prefer = prefer or annotations.ssl_prefer_server_ciphers
        if certificate is None and ingress.tls:
            certificate = server_certificate(server.hostname, ingress, sources, log)
    return replace(
        server,
        aliases=aliases,
        server_snippet=snippet,
        ssl_ciphers=ciphers,
        ssl_prefer_server_ciphers=prefer,
        certificate=certificate,
    )


def _apply_rules(
    server: Server,
    ingresses: Sequence[tuple[ParsedIngress, Sequence[Rule]]],
    backends: Mapping[str, Backend],
    sources: Sources,
    log: list[LogLine],
) -> Server:
    locations = LocationList(server.hostname, server.locations[0], log)
    peer = _PeerSettings(server, location_only=sources.settings.proxy_ssl_location_only)
    to_www = False
    for ingress, rules in ingresses:
        for rule in rules:
            if rule.has_http or rule.host == DEFAULT_SERVER:
                peer.add(ingress.annotations)
            for path in rule.paths:
                if path.routed and not backends[path.backend].no_server:
                    location = locations.apply(ingress, path, backends[path.backend])
                    to_www = to_www or (location is not None and location.annotations.redirect.from_to_www)
    return replace(
        server,
        locations=tuple(locations.locations),
        certificate_auth=peer.certificate_auth,
        auth_tls_error=peer.auth_tls_error,
        proxy_ssl=peer.proxy_ssl,
        redirect_from_to_www=to_www,
        lost=tuple(locations.lost),
    )


class _PeerSettings:
    """Client certificates and TLS to pods hold for the whole server: the first Ingress with a CA settles them."""

    def __init__(self, server: Server, *, location_only: bool) -> None:
        self.certificate_auth: ClientCertificateAuth = server.certificate_auth
        self.auth_tls_error: str = server.auth_tls_error
        self.proxy_ssl: ProxySSL = server.proxy_ssl
        self._location_only = location_only

    def add(self, annotations: IngressAnnotations) -> None:
        """Take over what an Ingress says, unless it is settled."""
        self.auth_tls_error = self.auth_tls_error or annotations.certificate_auth.error
        if not self.certificate_auth.certificate.ca:
            self.certificate_auth = annotations.certificate_auth
        if not self._location_only and not self.proxy_ssl.certificate.ca:
            self.proxy_ssl = annotations.proxy_ssl


def final_aliases(server: Server, servers: Mapping[str, Server]) -> tuple[str, ...]:
    """Aliases that count: sorted, each once, neither the host's own name nor that of another host."""
    return tuple(sorted({alias for alias in server.aliases if alias != server.hostname and alias not in servers}))
