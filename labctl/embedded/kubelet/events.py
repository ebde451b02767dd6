"""Events as client-go's recorder makes them: repeats are counted on one object, and floods are dropped."""

from __future__ import annotations

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from labctl.embedded.clientset import ApiError, Clientset, Obj
from labctl.embedded.kubelet.settings import Settings, rfc3339

BURST = 25
"""Events one source may write about one object before it is held back (defaultSpamBurst)."""

REFILL_SECONDS = 300.0
"""Seconds until it may write one more (defaultSpamQPS is 1/300)."""

REMEMBERED = 4096
"""Events whose repeats are counted (maxLruCacheEntries)."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Recorder:
    """Writes events about pods and nodes.

    Events are queued and written after the work that caused them, so that a pod is not Running later because of them.
    """

    def __init__(self, clientset: Clientset, settings: Settings) -> None:
        self._clientset = clientset
        self._settings = settings
        self._seen: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._queue: list[Callable[[], None]] = []
        self._scheduled = False
        self._last = 0

    def event(self, about: Obj, node: str, kind: str, reason: str, message: str, field_path: str = "") -> None:
        """Record an event.

        Args:
            about: The pod or node.
            node: Name of the node whose kubelet reports it.
            kind: `Normal` or `Warning`.
            reason: CamelCase reason.
            message: What happened.
            field_path: The container it is about, for example `spec.containers{web}`.
        """
        reference = involved_object(about, field_path)
        moment = self._settings.now()
        self._queue.append(lambda: self._write(reference, node, kind, reason, message, moment.timestamp()))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what is queued."""
        self._scheduled = False
        queue, self._queue = self._queue, []
        for write in queue:
            write()

    def _write(self, reference: Obj, node: str, kind: str, reason: str, message: str, at: float) -> None:
        if not self._allowed((node, reference.get("uid", "")), at):
            return
        key = (reference.get("uid", ""), reference.get("fieldPath", ""), kind, reason, message, node)
        stamp = rfc3339(self._settings.now())
        known = self._seen.get(key)
        try:
            if known is not None:
                self._seen.move_to_end(key)
                if self._count(known, stamp):
                    return
            event = _event(reference, node, kind, reason, message, stamp, self._number(at))
            made = self._clientset.create("events", event)
            self._seen[key] = (made["metadata"]["namespace"], made["metadata"]["name"])
        except ApiError:
            # An event is never worth failing for: its namespace may be going away.
            return
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _number(self, at: float) -> int:
        """Nanoseconds for an event's name; never the same twice."""
        self._last = max(self._last + 1, int(at * 1e9))
        return self._last

    def _count(self, known: tuple[str, str], stamp: str) -> bool:
        stored = self._clientset.get("events", *known)
        if stored is None:
            return False
        updated = copy.deepcopy(stored)
        updated["count"] = stored.get("count", 1) + 1
        updated["lastTimestamp"] = stamp
        self._clientset.update("events", updated)
        return True

    def _allowed(self, key: tuple[str, str], at: float) -> bool:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(BURST, at)
            while len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        bucket.tokens = min(BURST, bucket.tokens + (at - bucket.at) / REFILL_SECONDS)
        bucket.at = at
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def involved_object(about: Obj, field_path: str = "") -> Obj:
    """The ObjectReference of an event; a node's uid is its name, as the kubelet has it."""
    meta = about["metadata"]
    kind = about.get("kind") or "Pod"
    reference = {
        "kind": kind,
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
        "uid": meta["name"] if kind == "Node" else meta.get("uid", ""),
        "apiVersion": "v1",
        "resourceVersion": meta.get("resourceVersion", ""),
        "fieldPath": field_path,
    }
    if kind == "Node":
        del reference["apiVersion"], reference["resourceVersion"]
    return {key: value for key, value in reference.items() if value}


def _event(reference: Obj, node: str, kind: str, reason: str, message: str, stamp: str, number: int) -> Obj:
    namespace = reference.get("namespace") or "default"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{reference['name']}.{number:x}", "namespace": namespace},
        "involvedObject": reference,
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", "host": node},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "type": kind,
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": node,
    }
