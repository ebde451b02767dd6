"""Rolling a DaemonSet's template out: so many pods at once may be missing, or so many nodes may have two."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.daemonset import nodes
from labctl.embedded.controllers.numbers import scaled
from labctl.embedded.controllers.revisions import POD_LABEL
from labctl.embedded.controllers.wanted import Create, Wanted


@dataclass(frozen=True, slots=True)
class Daemon:
    """A DaemonSet as it is looked at.

    Attributes:
        owner: The DaemonSet.
        judged: For each node: whether it should have a pod, and whether one there may stay.
        placed: Its pods by node, oldest first.
        current: Hash of its template's revision.
        now: Seconds since the epoch.
    """

    owner: Obj
    judged: dict[str, tuple[bool, bool]]
    placed: dict[str, list[Obj]]
    current: str
    now: float

    @property
    def min_ready(self) -> int:
        """`spec.minReadySeconds`."""
        found: int = meta.spec(self.owner).get("minReadySeconds", 0)
        return found

    @property
    def _strategy(self) -> Obj:
        found: Obj = meta.spec(self.owner).get("updateStrategy") or {}
        return found

    @property
    def rolls(self) -> bool:
        """Whether old pods are replaced without being asked for."""
        return bool(self._strategy.get("type", "RollingUpdate") == "RollingUpdate")

    def _share(self, name: str, default: int) -> int:
        desired = sum(should_run for should_run, _ in self.judged.values())
        value = (self._strategy.get("rollingUpdate") or {}).get(name, default)
        return scaled(value, desired, round_up=True)

    @property
    def max_surge(self) -> int:
        """How many nodes may have an old and a new pod."""
        return self._share("maxSurge", 0) if self.rolls else 0

    @property
    def max_unavailable(self) -> int:
        """How many nodes may be without an available pod."""
        return self._share("maxUnavailable", 1) or (0 if self.max_surge else 1)

    def is_available(self, pod: Obj) -> bool:
        """Whether the pod has been ready for `minReadySeconds`."""
        return pods.is_available(pod, self.min_ready, self.now)

    def is_current(self, pod: Obj) -> bool:
        """Whether the pod is of the template's revision."""
        return meta.labels(pod).get(POD_LABEL) == self.current

    def split(self, members: list[Obj]) -> tuple[list[Obj], list[Obj]]:
        """Pods of older revisions, and of the current one; those being deleted are left out."""
        staying = [pod for pod in members if not meta.deleting(pod)]
        old = [pod for pod in staying if not self.is_current(pod)]
        return old, [pod for pod in staying if self.is_current(pod)]

    def create(self, node: str) -> Create:
        """The new pod for a node."""
        return pods.create(nodes.new_pod(self.owner, node, self.current), self.owner)


def rolling_update(daemon: Daemon) -> list[Wanted]:
    """The next pods to replace."""
    if not daemon.rolls:
        return []
    return _with_surge(daemon) if daemon.max_surge else _without_surge(daemon)


def _without_surge(daemon: Daemon) -> list[Wanted]:
    broken: list[Obj] = []
    candidates: list[Obj] = []
    unavailable = 0
    for node, members in daemon.placed.items():
        if node not in daemon.judged:
            continue
        old, new = daemon.split(members)
        if len(old) + len(new) != 1:
            # Nothing, or something that placing has to clear up first.
            unavailable += 1
        elif new:
            unavailable += not daemon.is_available(new[0])
        elif not daemon.is_available(old[0]):
            broken.append(old[0])
            unavailable += 1
        elif unavailable < daemon.max_unavailable:
            candidates.append(old[0])
    allowed = max(0, daemon.max_unavailable - unavailable)
    return [pods.delete(pod, daemon.owner) for pod in [*broken, *candidates[:allowed]]]


def _with_surge(daemon: Daemon) -> list[Wanted]:
    outdated: list[Obj] = []
    broken: list[str] = []
    candidates: list[str] = []
    surging = 0
    for node, members in daemon.placed.items():
        if node not in daemon.judged:
            continue
        old, new = daemon.split(members)
        if not old:
            continue
        if not new:
            (candidates if daemon.is_available(old[0]) else broken).append(node)
        elif daemon.is_available(new[0]):
            outdated.append(old[0])
        else:
            surging += 1
    allowed = max(0, daemon.max_surge - surging)
    plan: list[Wanted] = [pods.delete(pod, daemon.owner) for pod in outdated]
    return plan + [daemon.create(node) for node in [*broken, *candidates[:allowed]]]
