"""A lab as data: what `labs/<name>/lab.yaml` says, every default filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from labctl.model.actions import Action, ApplyStep, CertificateStep, DeleteStep, PatchStep
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
        lost: Requests that may fail these claims while something is done during the probe (`ProbeStep.during`).
    """

    status: tuple[int, ...] = (200,)
    split: Split | None = None
    only: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    absent_headers: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    error: str = ""
    lost: int = 0


@dataclass(frozen=True, slots=True)
class OutputExpectation:
    """What a command, a log or an object must show; every part that is given must hold.

    Attributes:
        exit_code: Exit code of the command; None allows any.
        output: Regular expressions, each found somewhere in the text.
        absent: Regular expressions that are found nowhere in it.
        matches: How often the step's `count` expression is found: fewest and most; None makes no claim.
        split: Expected spread of what the step's `count` expression finds.
    """

    exit_code: int | None = 0
    output: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    matches: tuple[int, int] | None = None
    split: Split | None = None


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
    API = "api"


EACH_NODE = "each"
OTHER_NODES = "others"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a probe's requests are sent.

    Attributes:
        kind: The ingress controller, a Service by its node port or by its external address, or the API server.
        service: Name of the Service (not for `ingress` and `api`).
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
        token_of: ServiceAccount of the lab's namespace whose token is sent (`Authorization: Bearer`).
        during: What is done while the requests flow; they then flow until it has taken effect.
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
    token_of: str = ""
    during: Action | None = None


class PlaceKind(StrEnum):
    """Where a command runs or a log is written."""

    POD = "pod"
    SERVICE = "service"
    CONTROLLER = "controller"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Place:
    """A container or a node.

    Attributes:
        kind: `pod` by name; `service`: a ready pod behind it; `controller`: a pod of the ingress controller; `node`.
        name: Name of the pod, Service or node; empty for the controller. Nodes `server`, `server-2`, … are
            the control plane nodes.
    """

    kind: PlaceKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else str(self.kind)


@dataclass(frozen=True, slots=True)
class ExecStep:
    """Run a command in a container or on a node, and judge what it prints.

    Attributes:
        name: Name of the check; unique in the lab.
        place: Where it runs.
        command: Program and arguments; no shell unless it names one.
        expect: What must be seen.
        title: One line for people.
        count: Regular expression; what its first group finds in the output is counted.
        sudo: As root (nodes only).
        timeout: Seconds until giving up.
        changes: Whether the command changes something, so that `verify` leaves it out.
        during: What is done while the command runs (a capture, for example).
        save: File on the node that is fetched afterwards (nodes only).
    """

    name: str
    place: Place
    command: tuple[str, ...]
    expect: OutputExpectation
    title: str = ""
    count: str = ""
    sudo: bool = False
    timeout: float = 30.0
    changes: bool = False
    during: ProbeStep | None = None
    save: str = ""


@dataclass(frozen=True, slots=True)
class LogStep:
    """Count the lines that match in the logs of a place's pods, written while something is done.

    Attributes:
        name: Name of the check; unique in the lab.
        place: Whose logs.
        count: Regular expression of the lines that count.
        seconds: How long lines are awaited after the action: the controller acts on changes within 3.3 s (its sync
            rate of 0.3 per second).
        expect: How many there must be (`matches`).
        title: One line for people.
        during: What is done meanwhile; None: nothing, and nothing may be written.
    """

    name: str
    place: Place
    count: str
    expect: OutputExpectation
    seconds: float = 3.5
    title: str = ""
    during: Action | None = None


@dataclass(frozen=True, slots=True)
class ObjectStep:
    """Look at one object of the API, as YAML paths and values.

    Attributes:
        name: Name of the check; unique in the lab.
        kind: Kind of the object.
        object_name: Its name.
        namespace: Its namespace; empty is the lab's.
        fields: Path (`status.loadBalancer.ingress[0].ip`) → regular expression for its whole value; the empty
            expression demands that there is none.
        title: One line for people.
    """

    name: str
    kind: str
    object_name: str
    fields: Mapping[str, str]
    namespace: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class RefusedStep:
    """Ask the API (dry run) whether it would take manifests that it has to refuse.

    Attributes:
        name: Name of the check; unique in the lab.
        manifest: The manifest, relative to the lab's folder.
        message: Regular expression found in the refusal.
        title: One line for people.
    """

    name: str
    manifest: str
    message: str
    title: str = ""


CheckStep = ProbeStep | ExecStep | LogStep | ObjectStep | RefusedStep
"""A step that makes a check."""
Step = Action | CheckStep


def changes(step: Step) -> bool:
    """Whether a step changes what the lab's first manifests made: `verify` ends before the first such step."""
    match step:
        case PatchStep() | DeleteStep():
            return True
        case ProbeStep():
            return step.during is not None or step.method not in ("GET", "HEAD", "OPTIONS")
        case ExecStep():
            return step.changes
        case LogStep():
            return step.during is not None
    return False


def actions(steps: Iterable[Step]) -> Iterator[Action]:
    """Every step that changes the cluster, also those that are done during a check."""
    for step in steps:
        if isinstance(step, (ApplyStep, PatchStep, CertificateStep, DeleteStep)):
            yield step
        elif isinstance(step, (ProbeStep, LogStep)) and step.during is not None:
            yield step.during


@dataclass(frozen=True, slots=True)
class Needs:
    """What a lab needs of a cluster besides its API.

    Attributes:
        nodes: Ready nodes.
        servers: Ready control plane nodes.
        shell: A shell on the nodes.
    """

    nodes: int = 1
    servers: int = 1
    shell: bool = False


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
        steps: In order. `verify` makes the checks that stand before the first step that `changes` something.
        needs_ingress: Whether an ingress controller must be there.
        needs: Nodes and servers (control plane nodes) that must be Ready, `shell` for a shell on the nodes.
        ingress_nginx: What the lab shows that only ingress-nginx does; said where another controller's class is used.
        exclusive: Whether it disturbs the controller or the nodes, so that no other lab may run beside it.
        reference: Why nothing is created and the lab is only to be read; it then has no steps.
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
    needs: Needs = Needs()
    ingress_nginx: str = ""
    exclusive: bool = False
    reference: str = ""

    @property
    def manifests(self) -> tuple[str, ...]:
        """Every manifest the lab applies, in order."""
        return tuple(path for step in actions(self.steps) if isinstance(step, ApplyStep) for path in step.manifests)

    @property
    def first_steps(self) -> tuple[Step, ...]:
        """The steps before the first that changes what they made: what `verify` looks at.

        Manifests that are applied after a check change what that check has seen.
        """
        found: list[Step] = []
        for step in self.steps:
            applies = isinstance(step, (ApplyStep, CertificateStep))
            if changes(step) or (applies and any(isinstance(before, CheckStep) for before in found)):
                break
            found.append(step)
        return tuple(found)
