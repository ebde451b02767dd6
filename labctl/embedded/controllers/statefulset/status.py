"""A StatefulSet's status."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.statefulset.identity import revision_of


def full_status(owner: Obj, members: dict[int, Obj], current: str, update: str, now: float) -> Obj:
    """Counters and revisions.

    Args:
        owner: The StatefulSet.
        members: Its pods by ordinal.
        current: Name of the current revision.
        update: Name of the template's revision.
        now: Seconds since the epoch.
    """
    wait = meta.spec(owner).get("minReadySeconds", 0)
    existing = [pod for pod in members.values() if meta.status(pod).get("phase")]
    staying = [pod for pod in existing if not meta.deleting(pod)]
    running = [pod for pod in existing if pods.phase(pod) == "Running" and pods.is_ready(pod)]
    counters = {
        "readyReplicas": len(running),
        "currentReplicas": sum(revision_of(pod) == current for pod in staying),
        "updatedReplicas": sum(revision_of(pod) == update for pod in staying),
    }
    wanted = meta.spec(owner).get("replicas", 1)
    if _is_complete(owner, counters, len(existing), wanted):
        counters["currentReplicas"], current = counters["updatedReplicas"], update
    return {
        "observedGeneration": meta.generation(owner),
        "replicas": len(existing),
        **{counter: count for counter, count in counters.items() if count},
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": meta.status(owner).get("collisionCount", 0),
        "availableReplicas": sum(pods.is_available(pod, wait, now) for pod in running),
    }


def _is_complete(owner: Obj, counters: dict[str, int], existing: int, wanted: int) -> bool:
    strategy = meta.spec(owner).get("updateStrategy") or {}
    return (
        strategy.get("type", "RollingUpdate") == "RollingUpdate"
        and counters["updatedReplicas"] == wanted
        and counters["readyReplicas"] == wanted
        and existing == wanted
    )
