"""Which of the possible nodes is best: the score plugins of the default profile with their weights."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, selectors
from labctl.embedded.controllers.scheduler.affinity import Affinity
from labctl.embedded.controllers.scheduler.spread import Spread
from labctl.embedded.controllers.scheduler.state import NodeState
from labctl.embedded.controllers.taints import PREFER_NO_SCHEDULE, taints, tolerates

_MOST = 100
_WEIGHTS = {"taints": 3, "affinity": 2, "spread": 2, "pods": 2, "fit": 1, "balance": 1}


def scores(pod: Obj, states: Sequence[NodeState], affinity: Affinity, spread: Spread) -> list[int]:
    """One number per node, the higher the better."""
    parts = {
        "taints": _inverted([_intolerable(pod, state) for state in states]),
        "affinity": _normalized([_preferred(pod, state) for state in states]),
        "spread": _spread(spread.score(states)),
        "pods": _stretched(affinity.score(states)),
        "fit": [_least_allocated(pod, state) for state in states],
        "balance": [_balanced(pod, state) for state in states],
    }
    return [sum(_WEIGHTS[part] * values[index] for part, values in parts.items()) for index in range(len(states))]


def _intolerable(pod: Obj, state: NodeState) -> int:
    return sum(taint["effect"] == PREFER_NO_SCHEDULE and not tolerates(pod, taint) for taint in taints(state.node))


def _preferred(pod: Obj, state: NodeState) -> int:
    affinity = (meta.spec(pod).get("affinity") or {}).get("nodeAffinity") or {}
    return sum(
        entry["weight"]
        for entry in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        if selectors.matches_node_term(entry["preference"], state.node)
    )


def _normalized(values: Sequence[int]) -> list[int]:
    highest = max(values)
    return [value * _MOST // highest for value in values] if highest else [0] * len(values)


def _inverted(values: Sequence[int]) -> list[int]:
    return [_MOST - value for value in _normalized(values)]


def _stretched(values: Sequence[int]) -> list[int]:
    lowest, highest = min(values), max(values)
    if lowest == highest:
        return [0] * len(values)
    return [_MOST * (value - lowest) // (highest - lowest) for value in values]


def _spread(crowd: Sequence[float]) -> list[int]:
    lowest, highest = min(crowd), max(crowd)
    if highest == 0:
        return [_MOST] * len(crowd)
    return [int(_MOST * (highest + lowest - value) / highest) for value in crowd]


def _shares(pod: Obj, state: NodeState, *, assumed: bool) -> list[float]:
    """Used share of CPU and memory with the pod on the node."""
    asked = state.memo.assumed(pod) if assumed else state.memo.plain(pod)
    used = state.assumed if assumed else state.used
    shares = []
    for name in ("cpu", "memory"):
        have = state.allocatable.get(name, 0)
        if have:
            shares.append(min(1.0, (used.get(name, 0) + asked.get(name, 0)) / have))
    return shares


def _least_allocated(pod: Obj, state: NodeState) -> int:
    shares = _shares(pod, state, assumed=True)
    return sum(int((1 - share) * _MOST) for share in shares) // len(shares) if shares else 0


def _balanced(pod: Obj, state: NodeState) -> int:
    shares = _shares(pod, state, assumed=False)
    deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
    return int((1 - deviation) * _MOST)
