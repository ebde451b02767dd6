"""Events as client-go records them: equal ones counted, many similar ones combined, chatty sources held back.

Source of the rules: client-go, `tools/record/events_cache.go` and `tools/events`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from labctl.embedded.clientset import ApiError, Clientset, Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.wanted import Note

_SIMILAR = 10  # so many different messages of one reason, and the next ones are combined
_SIMILAR_SECONDS = 600.0
_BURST = 25  # events of one source about one object before it is held back to one per 300 s
_REFILL_PER_SECOND = 1 / 300
_REMEMBERED = 4096
COMBINED = "(combined from similar events): "


@dataclass(slots=True)
class _Similar:
    """Messages seen for one source, object, type and reason."""

    messages: set[str] = field(default_factory=set)
    last: float = 0.0


@dataclass(slots=True)
class _Bucket:
    """Token bucket of one source and object."""

    tokens: float
    filled: float


def reference(about: Obj, field_path: str = "") -> Obj:
    """The `v1.ObjectReference` to an object."""
    metadata = about["metadata"]
    found = {
        "kind": about.get("kind"),
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "uid": metadata.get("uid"),
        "apiVersion": about.get("apiVersion"),
        "resourceVersion": metadata.get("resourceVersion"),
        "fieldPath": field_path,
    }
    return {entry: value for entry, value in found.items() if value}


class EventRecorder:
    """Writes events through the clientset. Events are a courtesy: what the API refuses is dropped."""

    def __init__(self, clientset: Clientset) -> None:
        self._clientset = clientset
        self._similar: OrderedDict[tuple[Any, ...], _Similar] = OrderedDict()
        self._written: OrderedDict[tuple[Any, ...], Obj] = OrderedDict()
        self._buckets: OrderedDict[tuple[Any, ...], _Bucket] = OrderedDict()
        self._last_stamp = 0

    def record(
        self, about: Obj, note: Note, now: float, *, component: str, host: str = "", field_path: str = ""
    ) -> None:
        """Write an event of the old kind (`core/v1` recorder), as controllers and kubelets do.

        Args:
            about: The involved object.
            note: Type, reason and message.
            now: Seconds since the epoch.
            component: Source component, also the reporting component.
            host: Source host; kubelets and k3s's own controllers set it.
            field_path: For example `spec.containers{web}`.
        """
        regarding = reference(about, field_path)
        source = {"component": component, **({"host": host} if host else {})}
        identifying = ("kind", "namespace", "name", "uid", "apiVersion")
        who = (component, host, *(regarding.get(part) for part in identifying))
        message, identity = self._combine(who, note, field_path, now)
        if not self._may_speak(who, now):
            return
        if (earlier := self._written.get(identity)) is not None and self._count(earlier, identity, message, now):
            return
        stamp = meta.rfc3339(now)
        self._write(
            identity,
            regarding,
            {
                "reason": note.reason,
                "message": message,
                "source": source,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
                "type": note.type,
                "eventTime": None,
                "reportingComponent": component,
                "reportingInstance": host,
            },
            now,
        )

    def report(self, about: Obj, note: Note, now: float, *, controller: str, instance: str, action: str) -> None:
        """Write an event of the new kind (`events.k8s.io` recorder), as the scheduler does: repeats form a series.

        Args:
            about: The object it regards.
            note: Type, reason and message.
            now: Seconds since the epoch.
            controller: Reporting controller, for example `default-scheduler`.
            instance: Reporting instance, for example `default-scheduler-k3s-s`.
            action: What was done, for example `Binding`.
        """
        regarding = reference(about)
        identity = (action, note.reason, controller, instance, note.type, *regarding.values())
        if (earlier := self._written.get(identity)) is not None and self._continue_series(earlier, identity, now):
            return
        self._write(
            identity,
            regarding,
            {
                "reason": note.reason,
                "message": note.message,
                "source": {},
                "firstTimestamp": None,
                "lastTimestamp": None,
                "type": note.type,
                "eventTime": meta.rfc3339_micro(now),
                "action": action,
                "reportingComponent": controller,
                "reportingInstance": instance,
            },
            now,
        )

    def _combine(self, who: tuple[Any, ...], note: Note, field_path: str, now: float) -> tuple[str, tuple[Any, ...]]:
        group = (*who, note.type, note.reason)
        similar = _remember(self._similar, group, _Similar)
        if now - similar.last > _SIMILAR_SECONDS:
            similar.messages.clear()
        similar.last = now
        similar.messages.add(note.message)
        if len(similar.messages) < _SIMILAR:
            return note.message, (*group, field_path, note.message)
        similar.messages.pop()
        return COMBINED + note.message, group

    def _may_speak(self, who: tuple[Any, ...], now: float) -> bool:
        bucket = _remember(self._buckets, who, lambda: _Bucket(_BURST, now))
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.filled) * _REFILL_PER_SECOND)
        bucket.filled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _count(self, earlier: Obj, identity: tuple[Any, ...], message: str, now: float) -> bool:
        changes = {"count": earlier["count"] + 1, "lastTimestamp": meta.rfc3339(now), "message": message}
        return self._rewrite(earlier, identity, changes)

    def _continue_series(self, earlier: Obj, identity: tuple[Any, ...], now: float) -> bool:
        count = (earlier.get("series") or {"count": 1})["count"] + 1
        series = {"count": count, "lastObservedTime": meta.rfc3339_micro(now)}
        return self._rewrite(earlier, identity, {"series": series})

    def _rewrite(self, earlier: Obj, identity: tuple[Any, ...], changes: Obj) -> bool:
        place = earlier["metadata"]
        current = self._clientset.get("events", place["namespace"], place["name"])
        if current is None or current["metadata"]["uid"] != place["uid"]:
            return False
        try:
            self._written[identity] = self._clientset.update("events", {**current, **changes})
        except ApiError:
            return False
        self._written.move_to_end(identity)
        return True

    def _write(self, identity: tuple[Any, ...], regarding: Obj, body: Obj, now: float) -> None:
        # Two events within one nanosecond-stamp of the clock would get the same name.
        self._last_stamp = max(int(now * 1e9), self._last_stamp + 1)
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{regarding['name']}.{self._last_stamp:x}",
                "namespace": regarding.get("namespace") or "default",
            },
            "involvedObject": regarding,
            **body,
        }
        try:
            _keep(self._written, identity, self._clientset.create("events", event))
        except ApiError:
            self._written.pop(identity, None)


def _remember(known: OrderedDict[tuple[Any, ...], Any], identity: tuple[Any, ...], make: Any) -> Any:
    found = known.get(identity)
    if found is None:
        found = make()
    _keep(known, identity, found)
    return found


def _keep(known: OrderedDict[tuple[Any, ...], Any], identity: tuple[Any, ...], value: Any) -> None:
    known[identity] = value
    known.move_to_end(identity)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
