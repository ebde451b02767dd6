"""The routing table: servers → locations → upstreams, as frozen values.

Names are ingress-nginx's: a backend is what nginx calls an upstream, keyed by namespace, Service and port.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labctl.embedded.ingress.annotations.values import (
    AffinityCookie,
    ClientCertificateAuth,
    HashBy,
    IngressAnnotations,
    ProxySSL,
)
from labctl.embedded.ingress.settings import Settings

DEFAULT_SERVER = "_"
"""Host name of the server for requests that no other one matches."""

DEFAULT_BACKEND = "upstream-default-backend"
"""Name of the backend behind it."""

ROOT = "/"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a Service.

    Attributes:
        address: IP address, or a DNS name for Services of type ExternalName.
        port: Port number as text.
        pod: Name of the pod behind it, empty when not known.
        pod_uid: Its uid.
    """

    address: str
    port: str
    pod: str = ""
    pod_uid: str = ""

    @property
    def peer(self) -> str:
        """`address:port`, IPv6 in brackets."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class IngressRef:
    """Which Ingress something comes from."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class TrafficShaping:
    """When requests go to a canary: header, then cookie, then weight."""

    weight: int = 0
    weight_total: int = 0
    header: str = ""
    header_value: str = ""
    header_pattern: str = ""
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class BackendAffinity:
    """Session affinity of a backend; `locations` are the host and path pairs whose requests set the cookie."""

    type: str = ""
    mode: str = ""
    cookie: AffinityCookie = AffinityCookie(name="")
    locations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Backend:
    """An upstream.

    Attributes:
        name: `namespace-service-port`.
        service: `namespace/name` of the Service, empty when there is none.
        port: The port as the Ingress names it.
        external_name: Whether endpoints are DNS names to resolve.
        endpoints: Addresses that are ready.
        affinity: Session affinity.
        hash_by: Consistent hashing.
        load_balance: Algorithm name; unknown ones mean round robin.
        no_server: Whether it is only a canary: no location of its own.
        shaping: Canary rules, for a canary.
        alternatives: Names of its canaries; only the first one counts.
        ssl_passthrough: Whether TLS is handed to it undecrypted.
    """

    name: str
    service: str = ""
    port: str = ""
    external_name: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    affinity: BackendAffinity = BackendAffinity()
    hash_by: HashBy = HashBy(subset_size=0)
    load_balance: str = ""
    no_server: bool = False
    shaping: TrafficShaping = TrafficShaping()
    alternatives: tuple[str, ...] = ()
    ssl_passthrough: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """A path of a server.

    Attributes:
        path: Path as nginx matches it: Prefix paths end in a slash and have an exact twin without it.
        path_type: `Exact` or `Prefix`.
        rule_path: Path as the Ingress has it, empty for `/`.
        backend: Name of its backend.
        service: Service of the backend (`namespace/name`), empty when it does not exist.
        port: Port as the Ingress names it.
        is_default: Whether no rule asked for it: the root location that every server has.
        ingress: The Ingress that wrote it; None for the built-in one.
        annotations: What its annotations say.
        error_backend: Name of the backend that answers intercepted errors.
    """

    path: str
    path_type: str
    backend: str
    annotations: IngressAnnotations
    rule_path: str = ""
    service: str = ""
    port: str = ""
    is_default: bool = False
    ingress: IngressRef | None = None
    info: LocationInfo | None = None
    error_backend: str = ""


@dataclass(frozen=True, slots=True)
class LocationInfo:
    """Values of `$namespace`, `$ingress_name`, `$service_name`, `$service_port` and `$location_path`."""

    namespace: str = ""
    ingress: str = ""
    service: str = ""
    port: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """A rule that has no effect because another one was there first.

    Attributes:
        ingress: The Ingress that lost.
        path: The path it asked for.
        backend: Backend it wanted.
        reason: Why, in words.
    """

    ingress: IngressRef
    path: str
    backend: str
    reason: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A TLS key pair.

    Attributes:
        name: `namespace/name` of its Secret; empty for the fake certificate.
        pem: Certificate chain and key, PEM.
        common_name: Subject's common name.
        dns_names: DNS names of the subject alternative name extension.
        uid: Identity for comparing.
        not_after: End of validity, seconds since the epoch.
        serial_number: Serial number, decimal.
        issuer_common_name: Common name of the issuer.
        issuer_organization: Organization of the issuer.
    """

    name: str
    pem: bytes
    common_name: str
    dns_names: tuple[str, ...]
    uid: str
    not_after: float = 0.0
    serial_number: str = ""
    issuer_common_name: str = ""
    issuer_organization: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Common name and DNS names, sorted."""
        return tuple(sorted({self.common_name, *self.dns_names}))


@dataclass(frozen=True, slots=True)
class Server:
    """A virtual host.

    Attributes:
        hostname: Its name; `*.` in front for a wildcard, `_` for the default server.
        locations: In nginx's order: longest path first.
        aliases: Further names.
        certificate: Its certificate; None serves the default one and does not redirect to https by itself.
        redirect_from_to_www: Whether the www form (or the form without) redirects here.
        lost: Rules without effect.
    """

    hostname: str
    locations: tuple[Location, ...]
    aliases: tuple[str, ...] = ()
    certificate: Certificate | None = None
    certificate_auth: ClientCertificateAuth = ClientCertificateAuth()
    auth_tls_error: str = ""
    proxy_ssl: ProxySSL = ProxySSL()
    redirect_from_to_www: bool = False
    server_snippet: str = ""
    ssl_ciphers: str = ""
    ssl_prefer_server_ciphers: str = ""
    ssl_passthrough: bool = False
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class Passthrough:
    """A host whose TLS connections go undecrypted to a Service."""

    hostname: str
    backend: str
    service: str
    port: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the proxy needs.

    Attributes:
        servers: By host name.
        backends: By name.
        default_certificate: For hosts without one.
        proxy_set_headers: Headers for all pods, from the ConfigMap of that name.
        add_headers: Headers for all responses, likewise.
        passthrough: Hosts with TLS passthrough.
    """

    settings: Settings
    servers: Mapping[str, Server]
    backends: Mapping[str, Backend]
    default_certificate: Certificate
    proxy_set_headers: tuple[tuple[str, str], ...] = ()
    add_headers: tuple[tuple[str, str], ...] = ()
    passthrough: tuple[Passthrough, ...] = ()
