"""Which server and which location a request belongs to, in time that does not depend on how many there are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labctl.embedded.ingress.compiler.locations import needs_rewrite
from labctl.embedded.ingress.compiler.tls import is_listed
from labctl.embedded.ingress.model import DEFAULT_SERVER, Certificate, Configuration, Location, Server
from labctl.embedded.ingress.nginx.regexes import match_pattern

_LABEL = re.compile(r"[\w-]+")


class LocationTable:
    """Locations of one server, as nginx looks them up.

    Attributes:
        regex: Whether all locations are regular expressions, because one of them rewrites or uses them.
    """

    def __init__(self, locations: Sequence[Location]) -> None:
        self.regex = any(needs_rewrite(location) or location.annotations.rewrite.use_regex for location in locations)
        self._exact: dict[str, Location] = {}
        self._prefix: dict[str, Location] = {}
        self._lengths: tuple[int, ...] = ()
        self._patterns: list[tuple[re.Pattern[str], Location]] = []
        if self.regex:
            self._patterns = [(match_pattern("^" + location.path), location) for location in locations]
            return
        for location in locations:
            table = self._exact if location.path_type == "Exact" else self._prefix
            table.setdefault(location.path, location)
        self._lengths = tuple(sorted({len(path) for path in self._prefix if not path.endswith("/")}, reverse=True))

    def find(self, uri: str) -> Found | None:
        """The location of a normalised path; None when there is none.

        Exact before prefix, the longest prefix first; of regular expressions the first that matches.
        """
        if self.regex:
            return self._find_regex(uri)
        location = self._exact.get(uri)
        if location is not None:
            return Found(location, "exact path")
        with_slash = self._prefix.get(uri + "/")
        if with_slash is not None and not with_slash.annotations.denied:
            return Found(with_slash, "prefix without its slash", add_slash=True)
        location = self._longest_prefix(uri)
        return None if location is None else Found(location, "longest prefix")

    def _longest_prefix(self, uri: str) -> Location | None:
        prefix = self._prefix
        end = len(uri)
        best: Location | None = None
        while end > 0:
            end = uri.rfind("/", 0, end) + 1
            best = prefix.get(uri[:end])
            if best is not None:
                break
            end -= 1
        for length in self._lengths:
            if length <= max(end, 0):
                break
            other = prefix.get(uri[:length])
            if other is not None and length <= len(uri):
                return other
        return best

    def _find_regex(self, uri: str) -> Found | None:
        for pattern, location in self._patterns:
            match = pattern.search(uri)
            if match is not None:
                groups = tuple(group or "" for group in match.groups())
                return Found(location, f"regular expression {pattern.pattern}", captures=(match[0], *groups))
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """A location that was found.

    Attributes:
        location: It.
        reason: By which rule.
        add_slash: nginx answers 301 to the same path with a slash.
        captures: Groups of the regular expression, the whole match first.
    """

    location: Location
    reason: str
    add_slash: bool = False
    captures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WwwRedirect:
    """A host that only redirects to another one (`from-to-www-redirect`)."""

    hostname: str
    to: str
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Host:
    """What a name leads to.

    Attributes:
        server: The server; None for a redirect.
        redirect: The redirect.
        reason: By which rule: exact, wildcard, alias or default.
    """

    server: Server | None
    redirect: WwwRedirect | None
    reason: str


def www_redirects(servers: Mapping[str, Server]) -> list[WwwRedirect]:
    """Redirecting hosts, one for each server that asks for it and whose other form is not a host itself."""
    redirects: list[WwwRedirect] = []
    for hostname in sorted(servers):
        server = servers[hostname]
        if not server.redirect_from_to_www:
            continue
        source = hostname.removeprefix("www.") if hostname.startswith("www.") else f"www.{hostname}"
        if source in servers:
            continue
        certificate = server.certificate
        covered = certificate is not None and is_listed(source, certificate.names)
        redirects.append(WwwRedirect(source, hostname, certificate if covered else None))
    return redirects


class HostTable:
    """Virtual hosts by name: exact names, then wildcards, then regular expressions, then the default server."""

    def __init__(self, configuration: Configuration) -> None:
        self._exact: dict[str, Host] = {}
        self._wildcards: dict[str, Host] = {}
        self._leading: dict[str, Host] = {}
        self._trailing: dict[str, Host] = {}
        self._regex: list[tuple[re.Pattern[str], Host]] = []
        self.redirects = www_redirects(configuration.servers)
        for redirect in self.redirects:
            self._add(redirect.hostname, Host(None, redirect, "www redirect"))
        for hostname in sorted(configuration.servers):
            server = configuration.servers[hostname]
            if hostname.startswith("*."):
                self._wildcards.setdefault(hostname[2:], Host(server, None, f"wildcard {hostname}"))
            else:
                self._add(hostname, Host(server, None, "exact name"))
            for alias in server.aliases:
                self._add(alias, Host(server, None, f"alias {alias}"))
        self.default = Host(configuration.servers[DEFAULT_SERVER], None, "default server")

    def _add(self, name: str, host: Host) -> None:
        if name.startswith("~"):
            self._regex.append((match_pattern(name[1:]), host))
        elif name.startswith("*."):
            self._leading.setdefault(name[2:].lower(), host)
        elif name.startswith("."):
            self._exact.setdefault(name[1:].lower(), host)
            self._leading.setdefault(name[1:].lower(), host)
        elif name.endswith(".*"):
            self._trailing.setdefault(name[:-2].lower(), host)
        else:
            self._exact.setdefault(name.lower(), host)

    def find(self, host: str) -> Host:
        """The virtual host for a Host header without port, lower case."""
        found = self._exact.get(host)
        if found is not None:
            return found
        if self._leading or self._trailing:
            found = self._wildcard_alias(host)
            if found is not None:
                return found
        label, _, rest = host.partition(".")
        found = self._wildcards.get(rest)
        if found is not None and _LABEL.fullmatch(label):
            return found
        for pattern, candidate in self._regex:
            if pattern.search(host):
                return candidate
        return self.default

    def _wildcard_alias(self, host: str) -> Host | None:
        rest = host
        while "." in rest:
            rest = rest.partition(".")[2]
            found = self._leading.get(rest)
            if found is not None:
                return found
        rest = host
        while "." in rest:
            rest = rest.rpartition(".")[0]
            found = self._trailing.get(rest)
            if found is not None:
                return found
        return None


def certificate_names(configuration: Configuration, redirects: Sequence[WwwRedirect]) -> dict[str, Certificate | None]:
    """For each name that the controller hands to the certificate code: its certificate, or None for the default.

    A name in here counts as having TLS only when its certificate is set, except that names without one still shadow a
    wildcard: that is how the real lookup table behaves.
    """
    names: dict[str, Certificate | None] = {}
    for hostname, server in configuration.servers.items():
        names[hostname] = server.certificate
        for alias in server.aliases:
            certificate = server.certificate
            listed = certificate is not None and is_listed(alias, certificate.names)
            names[alias] = certificate if listed else None
    for redirect in redirects:
        names[redirect.hostname] = redirect.certificate
    return names
