"""What the scheduler knows while it looks at one pod: nodes, the pods on them, and what each node still has."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.scheduler.resources import allocatable, pod_requests
from labctl.embedded.controllers.view import View


@dataclass(slots=True)
class NodeState:
    """One node: its labels, the unfinished pods on it, and the sums of what those ask for."""

    node: Obj
    pods: list[Obj]
    _allocatable: dict[str, Fraction] | None = None
    _used: dict[str, Fraction] | None = None
    _assumed: dict[str, Fraction] | None = None

    @property
    def name(self) -> str:
        """The node's name."""
        return meta.name(self.node)

    @property
    def allocatable(self) -> dict[str, Fraction]:
        """What the node has for pods."""
        if self._allocatable is None:
            self._allocatable = allocatable(self.node)
        return self._allocatable

    @property
    def used(self) -> dict[str, Fraction]:
        """What its pods ask for."""
        if self._used is None:
            self._used = _sum(self.pods, assumed=False)
        return self._used

    @property
    def assumed(self) -> dict[str, Fraction]:
        """What its pods ask for, with assumed amounts where they say nothing."""
        if self._assumed is None:
            self._assumed = _sum(self.pods, assumed=True)
        return self._assumed


def _sum(members: list[Obj], *, assumed: bool) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for pod in members:
        for name, amount in pod_requests(pod, assumed=assumed).items():
            total[name] = total.get(name, Fraction(0)) + amount
    return total


def node_states(view: View) -> list[NodeState]:
    """Every node with its unfinished pods."""
    return [
        NodeState(node, [pod for pod in view.on_node(meta.name(node)) if not pods.is_finished(pod)])
        for node in view.list("nodes")
    ]
