"""The data plane as a whole: what a reload replaces, and what changes without one."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.embedded.cni import PodNetwork
from labctl.embedded.ingress.annotations.values import ExternalAuth
from labctl.embedded.ingress.model import Backend, Certificate, Configuration, Server
from labctl.embedded.ingress.proxy import pages
from labctl.embedded.ingress.proxy.access import AccessList, Networks
from labctl.embedded.ingress.proxy.answers import Answer
from labctl.embedded.ingress.proxy.balancers import SharedState
from labctl.embedded.ingress.proxy.deadlines import Deadlines
from labctl.embedded.ingress.proxy.exchange import HeaderOperation, wildcard_of
from labctl.embedded.ingress.proxy.head import head_rules
from labctl.embedded.ingress.proxy.limits import Zones
from labctl.embedded.ingress.proxy.passthrough import PassthroughTable
from labctl.embedded.ingress.proxy.plan import ServerPlan
from labctl.embedded.ingress.proxy.realip import real_ip
from labctl.embedded.ingress.proxy.snippets import parse_snippet
from labctl.embedded.ingress.proxy.subrequest import AuthCache
from labctl.embedded.ingress.proxy.table import HostTable, certificate_names
from labctl.embedded.ingress.proxy.upstream import UpstreamConnection
from labctl.embedded.ingress.proxy.upstream_tls import UpstreamTls
from labctl.embedded.ingress.proxy.variables import Template
from labctl.embedded.ingress.proxy.worker import Worker

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.plan import LocationPlan
    from labctl.embedded.ingress.proxy.requester import Connection
    from labctl.embedded.ingress.proxy.response import ResponseWriter

_VERSION = "1.25.5"
_FIRST_PID = 30


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports that the controller's flags set."""

    http: int = 80
    https: int = 443


@dataclass(slots=True)
class Statistics:
    """Counters of nginx's stub_status module."""

    accepted: int = 0
    requests: int = 0
    active: set[Connection] = field(default_factory=set)


Observer = Callable[["Exchange", "ResponseWriter"], None]
Address = Callable[[str, int], tuple[str, int]]


def same_address(host: str, port: int) -> tuple[str, int]:
    """Endpoints are dialled where they are."""
    return host, port


class DataPlane:
    """Serves clients with the current configuration.

    Args:
        configuration: The first one.
        network: Where embedded pods are.
        pod_ip: Our own address: what pods see as their client.
        ports: Our ports.
        observe: Called after every request, for logs and metrics.
        address: Translates an endpoint before it is dialled.
        seed: For random numbers; None takes the system's randomness.
    """

    def __init__(
        self,
        configuration: Configuration,
        network: PodNetwork,
        *,
        pod_ip: str = "127.0.0.1",
        ports: Ports = Ports(),
        observe: Observer | None = None,
        address: Address = same_address,
        seed: int | None = None,
        health_path: str = "/healthz",
    ) -> None:
        self.network = network
        self.pod_ip = pod_ip
        self.ports = ports
        self.observe = observe
        self.address = address
        self.health_path = health_path
        self.deadlines = Deadlines()
        self.passthrough: PassthroughTable | None = None
        self.shared = SharedState()
        self.zones = Zones()
        self.auth_cache = AuthCache()
        self.statistics = Statistics()
        self.certificates: dict[str, Certificate] = {}
        self.source_ports = itertools.cycle(range(32768, 61000))
        self._random = random.Random(seed)  # noqa: S311 - balancing is no secret
        self._pids = itertools.count(_FIRST_PID)
        self._connections = itertools.count()
        self.backends: Mapping[str, Backend] = {}
        self.generation = Generation(self, configuration)
        self.configure(configuration)

    def reload(self, configuration: Configuration) -> None:
        """Replace everything that nginx reads from its file: new workers, and connections of the old ones retire."""
        old = self.generation
        self.generation = Generation(self, configuration)
        self.configure(configuration)
        old.retire()
        for connection in list(self.statistics.active):
            connection.retire()

    def configure(self, configuration: Configuration) -> None:
        """What needs no reload: backends and certificates.

        Hosts that are gone keep their certificate until the process ends, as in the real controller.
        """
        self.backends = configuration.backends
        for worker in self.generation.workers:
            worker.sync(configuration.backends)
        for name, certificate in certificate_names(configuration, self.generation.hosts.redirects).items():
            if certificate is None:
                self.certificates.pop(name, None)
            else:
                self.certificates[name] = certificate

    def certificate(self, server_name: str) -> Certificate | None:
        """The certificate for an SNI, else that of the default server."""
        return self._certificate_of(server_name) or self.certificates.get("_")

    def has_certificate(self, host: str) -> bool:
        """Whether a host counts as having TLS."""
        return self._certificate_of(host) is not None

    def _certificate_of(self, host: str) -> Certificate | None:
        name = host.removesuffix(".").lower()
        return self.certificates.get(name) or self.certificates.get(wildcard_of(name))

    def new_worker(self, settings: Configuration) -> Worker:
        """A worker with a new process id."""
        return Worker(next(self._pids), settings.settings, self.shared, self._random.getrandbits(64))

    def pick(self, workers: list[Worker]) -> Worker:
        """The worker that gets a new connection: each in turn.

        The kernel (`reuseport`) hashes addresses and ports, which spreads as evenly on the whole, but not over a
        hundred requests: the study's loops would come out even on most days only.
        """
        return workers[next(self._connections) % len(workers)]

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        self.statistics.accepted += 1
        self.statistics.active.add(connection)

    def closed(self, connection: Connection) -> None:
        """A client is gone."""
        self.statistics.active.discard(connection)

    def close(self) -> None:
        """Close all connections."""
        self.deadlines.close()
        self.generation.retire()
        for connection in list(self.statistics.active):
            connection.cut_off()


