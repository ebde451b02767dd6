"""Events are forgotten after `--event-ttl`."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.controller import BaseController
from labctl.embedded.controllers.meta import Key
from labctl.embedded.controllers.view import View
from labctl.embedded.controllers.wanted import Delete, Plan, Recheck

EVENTS = "events"


class EventTTLController(BaseController):
    """Deletes events that were not repeated for long enough."""

    name = "event-ttl-controller"
    resources = frozenset({EVENTS})

    def __init__(self, ttl: float) -> None:
        """Make a controller.

        Args:
            ttl: Seconds an event is kept after it was last seen.
        """
        self._ttl = ttl

    def keys(self, change: Change, view: View) -> Iterable[Key]:
        """The event."""
        return () if change.type is ChangeType.DELETED else (meta.key(change.object),)

    def reconcile(self, view: View, key: Key, now: float) -> Plan:
        """Delete it when its time is over."""
        event = view.get(EVENTS, *key)
        if event is None:
            return ()
        due = _last_seen(event) + self._ttl
        return (Recheck(due),) if due > now else (Delete(EVENTS, event),)


def _last_seen(event: Obj) -> float:
    series = event.get("series") or {}
    stamps = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return max(meta.parse_time(stamp) for stamp in stamps)
