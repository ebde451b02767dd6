"""One request on its way: what is known of it, and nginx's variables about it."""

from __future__ import annotations

import ipaddress
import os
import time
from typing import TYPE_CHECKING

from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.model import Backend
from labctl.embedded.ingress.proxy.cookies import affinity_cookie, cookie_value, named_cookie
from labctl.embedded.ingress.proxy.head import Head
from labctl.embedded.ingress.proxy.uri import escape_component
from labctl.embedded.ingress.proxy.variables import Template

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.balancers import Balancer
    from labctl.embedded.ingress.proxy.plan import LocationPlan, ServerPlan
    from labctl.embedded.ingress.proxy.tls import TlsSession
    from labctl.embedded.ingress.proxy.worker import Worker

_NGINX_VERSION = "1.25.5"


class Exchange:
    """A request, from its head to the end of its response.

    Attributes:
        uri: Normalised path, changed by rewrites.
        args: Query, None without one.
        quoted: Whether the target had percent-encodings.
        rewritten: Whether the path was changed, so that it has to be encoded again for the pod.
        remote: Client address, as the realip module leaves it.
        peer: Address of the other end of the connection, and its port.
        scheme: Of the client's connection.
        pass_scheme: Of the client as forwarded headers have it.
        best_host: The Host passed on.
        pass_port: The port passed on.
        captures: Groups of the last regular expression, the whole match first.
        variables: Set by `set` and `auth_request_set`.
        response_headers: Set by the balancer and by access control: `Set-Cookie`, `WWW-Authenticate`.
        body: Request body read so far.
        tries: Peers tried, in order.
        upstream_seconds: How long each took.
        upstream_statuses: What each answered.
        internal_redirects: How often the request started over with another path.
    """

    __slots__ = (
        "alternative",
        "args",
        "auth_headers",
        "balancer",
        "best_host",
        "body",
        "captures",
        "error_status",
        "flow",
        "head",
        "header_operations",
        "internal_redirects",
        "keep_alive",
        "method",
        "pass_port",
        "pass_scheme",
        "peer",
        "plan",
        "quoted",
        "remote",
        "request_id",
        "response_headers",
        "rewritten",
        "scheme",
        "server",
        "server_port",
        "started",
        "tls",
        "tries",
        "upstream_name",
        "upstream_seconds",
        "upstream_statuses",
        "uri",
        "variables",
        "worker",
    )

    def __init__(self, head: Head, worker: Worker, flow: Flow, server_port: int, tls: TlsSession | None) -> None:
        self.head = head
        self.worker = worker
        self.flow = flow
        self.tls = tls
        self.method = head.method
        self.uri = ""
        self.args: str | None = None
        self.quoted = False
        self.rewritten = False
        self.remote = flow.client[0]
        self.peer = flow.client
        self.scheme = self.pass_scheme = "https" if tls is not None else "http"
        self.server_port = server_port
        self.pass_port = str(flow.server[1] if worker.settings.use_proxy_protocol else server_port)
        self.best_host = head.fields.get("host", head.host)
        self.server: ServerPlan | None = None
        self.plan: LocationPlan | None = None
        self.captures: tuple[str, ...] = ()
        self.variables: dict[str, str] = {}
        self.auth_headers: list[tuple[str, str]] = []
        self.header_operations: list[HeaderOperation] = []
        self.response_headers: list[tuple[str, str]] = []
        self.body: bytes = b""
        self.keep_alive = head.keep_alive
        self.request_id = ""
        self.upstream_name = ""
        self.alternative = ""
        self.balancer: Balancer | None = None
        self.tries: list[str] = []
        self.upstream_seconds: list[float] = []
        self.upstream_statuses: list[int] = []
        self.error_status = 0
        self.internal_redirects = 0
        self.started = time.monotonic()

    # What balancers and canaries ask

    @property
    def tried(self) -> list[str]:
        """Peers tried so far."""
        return self.tries

    @property
    def failed(self) -> bool:
        """Whether a try has failed."""
        return bool(self.tries)

    def cookie(self, name: str) -> str | None:
        """A cookie by its exact name."""
        return named_cookie(self.head.fields.get("cookie", ""), name)

    def cookie_variable(self, name: str) -> str | None:
        """`$cookie_name`."""
        return cookie_value(self.head.fields.get("cookie", ""), name)

    def header_variable(self, name: str) -> str | None:
        """`$http_name`: dashes and underscores alike, any case; `$http_` alone is nothing."""
        fields = self.head.fields
        lower = name.lower().replace("_", "-")
        if lower in fields:
            return fields[lower]
        wanted = lower.replace("-", "_")
        return next((value for key, value in fields.items() if key.replace("-", "_") == wanted), None)

    def evaluate(self, template: Template) -> str:
        """A text with variables."""
        return template.value(self)

    def stick(self, backend: Backend, value: str) -> None:
        """Add the affinity cookie, for the hosts and paths whose Ingress asks for affinity."""
        plan = self.plan
        if plan is None or self.server is None:
            return
        host = self.server.hostname if self.server.hostname == "_" else self.host
        paths = backend.affinity.locations.get(host) or backend.affinity.locations.get(wildcard_of(host), ())
        if plan.rule_path in paths:
            https = self.scheme == "https"
            agent = self.head.fields.get("user-agent")
            cookie = affinity_cookie(backend.affinity.cookie, value, plan.rule_path, agent, https=https)
            self.response_headers.append(("Set-Cookie", cookie))

    # Variables

    @property
    def host(self) -> str:
        """`$host`: from the request, else the server's name."""
        return self.head.host or (self.server.hostname if self.server is not None else "")

    def variable(self, name: str) -> str | None:
        """The value of an nginx variable; None for one without a value."""
        if name in self.variables:
            return self.variables[name]
        if name.isdigit():
            number = int(name)
            return self.captures[number] if number < len(self.captures) else None
        getter = _VARIABLES.get(name)
        if getter is not None:
            return getter(self)
        return self._prefixed(name)

    def _prefixed(self, name: str) -> str | None:
        if name.startswith("http_"):
            return self.header_variable(name[5:])
        if name.startswith("cookie_"):
            return self.cookie_variable(name[7:])
        if name.startswith("arg_"):
            return self._argument(name[4:])
        if name.startswith("ssl_client_"):
            return self.tls.client_variable(name) if self.tls is not None else None
        return None

    def _argument(self, name: str) -> str | None:
        for pair in (self.args or "").split("&"):
            key, equals, value = pair.partition("=")
            if equals and key.lower() == name:
                return value
        return None

    @property
    def request_uri(self) -> str:
        """`$request_uri`: the target as sent."""
        return self.head.target

    @property
    def req_id(self) -> str:
        """`$req_id`: the client's X-Request-ID, else a random one unless that is switched off."""
        given = self.head.fields.get("x-request-id")
        if given:
            return given
        if not self.worker.settings.generate_request_id:
            return ""
        return self.own_request_id()

    def own_request_id(self) -> str:
        """`$request_id`: 32 hexadecimal digits, the same for the whole request."""
        if not self.request_id:
            self.request_id = os.urandom(16).hex()
        return self.request_id


