"""A lab as data: what `labs/<name>/lab.yaml` says, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from labctl.model.probe import Connection, CountBy, KeyKind


class Distribution(StrEnum):
    """How answers are expected to spread over their keys."""

    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    WEIGHTED = "weighted"
    STICKY = "sticky"


@dataclass(frozen=True, slots=True)
class Split:
    """An expected spread.

    Attributes:
        distribution: Its kind.
        weights: Key → relative weight. Required for `weighted`; otherwise empty means the ready pods
            behind the Service, all alike.
        pods_of: Name of the Service whose ready pods must all take part (round-robin and random);
            empty means the keys that were seen.
        workers: nginx workers that each keep a round-robin of their own; 0 reads it from the controller
            or assumes the number that fits best up to 64.
    """

    distribution: Distribution
    weights: Mapping[str, float] = field(default_factory=dict)
    pods_of: str = ""
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be seen; every part that is given must hold.

    Attributes:
        status: Allowed HTTP statuses of every answer; empty allows any.
        split: Expected spread of the counted key.
        only: Every answer's key must be one of these (exact claim: header canaries, one Service); empty: no claim.
        headers: Response header → regular expression that must match its whole value.
        absent_headers: Response headers that must not be there.
        body: Regular expressions, each found somewhere in the body.
        error: Every request must fail with this curl error (for example `CURLE_PEER_FAILED_VERIFICATION`).
    """

    status: tuple[int, ...] = (200,)
    split: Split | None = None
    only: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    absent_headers: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    error: str = ""


class TlsMode(StrEnum):
    """`verify` with the given CA, `insecure` (curl -k), `system` (the system's CAs only)."""

    VERIFY = "verify"
    INSECURE = "insecure"
    SYSTEM = "system"


class TargetKind(StrEnum):
    """What a probe's requests are sent to."""

    INGRESS = "ingress"
    NODE_PORT = "node-port"
    LOAD_BALANCER = "load-balancer"


EACH_NODE = "each"
OTHER_NODES = "others"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a probe's requests are sent.

    Attributes:
        kind: The ingress controller, or a Service by its node port or by its external address.
        service: Name of the Service (not for `ingress`).
        port: Name or number of the Service's port; empty takes its first.
        node: The node whose address is used (not for `load-balancer`): empty takes the first that answers, a name
            that node, `each` makes one check per node, `others` one per node that is no ingress endpoint.
    """

    kind: TargetKind = TargetKind.INGRESS
    service: str = ""
    port: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """Send requests and judge the answers.

    Attributes:
        name: Name of the check; unique in the lab.
        title: One line for people.
        scheme: `http` or `https`; chooses the ingress endpoint and its port.
        host: Host header and SNI; empty uses the endpoint's address.
        path: Path and query.
        method: HTTP method.
        headers: Request headers in order.
        cookie_jar: Keep cookies between requests.
        count: Requests to send.
        concurrency: Most in flight at once.
        connection: New or kept-alive connections.
        by: What to count by.
        tls: How to judge the certificate.
        ca_secret: Name of the TLS Secret whose certificate is the CA (TlsMode.VERIFY).
        expect: What must be seen.
        target: Where the requests are sent.
        timeout: Seconds for one request; 0 takes the default.
    """

    name: str
    expect: Expectation
    title: str = ""
    scheme: str = "http"
    host: str = ""
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    cookie_jar: bool = False
    count: int = 100
    concurrency: int = 16
    connection: Connection = Connection.NEW
    by: CountBy = CountBy(KeyKind.POD)
    tls: TlsMode = TlsMode.VERIFY
    ca_secret: str = ""
    target: Target = Target()
    timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class ApplyStep:
    """Apply manifests (paths relative to the lab's folder), in order, and wait until they are ready."""

    name: str
    manifests: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class PatchStep:
    """Patch one object (JSON merge patch) and wait until the change has taken effect.

    Attributes:
        name: Name of the step.
        kind: Kind or `plural.group` of the object.
        object_name: Its name.
        namespace: Its namespace; empty is the lab's.
        patch: The merge patch.
    """

    name: str
    kind: str
    object_name: str
    patch: Mapping[str, Any]
    namespace: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class CertificateStep:
    """Make a self-signed certificate and store it as a TLS Secret, as the study does with openssl.

    Attributes:
        name: Name of the step.
        secret: Name of the Secret.
        common_name: CN of subject and issuer, and a DNS subjectAltName.
        organization: O of the subject.
        days: Validity in days from now.
        rsa_bits: Key size.
    """

    name: str
    secret: str
    common_name: str
    organization: str = ""
    days: int = 365
    rsa_bits: int = 2048
    title: str = ""


Step = ApplyStep | PatchStep | CertificateStep | ProbeStep


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab.

    Attributes:
        name: Folder name; what the user types.
        title: One line.
        teaches: What it shows, a short paragraph.
        directory: Where its files are.
        namespace: Namespace its objects live in.
        versions: Version name → regular expression searched in answers' bodies.
        unsupported: Provider → reason why the lab cannot run on it.
        steps: In order. `verify` runs the ProbeSteps that do not stand behind a PatchStep.
        needs_ingress: Whether an ingress controller must be there.
    """

    name: str
    title: str
    teaches: str
    directory: Path
    steps: tuple[Step, ...]
    namespace: str = "default"
    versions: Mapping[str, str] = field(default_factory=dict)
    unsupported: Mapping[str, str] = field(default_factory=dict)
    needs_ingress: bool = True

    @property
    def manifests(self) -> tuple[str, ...]:
        """Every manifest the lab applies, in order."""
        return tuple(path for step in self.steps if isinstance(step, ApplyStep) for path in step.manifests)
