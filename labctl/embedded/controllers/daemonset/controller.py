"""Placing, replacing and removing daemon pods."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import meta, pods, revisions, selectors
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.daemonset import nodes
from labctl.embedded.controllers.daemonset.rolling import Daemon, rolling_update
from labctl.embedded.controllers.hashing import pod_template_hash
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.owners import keys_for_owned
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import (
    WARNING,
    Note,
    Plan,
    Recheck,
    Record,
    Wanted,
    update_status,
)

DAEMONSETS = "daemonsets.apps"


class DaemonSetController(BaseController):
    """Keeps one pod of each DaemonSet on every node that fits."""

    name = "daemonset-controller"
    resources = frozenset({DAEMONSETS, pods.PODS, "nodes"})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The DaemonSet, the one a pod belongs to, or all of them when a node changed in what they look at."""
        if change.resource != "nodes":
            return keys_for_owned(change, view, DAEMONSETS)
        return tuple(meta.key(owner) for owner in view.list(DAEMONSETS)) if _matters(change) else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Create and delete pods, roll the template out, and report the numbers."""
        owner = view.get(DAEMONSETS, *key)
        if owner is None:
            return ()
        selector = meta.spec(owner).get("selector")
        if selectors.is_empty(selector):
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            return (Record(owner, Note("SelectingAll", text, WARNING)),)
        claimed = pods.claim(view, pods.PODS, owner, selector)
        if claimed.changes:
            return claimed.changes
        known = view.owned(revisions.REVISIONS, meta.uid(owner))
        history = revisions.record(owner, known, _revision(owner))
        current = meta.labels(history.current)[revisions.POD_LABEL]
        daemon = _daemon(view, owner, claimed.owned, current, now)
        plan: list[Wanted] = [*history.changes]
        if not meta.deleting(owner):
            plan += _place(daemon) or rolling_update(daemon)
            used = {f"{meta.name(owner)}-{meta.labels(pod).get(revisions.POD_LABEL)}" for pod in claimed.owned}
            plan += revisions.truncate(owner, known, {*used, meta.name(history.current)})
        plan += update_status(DAEMONSETS, owner, _status(daemon))
        when = pods.next_availability(claimed.owned, daemon.min_ready, now) if daemon.min_ready else None
        return [*plan, Recheck(when)] if when is not None else plan


def _matters(change: Change) -> bool:
    before, after = change.previous, change.object
    if before is None or change.type is ChangeType.DELETED:
        return True
    return (meta.labels(before), meta.spec(before)) != (meta.labels(after), meta.spec(after))


def _revision(owner: Obj) -> Obj:
    number = pod_template_hash(meta.spec(owner)["template"], meta.status(owner).get("collisionCount"))
    return revisions.revision(owner, f"{meta.name(owner)}-{number}", {revisions.POD_LABEL: number})


def _daemon(view: View, owner: Obj, members: Iterable[Obj], current: str, now: float) -> Daemon:
    placed: dict[str, list[Obj]] = {}
    for pod in members:
        if (node := nodes.target_of(pod)) and not (pods.is_finished(pod) and meta.deleting(pod)):
            placed.setdefault(node, []).append(pod)
    judged = {meta.name(node): nodes.judge(owner, node) for node in view.list("nodes")}
    for found in placed.values():
        found.sort(key=lambda pod: (meta.created(pod), meta.name(pod)))
    return Daemon(owner, judged, placed, current, now)


def _place(daemon: Daemon) -> list[Wanted]:
    """Pods for nodes that lack one; none for nodes that should have none, and no second one."""
    plan: list[Wanted] = []
    missing: list[Wanted] = []
    for node, (should_run, may_stay) in daemon.judged.items():
        members = daemon.placed.get(node, [])
        if should_run and not members:
            missing.append(daemon.create(node))
        elif may_stay:
            plan += _tidy(daemon, node, members)
        else:
            plan += [pods.delete(pod, daemon.owner) for pod in members if not meta.deleting(pod)]
    for node, members in daemon.placed.items():
        if node not in daemon.judged:
            plan += [pods.delete(pod, daemon.owner) for pod in members if not meta.deleting(pod)]
    return [*missing, *plan]


def _tidy(daemon: Daemon, node: str, members: list[Obj]) -> list[Wanted]:
    """Remove ended pods, and all but the oldest of several (with surge: of several of one revision)."""
    plan: list[Wanted] = []
    running = []
    for pod in members:
        if meta.deleting(pod):
            continue
        if pods.is_finished(pod):
            plan += _ended(daemon, node, pod)
        else:
            running.append(pod)
    if daemon.max_surge:
        old, new = daemon.split(running)
        surplus = [*old[1:], *new[1:]]
    else:
        surplus = running[1:]
    return plan + [pods.delete(pod, daemon.owner) for pod in surplus]


def _ended(daemon: Daemon, node: str, pod: Obj) -> list[Wanted]:
    place = f"{meta.namespace(pod)}/{meta.name(pod)} on node {node}"
    if pods.phase(pod) == "Failed":
        note = Note("FailedDaemonPod", f"Found failed daemon pod {place}, will try to kill it", WARNING)
    else:
        note = Note("SucceededDaemonPod", f"Found succeeded daemon pod {place}, will try to delete it")
    return [Record(daemon.owner, note), pods.delete(pod, daemon.owner)]


def _status(daemon: Daemon) -> Obj:
    desired = scheduled = misscheduled = ready = available = updated = 0
    for node, (should_run, _) in daemon.judged.items():
        members = daemon.placed.get(node, [])
        if not should_run:
            misscheduled += bool(members)
            continue
        desired += 1
        if not members:
            continue
        scheduled += 1
        ready += pods.is_ready(members[0])
        available += daemon.is_available(members[0])
        updated += daemon.is_current(members[0])
    collisions = meta.status(daemon.owner).get("collisionCount")
    optional = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
        "collisionCount": collisions,
    }
    return {
        "currentNumberScheduled": scheduled,
        "numberMisscheduled": misscheduled,
        "desiredNumberScheduled": desired,
        "numberReady": ready,
        "observedGeneration": meta.generation(daemon.owner),
        **{field: value for field, value in optional.items() if value},
    }
