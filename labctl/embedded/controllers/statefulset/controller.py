"""Creating, replacing and deleting a StatefulSet's pods in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.embedded.clientset import Change, DeleteOptions, Obj
from labctl.embedded.controllers import meta, pods, revisions
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.owners import keys_for_owned
from labctl.embedded.controllers.statefulset import identity
from labctl.embedded.controllers.statefulset.status import full_status
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import (
    WARNING,
    Create,
    Delete,
    Note,
    Plan,
    Recheck,
    Record,
    Wanted,
    update_status,
)

STATEFULSETS = "statefulsets.apps"


@dataclass(frozen=True, slots=True)
class Look:
    """A StatefulSet as it is looked at.

    Attributes:
        view: What is observed.
        owner: The StatefulSet.
        current: The revision its pods had before the update that is under way.
        update: The revision of its template.
        pods: Its pods by ordinal.
        now: Seconds since the epoch.
    """

    view: View
    owner: Obj
    current: Obj
    update: Obj
    pods: dict[int, Obj]
    now: float

    @property
    def in_order(self) -> bool:
        """Whether one pod has to be available before the next one's turn."""
        return bool(meta.spec(self.owner).get("podManagementPolicy", "OrderedReady") != "Parallel")

    @property
    def wanted(self) -> range:
        """The ordinals that should exist."""
        first = identity.first_ordinal(self.owner)
        return range(first, first + meta.spec(self.owner).get("replicas", 1))

    @property
    def partition(self) -> int | None:
        """`rollingUpdate.partition`: pods below it keep their revision; None when it is not set."""
        strategy = meta.spec(self.owner).get("updateStrategy") or {}
        found: int | None = (strategy.get("rollingUpdate") or {}).get("partition")
        return found

    @property
    def rolls(self) -> bool:
        """Whether pods of another revision are replaced without being asked for."""
        strategy = meta.spec(self.owner).get("updateStrategy") or {}
        return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")

    def is_available(self, pod: Obj) -> bool:
        """Whether a pod runs and has been ready for long enough."""
        wait = meta.spec(self.owner).get("minReadySeconds", 0)
        return pods.phase(pod) == "Running" and pods.is_available(pod, wait, self.now)


