"""Which waiting pods a change may help: the others are not tried again, and nothing is said about them again.

What kept a pod back is read from its PodScheduled condition. Source of the rules: the plugins' `EventsToRegister`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.scheduler.filters import node_affinity, node_name, taint_toleration, unschedulable
from labctl.embedded.controllers.scheduler.state import NodeState, RequestMemo
from labctl.embedded.controllers.view import View

OWN_NAME = "default-scheduler"
_ROOM = ("Insufficient", "Too many pods", "free ports")
_NEIGHBOURS = ("pod affinity rules", "topology spread")
_STRANGERS = ("anti-affinity rules",)
_CLAIMS = ("persistentvolumeclaim", "PersistentVolumeClaims")


def is_waiting(pod: Obj) -> bool:
    """Whether the pod is this scheduler's and has no node."""
    spec = meta.spec(pod)
    return (
        not spec.get("nodeName")
        and spec.get("schedulerName", OWN_NAME) == OWN_NAME
        and not meta.deleting(pod)
        and not pods.is_finished(pod)
    )


def waiting(view: View) -> Iterator[Obj]:
    """The pods that wait, looked up when they are asked for."""
    for pod in view.on_node(""):
        if is_waiting(pod):
            yield pod


def is_worth_a_try(change: Change) -> bool:
    """Whether a waiting pod is new or changed in what counts (and not only in what the scheduler itself wrote)."""
    before, after = change.previous, change.object
    return before is None or (meta.spec(before), meta.labels(before)) != (meta.spec(after), meta.labels(after))


def _obstacle(pod: Obj) -> str:
    found: str = (meta.condition_of(pod, "PodScheduled") or {}).get("message", "")
    return found


def _mentions(pod: Obj, words: Iterable[str]) -> bool:
    obstacle = _obstacle(pod)
    return any(word in obstacle for word in words)


def helped_by_node(change: Change, candidates: Iterable[Obj]) -> list[Obj]:
    """Pods that could be on the changed node as far as the node alone decides."""
    if change.type is ChangeType.DELETED:
        return [pod for pod in candidates if _mentions(pod, _NEIGHBOURS)]
    if change.previous is not None and _seen(change.previous) == _seen(change.object):
        return []
    state = NodeState(change.object, [], RequestMemo())
    tests = (unschedulable, node_name, taint_toleration, node_affinity)
    return [pod for pod in candidates if all(test(pod, state) is None for test in tests)]


def _seen(node: Obj) -> tuple[object, ...]:
    """What the filters look at of a node (and not its heartbeat)."""
    spec = meta.spec(node)
    return spec.get("unschedulable"), spec.get("taints"), meta.labels(node), meta.status(node).get("allocatable")


def helped_by_pod(change: Change, candidates: Iterable[Obj]) -> list[Obj]:
    """Pods that another pod's coming, going, ending or relabelling may help."""
    pod, before = change.object, change.previous
    if not meta.spec(pod).get("nodeName"):
        return []
    words: tuple[str, ...] = ()
    if change.type is ChangeType.DELETED or (before is not None and pods.is_finished(pod) != pods.is_finished(before)):
        words = (*_ROOM, *_NEIGHBOURS, *_STRANGERS)
    elif before is None or not meta.spec(before).get("nodeName"):
        words = _NEIGHBOURS
    elif meta.labels(pod) != meta.labels(before):
        words = (*_NEIGHBOURS, *_STRANGERS)
    return [entry for entry in candidates if _mentions(entry, words)] if words else []


def helped_by_claim(change: Change, candidates: Iterable[Obj]) -> list[Obj]:
    """Pods that wait for claims, this one perhaps."""
    if change.previous is not None and meta.status(change.previous) == meta.status(change.object):
        return []
    return [pod for pod in candidates if not _obstacle(pod) or _mentions(pod, _CLAIMS)]
