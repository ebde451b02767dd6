"""Canaries: a backend of its own becomes the alternative of the backend that the same path has without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from labctl.embedded.ingress.compiler.parsed import ParsedIngress, RulePath
from labctl.embedded.ingress.log import LogLine
from labctl.embedded.ingress.model import DEFAULT_BACKEND, DEFAULT_SERVER, Backend, Location, Lost, Server


class CanaryMerge:
    """Merges canary Ingresses into the backends of the others, in order of precedence."""

    def __init__(self, backends: dict[str, Backend], servers: Mapping[str, Server], log: list[LogLine]) -> None:
        self.backends = backends
        self.lost: list[tuple[str, Lost]] = []
        self._servers = servers
        self._log = log

    def merge(self, canaries: Sequence[ParsedIngress]) -> None:
        """Merge them all. A canary backend that finds no partner is removed."""
        for ingress in canaries:
            if ingress.default_backend is not None:
                self._merge_path(ingress, ingress.default_backend, DEFAULT_SERVER, any_location=True)
            for rule in ingress.rules:
                for path in rule.paths:
                    if path.routed:
                        self._merge_path(ingress, path, rule.host, any_location=False)

    def _warn(self, source: str, message: str, severity: str = "W") -> None:
        self._log.append(LogLine(severity, source, message))

    def _lose(self, ingress: ParsedIngress, path: RulePath, host: str, reason: str) -> None:
        self.lost.append((host, Lost(ingress.ref, path.path, path.backend, reason)))

    def _merge_path(self, ingress: ParsedIngress, path: RulePath, host: str, *, any_location: bool) -> None:
        name = path.backend
        if name not in self.backends:
            self._warn("controller.go:1644", f"alternative backend {name} has already been removed")
            self._lose(ingress, path, host, "its backend was removed because another canary of it found no partner")
            return
        server = self._servers.get(host)
        if server is None:
            message = f"cannot merge alternative backend {name} into hostname {host} that does not exist"
            self._warn("controller.go:1651", message, "E")
            self._lose(ingress, path, DEFAULT_SERVER, f"no Ingress that is not a canary has the host {host}")
            return
        merged, is_primary = self._merge_into(ingress, path, server, any_location=any_location)
        if not merged and not is_primary:
            self._warn("controller.go:1681", f"unable to find real backend for alternative backend {name}. Deleting.")
            self._lose(ingress, path, host, f"no Ingress that is not a canary has the path {path.path} with its type")
            del self.backends[name]

    def _merge_into(
        self, ingress: ParsedIngress, path: RulePath, server: Server, *, any_location: bool
    ) -> tuple[bool, bool]:
        """Whether it was merged by the last location that matches, and whether it is itself what a location has."""
        merged = is_primary = False
        for location in server.locations:
            primary = self.backends.get(location.backend)
            if primary is None:
                message = (
                    f"cannot find primary backend {location.backend} for location {server.hostname}{location.path}"
                )
                self._warn("controller.go:1659", message)
                continue
            is_primary = primary.name == path.backend
            if is_primary:
                where = f"{server.hostname}{location.path}!"
                message = f"alternative upstream {path.backend} in Ingress {ingress.ref} is primary upstream"
                self._warn("controller.go:1667", f"{message} in Other Ingress for location {where}")
                self._lose(ingress, path, server.hostname, "its backend is the one that the path has without a canary")
                break
            if self._matches(primary, location, path, any_location=any_location):
                merged = self._merge(ingress, primary.name, path, server.hostname)
        return merged, is_primary

    @staticmethod
    def _matches(primary: Backend, location: Location, path: RulePath, *, any_location: bool) -> bool:
        if primary.name == DEFAULT_BACKEND or primary.no_server:
            return False
        return any_location or (location.path == path.path and location.path_type == path.path_type)

    def _merge(self, ingress: ParsedIngress, primary_name: str, path: RulePath, host: str) -> bool:
        primary = self.backends[primary_name]
        if path.backend in primary.alternatives:
            return True
        if ingress.annotations.session_affinity.canary_behavior != "legacy":
            self.backends[path.backend] = replace(self.backends[path.backend], affinity=primary.affinity)
        if primary.alternatives:
            self._lose(ingress, path, host, f"{primary.alternatives[0]} is the canary already: only the first counts")
        self.backends[primary_name] = replace(primary, alternatives=(*primary.alternatives, path.backend))
        return True
