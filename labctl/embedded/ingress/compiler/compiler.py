"""The compiler: Ingresses and the objects they refer to in, a Configuration out.

It remembers what it built from which Ingress, so that after a change only the hosts and backends that the change
touches are built again. The result is the same as if everything were built anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from labctl.embedded.ingress.compiler.backends import build_backend, default_backend, with_affinity
from labctl.embedded.ingress.compiler.canary import CanaryMerge
from labctl.embedded.ingress.compiler.error_backends import add_error_backends, has_default_backend
from labctl.embedded.ingress.compiler.locations import sorted_locations, with_exact_twins, with_info
from labctl.embedded.ingress.compiler.parsed import ParsedIngress, Rule, in_order
from labctl.embedded.ingress.compiler.servers import HostInput, build_server, final_aliases
from labctl.embedded.ingress.compiler.sources import Sources
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import (
    DEFAULT_BACKEND,
    DEFAULT_SERVER,
    ROOT,
    Backend,
    Configuration,
    Passthrough,
    Server,
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since the last compilation.

    Attributes:
        everything: Whether nothing remembered may be used, for example after a change of the ConfigMap.
        services: Services that changed, or whose endpoints did (`namespace/name`).
        secrets: Secrets that changed.
    """

    everything: bool = True
    services: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()

    def and_then(self, later: Changes) -> Changes:
        """Both together."""
        return Changes(
            self.everything or later.everything, self.services | later.services, self.secrets | later.secrets
        )


@dataclass(slots=True)
class _Dirty:
    hosts: set[str] = field(default_factory=set)
    backends: set[str] = field(default_factory=set)


