"""What a pod's container wrote: `kubectl logs`, once or as it grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labctl.kube.client import KubeApi


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a log is wanted; the defaults mean all of the running container's.

    Attributes:
        container: Container; empty takes the pod's only one.
        tail: The last so many lines.
        since_seconds: Not older than this.
        since_time: Not older than this (RFC 3339).
        previous: The log of the container's last life.
        timestamps: Each line begins with its time (RFC 3339).
    """

    container: str = ""
    tail: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    previous: bool = False
    timestamps: bool = False

    @property
    def query(self) -> dict[str, str]:
        """The options as the API's query has them."""
        query = {"container": self.container} if self.container else {}
        query |= {"tailLines": str(self.tail)} if self.tail is not None else {}
        query |= {"sinceSeconds": str(self.since_seconds)} if self.since_seconds is not None else {}
        query |= {"sinceTime": self.since_time} if self.since_time else {}
        query |= {"previous": "true"} if self.previous else {}
        return query | ({"timestamps": "true"} if self.timestamps else {})


def pod_log(api: KubeApi, namespace: str, pod: str, options: LogOptions | None = None) -> str:
    """A pod's log as it is now.

    Raises:
        ApiRefusedError: There is no such pod or container, or it has not started.
        ClusterError: The server could not be reached.
    """
    return api.text(_path(namespace, pod), (options or LogOptions()).query)


def follow_log(
    api: KubeApi, namespace: str, pod: str, options: LogOptions | None = None, *, silence: float | None = None
) -> Iterator[str]:
    """A pod's log line by line as it grows, until the container ends.

    Args:
        api: The cluster's API.
        namespace: The pod's namespace.
        pod: Its name.
        options: Where to begin.
        silence: Seconds without a line after which it ends; None waits for ever.

    Raises: as `pod_log`.
    """
    rest = b""
    query = (options or LogOptions()).query | {"follow": "true"}
    for chunk in api.chunks(_path(namespace, pod), query, read_timeout=silence):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")


def _path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
