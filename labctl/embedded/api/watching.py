"""Watches: a stream of what happens to the objects of a resource.

Source: k8s.io/apiserver v0.34.4 `storage/cacher` and `endpoints/handlers/watch.go`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from labctl.embedded.api.broadcast import Broadcaster, Subscription
from labctl.embedded.api.call import Call
from labctl.embedded.api.custom.resources import CustomResources
from labctl.embedded.api.negotiation import Representation
from labctl.embedded.api.options import ListOptions, list_options
from labctl.embedded.api.reading import select
from labctl.embedded.api.registry import Registry
from labctl.embedded.api.responses import respond_stream
from labctl.embedded.api.selectors import matches_fields, matches_labels
from labctl.embedded.api.tableview import TRANSFORMS, partial, table
from labctl.embedded.api.versions import Served
from labctl.embedded.clientset import ChangeType, Obj
from labctl.embedded.http.messages import Response
from labctl.embedded.kinds.resources import Resource, storage_key
from labctl.embedded.store import Commit, ExpiredError, encode

_BOOKMARK_EVERY = 60.0
_BOOKMARK_BEFORE_END = 2.0
_MIN_TIMEOUT = 1800.0
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an object, with the object as JSON where that is at hand already."""

    type: ChangeType
    object: Obj
    data: bytes = b""


class Watcher:
    """Answers watch requests.

    Args:
        registry: Where the objects are.
        broadcaster: Where changes come from.
        custom: How custom resources are shown and selected.
        served: How objects look in the version that is watched.
    """

    def __init__(self, registry: Registry, broadcaster: Broadcaster, custom: CustomResources, served: Served) -> None:
        self._registry = registry
        self._broadcaster = broadcaster
        self._custom = custom
        self._served = served

    def watch(self, call: Call) -> Response:
        """Begin a watch. The stream ends after `timeoutSeconds`, or after 30 to 60 minutes."""
        resource = call.target
        shape = call.representation(TRANSFORMS)
        options = list_options(call.info, resource, self._custom.selectable(resource))
        namespace = call.info.namespace if resource.namespaced else ""
        key = storage_key(resource)
        subscription = self._broadcaster.subscribe(key, namespace)
        writer = _EventWriter(self._registry, self._custom, self._served, call, shape)
        try:
            first = list(self._initial(resource, namespace, options, writer))
            error = b""
        except ExpiredError as problem:
            first, error = [], writer.expired(options.revision, problem.floor)
        stream = self._stream(key, subscription, options, writer, first, error)
        return respond_stream(stream, warnings=call.warnings)

    def _initial(
        self, resource: Resource, namespace: str, options: ListOptions, writer: _EventWriter
    ) -> Iterator[bytes]:
        """The state, when the watch begins with it, or else the changes since the resourceVersion."""
        revision = options.revision
        if options.initial_events or (options.initial_events is None and revision == 0):
            for entry in select(self._registry.entries(resource, namespace), options):
                yield writer.write(Event(ChangeType.ADDED, entry.object, entry.data))
            if options.initial_events and options.bookmarks:
                yield writer.bookmark(self._registry.store.revision, initial_end=True)
            return
        if options.initial_events is False and revision == 0:
            return
        for record in self._registry.store.history.since(revision, storage_key(resource), namespace):
            previous = json.loads(record.previous) if record.previous else None
            event = _selected(options, record.type, json.loads(record.data), previous, record.data)
            if event:
                yield writer.write(event)

    async def _stream(
        self,
        key: str,
        subscription: Subscription,
        options: ListOptions,
        writer: _EventWriter,
        first: list[bytes],
        error: bytes,
    ) -> AsyncIterator[bytes]:
        try:
            # The head goes out at once: clients wait for it before they act.
            yield b"".join(first) + error
            if error:
                return
            clock = _WatchClock(options.timeout, bookmarks=options.bookmarks)
            while not (subscription.closed or clock.ended()):
                await subscription.wait(clock.until_next())
                lines = b"".join(_events(subscription.take(), options, writer))
                if clock.bookmark_due():
                    lines += writer.bookmark(self._registry.store.revision)
                if lines:
                    yield lines
        finally:
            self._broadcaster.unsubscribe(key, subscription)