class Compiler:
    """Compiles, again and again.

    Args:
        default_service: `--default-backend-service`.
    """

    def __init__(self, default_service: str = "") -> None:
        self._default_service = default_service
        self._forget()

    def _forget(self) -> None:
        self._ingresses: dict[str, ParsedIngress] = {}
        self._by_host: dict[str, dict[str, ParsedIngress]] = {}
        self._by_backend: dict[str, dict[str, ParsedIngress]] = {}
        self._bare: dict[str, Backend] = {}
        self._backends: dict[str, Backend] = {}
        self._servers: dict[str, Server] = {}
        self._finished: dict[str, tuple[Server, tuple[str, ...], Server]] = {}

    def compile(
        self,
        ingresses: Mapping[str, ParsedIngress],
        sources: Sources,
        changes: Changes = Changes(),
        log: list[LogLine] | None = None,
    ) -> Configuration:
        """Build the routing table.

        Args:
            ingresses: Those the controller has taken, by `namespace/name`; an unchanged one is the same object.
            sources: The other objects.
            changes: What else changed since the last call.
            log: Gets what the controller logs.
        """
        lines: list[LogLine] = [] if log is None else log
        if changes.everything:
            self._forget()
        dirty = self._note_ingresses(ingresses)
        self._note_objects(changes, dirty)
        self._build_backends(dirty, sources, lines)
        self._build_servers(dirty, sources, lines)
        return self._assemble(sources, lines)

    # What has to be built again

    def _note_ingresses(self, ingresses: Mapping[str, ParsedIngress]) -> _Dirty:
        dirty = _Dirty()
        for key in self._ingresses.keys() - ingresses.keys():
            self._remove(key, dirty)
        for key, ingress in ingresses.items():
            known = self._ingresses.get(key)
            if known is not ingress:
                if known is not None:
                    self._remove(key, dirty)
                self._add(key, ingress, dirty)
        return dirty

    def _add(self, key: str, ingress: ParsedIngress, dirty: _Dirty) -> None:
        self._ingresses[key] = ingress
        for host in self._touch(ingress, dirty):
            self._by_host.setdefault(host, {})[key] = ingress
        for path in ingress.all_paths():
            self._by_backend.setdefault(path.backend, {})[key] = ingress

    def _remove(self, key: str, dirty: _Dirty) -> None:
        ingress = self._ingresses.pop(key)
        for host in self._touch(ingress, dirty):
            self._by_host[host].pop(key, None)
        for path in ingress.all_paths():
            self._by_backend[path.backend].pop(key, None)

    @staticmethod
    def _touch(ingress: ParsedIngress, dirty: _Dirty) -> set[str]:
        """Mark what an Ingress has a part in; returns its hosts, `_` included for a bare default backend."""
        hosts = {rule.host for rule in ingress.rules}
        if ingress.default_backend is not None and not ingress.rules:
            hosts.add(DEFAULT_SERVER)
        dirty.hosts |= hosts
        dirty.backends.update(path.backend for path in ingress.all_paths())
        return hosts

    def _note_objects(self, changes: Changes, dirty: _Dirty) -> None:
        if changes.services:
            for name, ingresses in self._by_backend.items():
                if any(
                    path.service in changes.services
                    for ingress in ingresses.values()
                    for path in ingress.all_paths()
                    if path.backend == name
                ):
                    dirty.backends.add(name)
        if changes.secrets:
            for ingress in self._ingresses.values():
                if any(f"{ingress.ref.namespace}/{name}" in changes.secrets for _, name in ingress.tls):
                    dirty.hosts.update(rule.host for rule in ingress.rules)

    # Backends and servers

    def _build_backends(self, dirty: _Dirty, sources: Sources, log: list[LogLine]) -> None:
        default = default_backend(self._default_service, sources, log)
        if self._bare.get(DEFAULT_BACKEND) != default:
            dirty.hosts.add(DEFAULT_SERVER)
        self._bare[DEFAULT_BACKEND] = self._backends[DEFAULT_BACKEND] = default
        for name in sorted(dirty.backends):
            ingresses = self._by_backend.get(name)
            if not ingresses:
                self._by_backend.pop(name, None)
                self._bare.pop(name, None)
                self._backends.pop(name, None)
                continue
            backend = build_backend(name, in_order(ingresses.values()), sources, log)
            if _identity(self._bare.get(name)) != _identity(backend):
                dirty.hosts.update(rule.host for ingress in ingresses.values() for rule in ingress.rules)
                dirty.hosts.add(DEFAULT_SERVER)
            self._bare[name] = backend

    def _build_servers(self, dirty: _Dirty, sources: Sources, log: list[LogLine]) -> None:
        affected: set[str] = set()
        dirty.hosts.add(DEFAULT_SERVER)
        for host in sorted(dirty.hosts - {DEFAULT_SERVER}):
            server = self._build_host(host, sources, log)
            before = self._servers.get(host)
            if before is None or server is None or before.aliases != server.aliases:
                affected.add(host)
            self._store(host, server)
        self._store(DEFAULT_SERVER, self._build_host(DEFAULT_SERVER, sources, log))
        self._update_affinity(dirty.backends, affected)

    def _store(self, host: str, server: Server | None) -> None:
        if server is None:
            self._servers.pop(host, None)
            self._finished.pop(host, None)
            if not self._by_host.get(host):
                self._by_host.pop(host, None)
        else:
            self._servers[host] = server
            self._finished.pop(host, None)

    def _build_host(self, host: str, sources: Sources, log: list[LogLine]) -> Server | None:
        found = in_order(self._by_host.get(host, {}).values())
        if host != DEFAULT_SERVER:
            chosen = [(ingress, _rules(ingress, {host})) for ingress in found]
            return build_server(HostInput(host, chosen), self._bare, sources, log)
        orphans = {name for name in self._by_host if name != DEFAULT_SERVER and name not in self._servers}
        wanted = {DEFAULT_SERVER, *orphans}
        members = {str(ingress.ref): ingress for name in wanted for ingress in self._by_host.get(name, {}).values()}
        chosen = [(ingress, _rules(ingress, wanted)) for ingress in in_order(members.values())]
        catch_all = [ingress for ingress in found if not ingress.rules]
        return build_server(HostInput(host, chosen, catch_all), self._bare, sources, log)

    def _update_affinity(self, names: Iterable[str], hosts: Iterable[str]) -> None:
        """Session affinity lists the hosts with their aliases, so it follows the servers."""
        wanted = set(names)
        for host in hosts:
            for ingress in self._by_host.get(host, {}).values():
                wanted.update(path.backend for path in ingress.all_paths())
        aliases = {
            host: final_aliases(server, self._servers) for host, server in self._servers.items() if server.aliases
        }
        for name in wanted & self._bare.keys() - {DEFAULT_BACKEND}:
            ordered = in_order(self._by_backend[name].values())
            self._backends[name] = with_affinity(self._bare[name], ordered, aliases)

    # The result

    def _assemble(self, sources: Sources, log: list[LogLine]) -> Configuration:
        backends = dict(self._backends)
        servers = dict(self._servers)
        canaries = [ingress for ingress in self._ingresses.values() if ingress.annotations.canary.enabled]
        if len(canaries) < len(self._ingresses):
            merge = CanaryMerge(backends, servers, log)
            merge.merge(in_order(canaries))
            for host, lost in merge.lost:
                # A host that only canaries ask for has no server to note it on; the log says it.
                if host in servers:
                    servers[host] = replace(servers[host], lost=(*servers[host].lost, lost))
        flagged = [server for server in servers.values() if has_default_backend(server)]
        servers.update(add_error_backends(flagged, backends, sources, log))
        finished = {host: self._finish(host, servers[host], servers) for host in sorted(servers)}
        passthrough = tuple(_passthrough(finished.values(), log))
        settings = sources.settings
        return Configuration(
            settings=settings,
            servers=finished,
            backends=backends,
            default_certificate=sources.default_certificate(),
            proxy_set_headers=_headers(settings.proxy_set_headers, sources, log),
            add_headers=_headers(settings.add_headers, sources, log),
            passthrough=passthrough,
        )

    def _finish(self, host: str, server: Server, servers: Mapping[str, Server]) -> Server:
        """Order the locations, give Prefix paths their exact twins, settle aliases; remembered until a change."""
        aliases = final_aliases(server, servers) if server.aliases else ()
        known = self._finished.get(host)
        if known is not None and (known[0] is server or known[0] == server) and known[1] == aliases:
            return known[2]
        locations = with_exact_twins(sorted_locations(server.locations))
        informed = with_info(locations, host, self._ingresses)
        result = replace(server, locations=tuple(informed), aliases=aliases)
        self._finished[host] = (server, aliases, result)
        return result


