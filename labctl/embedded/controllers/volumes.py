"""PersistentVolumeClaims: bound to a fitting volume that exists; what needs a provisioner waits for one, and says so.

There is no storage in the embedded cluster: no provisioner ever answers. Source of the rules and texts:
`pkg/controller/volume/persistentvolume`.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.pods import PODS, mounts_claim
from labctl.embedded.controllers.selectors import matches
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import WARNING, Note, Plan, Recheck, Record, Update, Wanted
from labctl.embedded.kinds.quantity import parse

CLAIMS, VOLUMES, CLASSES = "persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io"
SYNC_PERIOD = 15.0
"""Seconds after which a claim that is not bound is looked at again (`--pvclaimbinder-sync-period`)."""
SELECTED_NODE = "volume.kubernetes.io/selected-node"
_BOUND_BY, _COMPLETED = "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/bind-completed"
_PROVISIONERS = ("volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner")


class PersistentVolumeController(BaseController):
    """Binds claims to volumes."""

    name = "persistentvolume-controller"
    resources = frozenset({CLAIMS, VOLUMES, CLASSES, PODS})

    def __init__(self, time_scale: float = 1.0) -> None:
        """Make a controller.

        Args:
            time_scale: Factor on the time between two looks.
        """
        self._period = SYNC_PERIOD * time_scale

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The claim; every claim that waits when a volume or a class changed; a volume."""
        if change.resource == CLAIMS:
            return (meta.key(change.object),)
        if change.resource == PODS:
            return ()
        waiting: list[Key] = [meta.key(claim) for claim in view.list(CLAIMS) if not _is_bound(claim)]
        return [*waiting, ("", meta.name(change.object))] if change.resource == VOLUMES else waiting

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Bind the claim, or say what it waits for; bring a volume's phase up to date."""
        if not key[0]:
            return _volume_phase(view, view.get(VOLUMES, "", key[1]))
        claim = view.get(CLAIMS, *key)
        if claim is None or meta.deleting(claim) or _is_bound(claim):
            return ()
        volume = _find_volume(view, claim)
        wanted = meta.spec(claim).get("volumeName")
        if volume is not None and (
            wanted or not is_delayed(view, claim) or SELECTED_NODE in meta.annotations_of(claim)
        ):
            return _bind(claim, volume)
        return (Recheck(now + self._period), *(() if wanted else _wait(view, claim)))


def _is_bound(claim: Obj) -> bool:
    return bool(meta.status(claim).get("phase") == "Bound")


def class_of(view: View, claim: Obj) -> Obj | None:
    """The claim's StorageClass."""
    name = meta.spec(claim).get("storageClassName")
    return view.get(CLASSES, "", name) if name else None


def is_delayed(view: View, claim: Obj) -> bool:
    """Whether binding waits until a pod that uses the claim is scheduled."""
    found = class_of(view, claim)
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def _find_volume(view: View, claim: Obj) -> Obj | None:
    """The volume that is meant, or the smallest free one that fits."""
    spec = meta.spec(claim)
    if spec.get("volumeName"):
        found = view.get(VOLUMES, "", spec["volumeName"])
        return found if found is not None and _is_free_for(found, claim) else None
    fitting = [volume for volume in view.list(VOLUMES) if _is_free_for(volume, claim) and _fits(volume, claim)]
    return min(fitting, key=_size, default=None)


def _is_free_for(volume: Obj, claim: Obj) -> bool:
    reference = meta.spec(volume).get("claimRef")
    if reference is None:
        return not meta.deleting(volume)
    same = (reference.get("namespace"), reference.get("name")) == meta.key(claim)
    return same and reference.get("uid", meta.uid(claim)) == meta.uid(claim)


def _size(volume: Obj) -> Fraction:
    return parse(str((meta.spec(volume).get("capacity") or {}).get("storage", "0")))


