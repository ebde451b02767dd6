"""What the kubelet knows of one container, between its spec and its status."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from enum import StrEnum

from labctl.embedded.clientset import Obj
from labctl.embedded.cri import Container, ContainerContext
from labctl.embedded.images.process import System
from labctl.embedded.images.streams import Pipe
from labctl.embedded.kubelet.backoff import BackOff
from labctl.embedded.kubelet.logs import ContainerLog


class Kind(StrEnum):
    """How a container takes part in its pod."""

    INIT = "init"
    SIDECAR = "sidecar"
    MAIN = "main"
    EPHEMERAL = "ephemeral"


FIELD = {
    Kind.INIT: "initContainers",
    Kind.SIDECAR: "initContainers",
    Kind.MAIN: "containers",
    Kind.EPHEMERAL: "ephemeralContainers",
}


@dataclass(eq=False, slots=True)
class ContainerRecord:
    """One container of a pod.

    Attributes:
        spec: Its entry in the pod's spec.
        kind: How it takes part.
        state: `state` of its status.
        last_state: `lastState` of its status.
        ready: Whether its readiness probe passes (without one: whether it runs).
        started: Whether its startup probe has passed (without one: whether it runs).
        restarts: `restartCount`.
        image: Image name that the status shows.
        image_id: `imageID`.
        container_id: `containerID`; empty before the first start.
        running: The container, while it runs.
        context: What it was started with.
        logs: Logs of the containers that are kept, by their ids: one that runs, and the last that has ended.
        crashes: Back-off of its restarts.
        pulls: Back-off of its image's pulls.
        finished: When it last ended, event loop time; None before it did.
        finished_before: When the run before that ended.
        run_started: When it last started, event loop time.
        replaced: Whether the kubelet stopped it to start another: a probe failed, or its spec changed.
        hook_failed: Whether the kubelet ended it because its postStart hook failed.
        stdin: Standard input of the container, when its spec wants one.
        system: Where exec'd processes run in a container that has no programs of its own.
    """

    spec: Obj
    kind: Kind
    state: Obj
    last_state: Obj = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restarts: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    running: Container | None = None
    context: ContainerContext | None = None
    logs: dict[str, ContainerLog] = field(default_factory=dict)
    crashes: BackOff = field(default_factory=BackOff)
    pulls: BackOff = field(default_factory=BackOff)
    finished: float | None = None
    finished_before: float | None = None
    run_started: float = 0.0
    replaced: bool = False
    hook_failed: bool = False
    stdin: Pipe | None = None
    system: System | None = None

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    @property
    def field_path(self) -> str:
        """Its place in the pod's spec, for events: `spec.containers{web}`."""
        return f"spec.{FIELD[self.kind]}{{{self.name}}}"

    @property
    def log(self) -> ContainerLog | None:
        """Log of the latest run."""
        return self.logs.get(self.container_id)

    @property
    def terminated(self) -> Obj | None:
        """`state.terminated`, when it has ended."""
        state: Obj | None = self.state.get("terminated")
        return state

    @property
    def succeeded(self) -> bool:
        """Whether it has ended with exit code 0."""
        ended = self.terminated
        return ended is not None and ended["exitCode"] == 0


def waiting(reason: str, message: str = "") -> Obj:
    """A waiting state."""
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def records_of(pod: Obj) -> list[ContainerRecord]:
    """The containers of a pod that has not run yet, init containers first."""
    spec = pod["spec"]
    inits = spec.get("initContainers") or []
    first = waiting("PodInitializing" if inits else "ContainerCreating")
    records = [
        ContainerRecord(item, Kind.SIDECAR if item.get("restartPolicy") == "Always" else Kind.INIT, first)
        for item in inits
    ]
    records += [ContainerRecord(item, Kind.MAIN, first) for item in spec["containers"]]
    for record in records:
        record.image = record.spec.get("image", "")
    return records


def ephemeral_record(spec: Obj) -> ContainerRecord:
    """A debug container that was added to a running pod."""
    return ContainerRecord(spec, Kind.EPHEMERAL, waiting("ContainerCreating"), image=spec.get("image", ""))


def new_container_id() -> str:
    """A containerd container id."""
    return "containerd://" + hashlib.sha256(os.urandom(32)).hexdigest()