def _rules(ingress: ParsedIngress, hosts: set[str]) -> list[Rule]:
    return [rule for rule in ingress.rules if rule.host in hosts]


def _identity(backend: Backend | None) -> tuple[str, str, bool] | None:
    """What servers take over from a backend."""
    return None if backend is None else (backend.service, backend.port, backend.no_server)


def _headers(key: str, sources: Sources, log: list[LogLine]) -> tuple[tuple[str, str], ...]:
    """Headers listed in a ConfigMap, sorted as Go templates range over maps."""
    if not key:
        return ()
    config_map = sources.config_map(key)
    if config_map is None:
        message = f"Error reading ConfigMap {quote(key)} from local store: no object matching key {quote(key)}"
        log.append(LogLine("W", "nginx.go:550", f"{message} in local store"))
        return ()
    data: dict[str, str] = config_map.get("data") or {}
    return tuple(sorted(data.items()))


def _passthrough(servers: Iterable[Server], log: list[LogLine]) -> Iterable[Passthrough]:
    for server in servers:
        if not server.ssl_passthrough:
            continue
        for location in server.locations:
            if location.path == ROOT:
                yield Passthrough(server.hostname, location.backend, location.service, location.port)
                break
            message = f"Ignoring SSL Passthrough for location {quote(location.path)} in server {quote(server.hostname)}"
            log.append(LogLine("W", "controller.go:626", message))
