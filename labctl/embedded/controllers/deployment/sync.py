"""One look at a Deployment: what belongs to it, and the plan that grows while it is thought through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.numbers import fenceposts
from labctl.embedded.controllers.wanted import Note, Record, Update, Wanted

DEPLOYMENTS = "deployments.apps"
REPLICASETS = "replicasets.apps"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


@dataclass(slots=True)
class Sync:
    """The Deployment and its ReplicaSets as they will be once the plan so far is carried out.

    Attributes:
        deployment: The Deployment.
        new: The ReplicaSet with the Deployment's pod template, if there is one.
        old: The others, in order of creation.
        now: Seconds since the epoch.
        plan: What is wanted so far.
    """

    deployment: Obj
    new: Obj | None
    old: list[Obj]
    now: float
    plan: list[Wanted] = field(default_factory=list)

    @property
    def all(self) -> list[Obj]:
        """Every ReplicaSet, the new one last."""
        return [*self.old, *([self.new] if self.new else ())]

    @property
    def replicas(self) -> int:
        """`spec.replicas` of the Deployment."""
        return replicas(self.deployment)

    @property
    def is_rolling(self) -> bool:
        """Whether the strategy is RollingUpdate."""
        strategy = meta.spec(self.deployment).get("strategy") or {}
        return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")

    @property
    def max_surge(self) -> int:
        """How many pods above `spec.replicas` may exist."""
        return self._fenceposts()[0] if self.is_rolling else 0

    @property
    def max_unavailable(self) -> int:
        """How many pods below `spec.replicas` may be available."""
        if not self.is_rolling or self.replicas == 0:
            return 0
        return min(self._fenceposts()[1], self.replicas)

    def _fenceposts(self) -> tuple[int, int]:
        rolling = (meta.spec(self.deployment).get("strategy") or {}).get("rollingUpdate") or {}
        return fenceposts(rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"), self.replicas)

    def replace(self, changed: Obj) -> None:
        """Put a ReplicaSet in the place of its earlier state."""
        if self.new is not None and meta.uid(self.new) == meta.uid(changed):
            self.new = changed
        else:
            self.old = [changed if meta.uid(entry) == meta.uid(changed) else entry for entry in self.old]

    def scale(self, target: Obj, size: int) -> bool:
        """Give a ReplicaSet another size and up-to-date annotations about sizes; tell whether it changed."""
        before = replicas(target)
        wanted = {DESIRED: str(self.replicas), MAXIMUM: str(self.replicas + self.max_surge)}
        if before == size and wanted.items() <= meta.annotations_of(target).items():
            return False
        changed = meta.with_spec(meta.with_annotations(target, wanted), replicas=size)
        event = None
        if before != size:
            direction = "up" if size > before else "down"
            text = f"Scaled {direction} replica set {meta.name(target)} from {before} to {size}"
            event = Record(self.deployment, Note("ScalingReplicaSet", text))
        self.plan.append(Update(REPLICASETS, changed, then=event))
        self.replace(changed)
        return True


def replicas(obj: Obj) -> int:
    """`spec.replicas`, 1 when it is not set."""
    found: int = meta.spec(obj).get("replicas", 1)
    return found


def counter(obj: Obj, field_name: str) -> int:
    """A number of the status, 0 when it is not set."""
    found: int = meta.status(obj).get(field_name, 0)
    return found


def active(sets: Iterable[Obj]) -> list[Obj]:
    """The ReplicaSets that want pods."""
    return [entry for entry in sets if replicas(entry) > 0]


def total(sets: Iterable[Obj]) -> int:
    """How many pods the ReplicaSets want."""
    return sum(replicas(entry) for entry in sets)


def by_creation(sets: Iterable[Obj]) -> list[Obj]:
    """Oldest first, by name where the second is the same."""
    return sorted(sets, key=lambda entry: (meta.created(entry), meta.name(entry)))
