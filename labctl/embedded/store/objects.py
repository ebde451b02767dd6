"""The object store: everything in memory for reading, every change on disk before it counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.store.disk import Disk
from labctl.embedded.store.encoding import encode
from labctl.embedded.store.history import History, Record

_LOAD_BATCH = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored object and its JSON. The object is shared: copy before changing."""

    object: Obj
    data: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed change, with the JSON of both states."""

    change: Change
    record: Record


class ConflictError(Exception):
    """The object is not in the state that the writer started from."""


class Store:
    """Objects by resource, namespace and name, with one revision counter for all of them.

    Writers give their objects away: what was put must not be changed afterwards. All methods may be called from any
    thread; subscribers are called on the writer's.

    Args:
        path: The SQLite file.
        max_records: Bound of the watch history, in changes.
        max_bytes: Bound of the watch history, in bytes of JSON.

    Raises:
        StoreError: The file cannot be opened or read.
    """

    def __init__(self, path: Path, *, max_records: int = 10_000, max_bytes: int = 8 << 20) -> None:
        self._disk = Disk(path)
        self._lock = threading.RLock()
        self._resources: dict[str, dict[str, dict[str, Entry]]] = {}
        self._subscribers: tuple[Callable[[Commit], None], ...] = ()
        self._revision = self._disk.revision()
        self._load(self._disk.load())
        self._bounds = (max_records, max_bytes)
        self.history = History(self._revision, *self._bounds)

    def forget_history(self) -> None:
        """From now on only later changes can be continued from, as from a server that has just started."""
        self.history = History(self._revision, *self._bounds)

    def _load(self, rows: Iterable[tuple[str, str, str, bytes]]) -> None:
        iterator: Iterator[tuple[str, str, str, bytes]] = iter(rows)
        while batch := list(islice(iterator, _LOAD_BATCH)):
            # Decoding many objects at once makes them share their keys' strings.
            objects: list[Obj] = json.loads(b"[" + b",".join(row[3] for row in batch) + b"]")
            for (resource, namespace, name, data), obj in zip(batch, objects, strict=True):
                self._resources.setdefault(resource, {}).setdefault(namespace, {})[name] = Entry(obj, data)

    @property
    def revision(self) -> int:
        """The revision of the last change."""
        return self._revision

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        """The object, or None."""
        return self._resources.get(resource, {}).get(namespace, {}).get(name)

    def entries(self, resource: str, namespace: str = "") -> list[Entry]:
        """All objects of a resource (in a namespace when given), in etcd's key order."""
        with self._lock:
            spaces = self._resources.get(resource, {})
            if namespace:
                objects = spaces.get(namespace, {})
                return [objects[name] for name in sorted(objects)]
            # `a-b/x` sorts before `a/x`, as the keys `/registry/pods/a-b/x` and `/registry/pods/a/x` do.
            return [spaces[space][name] for space in sorted(spaces, key=_key_order) for name in sorted(spaces[space])]

    def count(self, resource: str) -> int:
        """How many objects of a resource there are."""
        return sum(len(objects) for objects in self._resources.get(resource, {}).values())

    def resources(self) -> list[str]:
        """Keys of the resources that have objects."""
        with self._lock:
            return sorted(key for key, spaces in self._resources.items() if any(spaces.values()))

    def put(self, resource: str, obj: Obj, expected: str | None = None) -> Entry:
        """Commit an object's new state under the next revision, which is written into it.

        Args:
            resource: Storage key.
            obj: The object; the store owns it from now on.
            expected: resourceVersion that the stored object must have; empty: there must be none; None: any.

        Raises:
            ConflictError: The stored object is not the expected one.
            StoreError: The change could not be made durable; nothing happened.
        """
        metadata: dict[str, Any] = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        with self._lock:
            old = self.get(resource, namespace, name)
            _check(old, expected)
            revision = self._revision + 1
            metadata["resourceVersion"] = str(revision)
            entry = Entry(obj, encode(obj))
            self._disk.put(revision, (resource, namespace, name), entry.data)
            self._revision = revision
            self._resources.setdefault(resource, {}).setdefault(namespace, {})[name] = entry
            kind = ChangeType.MODIFIED if old else ChangeType.ADDED
            self._publish(kind, resource, namespace, entry, old)
            return entry

    def remove(self, resource: str, obj: Obj, expected: str | None = None) -> Entry:
        """Commit an object's removal under the next revision, which is written into `obj`, its last state.

        Raises:
            ConflictError: There is no such object, or not the expected one.
            StoreError: The change could not be made durable; nothing happened.
        """
        metadata: dict[str, Any] = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        with self._lock:
            old = self.get(resource, namespace, name)
            if old is None:
                raise ConflictError
            _check(old, expected)
            revision = self._revision + 1
            metadata["resourceVersion"] = str(revision)
            entry = Entry(obj, encode(obj))
            self._disk.remove(revision, (resource, namespace, name))
            self._revision = revision
            objects = self._resources[resource][namespace]
            del objects[name]
            if not objects:
                del self._resources[resource][namespace]
            self._publish(ChangeType.DELETED, resource, namespace, entry, old)
            return entry

    def _publish(self, kind: ChangeType, resource: str, namespace: str, entry: Entry, old: Entry | None) -> None:
        record = Record(self._revision, kind, resource, namespace, entry.data, old.data if old else b"")
        self.history.append(record)
        commit = Commit(Change(kind, resource, entry.object, old.object if old else None), record)
        for subscriber in self._subscribers:
            subscriber(commit)

    def subscribe(self, callback: Callable[[Commit], None]) -> Callable[[], None]:
        """Call `callback` with every later change, in order, right after its commit; returns how to stop it.

        It must be quick, must not raise and must not write.
        """
        with self._lock:
            self._subscribers = (*self._subscribers, callback)

        def stop() -> None:
            with self._lock:
                # By identity of the registration: the same function may be registered twice.
                remaining = list(self._subscribers)
                if callback in remaining:
                    remaining.remove(callback)
                self._subscribers = tuple(remaining)

        return stop

    def close(self) -> None:
        """Close the file; no changes can be made any more."""
        with self._lock:
            self._disk.close()


def _key_order(namespace: str) -> str:
    return namespace + "/"


def _check(old: Entry | None, expected: str | None) -> None:
    if expected is None:
        return
    actual = old.object["metadata"]["resourceVersion"] if old else ""
    if actual != expected:
        raise ConflictError
