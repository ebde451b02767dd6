"""What the scheduler knows while it looks at one pod: nodes, the pods on them, and what each node still has."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.scheduler.resources import allocatable, pod_requests
from labctl.embedded.controllers.view import View

Amounts = dict[str, int]
"""Amounts of resources in thousandths of their unit, rounded up."""


def _thousandths(amounts: dict[str, Fraction]) -> Amounts:
    return {name: math.ceil(amount * 1000) for name, amount in amounts.items()}


class RequestMemo:
    """What pods ask for, worked out once per pod and generation."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Amounts, Amounts]] = {}

    def plain(self, pod: Obj) -> Amounts:
        """What a pod asks for."""
        return self._of(pod)[1]

    def assumed(self, pod: Obj) -> Amounts:
        """What a pod asks for, with assumed amounts where it says nothing."""
        return self._of(pod)[2]

    def _of(self, pod: Obj) -> tuple[int, Amounts, Amounts]:
        generation = meta.generation(pod)
        known = self._known.get(meta.uid(pod))
        if known is None or known[0] != generation:
            assumed = _thousandths(pod_requests(pod, assumed=True))
            known = self._known[meta.uid(pod)] = (generation, _thousandths(pod_requests(pod)), assumed)
        return known

    def forget(self, living: int) -> None:
        """Start over when it holds many more pods than are living."""
        if len(self._known) > 2 * living + 1000:
            self._known.clear()


@dataclass(slots=True)
class NodeState:
    """One node: its labels, the unfinished pods on it, and the sums of what those ask for."""

    node: Obj
    pods: list[Obj]
    memo: RequestMemo
    _allocatable: Amounts | None = None
    _used: Amounts | None = None
    _assumed: Amounts | None = None

    @property
    def name(self) -> str:
        """The node's name."""
        return meta.name(self.node)

    @property
    def allocatable(self) -> Amounts:
        """What the node has for pods."""
        if self._allocatable is None:
            self._allocatable = _thousandths(allocatable(self.node))
        return self._allocatable

    @property
    def used(self) -> Amounts:
        """What its pods ask for."""
        if self._used is None:
            self._used = _sum(map(self.memo.plain, self.pods))
        return self._used

    @property
    def assumed(self) -> Amounts:
        """What its pods ask for, with assumed amounts where they say nothing."""
        if self._assumed is None:
            self._assumed = _sum(map(self.memo.assumed, self.pods))
        return self._assumed


def _sum(requests: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for asked in requests:
        for name, amount in asked.items():
            total[name] = total.get(name, 0) + amount
    return total


def node_states(view: View, memo: RequestMemo) -> list[NodeState]:
    """Every node with its unfinished pods."""
    states = [
        NodeState(node, [pod for pod in view.on_node(meta.name(node)) if not pods.is_finished(pod)], memo)
        for node in view.list("nodes")
    ]
    memo.forget(sum(len(state.pods) for state in states))
    return states
