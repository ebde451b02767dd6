"""Backends for errors: the Service of the `default-backend` annotation, where it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from labctl.embedded.ingress.compiler.backends import first_port_endpoints
from labctl.embedded.ingress.compiler.sources import Sources
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import DEFAULT_BACKEND, Backend, Location, Server

PREFIX = "custom-default-backend-"


def has_default_backend(server: Server) -> bool:
    """Whether any location of the server names a default backend."""
    return any(location.annotations.default_backend for location in server.locations)


def add_error_backends(
    servers: Iterable[Server], backends: dict[str, Backend], sources: Sources, log: list[LogLine]
) -> dict[str, Server]:
    """Point locations to their default backend where their own has no endpoints or their errors are intercepted.

    Args:
        servers: Servers with such locations.
        backends: All backends; the new ones are added.
        sources: Services and endpoints.
        log: Gets what the controller logs.

    Returns:
        The changed servers by host name.
    """
    before = dict(backends)
    changed: dict[str, Server] = {}
    for server in servers:
        locations = tuple(_point(location, before, backends, sources, log) for location in server.locations)
        if locations != server.locations:
            changed[server.hostname] = replace(server, locations=locations)
    return changed


def _point(
    location: Location,
    before: Mapping[str, Backend],
    backends: dict[str, Backend],
    sources: Sources,
    log: list[LogLine],
) -> Location:
    service = location.annotations.default_backend
    backend = before.get(location.backend)
    if not service or backend is None or location.backend == DEFAULT_BACKEND:
        return location
    if backend.endpoints and not location.annotations.custom_http_errors:
        return location
    endpoints = first_port_endpoints(service, sources, log)
    if not endpoints:
        return location
    name = PREFIX + service.replace("/", "-", 1)
    message = f"Creating {quote(name)} upstream based on default backend annotation"
    log.append(LogLine("I", "controller.go:907", message, 3))
    backends[name] = replace(backend, name=name, endpoints=endpoints)
    return replace(location, error_backend=name, backend=location.backend if backend.endpoints else name)
