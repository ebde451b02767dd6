"""Probing as values: what is to be sent, and what came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from labctl.model.histogram import Histogram
from labctl.model.timeline import Timeline


class Connection(StrEnum):
    """`new`: one TCP connection per request, as `curl` in a loop; `keep-alive`: connections are used again."""

    NEW = "new"
    KEEP_ALIVE = "keep-alive"


@dataclass(frozen=True, slots=True)
class Resolve:
    """curl's `--resolve HOST:PORT:ADDRESS[,ADDRESS]…`: where a name is reached, without a hosts file."""

    host: str
    port: int
    address: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}:{self.address}"


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server's certificate is judged.

    Attributes:
        verify: False is curl's `-k`.
        ca_file: PEM file to trust instead of the system's (`--cacert`).
        sessions: Whether new connections resume the TLS session of earlier ones (RFC 8446, section 2.2).
    """

    verify: bool = True
    ca_file: Path | None = None
    sessions: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    Attributes:
        url: Absolute URL as the user would type it; its host is the Host header and, for https, the SNI.
        method: HTTP method.
        headers: Sent as given, in order.
        body: Request body.
        cookie_jar: Keep cookies between the requests of one run, as `curl -b jar -c jar`.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    cookie_jar: bool = False


class KeyKind(StrEnum):
    """What answers are counted by."""

    POD = "pod"
    VERSION = "version"
    NODE = "node"
    STATUS = "status"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class CountBy:
    """The key that answers are counted by; `header` names the response header for KeyKind.HEADER."""

    kind: KeyKind
    header: str = ""

    def __str__(self) -> str:
        return f"header:{self.header}" if self.kind is KeyKind.HEADER else str(self.kind)


@dataclass(frozen=True, slots=True)
class Load:
    """When requests begin. Without a rate the loop is closed: the next begins when one has ended.

    Attributes:
        rate: Requests per second that begin whatever the server does (open loop); 0: closed loop. Latency is then
            measured from when a request was to begin, so that a stalled server hides nothing ("coordinated omission",
            Gil Tene, "How NOT to Measure Latency", 2013).
        duration: Seconds after which no request begins any more; 0: `ProbePlan.count` ends the run.
        ramp: Seconds in which rate, or concurrency, grows evenly from nothing to what is asked for.
        warm_up: Seconds of the same load beforehand, of which nothing is counted.
        open_end: The run lasts until its caller ends it, which then is no interruption.
    """

    rate: float = 0.0
    duration: float = 0.0
    ramp: float = 0.0
    warm_up: float = 0.0
    open_end: bool = False


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """A finite series of equal requests.

    Attributes:
        name: Name of the check it belongs to.
        request: The request, sent `count` times.
        count: How many; at least 1.
        concurrency: Most requests in flight at once; at least 1.
        connection: New connection for each request, or kept alive.
        timeout: Seconds for one whole request.
        resolve: Name resolution overrides.
        tls: How the server's certificate is judged.
        by: What the answers are counted by.
        versions: Version name → regular expression searched in the body; decides KeyKind.VERSION.
        source_address: Local address to send from; empty lets the system choose.
        load: When requests begin, and how long.
        http2: Ask for HTTP/2 (ALPN for https, prior knowledge for http).
        users: Simulated users, each with cookies of its own, one request at a time each; 0: none are told apart.
    """

    name: str
    request: Request
    count: int = 100
    concurrency: int = 16
    connection: Connection = Connection.NEW
    timeout: float = 10.0
    resolve: tuple[Resolve, ...] = ()
    tls: Tls = Tls()
    by: CountBy = CountBy(KeyKind.POD)
    versions: Mapping[str, str] = field(default_factory=dict)
    source_address: str = ""
    load: Load = Load()
    http2: bool = False
    users: int = 0


@dataclass(frozen=True, slots=True)
class ProbeError:
    """A request without an answer: curl's own code (`CURLE_…` number), its symbolic name and words."""

    code: int
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One request's outcome.

    Attributes:
        index: Place in the series, from 0.
        started: Seconds since the run began.
        elapsed: Seconds from start to the last byte (or the failure).
        status: HTTP status; 0 when there was no answer.
        pod: Name of the pod that answered, as its body says; empty when it does not.
        version: Name from ProbePlan.versions whose expression the body matched; empty when none.
        header: Value of the counted header (KeyKind.HEADER); empty when absent.
        error: Why there was no answer.
    """

    index: int
    started: float
    elapsed: float
    status: int
    pod: str = ""
    version: str = ""
    header: str = ""
    error: ProbeError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer, kept for checks on headers and bodies (the first few of a run).

    Attributes:
        status: HTTP status.
        headers: Response headers in wire order.
        body: At most the first 64 KiB.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, without its timing: what is counted when requests are too many to keep each.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        pod: As in Sample.
        version: As in Sample.
        header: As in Sample.
        error: Why there was no answer.
    """

    status: int
    pod: str = ""
    version: str = ""
    header: str = ""
    error: ProbeError | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """A run folded into counts: its size does not grow with the number of requests, and runs merge exactly.

    Attributes:
        outcomes: Outcome → requests that ended so.
        latency: Of the answered requests.
        phases: `connect`, `tls` and `first byte` → how long that took, where it took place.
        timeline: When they ended.
    """

    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    latency: Histogram = Histogram()
    phases: Mapping[str, Histogram] = field(default_factory=dict)
    timeline: Timeline[Outcome] = field(default_factory=Timeline)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Fold:
        """The fold of single samples."""
        outcomes: dict[Outcome, int] = {}
        answered: list[float] = []
        ends: list[tuple[float, Outcome]] = []
        for sample in samples:
            outcome = Outcome(sample.status, sample.pod, sample.version, sample.header, sample.error)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            ends.append((sample.started + sample.elapsed, outcome))
            if sample.error is None:
                answered.append(sample.elapsed)
        return cls(outcomes, Histogram.of(answered), timeline=Timeline.of(ends))

    @property
    def requests(self) -> int:
        """How many requests were finished."""
        return sum(self.outcomes.values())

    def merge(self, other: Fold) -> Fold:
        """Both runs together."""
        outcomes = dict(self.outcomes)
        for outcome, count in other.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        nothing = Histogram()
        phases = {
            name: self.phases.get(name, nothing).merge(other.phases.get(name, nothing))
            for name in (*self.phases, *(name for name in other.phases if name not in self.phases))
        }
        return Fold(outcomes, self.latency.merge(other.latency), phases, self.timeline.merge(other.timeline))


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one run of a plan brought.

    Attributes:
        plan: What was asked.
        samples: The requests that were finished, in order of completion; only the first ones of a long run.
        answers: The first whole answers (for header and body checks), and the first of each kind.
        elapsed: Seconds for the whole run.
        partial: True when the run was interrupted before `plan.count` requests.
        folded: All finished requests, counted; None when `samples` are all of them.
        notices: What the user should know of how the requests were sent (fewer at once than asked, for example).
        cpu: Seconds of processor time that the sender spent.
    """

    plan: ProbePlan
    samples: tuple[Sample, ...]
    answers: tuple[Answer, ...]
    elapsed: float
    partial: bool = False
    folded: Fold | None = None
    notices: tuple[str, ...] = ()
    cpu: float = 0.0

    def merge(self, other: ProbeResult) -> ProbeResult:
        """Both parts of a run that was sent by several processes at once: counts and histograms simply add."""
        return replace(
            self,
            samples=tuple(sorted((*self.samples, *other.samples), key=lambda each: each.started + each.elapsed)),
            answers=(*self.answers, *other.answers),
            elapsed=max(self.elapsed, other.elapsed),
            partial=self.partial or other.partial,
            folded=self.fold.merge(other.fold),
            notices=tuple(dict.fromkeys((*self.notices, *other.notices))),
            cpu=self.cpu + other.cpu,
        )

    @property
    def fold(self) -> Fold:
        """All finished requests, counted."""
        return self.folded if self.folded is not None else Fold.of(self.samples)