class _WatchClock:
    """When a watch ends, and when its next bookmark is due."""

    def __init__(self, timeout: int | None, *, bookmarks: bool) -> None:
        now = time.monotonic()
        length = float(timeout) if timeout else _MIN_TIMEOUT * (1 + random.random())  # noqa: S311 - spreads load
        self._end = now + length
        self._final = self._end - _BOOKMARK_BEFORE_END if bookmarks and length > 2 * _BOOKMARK_BEFORE_END else 0.0
        self._next = now + _BOOKMARK_EVERY if bookmarks else float("inf")
        self._planned()

    def _planned(self) -> None:
        if self._final and self._next > self._final:
            self._next = self._final

    def ended(self) -> bool:
        return time.monotonic() >= self._end

    def until_next(self) -> float:
        return max(0.0, min(self._end, self._next) - time.monotonic())

    def bookmark_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        if self._final and now >= self._final:
            self._next, self._final = float("inf"), 0.0
        else:
            self._next = now + _BOOKMARK_EVERY
            self._planned()
        return True


def _events(commits: Iterable[Commit], options: ListOptions, writer: _EventWriter) -> Iterator[bytes]:
    for commit in commits:
        change = commit.change
        event = _selected(options, change.type, change.object, change.previous, commit.record.data)
        if event:
            yield writer.write(event)


def _selected(options: ListOptions, kind: ChangeType, obj: Obj, previous: Obj | None, data: bytes) -> Event | None:
    """The event as the selectors see it: objects come into a watch and leave it when they change."""
    if not options.labels and not options.fields:
        return Event(kind, obj, data)
    now = kind is not ChangeType.DELETED and _matches(options, obj)
    before = previous is not None and _matches(options, previous)
    if now:
        return Event(ChangeType.MODIFIED if before else ChangeType.ADDED, obj, data)
    if not before:
        return None
    if kind is ChangeType.DELETED:
        return Event(kind, obj, data)
    # As it last matched, under the revision of the change that took it out.
    assert previous is not None
    metadata = {**previous["metadata"], "resourceVersion": obj["metadata"]["resourceVersion"]}
    return Event(ChangeType.DELETED, {**previous, "metadata": metadata})


def _matches(options: ListOptions, obj: Obj) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return matches_labels(options.labels, labels) and matches_fields(options.fields, obj)


class _EventWriter:
    """Events as lines of JSON, in the representation that was asked for."""

    def __init__(
        self, registry: Registry, custom: CustomResources, served: Served, call: Call, shape: Representation
    ) -> None:
        self._clock = registry.clock
        self._columns = custom.columns(call.target) if shape.kind == "Table" else None
        self._served = served
        self._resource = call.target
        self._include = call.info.param("includeObject")
        self._shape = shape
        self._header = True

    def write(self, event: Event) -> bytes:
        if not self._shape.kind and event.data and self._served.is_stored_form(self._resource, event.object):
            return _line(event.type, event.data)
        return _line(event.type, encode(self._view(self._served.convert(self._resource, event.object))))

    def _view(self, obj: Obj) -> Obj:
        if self._columns is not None:
            header, self._header = self._header, False
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            now = self._clock.now()
            version = self._shape.version
            return table(self._columns, [obj], metadata, version, self._include, now, header=header)
        return partial(obj, self._shape.version) if self._shape.kind else obj

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        metadata: Obj = {"resourceVersion": str(revision)}
        if initial_end:
            metadata["annotations"] = {_INITIAL_END: "true"}
        resource = self._resource
        obj: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if self._columns is not None:
            obj = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            obj |= {"columnDefinitions": None, "rows": []}
        elif self._shape.kind:
            obj = partial(obj, self._shape.version)
        return _line("BOOKMARK", encode(obj))

    def expired(self, revision: int, floor: int) -> bytes:
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f"too old resource version: {revision} ({floor})",
            "reason": "Expired",
            "code": 410,
        }
        return _line("ERROR", encode(status))


def _line(kind: str, data: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + data + b"}\n"
