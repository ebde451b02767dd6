"""The controller itself: what to do with a Deployment, and when to look at one."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import ApiError, Change, Obj
from labctl.embedded.controllers import meta, pods, selectors
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.deployment import revisions, scaling, status
from labctl.embedded.controllers.deployment.sync import DEPLOYMENTS, REPLICASETS, Sync, counter, replicas
from labctl.embedded.controllers.hashing import pod_template_hash
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.owners import keys_for_owned
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import WARNING, Note, Plan, Record, Wanted, update_status


class DeploymentController(BaseController):
    """Rolls pod templates out and back."""

    name = "deployment-controller"
    resources = frozenset({DEPLOYMENTS, REPLICASETS, pods.PODS})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Deployment, the one a ReplicaSet belongs to, or (Recreate waits for it) the one whose pod went."""
        if change.resource == pods.PODS:
            return (
                _waiting_for(change.object, view) if pods.is_finished(change.object) or _is_gone(change, view) else ()
            )
        return keys_for_owned(change, view, DEPLOYMENTS)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """One step of a rollout, a roll-back or scaling, and the status after it."""
        deployment = view.get(DEPLOYMENTS, *key)
        if deployment is None:
            return ()
        selector = meta.spec(deployment).get("selector")
        if selectors.is_empty(selector):
            return _selects_everything(deployment)
        claimed = pods.claim(view, REPLICASETS, deployment, selector)
        if claimed.changes:
            return claimed.changes
        sync = Sync(deployment, *revisions.split(deployment, claimed.owned), now)
        if meta.deleting(deployment):
            revisions.update_new(sync)
            status.report(sync)
            return sync.plan
        status.note_pause(sync)
        if meta.spec(deployment).get("paused") or scaling.is_scaling(sync):
            _resize(sync)
        elif sync.is_rolling:
            _roll(sync)
        else:
            _recreate(sync, view)
        return sync.plan

    def failed(self, view: View, key: Key, now: float, error: ApiError) -> Plan:
        """A ReplicaSet of the name exists, for another template: count the collision, so that the next hash differs."""
        deployment = view.get(DEPLOYMENTS, *key)
        if deployment is None or error.reason != "AlreadyExists":
            return ()
        collisions = meta.status(deployment).get("collisionCount")
        number = pod_template_hash(meta.spec(deployment)["template"], collisions)
        if view.get(REPLICASETS, key[0], f"{key[1]}-{number}") is None:
            return ()
        return update_status(
            DEPLOYMENTS, deployment, {**meta.status(deployment), "collisionCount": (collisions or 0) + 1}
        )


def _selects_everything(deployment: Obj) -> list[Wanted]:
    text = "This deployment is selecting all pods. A non-empty selector is required."
    plan: list[Wanted] = [Record(deployment, Note("SelectingAll", text, WARNING))]
    observed = {**meta.status(deployment), "observedGeneration": meta.generation(deployment)}
    return plan + update_status(DEPLOYMENTS, deployment, observed)


def _resize(sync: Sync) -> None:
    revisions.update_new(sync)
    scaling.scale(sync)
    if meta.spec(sync.deployment).get("paused"):
        revisions.clean_up(sync)
    status.report(sync)


def _roll(sync: Sync) -> None:
    if sync.new is None:
        revisions.create_new(sync)
    else:
        revisions.update_new(sync)
    if not scaling.grow_new(sync) and not scaling.shrink_old(sync):
        _clean_up_when_complete(sync)
    status.report_rollout(sync)


def _recreate(sync: Sync, view: View) -> None:
    revisions.update_new(sync)
    if not scaling.stop_old(sync) and not _old_pods_run(sync, view):
        if sync.new is None:
            revisions.create_new(sync)
        elif replicas(sync.new) != sync.replicas:
            sync.scale(sync.new, sync.replicas)
        _clean_up_when_complete(sync)
    status.report_rollout(sync)


def _clean_up_when_complete(sync: Sync) -> None:
    if status.is_complete(sync, meta.status(sync.deployment)):
        revisions.clean_up(sync)


def _old_pods_run(sync: Sync, view: View) -> bool:
    if any(counter(entry, "replicas") for entry in sync.old):
        return True
    return any(not pods.is_finished(pod) for entry in sync.old for pod in view.owned(pods.PODS, meta.uid(entry)))


def _is_gone(change: Change, view: View) -> bool:
    return view.get(pods.PODS, *meta.key(change.object)) is None


def _waiting_for(pod: Obj, view: View) -> Iterable[Key]:
    """The Recreate Deployment that a pod belongs to."""
    parent = meta.controller_of(pod)
    owner = view.get(REPLICASETS, meta.namespace(pod), parent["name"]) if parent else None
    reference = meta.controller_of(owner) if owner else None
    deployment = view.get(DEPLOYMENTS, meta.namespace(pod), reference["name"]) if reference else None
    if deployment is None or (meta.spec(deployment).get("strategy") or {}).get("type") != "Recreate":
        return ()
    return (meta.key(deployment),)
