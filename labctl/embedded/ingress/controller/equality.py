"""When is a new configuration the same as the running one, and when does applying it take a reload?

The comparison is the real controller's (`types_equals.go` of 1.11.2) with its gaps: what it does not look at changes
nothing until something else makes it reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from operator import attrgetter

from labctl.embedded.ingress.annotations.values import AffinityCookie, IngressAnnotations
from labctl.embedded.ingress.model import Backend, Configuration, Location, Server

_OF_OTHERS = frozenset(
    """
    aliases canary certificate_auth custom_headers default_backend hash_by load_balance session_affinity
    server_snippet service_upstream ssl_ciphers ssl_prefer_server_ciphers ssl_passthrough stream_snippet
    denied external_auth rewrite
    """.split()  # noqa: SIM905 - one word per field reads best
)
"""Annotations that are no part of a location, or that are compared in their own way."""

_of_location = attrgetter(*(entry.name for entry in fields(IngressAnnotations) if entry.name not in _OF_OTHERS))
_location = attrgetter("path", "is_default", "backend", "service", "port", "error_backend")
_server = attrgetter(
    "hostname",
    "ssl_passthrough",
    "redirect_from_to_www",
    "certificate_auth",
    "server_snippet",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "auth_tls_error",
    "proxy_ssl",
)


def same_backends(old: Mapping[str, Backend], new: Mapping[str, Backend]) -> bool:
    """Whether all backends are alike."""
    if old.keys() != new.keys():
        return False
    return all(old[name] is backend or _same_backend(old[name], backend) for name, backend in new.items())


def _same_backend(old: Backend, new: Backend) -> bool:
    return _backend_key(old) == _backend_key(new)


def _backend_key(backend: Backend) -> Backend:
    cookie: AffinityCookie = replace(backend.affinity.cookie, change_on_failure=False)
    return replace(
        backend,
        endpoints=tuple(sorted(backend.endpoints, key=lambda endpoint: endpoint.peer)),
        affinity=replace(backend.affinity, cookie=cookie, locations={}),
        shaping=replace(backend.shaping, weight_total=0),
        alternatives=tuple(sorted(backend.alternatives)),
    )


def same_certificates(old: Configuration, new: Configuration) -> bool:
    """Whether all servers show the certificates they showed."""
    return all(
        old.servers[name].certificate == server.certificate
        for name, server in new.servers.items()
        if name in old.servers
    )


def needs_reload(old: Configuration, new: Configuration) -> bool:
    """Whether more changed than backends and certificates."""
    if old.settings.checksum != new.settings.checksum or old.passthrough != new.passthrough:
        return True
    if old.default_certificate != new.default_certificate or old.servers.keys() != new.servers.keys():
        return True
    return any(
        old.servers[name] is not server and not _same_server(old.servers[name], server)
        for name, server in new.servers.items()
    )


def _same_server(old: Server, new: Server) -> bool:
    if _server(old) != _server(new) or set(old.aliases) != set(new.aliases):
        return False
    if len(old.locations) != len(new.locations):
        return False
    return all(_same_location(*pair) for pair in zip(old.locations, new.locations, strict=True))


def _same_location(old: Location, new: Location) -> bool:
    if old is new:
        return True
    if _location(old) != _location(new):
        return False
    mine, other = old.annotations, new.annotations
    return mine is other or _same_annotations(mine, other)


def _same_annotations(old: IngressAnnotations, new: IngressAnnotations) -> bool:
    # The reason of a denied location is compared by reference there, so reading it again is a change.
    if old.denied or new.denied or _of_location(old) != _of_location(new):
        return False
    if replace(old.rewrite, preserve_trailing_slash=False) != replace(new.rewrite, preserve_trailing_slash=False):
        return False
    return replace(old.external_auth, proxy_set_headers={}) == replace(new.external_auth, proxy_set_headers={})