def _fits(volume: Obj, claim: Obj) -> bool:
    offered, asked = meta.spec(volume), meta.spec(claim)
    wanted = ((asked.get("resources") or {}).get("requests") or {}).get("storage", "0")
    selector = asked.get("selector")
    return (
        (offered.get("storageClassName") or "") == (asked.get("storageClassName") or "")
        and set(asked.get("accessModes") or ()) <= set(offered.get("accessModes") or ())
        and offered.get("volumeMode", "Filesystem") == asked.get("volumeMode", "Filesystem")
        and parse(str((offered.get("capacity") or {}).get("storage", "0"))) >= parse(str(wanted))
        and (selector is None or matches(selector, meta.labels(volume)))
    )


def _bind(claim: Obj, volume: Obj) -> list[Wanted]:
    reference = {
        "kind": "PersistentVolumeClaim",
        "namespace": meta.namespace(claim),
        "name": meta.name(claim),
        "uid": meta.uid(claim),
        "apiVersion": "v1",
        "resourceVersion": claim["metadata"].get("resourceVersion", ""),
    }
    mark = {} if meta.spec(volume).get("claimRef") else {_BOUND_BY: "yes"}
    held = meta.with_annotations(meta.with_spec(volume, claimRef=reference), mark)
    chosen = {} if meta.spec(claim).get("volumeName") else {_BOUND_BY: "yes"}
    taken = meta.with_spec(meta.with_annotations(claim, {_COMPLETED: "yes", **chosen}), volumeName=meta.name(volume))
    offered = meta.spec(volume)
    status = {
        "phase": "Bound",
        "accessModes": offered.get("accessModes") or [],
        "capacity": offered.get("capacity") or {},
    }
    return [
        Update(VOLUMES, held),
        Update(VOLUMES, meta.with_status(held, {**meta.status(held), "phase": "Bound"}), "status"),
        Update(CLAIMS, taken),
        Update(CLAIMS, meta.with_status(taken, status), "status"),
    ]


def _wait(view: View, claim: Obj) -> list[Wanted]:
    name = meta.spec(claim).get("storageClassName")
    if not name:
        text = "no persistent volumes available for this claim and no storage class is set"
        return [Record(claim, Note("FailedBinding", text))]
    found = class_of(view, claim)
    if found is None:
        return [Record(claim, Note("ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found', WARNING))]
    if is_delayed(view, claim) and SELECTED_NODE not in meta.annotations_of(claim):
        return [Record(claim, _awaited(view, claim))]
    return _ask_provisioner(claim, found)


def _awaited(view: View, claim: Obj) -> Note:
    """What a claim of a delayed class waits for."""
    pods = [
        meta.name(pod)
        for pod in view.list(PODS, meta.namespace(claim))
        if not meta.spec(pod).get("nodeName") and mounts_claim(pod, claim)
    ]
    if not pods:
        return Note("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    return Note("WaitForPodScheduled", f"waiting for pod{'s' * (len(pods) > 1)} {','.join(pods)} to be scheduled")


def _ask_provisioner(claim: Obj, found: Obj) -> list[Wanted]:
    provisioner: str = found.get("provisioner", "")
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the"
        " system administrator. If volume creation is delayed, please verify that the provisioner is running and"
        " correctly registered."
    )
    asked = dict.fromkeys(_PROVISIONERS, provisioner)
    event = Record(claim, Note("ExternalProvisioning", text))
    if asked.items() <= meta.annotations_of(claim).items():
        return [event]
    return [Update(CLAIMS, meta.with_annotations(claim, asked))]


def _volume_phase(view: View, volume: Obj | None) -> list[Wanted]:
    if volume is None or meta.deleting(volume):
        return []
    reference = meta.spec(volume).get("claimRef")
    claim = view.get(CLAIMS, reference.get("namespace", ""), reference["name"]) if reference else None
    if reference is None:
        phase = "Available"
    elif claim is not None and reference.get("uid") == meta.uid(claim):
        phase = "Bound"
    else:
        phase = "Released" if reference.get("uid") else "Available"
    if meta.status(volume).get("phase") == phase:
        return []
    return [Update(VOLUMES, meta.with_status(volume, {**meta.status(volume), "phase": phase}), "status")]
