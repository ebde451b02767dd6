"""What the API server asks of the kubelets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from labctl.embedded.http.messages import Duplex


class Reader(Protocol):
    """A stream to read."""

    async def read(self, size: int = 65536) -> bytes:
        """At most `size` bytes; empty at the end."""


class Writer(Protocol):
    """A stream to write."""

    async def write(self, data: bytes) -> None:
        """Write all of it. Raises BrokenPipeError when nobody reads any more."""

    def close(self) -> None:
        """No more will be written."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The streams between a client and a process in a container.

    Attributes:
        stdin: None when the client sends none.
        stdout: None when the client does not want it.
        stderr: None when the client does not want it, or with a terminal (all goes to stdout then).
        tty: Whether the process gets a terminal.
    """

    stdin: Reader | None
    stdout: Writer | None
    stderr: Writer | None
    tty: bool


class ExecError(Exception):
    """The command could not be started; the text is the container runtime's."""


class Kubelet(Protocol):
    """The kubelets of all nodes. Methods raise ApiError where a kubelet refuses."""

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        previous: bool = False,
        tail_lines: int | None = None,
        since_seconds: int | None = None,
        since_time: datetime | None = None,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> bytes | AsyncIterator[bytes]:
        """A container's log; with `follow` its pieces as they come."""

    async def exec(self, namespace: str, pod: str, container: str, command: Sequence[str], streams: Streams) -> int:
        """Run a command in a container; returns its exit code.

        Raises:
            ExecError: It could not be started.
        """

    async def attach(self, namespace: str, pod: str, container: str, streams: Streams) -> int:
        """Connect to a container's main process until it ends or the client leaves; returns its exit code."""

    async def port_forward(self, namespace: str, pod: str, port: int) -> Duplex:
        """A connection to a port of the pod.

        Raises:
            OSError: Nothing listens there.
        """
