"""Which ReplicaSet is the new one, and the revision numbers and history of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.deployment.status import add_condition
from labctl.embedded.controllers.deployment.sync import (
    DEPLOYMENTS,
    DESIRED,
    MAXIMUM,
    REPLICASETS,
    REVISION,
    REVISION_HISTORY,
    Sync,
    by_creation,
    replicas,
    total,
)
from labctl.embedded.controllers.hashing import pod_template_hash
from labctl.embedded.controllers.wanted import Create, Delete, Note, Record, Update

HASH = "pod-template-hash"
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED,
        MAXIMUM,
    }
)
_HISTORY_CHARACTERS = 2000
_UNLIMITED = 2**31 - 1


def same_template(one: Obj, other: Obj) -> bool:
    """Whether two pod templates are equal but for the hash label."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Obj) -> Obj:
    metadata = dict(template.get("metadata") or {})
    labels = {label: value for label, value in (metadata.pop("labels", None) or {}).items() if label != HASH}
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": {**metadata, "labels": labels}}


def split(deployment: Obj, sets: Sequence[Obj]) -> tuple[Obj | None, list[Obj]]:
    """The new ReplicaSet (the oldest with the Deployment's template) and the old ones."""
    ordered = by_creation(sets)
    template = meta.spec(deployment)["template"]
    new = next((entry for entry in ordered if same_template(meta.spec(entry)["template"], template)), None)
    return new, [entry for entry in ordered if entry is not new]


def revision(obj: Obj) -> int:
    """The revision annotation as a number; 0 when there is none."""
    text = meta.annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def _next_revision(old: Iterable[Obj]) -> int:
    return max((revision(entry) for entry in old), default=0) + 1


def update_new(sync: Sync) -> None:
    """Bring the new ReplicaSet's annotations and the Deployment's revision up to date."""
    if sync.new is None:
        return
    target = meta.with_annotations(sync.new, _annotations(sync.deployment, sync.new, _next_revision(sync.old)))
    wait = meta.spec(sync.deployment).get("minReadySeconds", 0)
    if wait != meta.spec(target).get("minReadySeconds", 0):
        target = meta.with_spec(target, minReadySeconds=wait)
    if target != sync.new:
        sync.plan.append(Update(REPLICASETS, target))
        sync.new = target
        return
    changed = _with_revision(sync.deployment, meta.annotations_of(target).get(REVISION, ""))
    if _has_deadline(changed) and meta.condition_of(changed, "Progressing") is None:
        text = f'Found new replica set "{meta.name(target)}"'
        changed = add_condition(changed, "Progressing", "True", "FoundNewReplicaSet", text, sync.now)
    if changed != sync.deployment:
        sync.plan.append(Update(DEPLOYMENTS, changed, "status"))
        sync.deployment = changed


def _has_deadline(deployment: Obj) -> bool:
    return bool(meta.spec(deployment).get("progressDeadlineSeconds", _UNLIMITED) != _UNLIMITED)


def _with_revision(deployment: Obj, number: str) -> Obj:
    if not number or meta.annotations_of(deployment).get(REVISION) == number:
        return deployment
    return meta.with_annotations(deployment, {REVISION: number})


def _annotations(deployment: Obj, target: Obj, number: int) -> dict[str, str]:
    """The Deployment's annotations for its new ReplicaSet, with the revision raised and the earlier one remembered."""
    found = {key: value for key, value in meta.annotations_of(deployment).items() if key not in _NOT_COPIED}
    before = revision(target)
    if before < number:
        found[REVISION] = str(number)
        if before:
            history = [*filter(None, meta.annotations_of(target).get(REVISION_HISTORY, "").split(",")), str(before)]
            while len(",".join(history)) > _HISTORY_CHARACTERS:
                history.pop(0)
            found[REVISION_HISTORY] = ",".join(history)
    return found


def create_new(sync: Sync) -> None:
    """Create the ReplicaSet for the Deployment's template, with as many replicas as may start now."""
    deployment = sync.deployment
    collisions = meta.status(deployment).get("collisionCount")
    template = meta.spec(deployment)["template"]
    number = pod_template_hash(template, collisions)
    size = new_size(sync)
    made = _new_replica_set(sync, number, size)
    event = Note("ScalingReplicaSet", f"Scaled up replica set {{name}} from 0 to {size}")
    sync.plan.append(Create(REPLICASETS, made, then=Record(deployment, event) if size else None))
    changed = _with_revision(deployment, meta.annotations_of(made)[REVISION])
    if _has_deadline(deployment):
        text = f'Created new replica set "{meta.name(made)}"'
        changed = add_condition(changed, "Progressing", "True", "NewReplicaSetCreated", text, sync.now)
    if changed != deployment:
        sync.plan.append(Update(DEPLOYMENTS, changed, "status"))
        sync.deployment = changed
    sync.new = made


def _new_replica_set(sync: Sync, number: str, size: int) -> Obj:
    deployment, spec = sync.deployment, meta.spec(sync.deployment)
    template_meta = spec["template"].get("metadata") or {}
    labels = {**(template_meta.get("labels") or {}), HASH: number}
    selector = {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), HASH: number}}
    blank: Obj = {"metadata": {}}
    sizes = {DESIRED: str(sync.replicas), MAXIMUM: str(sync.replicas + sync.max_surge)}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta.name(deployment)}-{number}",
            "namespace": meta.namespace(deployment),
            "labels": labels,
            "annotations": {**_annotations(deployment, blank, _next_revision(sync.old)), **sizes},
            "ownerReferences": [meta.controller_reference(deployment)],
        },
        "spec": {
            "replicas": size,
            **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            "selector": selector,
            "template": {**spec["template"], "metadata": {**template_meta, "labels": labels}},
        },
    }


def new_size(sync: Sync) -> int:
    """How many replicas the new ReplicaSet may have now: surge leaves room, or all for Recreate."""
    if not sync.is_rolling:
        return sync.replicas
    present = replicas(sync.new) if sync.new is not None else 0
    room = sync.replicas + sync.max_surge - total(sync.all)
    if room <= 0:
        return present
    return present + min(room, sync.replicas - present)


def clean_up(sync: Sync) -> None:
    """Delete the oldest ReplicaSets beyond `revisionHistoryLimit` that are scaled down."""
    limit = meta.spec(sync.deployment).get("revisionHistoryLimit", _UNLIMITED)
    old = [entry for entry in sync.old if not meta.deleting(entry)]
    if limit == _UNLIMITED or len(old) <= limit:
        return
    for entry in sorted(old, key=revision)[: len(old) - limit]:
        idle = not meta.status(entry).get("replicas") and replicas(entry) == 0
        if idle and meta.generation(entry) <= meta.status(entry).get("observedGeneration", 0):
            sync.plan.append(Delete(REPLICASETS, entry))
