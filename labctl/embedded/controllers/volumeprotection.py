"""Claims in use by pods and volumes in use by claims are not deleted before that ends.

Source of the rules: `pkg/controller/volume/pvcprotection` and `pvprotection`.
"""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.volumes import CLAIMS, VOLUMES
from labctl.embedded.controllers.wanted import Plan, Update

_CLAIM_FINALIZER, _VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"


class VolumeProtectionController(BaseController):
    """Lets go of deleted claims and volumes once nothing uses them."""

    name = "volume-protection-controller"
    resources = frozenset({CLAIMS, VOLUMES, pods.PODS})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """A claim or volume being deleted; the claims of a pod that ended or went."""
        if change.resource != pods.PODS:
            return ((change.resource, *meta.key(change.object)),) if meta.deleting(change.object) else ()
        pod = change.object
        if change.type != "DELETED" and not pods.is_finished(pod):
            return ()
        return tuple((CLAIMS, meta.namespace(pod), name) for name, _ in pods.claim_names(pod))

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Take the finalizer off."""
        resource, namespace, name = key
        obj = view.get(resource, namespace, name)
        finalizer = _CLAIM_FINALIZER if resource == CLAIMS else _VOLUME_FINALIZER
        if obj is None or not meta.deleting(obj) or finalizer not in meta.finalizers(obj):
            return ()
        used = _is_mounted(view, obj) if resource == CLAIMS else meta.status(obj).get("phase") == "Bound"
        return () if used else (Update(resource, meta.without_finalizer(obj, finalizer)),)


def _is_mounted(view: View, claim: Obj) -> bool:
    """Whether a pod that has a node and has not ended uses the claim."""
    return any(
        meta.spec(pod).get("nodeName") and not pods.is_finished(pod) and pods.mounts_claim(pod, claim)
        for pod in view.list(pods.PODS, meta.namespace(claim))
    )