class HeaderOperation:
    """A change of response headers: `more_set_headers`, `more_clear_headers` or `add_header`.

    Attributes:
        kind: `set`, `clear` or `add`.
        name: Header name; a clear may end in `*`.
        value: Its value.
        always: For `add`: whatever the status.
        statuses: For `set` and `clear`: only these; empty for all.
    """

    __slots__ = ("always", "kind", "name", "statuses", "value")

    def __init__(
        self, kind: str, name: str, value: str, *, always: bool = False, statuses: frozenset[int] = frozenset()
    ) -> None:
        self.kind = kind
        self.name = name
        self.value = Template(value)
        self.always = always
        self.statuses = statuses


def wildcard_of(host: str) -> str:
    """`*.` in place of the first label."""
    return "*." + host.partition(".")[2]


def _binary(address: str) -> str:
    return ipaddress.ip_address(address).packed.decode("latin-1")


def _info(name: str) -> Getter:
    def read(exchange: Exchange) -> str | None:
        return getattr(exchange.plan.info, name) if exchange.plan is not None else ""

    return read


if TYPE_CHECKING:
    from collections.abc import Callable

    Getter = Callable[[Exchange], str | None]

_VARIABLES: dict[str, Getter] = {
    "args": lambda e: e.args,
    "best_http_host": lambda e: e.best_host,
    "binary_remote_addr": lambda e: _binary(e.remote),
    "connection_upgrade": lambda e: "upgrade" if e.head.fields.get("upgrade") else "",
    "content_length": lambda e: e.head.fields.get("content-length"),
    "content_type": lambda e: e.head.fields.get("content-type"),
    "document_uri": lambda e: e.uri,
    "escaped_request_uri": lambda e: escape_component(e.head.target),
    "full_x_forwarded_for": lambda e: ", ".join(filter(None, (e.head.fields.get("x-forwarded-for"), e.peer[0]))),
    "host": lambda e: e.host,
    "https": lambda e: "on" if e.scheme == "https" else "",
    "ingress_name": _info("ingress"),
    "is_args": lambda e: "?" if e.args else "",
    "literal_dollar": lambda e: "$",
    "location_path": _info("path"),
    "msec": lambda e: f"{time.time():.3f}",
    "namespace": _info("namespace"),
    "nginx_version": lambda e: _NGINX_VERSION,
    "pass_access_scheme": lambda e: e.pass_scheme,
    "pass_port": lambda e: e.pass_port,
    "pass_server_port": lambda e: e.pass_port,
    "pid": lambda e: str(e.worker.pid),
    "proxy_add_x_forwarded_for": lambda e: ", ".join(filter(None, (e.head.fields.get("x-forwarded-for"), e.remote))),
    "proxy_alternative_upstream_name": lambda e: e.alternative,
    "proxy_host": lambda e: e.upstream_name,
    "proxy_upstream_name": lambda e: e.upstream_name,
    "query_string": lambda e: e.args,
    "realip_remote_addr": lambda e: e.peer[0],
    "realip_remote_port": lambda e: str(e.peer[1]),
    "remote_addr": lambda e: e.remote,
    "remote_port": lambda e: str(e.peer[1]),
    "req_id": lambda e: e.req_id,
    "request": lambda e: f"{e.head.method} {e.head.target} {e.head.protocol}",
    "request_id": lambda e: e.own_request_id(),
    "request_method": lambda e: e.method,
    "request_uri": lambda e: e.head.target,
    "scheme": lambda e: e.scheme,
    "server_addr": lambda e: e.flow.server[0],
    "server_name": lambda e: e.server.hostname if e.server is not None else "",
    "server_port": lambda e: str(e.server_port),
    "server_protocol": lambda e: e.head.protocol,
    "service_name": _info("service"),
    "service_port": _info("port"),
    "ssl_cipher": lambda e: e.tls.cipher if e.tls is not None else None,
    "ssl_protocol": lambda e: e.tls.protocol if e.tls is not None else None,
    "ssl_server_name": lambda e: e.tls.server_name if e.tls is not None else None,
    "time_iso8601": lambda e: time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    "time_local": lambda e: time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
    "uri": lambda e: e.uri,
}
