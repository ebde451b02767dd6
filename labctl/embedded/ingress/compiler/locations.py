"""Locations of one server: which rule gets which path, and how nginx has to match it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from labctl.embedded.ingress.compiler.parsed import ParsedIngress, RulePath
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import DEFAULT_BACKEND, ROOT, Backend, Location, LocationInfo, Lost


class LocationList:
    """Locations of a server while rules are applied in order of precedence."""

    def __init__(self, hostname: str, root: Location, log: list[LogLine]) -> None:
        self.hostname = hostname
        self.locations: list[Location] = [root]
        self.lost: list[Lost] = []
        self._log = log

    def apply(self, ingress: ParsedIngress, path: RulePath, backend: Backend) -> Location | None:
        """Give a rule its location, unless an older one has it. Returns the location when the rule got it.

        Two rules may share a path when one is Exact and the other is not. The root location that no rule asked for
        gives way.
        """
        for position, location in enumerate(self.locations):
            if location.path != path.path:
                continue
            if location.path_type != path.path_type:
                break
            if not location.is_default:
                self._lose(ingress, path, location)
                return None
            message = f"Replacing location {self._where(path)} with upstream {quote(location.backend)} to use upstream"
            self._trace("controller.go:811", f"{message} {quote(backend.name)} (Ingress {quote(str(ingress.ref))})")
            self.locations[position] = new_location(ingress, path, backend)
            return self.locations[position]
        message = f"Adding location {self._where(path)} with upstream {quote(backend.name)}"
        self._trace("controller.go:831", f"{message} (Ingress {quote(str(ingress.ref))})")
        self.locations.append(new_location(ingress, path, backend))
        return self.locations[-1]

    def _where(self, path: RulePath) -> str:
        return f"{quote(path.path)} for server {quote(self.hostname)}"

    def _lose(self, ingress: ParsedIngress, path: RulePath, winner: Location) -> None:
        reason = f"{winner.path_type} path {path.path} of this host already belongs to Ingress {winner.ingress}"
        self.lost.append(Lost(ingress.ref, path.path, path.backend, reason))
        message = f"Location {quote(path.path)} already configured for server {quote(self.hostname)} with upstream"
        self._trace("controller.go:804", f"{message} {quote(winner.backend)} (Ingress {quote(str(ingress.ref))})")

    def _trace(self, source: str, message: str) -> None:
        self._log.append(LogLine("I", source, message, 3))


def new_location(ingress: ParsedIngress, path: RulePath, backend: Backend) -> Location:
    """The location that a rule asks for."""
    return Location(
        path=path.path,
        path_type=path.path_type,
        backend=backend.name,
        annotations=ingress.annotations,
        service=backend.service,
        port=backend.port,
        ingress=ingress.ref,
        error_backend=DEFAULT_BACKEND,
    )


def sorted_locations(locations: Iterable[Location]) -> list[Location]:
    """Nginx's order: longest path first, equally long ones backwards by path."""
    by_path = sorted(locations, key=lambda location: location.path, reverse=True)
    return sorted(by_path, key=lambda location: -len(location.path))


def needs_rewrite(location: Location) -> bool:
    """Whether `rewrite-target` changes the path of this location."""
    target = location.annotations.rewrite.target
    return target not in {"", location.path}


def with_exact_twins(locations: Iterable[Location]) -> list[Location]:
    """Make Prefix paths match whole path elements: `/foo` becomes `/foo/` and an exact `/foo`.

    Paths that are rewritten or regular expressions stay as they are; where an Exact rule has the path, the twin is left
    out.
    """
    locations = list(locations)
    exact = {location.path for location in locations if location.path_type == "Exact"}
    result: list[Location] = []
    for location in locations:
        if location.path == ROOT:
            result.append(location)
            continue
        location = replace(location, rule_path=location.path)  # noqa: PLW2901 - the rule's own path is kept beside
        if location.path_type != "Prefix" or needs_rewrite(location) or location.annotations.rewrite.use_regex:
            result.append(location)
            continue
        prefix = location.path if location.path.endswith("/") else location.path + "/"
        result.append(replace(location, path=prefix))
        if location.path not in exact:
            result.append(replace(location, path_type="Exact"))
    return result


def with_info(locations: Iterable[Location], hostname: str, ingresses: Mapping[str, ParsedIngress]) -> list[Location]:
    """Add the values of `$service_name` and its like, which come from the Ingress that wrote the location."""
    return [replace(location, info=_info(location, hostname, ingresses)) for location in locations]


def _info(location: Location, hostname: str, ingresses: Mapping[str, ParsedIngress]) -> LocationInfo:
    ingress = ingresses.get(str(location.ingress)) if location.ingress is not None else None
    if ingress is None:
        return LocationInfo()
    path = location.rule_path or ROOT
    named = ingress.default_backend
    for rule in ingress.rules:
        if rule.host != hostname:
            continue
        for candidate in rule.paths:
            if candidate.path == path and candidate.routed:
                return _info_of(ingress, candidate, path)
    return _info_of(ingress, named, path)


def _info_of(ingress: ParsedIngress, path: RulePath | None, shown: str) -> LocationInfo:
    service = path.service.partition("/")[2] if path is not None else ""
    return LocationInfo(ingress.ref.namespace, ingress.ref.name, service, path.port if path is not None else "", shown)
