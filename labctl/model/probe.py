"""Probing as values: what is to be sent, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Connection(StrEnum):
    """`new`: one TCP connection per request, as `curl` in a loop; `keep-alive`: connections are used again."""

    NEW = "new"
    KEEP_ALIVE = "keep-alive"


@dataclass(frozen=True, slots=True)
class Resolve:
    """curl's `--resolve HOST:PORT:ADDRESS`: where a name is reached, without a hosts file."""

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
    """

    verify: bool = True
    ca_file: Path | None = None


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
class ProbeResult:
    """What one run of a plan brought.

    Attributes:
        plan: What was asked.
        samples: One per request that was finished, in order of completion.
        answers: The first whole answers (for header and body checks).
        elapsed: Seconds for the whole run.
        partial: True when the run was interrupted before `plan.count` requests.
    """

    plan: ProbePlan
    samples: tuple[Sample, ...]
    answers: tuple[Answer, ...]
    elapsed: float
    partial: bool = False
