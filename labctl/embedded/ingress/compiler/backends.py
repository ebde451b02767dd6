"""Backends: one per namespace, Service and port that any Ingress refers to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from labctl.embedded.ingress.annotations.values import AffinityCookie
from labctl.embedded.ingress.compiler.endpoints import find_port, port_endpoints, service_endpoints
from labctl.embedded.ingress.compiler.parsed import ParsedIngress, RulePath
from labctl.embedded.ingress.compiler.sources import Sources
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import DEFAULT_BACKEND, Backend, BackendAffinity, Endpoint, TrafficShaping

INTERNAL_DEFAULT = Endpoint("127.0.0.1", "8181")
"""nginx's own server on `--default-server-port`: answers 404 to everything."""


def default_backend(service_key: str, sources: Sources, log: list[LogLine]) -> Backend:
    """The backend of the default server: `--default-backend-service`, else nginx's own 404.

    Args:
        service_key: `namespace/name`, or empty.
        sources: Services and endpoints.
        log: Gets what the controller logs.
    """
    if not service_key:
        return Backend(DEFAULT_BACKEND, endpoints=(INTERNAL_DEFAULT,))
    service = sources.service(service_key)
    if service is None:
        message = f"Error getting default backend {quote(service_key)}: no object matching key {quote(service_key)}"
        log.append(LogLine("W", "controller.go:574", f"{message} in local store"))
        return Backend(DEFAULT_BACKEND, endpoints=(INTERNAL_DEFAULT,))
    endpoints = first_port_endpoints(service_key, sources, log)
    if not endpoints:
        log.append(LogLine("W", "controller.go:586", f"Service {quote(service_key)} does not have any active Endpoint"))
        endpoints = (INTERNAL_DEFAULT,)
    return Backend(DEFAULT_BACKEND, service=service_key, endpoints=endpoints)


def first_port_endpoints(service_key: str, sources: Sources, log: list[LogLine]) -> tuple[Endpoint, ...]:
    """Endpoints of a Service's first port, for default backends; empty when it has none."""
    service = sources.service(service_key)
    ports = (service or {}).get("spec", {}).get("ports") or ()
    if service is None or not ports:
        return ()
    if service["spec"].get("type") == "ExternalName":
        return service_endpoints(service_key, service, str(ports[0]["port"]), (), log)
    return port_endpoints(service_key, dict(ports[0]), sources.slices(service_key), log)


def build_backend(name: str, ingresses: Sequence[ParsedIngress], sources: Sources, log: list[LogLine]) -> Backend:
    """A backend without its session affinity.

    The first Ingress that refers to it decides about balancing, hashing and whether it is only a canary; an Ingress
    that has it as its default backend decides anew.

    Args:
        name: `namespace-service-port`.
        ingresses: All that refer to it, in order of precedence.
        sources: Services and endpoints.
        log: Gets what the controller logs.
    """
    backend: Backend | None = None
    for ingress in ingresses:
        default = ingress.default_backend
        if default is not None and default.backend == name:
            backend = _create(ingress, default, sources, log, is_default=True)
        if backend is None:
            path = next(path for path in ingress.all_paths() if path.backend == name)
            backend = _create(ingress, path, sources, log, is_default=False)
    assert backend is not None
    return backend


def _create(
    ingress: ParsedIngress, path: RulePath, sources: Sources, log: list[LogLine], *, is_default: bool
) -> Backend:
    annotations, canary = ingress.annotations, ingress.annotations.canary
    log.append(LogLine("I", "controller.go:1075", f"Creating upstream {quote(path.backend)}", 3))
    service = sources.service(path.service)
    endpoints = _endpoints(ingress, path, sources, log, is_default=is_default)
    return Backend(
        name=path.backend,
        service=path.service if service is not None else "",
        port="" if is_default else path.port,
        external_name=service is not None and service["spec"].get("type") == "ExternalName",
        endpoints=endpoints,
        hash_by=annotations.hash_by,
        load_balance=annotations.load_balance or sources.settings.load_balance,
        no_server=canary.enabled,
        shaping=TrafficShaping(
            canary.weight,
            canary.weight_total,
            canary.header,
            canary.header_value,
            canary.header_pattern,
            canary.cookie,
        )
        if canary.enabled
        else TrafficShaping(),
    )


def _endpoints(
    ingress: ParsedIngress, path: RulePath, sources: Sources, log: list[LogLine], *, is_default: bool
) -> tuple[Endpoint, ...]:
    key = path.service
    service = sources.service(key)
    missing = f"no object matching key {quote(key)} in local store"
    if ingress.annotations.service_upstream:
        endpoint, error = _cluster_endpoint(path, sources)
        if endpoint is not None:
            return (endpoint,)
        message = f"Failed to determine a suitable ClusterIP Endpoint for Service {quote(key)}: {error}"
        log.append(LogLine("E", "controller.go:1091", message))
    if service is None:
        if is_default:
            log.append(LogLine("W", "controller.go:1046", f"Error creating upstream {quote(path.backend)}: {missing}"))
            log.append(LogLine("W", "controller.go:1052", f"Error obtaining Service {quote(key)}: {missing}"))
        else:
            message = f"Error obtaining Endpoints for Service {quote(key)}: {missing}"
            log.append(LogLine("W", "controller.go:1110", message))
        return ()
    return service_endpoints(key, service, path.port, sources.slices(key), log)


def _cluster_endpoint(path: RulePath, sources: Sources) -> tuple[Endpoint | None, str]:
    """The Service's ClusterIP as its only endpoint, for `service-upstream`."""
    service = sources.service(path.service)
    if service is None:
        return None, f"service {quote(path.service)} does not exist"
    address = service["spec"].get("clusterIP", "")
    if address in {"", "None"}:
        return None, f"no ClusterIP found for Service {quote(path.service)}"
    if path.port.isdigit():
        return Endpoint(address, path.port), ""
    found = find_port(service, path.port)
    if found is None or found.get("name") != path.port:
        return None, f"service {quote(service['metadata']['name'])} does not have a port named {quote(path.port)}"
    return Endpoint(address, str(found["port"])), ""


def with_affinity(
    backend: Backend, ingresses: Sequence[ParsedIngress], aliases: Mapping[str, tuple[str, ...]]
) -> Backend:
    """Add session affinity: type and mode from the first Ingress that has them, the cookie from the last.

    Args:
        backend: Without affinity; one that is only a canary gets none of its own.
        ingresses: All that refer to it, in order of precedence.
        aliases: Further names of each host.
    """
    if backend.no_server or not any(
        ingress.annotations.session_affinity.type or ingress.annotations.session_affinity.mode for ingress in ingresses
    ):
        return backend
    kind = mode = ""
    cookie = AffinityCookie(name="")
    locations: dict[str, list[str]] = {}
    for ingress in ingresses:
        affinity = ingress.annotations.session_affinity
        for host, path in _rule_paths(ingress, backend.name):
            kind, mode = kind or affinity.type, mode or affinity.mode
            if affinity.type == "cookie":
                cookie = affinity.cookie
                for name in (host, *aliases.get(host, ())):
                    locations.setdefault(name, []).append(path)
    frozen = {host: tuple(paths) for host, paths in locations.items()}
    return replace(backend, affinity=BackendAffinity(kind, mode, cookie, frozen))


def _rule_paths(ingress: ParsedIngress, backend: str) -> list[tuple[str, str]]:
    return [(rule.host, path.path) for rule in ingress.rules for path in rule.paths if path.backend == backend]
