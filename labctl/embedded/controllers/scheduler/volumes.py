"""VolumeBinding: a pod with claims is scheduled when they are bound, or can be bound once its node is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.pods import claim_names
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.volumes import CLAIMS, SELECTED_NODE, is_delayed
from labctl.embedded.controllers.wanted import Update, Wanted


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of one pod.

    Attributes:
        obstacle: Why no node can take the pod; empty when it is not the claims.
        unbound: Those that are bound once a node is chosen.
    """

    obstacle: str
    unbound: Sequence[Obj] = ()

    def choose(self, node: str) -> list[Wanted]:
        """Tell whoever provides the volumes which node was chosen."""
        return [
            Update(CLAIMS, meta.with_annotations(claim, {SELECTED_NODE: node}))
            for claim in self.unbound
            if SELECTED_NODE not in meta.annotations_of(claim)
        ]


def claims_of(view: View, pod: Obj) -> Claims:
    """Look at a pod's claims."""
    unbound = []
    for name, ephemeral in claim_names(pod):
        claim = view.get(CLAIMS, meta.namespace(pod), name)
        if claim is None:
            waiting = "waiting for ephemeral volume controller to create the persistentvolumeclaim"
            return Claims(f'{waiting} "{name}"' if ephemeral else f'persistentvolumeclaim "{name}" not found')
        if meta.deleting(claim):
            return Claims(f'persistentvolumeclaim "{name}" is being deleted')
        if meta.status(claim).get("phase") == "Lost":
            return Claims(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume')
        if meta.status(claim).get("phase") != "Bound":
            if not is_delayed(view, claim):
                return Claims("pod has unbound immediate PersistentVolumeClaims")
            unbound.append(claim)
    return Claims("", unbound)
