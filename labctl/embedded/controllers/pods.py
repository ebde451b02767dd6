"""Pods as the controllers that own them see them: making, claiming, counting, choosing victims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import DeleteOptions, Obj
from labctl.embedded.controllers import meta, selectors
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import WARNING, Create, Delete, Note, Record, Update, Wanted

PODS = "pods"
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def from_template(template: Obj, owner: Obj, **metadata: object) -> Obj:
    """A pod as a template wants it, owned by `owner`.

    Args:
        template: The pod template.
        owner: Its controller; also gives the namespace.
        metadata: `name` or `generateName`, and anything that replaces what the template's metadata says.
    """
    given = template.get("metadata") or {}
    carried = {part: given[part] for part in ("labels", "annotations", "finalizers") if given.get(part)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": meta.namespace(owner),
            **carried,
            "ownerReferences": [meta.controller_reference(owner)],
            **metadata,
        },
        "spec": template["spec"],
    }


def create(pod: Obj, owner: Obj) -> Create:
    """Create a pod of a ReplicaSet, DaemonSet or Job, with the events these write."""
    return Create(
        PODS,
        pod,
        then=Record(owner, Note("SuccessfulCreate", "Created pod: {name}")),
        otherwise=Record(owner, Note("FailedCreate", "Error creating: {error}", WARNING)),
    )


def delete(pod: Obj, owner: Obj) -> Delete:
    """Delete a pod of a ReplicaSet, DaemonSet or Job, with the events these write."""
    return Delete(
        PODS,
        pod,
        DeleteOptions(preconditions={"uid": meta.uid(pod)}),
        then=Record(owner, Note("SuccessfulDelete", f"Deleted pod: {meta.name(pod)}")),
        otherwise=Record(owner, Note("FailedDelete", "Error deleting: {error}", WARNING)),
    )


def phase(pod: Obj) -> str:
    """`status.phase`; Pending when there is none yet."""
    found: str = meta.status(pod).get("phase") or "Pending"
    return found


def is_finished(pod: Obj) -> bool:
    """Whether all its containers ended for good."""
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Obj) -> bool:
    """Whether it counts as a replica: neither finished nor being deleted."""
    return not is_finished(pod) and not meta.deleting(pod)


def is_ready(pod: Obj) -> bool:
    """Whether its Ready condition is True."""
    return meta.is_true(meta.condition_of(pod, "Ready"))


def ready_since(pod: Obj) -> float:
    """When its Ready condition became True (seconds since the epoch); 0 when it is not."""
    entry = meta.condition_of(pod, "Ready")
    return meta.parse_time(entry.get("lastTransitionTime")) if entry and meta.is_true(entry) else 0.0


def is_available(pod: Obj, min_ready_seconds: float, now: float) -> bool:
    """Whether it has been ready for at least `minReadySeconds`."""
    return is_ready(pod) and (min_ready_seconds == 0 or ready_since(pod) + min_ready_seconds <= now)


def next_availability(pods: Iterable[Obj], min_ready_seconds: float, now: float) -> float | None:
    """When the next ready pod becomes available; None when none is waiting for that."""
    times = [ready_since(pod) + min_ready_seconds for pod in pods if is_ready(pod)]
    return min((when for when in times if when > now), default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What belongs to a controller.

    Attributes:
        owned: Its objects, those about to be adopted included.
        changes: Adoptions and releases to be made.
    """

    owned: tuple[Obj, ...]
    changes: tuple[Wanted, ...]


