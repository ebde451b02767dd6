"""ReplicaSets and ReplicationControllers: as many pods as wanted, no more, no fewer.

Source of the rules: `pkg/controller/replicaset`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.embedded.clientset import ApiError, Change, Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.owners import keys_for_owned
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Plan, Recheck, Wanted, update_status

_BURST = 500


class ReplicaSetController(BaseController):
    """Keeps the number of pods of each ReplicaSet."""

    name = "replicaset-controller"
    resource = "replicasets.apps"
    resources = frozenset({resource, pods.PODS})

    def selector(self, owner: Obj) -> Obj | None:
        """The label selector."""
        found: Obj | None = meta.spec(owner).get("selector")
        return found

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The ReplicaSet itself, or the ones a pod belongs or might belong to."""
        return keys_for_owned(change, view, self.resource, self.selector)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create or delete pods, and report the numbers."""
        owner = view.get(self.resource, *key)
        if owner is None:
            return ()
        claimed = pods.claim(view, pods.PODS, owner, self.selector(owner), fits=lambda pod: not pods.is_finished(pod))
        if claimed.changes:
            return claimed.changes
        active = [pod for pod in claimed.owned if pods.is_active(pod)]
        plan: list[Wanted] = [] if meta.deleting(owner) else self._scale(view, owner, active, now)
        plan += update_status(self.resource, owner, _status(owner, active, now))
        wait = meta.spec(owner).get("minReadySeconds", 0)
        if wait and (when := pods.next_availability(active, wait, now)):
            plan.append(Recheck(when))
        return plan

    def failed(self, view: View, key: Key, now: float, error: ApiError) -> Plan:
        """Say so in the condition ReplicaFailure."""
        owner = view.get(self.resource, *key)
        if owner is None:
            return ()
        active = [pod for pod in view.owned(pods.PODS, meta.uid(owner)) if pods.is_active(pod)]
        too_few = len(active) < meta.spec(owner).get("replicas", 1)
        failure = {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": meta.rfc3339(now),
            "reason": "FailedCreate" if too_few else "FailedDelete",
            "message": error.message,
        }
        known = meta.condition_of(owner, "ReplicaFailure")
        if known is not None and (known.get("reason"), known.get("message")) == (failure["reason"], failure["message"]):
            failure = known
        return update_status(self.resource, owner, {**_status(owner, active, now), "conditions": [failure]})

    def _scale(self, view: View, owner: Obj, active: Sequence[Obj], now: float) -> list[Wanted]:
        surplus = len(active) - meta.spec(owner).get("replicas", 1)
        if surplus < 0:
            template = meta.spec(owner)["template"]
            pod = pods.from_template(template, owner, generateName=f"{meta.name(owner)}-")
            return [pods.create(pod, owner)] * min(-surplus, _BURST)
        chosen = pods.victims(active, _related(view, owner), surplus, now) if surplus else []
        return [pods.delete(pod, owner) for pod in chosen[:_BURST]]


class ReplicationControllerController(ReplicaSetController):
    """The same for ReplicationControllers, whose selector is a plain map."""

    name = "replication-controller"
    resource = "replicationcontrollers"
    resources = frozenset({resource, pods.PODS})

    def selector(self, owner: Obj) -> Obj | None:
        """The map as a label selector."""
        wanted = meta.spec(owner).get("selector")
        return {"matchLabels": wanted} if wanted else None


def _related(view: View, owner: Obj) -> list[Obj]:
    """Pods of all ReplicaSets with the same controller."""
    reference = meta.controller_of(owner)
    siblings = view.owned("replicasets.apps", reference["uid"]) if reference else (owner,)
    return [pod for sibling in siblings for pod in view.owned(pods.PODS, meta.uid(sibling))]


def _status(owner: Obj, active: Sequence[Obj], now: float) -> Obj:
    wanted = ((meta.spec(owner)["template"].get("metadata") or {}).get("labels") or {}).items()
    wait = meta.spec(owner).get("minReadySeconds", 0)
    counts = {
        "fullyLabeledReplicas": sum(wanted <= meta.labels(pod).items() for pod in active),
        "readyReplicas": sum(pods.is_ready(pod) for pod in active),
        "availableReplicas": sum(pods.is_available(pod, wait, now) for pod in active),
    }
    return {
        "replicas": len(active),
        **{counter: count for counter, count in counts.items() if count},
        "observedGeneration": meta.generation(owner),
    }