class Generation:
    """One version of nginx's configuration, with the workers that run it."""

    def __init__(self, plane: DataPlane, configuration: Configuration) -> None:
        settings = configuration.settings
        self.plane = plane
        self.configuration = configuration
        self.settings = settings
        self.network = plane.network
        self.zones = plane.zones
        self.auth_cache = plane.auth_cache
        self.https_port = plane.ports.https
        self.health_path = plane.health_path
        self.pod_ip = plane.pod_ip
        self.hosts = HostTable(configuration)
        self.head_rules = head_rules(settings)
        self.real_ip = real_ip(settings)
        self.product = f"nginx/{_VERSION}" if settings.server_tokens else "nginx"
        self.hidden_headers = frozenset(name.lower() for name in settings.hide_headers)
        self.workers = [plane.new_worker(configuration) for _ in range(settings.workers)]
        self._plans: dict[str, ServerPlan] = {}
        self._http = parse_snippet(settings.http_snippet)
        self._operations = (
            *(HeaderOperation("set", name, value) for name, value in configuration.add_headers),
            *self._http.header_operations,
        )
        self._hsts = (
            HeaderOperation("set", "Strict-Transport-Security", _hsts(configuration)) if settings.hsts else None
        )
        self._blocked = AccessList(settings.block_cidrs, ())
        self._agents = [_matcher(text) for text in settings.block_user_agents]
        self._referers = [_matcher(text) for text in settings.block_referers]
        self._checks = bool(settings.block_cidrs or self._agents or self._referers)

    def pick_worker(self) -> Worker:
        """The worker for a new connection."""
        return self.plane.pick(self.workers)

    def server_plan(self, server: Server) -> ServerPlan:
        """How a virtual host answers."""
        plan = self._plans.get(server.hostname)
        if plan is None:
            plan = self._plans[server.hostname] = ServerPlan(server, self.configuration)
        return plan

    def retire(self) -> None:
        """Its workers stop: idle connections to pods are closed."""
        for worker in self.workers:
            worker.close()

    def page(self, status: int, special: str = "") -> bytes:
        """Nginx's page for a status."""
        return _page(status, self.product, special)

    def address(self, host: str, port: int) -> tuple[str, int]:
        """Where an endpoint is dialled."""
        return self.plane.address(host, port)

    def next_port(self) -> int:
        """A source port for a call in the process."""
        return next(self.plane.source_ports)

    def has_certificate(self, host: str) -> bool:
        """Whether a host counts as having TLS."""
        return self.plane.has_certificate(host)

    def networks(self, texts: tuple[str, ...]) -> Networks:
        """A set of networks, prepared once."""
        return _networks(texts)

    def template(self, text: str) -> Template:
        """A text with variables, prepared once."""
        return _template(text)

    def blocks(self, exchange: Exchange) -> Answer | None:
        """`block-user-agents`, `block-referers` and `block-cidrs`."""
        if not self._checks:
            return None
        fields = exchange.head.fields
        agent, referer = fields.get("user-agent", ""), fields.get("referer", "")
        if any(match(agent) for match in self._agents) or any(match(referer) for match in self._referers):
            return Answer(403)
        return None if self._blocked.permits(exchange.remote) else Answer(403)

    def header_operations(self, exchange: Exchange, plan: LocationPlan | None) -> list[HeaderOperation]:
        """Changes of a response's headers: global ones, the location's, and HSTS."""
        operations = list(self._operations)
        if plan is not None:
            operations += plan.header_operations
            operations += exchange.header_operations
            if self._hsts is not None and exchange.scheme == "https":
                operations.append(self._hsts)
        elif exchange.header_operations:
            operations += exchange.header_operations
        return operations

    def signin(self, exchange: Exchange, auth: ExternalAuth) -> Answer:
        """A 401 becomes a redirect to the sign-in page."""
        url = auth.signin_url
        parameter = auth.signin_redirect_param or "rd"
        target = f"{parameter}=$pass_access_scheme://$http_host$escaped_request_uri"
        if "?" not in url:
            url = f"{url}?{target}"
        elif not re.search(rf"[?&]{re.escape(parameter)}=[^&]", url):
            url = f"{url}&{target}"
        return Answer(302, headers=[("Location", _template(url).value(exchange))])

    def verified(self, connection: UpstreamConnection, tls: UpstreamTls) -> bool:
        """Whether a pod's certificate has the name it must have."""
        wanted = tls.verified_name
        if not wanted or connection.transport is None:
            return True
        names = connection.transport.get_extra_info("peercert") or {}
        listed = [value for kind, value in names.get("subjectAltName", ()) if kind == "DNS"]
        if not listed:
            listed = [value for part in names.get("subject", ()) for key, value in part if key == "commonName"]
        return any(_covers(name.lower(), wanted.lower()) for name in listed)

    def status_page(self) -> Answer:
        """Nginx's stub_status page."""
        statistics = self.plane.statistics
        active = max(1, len(statistics.active))
        accepted, requests = statistics.accepted, statistics.requests
        text = (
            f"Active connections: {active} \nserver accepts handled requests\n {accepted} {accepted} {requests} \n"
            f"Reading: 0 Writing: 1 Waiting: {active - 1} \n"
        )
        return Answer(200, text.encode(), content_type="text/plain")

    def finished(self, exchange: Exchange, writer: ResponseWriter) -> None:
        """A response is complete: free what the request held, and tell the observer."""
        self.plane.statistics.requests += 1
        held = exchange.variables.get("_limit_conn")
        if held is not None:
            zone, _, key = held.partition(" ")
            self.zones.connections(zone).leave(key)
        if self.plane.observe is not None:
            self.plane.observe(exchange, writer)


@functools.lru_cache(maxsize=256)
def _page(status: int, product: str, special: str) -> bytes:
    return pages.page(status, product, special)


@functools.lru_cache(maxsize=256)
def _networks(texts: tuple[str, ...]) -> Networks:
    return Networks(texts)


@functools.lru_cache(maxsize=256)
def _template(text: str) -> Template:
    return Template(text)


def _hsts(configuration: Configuration) -> str:
    settings = configuration.settings
    value = f"max-age={settings.hsts_max_age}"
    value += "; includeSubDomains" if settings.hsts_include_subdomains else ""
    return value + ("; preload" if settings.hsts_preload else "")


def _matcher(text: str) -> Callable[[str], bool]:
    """A key of nginx's `map`: a regular expression after `~` or `~*`, else an exact text in any case."""
    if text.startswith("~*"):
        pattern = re.compile(text[2:].strip('"'), re.IGNORECASE)
        return lambda value: pattern.search(value) is not None
    if text.startswith("~"):
        pattern = re.compile(text[1:].strip('"'))
        return lambda value: pattern.search(value) is not None
    wanted = text.lower()
    return lambda value: value.lower() == wanted


def _covers(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host