def claim(
    view: View,
    resource: str,
    owner: Obj,
    selector: Obj | None,
    *,
    fits: Callable[[Obj], bool] = lambda obj: True,
) -> Claim:
    """Adopt orphans that the selector selects, release owned objects that it no longer selects.

    Source of the rules: `controller.PodControllerRefManager`.

    Args:
        view: What is observed.
        resource: Kind of the objects, for example `pods`.
        owner: The controller.
        selector: Its label selector.
        fits: Further condition, for example that a pod's name is one of a StatefulSet's.
    """
    owned: list[Obj] = []
    changes: list[Wanted] = []
    for obj in view.owned(resource, meta.uid(owner)):
        reference = meta.controller_of(obj)
        if reference is None or reference["uid"] != meta.uid(owner):
            continue
        if selectors.matches(selector, meta.labels(obj)) and fits(obj):
            owned.append(obj)
        elif not meta.deleting(owner) and not meta.deleting(obj):
            changes.append(Update(resource, _released(obj, owner)))
    if not meta.deleting(owner):
        changes.extend(
            Update(resource, _adopted(obj, owner))
            for obj in view.orphans(resource, meta.namespace(owner))
            if not meta.deleting(obj) and selectors.matches(selector, meta.labels(obj)) and fits(obj)
        )
    return Claim(tuple(owned), tuple(changes))


def _adopted(obj: Obj, owner: Obj) -> Obj:
    references = [entry for entry in meta.owner_references(obj) if entry["uid"] != meta.uid(owner)]
    return meta.with_metadata(obj, ownerReferences=[*references, meta.controller_reference(owner)])


def _released(obj: Obj, owner: Obj) -> Obj:
    left = [entry for entry in meta.owner_references(obj) if entry["uid"] != meta.uid(owner)]
    return meta.with_metadata(obj, ownerReferences=left or None)


def victims(candidates: Sequence[Obj], related: Iterable[Obj], count: int, now: float) -> list[Obj]:
    """The pods to delete first when there are `count` too many.

    Source of the order: `controller.ActivePodsWithRanks`: unassigned, pending, not ready, cheap to delete
    (`pod-deletion-cost`), on a node with many related pods, ready for a short time, restarted often, young.

    Args:
        candidates: The owner's active pods.
        related: Active pods of all owners of the same kind and owner (a Deployment's other ReplicaSets).
        count: How many to choose.
        now: Seconds since the epoch.
    """
    if count >= len(candidates):
        return list(candidates)
    on_node: dict[str, int] = {}
    for pod in related:
        if is_active(pod) and (node := meta.spec(pod).get("nodeName")):
            on_node[node] = on_node.get(node, 0) + 1

    def order(pod: Obj) -> tuple[object, ...]:
        node = meta.spec(pod).get("nodeName") or ""
        ready = is_ready(pod)
        return (
            bool(node),
            {"Pending": 0, "Unknown": 1}.get(phase(pod), 2),
            ready,
            _deletion_cost(pod),
            -on_node.get(node, 0),
            _age_bucket(ready_since(pod), now) if ready else 0,
            -_restarts(pod),
            _age_bucket(meta.created(pod), now),
            meta.uid(pod),
        )

    return sorted(candidates, key=order)[:count]


def claim_names(pod: Obj) -> Iterator[tuple[str, bool]]:
    """Names of the PersistentVolumeClaims that a pod mounts, and whether the claim is made for the pod alone."""
    for volume in meta.spec(pod).get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"], False
        elif "ephemeral" in volume:
            yield f"{meta.name(pod)}-{volume['name']}", True


def mounts_claim(pod: Obj, claim: Obj) -> bool:
    """Whether a pod of its namespace mounts a claim."""
    return any(name == meta.name(claim) for name, _ in claim_names(pod))


def _age_bucket(since: float, now: float) -> int:
    """Ages on a logarithmic scale, so that pods of nearly the same age are chosen from evenly."""
    age = now - since
    return int(math.log2(age * 1e9)) if age > 0 else -1


def _deletion_cost(pod: Obj) -> int:
    try:
        return int(meta.annotations_of(pod).get(_DELETION_COST, "0"))
    except ValueError:
        return 0


def _restarts(pod: Obj) -> int:
    counts: list[int] = [entry.get("restartCount", 0) for entry in meta.status(pod).get("containerStatuses") or ()]
    return max(counts, default=0)
