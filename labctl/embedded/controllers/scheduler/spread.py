"""PodTopologySpread: even numbers of pods over topology domains, required or preferred."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, selectors
from labctl.embedded.controllers.scheduler.state import NodeState
from labctl.embedded.controllers.taints import NO_EXECUTE, NO_SCHEDULE, untolerated

HOSTNAME = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"
# The scheduler's own constraints for pods that state none (`systemDefaultConstraints`).
_DEFAULTS = ((HOSTNAME, 3), (_ZONE, 5))


class Spread:
    """The spread constraints of one pod against all nodes."""

    def __init__(
        self,
        pod: Obj,
        states: Sequence[NodeState],
        default_selector: Obj | None,
        admits: Callable[[Obj, Obj], bool],
    ) -> None:
        """Count the pods in each domain.

        Args:
            pod: The pod.
            states: All nodes.
            default_selector: What selects the pod's siblings (its Services and its controller), for the default
                constraints; None when there is nothing.
            admits: Whether a pod's node selector and affinity admit a node.
        """
        self._pod, self._admits = pod, admits
        stated: list[Obj] = meta.spec(pod).get("topologySpreadConstraints") or []
        self._hard = [entry for entry in stated if entry.get("whenUnsatisfiable") != "ScheduleAnyway"]
        self._soft = [entry for entry in stated if entry.get("whenUnsatisfiable") == "ScheduleAnyway"]
        if not stated and default_selector is not None:
            self._soft = [
                {"topologyKey": domain, "maxSkew": skew, "labelSelector": default_selector}
                for domain, skew in _DEFAULTS
            ]
        self._hard_counts = [self._counts(entry, self._hard, states) for entry in self._hard]

    def _selector(self, constraint: Obj) -> Obj | None:
        keys = constraint.get("matchLabelKeys") or ()
        own = {label: meta.labels(self._pod)[label] for label in keys if label in meta.labels(self._pod)}
        found: Obj | None = constraint.get("labelSelector")
        if not own:
            return found
        return {**(found or {}), "matchLabels": {**((found or {}).get("matchLabels") or {}), **own}}

    def _counts(self, constraint: Obj, group: Sequence[Obj], states: Sequence[NodeState]) -> dict[str, int]:
        """Matching pods in each domain of the nodes that count."""
        selector = self._selector(constraint)
        counts: dict[str, int] = {}
        for state in states:
            labels = meta.labels(state.node)
            if any(entry["topologyKey"] not in labels for entry in group) or not self._counts_node(constraint, state):
                continue
            value = labels[constraint["topologyKey"]]
            counts[value] = counts.get(value, 0) + self._matching(selector, state)
        return counts

    def _counts_node(self, constraint: Obj, state: NodeState) -> bool:
        if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not self._admits(self._pod, state.node):
            return False
        honors_taints = constraint.get("nodeTaintsPolicy", "Ignore") == "Honor"
        return not honors_taints or untolerated(self._pod, state.node, (NO_SCHEDULE, NO_EXECUTE)) is None

    def _matching(self, selector: Obj | None, state: NodeState) -> int:
        return sum(
            meta.namespace(other) == meta.namespace(self._pod)
            and not meta.deleting(other)
            and selectors.matches(selector, meta.labels(other))
            for other in state.pods
        )

    def objection(self, state: NodeState) -> str:
        """The scheduler's words for why this node is not possible; empty when it is."""
        labels = meta.labels(state.node)
        for constraint, counts in zip(self._hard, self._hard_counts, strict=True):
            value = labels.get(constraint["topologyKey"])
            if value is None:
                return "node(s) didn't match pod topology spread constraints (missing required label)"
            fewest = min(counts.values(), default=0)
            if len(counts) < constraint.get("minDomains", 1):
                fewest = 0
            itself = selectors.matches(self._selector(constraint), meta.labels(self._pod))
            if counts.get(value, 0) + itself - fewest > constraint["maxSkew"]:
                return "node(s) didn't match pod topology spread constraints"
        return ""

    def score(self, states: Sequence[NodeState]) -> list[float]:
        """How crowded each node's domains are with siblings; less is better."""
        scores = [0.0] * len(states)
        for constraint in self._soft:
            counts = self._counts(constraint, (constraint,), states)
            if len(counts) < 2:
                continue
            for index, state in enumerate(states):
                scores[index] += counts.get(meta.labels(state.node).get(constraint["topologyKey"], ""), 0)
        return scores