class StatefulSetController(BaseController):
    """Keeps the pods of each StatefulSet, one after another."""

    name = "statefulset-controller"
    resources = frozenset({STATEFULSETS, pods.PODS})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The StatefulSet itself, or the ones a pod belongs or might belong to."""
        return keys_for_owned(change, view, STATEFULSETS)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """The next step, and the numbers."""
        owner = view.get(STATEFULSETS, *key)
        if owner is None:
            return ()
        claimed = pods.claim(
            view,
            pods.PODS,
            owner,
            meta.spec(owner).get("selector"),
            fits=lambda pod: identity.ordinal(owner, pod) is not None,
        )
        if claimed.changes:
            return claimed.changes
        known = view.owned(revisions.REVISIONS, meta.uid(owner))
        history = revisions.record(owner, known, identity.update_revision(owner))
        current = _named(known, meta.status(owner).get("currentRevision")) or history.current
        numbered = {number: pod for pod in claimed.owned if (number := identity.ordinal(owner, pod)) is not None}
        look = Look(view, owner, current, history.current, numbered, now)
        plan: list[Wanted] = [*history.changes]
        if not meta.deleting(owner):
            plan += _steps(look)
        plan += update_status(
            STATEFULSETS, owner, full_status(owner, numbered, meta.name(current), meta.name(history.current), now)
        )
        live = {identity.revision_of(pod) for pod in claimed.owned} | {meta.name(current), meta.name(history.current)}
        plan += revisions.truncate(owner, known, live)
        return [*plan, *_recheck(look)]


def _named(known: Iterable[Obj], name: str | None) -> Obj | None:
    return next((entry for entry in known if meta.name(entry) == name), None)


def _recheck(look: Look) -> list[Wanted]:
    wait = meta.spec(look.owner).get("minReadySeconds", 0)
    when = pods.next_availability(look.pods.values(), wait, look.now) if wait else None
    return [Recheck(when)] if when is not None else []


def _steps(look: Look) -> list[Wanted]:
    plan: list[Wanted] = []
    for number in look.wanted:
        steps, wait = _replica(look, number)
        plan += steps
        if wait and look.in_order:
            return plan
    condemned = sorted((number for number in look.pods if number not in look.wanted), reverse=True)
    for number in condemned:
        steps, wait = _condemned(look, look.pods[number])
        plan += steps
        if wait and look.in_order:
            return plan
    return plan + (_update(look) if look.rolls and not plan else [])


def _replica(look: Look, number: int) -> tuple[list[Wanted], bool]:
    """What a wanted pod needs now, and whether the next ones have to wait for it."""
    pod = look.pods.get(number)
    if pod is None:
        return _create(look, number), True
    if pods.is_finished(pod) and not meta.deleting(pod):
        return [_recreation(look, pod), _delete(look, pod)], True
    missing: list[Wanted] = []
    if pods.phase(pod) == "Pending" and not meta.deleting(pod):
        missing += identity.claims_to_create(look.view, look.owner, pod)
    return missing, meta.deleting(pod) or not look.is_available(pod)


def _recreation(look: Look, pod: Obj) -> Record:
    owner = f"StatefulSet {meta.namespace(look.owner)}/{meta.name(look.owner)}"
    if pods.phase(pod) == "Failed":
        text = f"{owner} is recreating failed Pod {meta.name(pod)}"
        return Record(look.owner, Note("RecreatingFailedPod", text, WARNING))
    text = f"{owner} is recreating terminated Pod {meta.name(pod)}"
    return Record(look.owner, Note("RecreatingTerminatedPod", text))


def _condemned(look: Look, pod: Obj) -> tuple[list[Wanted], bool]:
    """What a pod that is too many needs now, and whether the next ones have to wait for it."""
    if meta.deleting(pod):
        return [], True
    if look.in_order and not look.is_available(pod) and pod is not _first_unhealthy(look):
        return [], True
    return [_delete(look, pod)], True


def _first_unhealthy(look: Look) -> Obj | None:
    ordered = [*look.wanted, *sorted(number for number in look.pods if number not in look.wanted)]
    members = (look.pods.get(number) for number in ordered)
    return next(
        (pod for pod in members if pod is not None and (meta.deleting(pod) or not look.is_available(pod))), None
    )


def _update(look: Look) -> list[Wanted]:
    """Replace the pod with the highest ordinal that has another revision, once all above it are healthy."""
    lowest = max(look.partition or 0, look.wanted.start)
    for number in reversed(look.wanted):
        if number < lowest:
            break
        pod = look.pods.get(number)
        if pod is None:
            break
        if identity.revision_of(pod) != meta.name(look.update) and not meta.deleting(pod):
            return [_delete(look, pod)]
        if meta.deleting(pod) or not look.is_available(pod):
            break
    return []


def _create(look: Look, number: int) -> list[Wanted]:
    kept = look.rolls and number < look.wanted.start + (
        look.partition if look.partition is not None else meta.status(look.owner).get("currentReplicas", 0)
    )
    chosen = look.current if kept else look.update
    pod = identity.new_pod(identity.with_template_of(look.owner, chosen), number, meta.name(chosen))
    about = f"create Pod {meta.name(pod)} in StatefulSet {meta.name(look.owner)}"
    made = Create(
        pods.PODS,
        pod,
        then=Record(look.owner, Note("SuccessfulCreate", f"{about} successful")),
        otherwise=Record(look.owner, Note("FailedCreate", f"{about} failed error: {{error}}", WARNING)),
    )
    return [*identity.claims_to_create(look.view, look.owner, pod), made]


def _delete(look: Look, pod: Obj) -> Delete:
    about = f"delete Pod {meta.name(pod)} in StatefulSet {meta.name(look.owner)}"
    return Delete(
        pods.PODS,
        pod,
        DeleteOptions(preconditions={"uid": meta.uid(pod)}),
        then=Record(look.owner, Note("SuccessfulDelete", f"{about} successful")),
        otherwise=Record(look.owner, Note("FailedDelete", f"{about} failed error: {{error}}", WARNING)),
    )
