"""InterPodAffinity: what a pod wants near itself and away from itself, and what the pods there say about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, selectors
from labctl.embedded.controllers.scheduler.state import NodeState
from labctl.embedded.controllers.view import View

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

Domain = tuple[str, str]
"""(topology key, its value on a node)"""


def _terms(pod: Obj, kind: str, when: str) -> list[Any]:
    affinity = (meta.spec(pod).get("affinity") or {}).get(kind) or {}
    found: list[Any] = affinity.get(when) or []
    return found


class Affinity:
    """The required and preferred pod (anti-)affinity of one pod against all nodes.

    What counts is gathered once per pod, so that each node is a few look-ups.
    """

    def __init__(self, pod: Obj, states: Sequence[NodeState], view: View) -> None:
        self._pod, self._view = pod, view
        self._wanted = _terms(pod, "podAffinity", _REQUIRED)
        self._unwanted = _terms(pod, "podAntiAffinity", _REQUIRED)
        self._near = [self._domains(term, states) for term in self._wanted]
        self._away = [self._domains(term, states) for term in self._unwanted]
        self._shunned = set(self._domains_of_others(states))
        self._alone = not any(self._near) and all(self._selects(term, pod, pod) for term in self._wanted)

    def _selects(self, term: Obj, owner: Obj, other: Obj) -> bool:
        """Whether a term of `owner` is about `other`."""
        if not selectors.matches(term.get("labelSelector"), meta.labels(other)):
            return False
        names, by_label = term.get("namespaces") or (), term.get("namespaceSelector")
        if not names and by_label is None:
            return meta.namespace(other) == meta.namespace(owner)
        if meta.namespace(other) in names:
            return True
        namespace = self._view.get("namespaces", "", meta.namespace(other))
        return by_label is not None and namespace is not None and selectors.matches(by_label, meta.labels(namespace))

    def _domains(self, term: Obj, states: Sequence[NodeState]) -> dict[Domain, int]:
        """How many pods that the term selects are in each topology domain."""
        found: dict[Domain, int] = {}
        for state in states:
            value = meta.labels(state.node).get(term["topologyKey"])
            if value is None:
                continue
            count = sum(self._selects(term, self._pod, other) for other in state.pods if not meta.deleting(other))
            if count:
                domain = (term["topologyKey"], value)
                found[domain] = found.get(domain, 0) + count
        return found

    def _domains_of_others(self, states: Sequence[NodeState]) -> Iterator[Domain]:
        """Domains of pods that do not want this pod near them."""
        for state in states:
            for other in state.pods:
                for term in _terms(other, "podAntiAffinity", _REQUIRED):
                    value = meta.labels(state.node).get(term["topologyKey"])
                    if value is not None and self._selects(term, other, self._pod):
                        yield term["topologyKey"], value

    def objection(self, state: NodeState) -> str:
        """The scheduler's words for why this node is not possible; empty when it is."""
        labels = meta.labels(state.node)
        if not self._fulfils_affinity(labels):
            return "node(s) didn't match pod affinity rules"
        for term, domains in zip(self._unwanted, self._away, strict=True):
            if (term["topologyKey"], labels.get(term["topologyKey"])) in domains:
                return "node(s) didn't match pod anti-affinity rules"
        if any(domain in self._shunned for domain in labels.items()):
            return "node(s) didn't satisfy existing pods anti-affinity rules"
        return ""

    def _fulfils_affinity(self, labels: Any) -> bool:
        for term in self._wanted:
            if term["topologyKey"] not in labels:
                return False
        if all(
            (term["topologyKey"], labels[term["topologyKey"]]) in domains
            for term, domains in zip(self._wanted, self._near, strict=True)
        ):
            return True
        # The first pod of a group that wants to be together has nobody to be near to.
        return self._alone

    def score(self, states: Sequence[NodeState]) -> list[int]:
        """Weights of the preferred terms that each node fulfils, of this pod and of the pods there."""
        weights: dict[Domain, int] = {}
        for state in states:
            for domain, weight in self._preferences(state):
                weights[domain] = weights.get(domain, 0) + weight
        return [sum(weights.get(domain, 0) for domain in meta.labels(state.node).items()) for state in states]

    def _preferences(self, state: NodeState) -> Iterator[tuple[Domain, int]]:
        labels = meta.labels(state.node)
        for other in state.pods:
            for owner, about in ((self._pod, other), (other, self._pod)):
                for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
                    for entry in _terms(owner, kind, _PREFERRED):
                        term = entry["podAffinityTerm"]
                        value = labels.get(term["topologyKey"])
                        if value is not None and self._selects(term, owner, about):
                            yield (term["topologyKey"], value), sign * entry["weight"]
