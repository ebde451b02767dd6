"""Deletes finished Jobs `ttlSecondsAfterFinished` after they ended."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, DeleteOptions
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.jobs.status import COMPLETE, FAILED
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Delete, Plan, Recheck

JOBS = "jobs.batch"


class TTLAfterFinishedController(BaseController):
    """Cleans finished Jobs up that ask for it."""

    name = "ttl-after-finished-controller"
    resources = frozenset({JOBS})

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The Job, when it has a time to live."""
        return (meta.key(change.object),) if "ttlSecondsAfterFinished" in meta.spec(change.object) else ()

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Delete it when its time is over."""
        job = view.get(JOBS, *key)
        ttl = meta.spec(job).get("ttlSecondsAfterFinished") if job is not None else None
        if job is None or ttl is None or meta.deleting(job):
            return ()
        ended = next((c for c in (meta.condition_of(job, t) for t in (COMPLETE, FAILED)) if meta.is_true(c)), None)
        if ended is None:
            return ()
        due = meta.parse_time(ended["lastTransitionTime"]) + ttl
        if now < due:
            return (Recheck(due),)
        options = DeleteOptions(propagation_policy="Foreground", preconditions={"uid": meta.uid(job)})
        return (Delete(JOBS, job, options),)
