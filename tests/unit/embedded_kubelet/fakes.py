"""Small stand-ins for the API and the pod network."""

from __future__ import annotations

import asyncio
import copy
import itertools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labctl.embedded.clientset import ApiError, Change, ChangeType, DeleteOptions, Obj
from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import App


class FakeClientset:
    """Objects in a dict, with the few rules of the API that the kubelet leans on."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Obj] = {}
        self.changes: list[Change] = []
        self._watchers: list[Callable[[Change], None]] = []
        self._versions = itertools.count(1)

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        return self.objects.get((resource, namespace, name))

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        keys = sorted(key for key in self.objects if key[0] == resource and namespace in ("", key[1]))
        return [self.objects[key] for key in keys]

    def create(self, resource: str, obj: Obj) -> Obj:
        made = copy.deepcopy(obj)
        meta = made["metadata"]
        meta.setdefault("uid", str(uuid.uuid4()))
        key = (resource, meta.get("namespace", ""), meta["name"])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f'{resource} "{meta["name"]}" already exists')
        if resource == "pods":
            meta.setdefault("generation", 1)
            made.setdefault("status", {"phase": "Pending", "qosClass": "BestEffort"})
            made["spec"].setdefault("restartPolicy", "Always")
            made["spec"].setdefault("terminationGracePeriodSeconds", 30)
        return self._store(ChangeType.ADDED, key, made)

    def update(self, resource: str, obj: Obj, *, subresource: str = "") -> Obj:
        meta = obj["metadata"]
        key = (resource, meta.get("namespace", ""), meta["name"])
        if key not in self.objects:
            raise ApiError(404, "NotFound", f'{resource} "{meta["name"]}" not found')
        stored = copy.deepcopy(self.objects[key])
        if subresource == "status":
            stored["status"] = copy.deepcopy(obj["status"])
        else:
            status = stored.get("status")
            stored = copy.deepcopy(obj)
            if status is not None:
                stored["status"] = status
        return self._store(ChangeType.MODIFIED, key, stored)

    def delete(self, resource: str, namespace: str, name: str, options: DeleteOptions = DeleteOptions()) -> Obj:  # noqa: B008
        key = (resource, namespace, name)
        if key not in self.objects:
            raise ApiError(404, "NotFound", f'{resource} "{name}" not found')
        stored = copy.deepcopy(self.objects[key])
        grace = options.grace_period_seconds
        if grace is None:
            grace = stored.get("spec", {}).get("terminationGracePeriodSeconds", 0) if resource == "pods" else 0
        if grace and stored.get("spec", {}).get("nodeName"):
            stored["metadata"]["deletionTimestamp"] = "2026-11-21T03:00:00Z"
            stored["metadata"]["deletionGracePeriodSeconds"] = grace
            stored["metadata"]["generation"] = stored["metadata"].get("generation", 1) + 1
            return self._store(ChangeType.MODIFIED, key, stored)
        del self.objects[key]
        self._tell(Change(ChangeType.DELETED, resource, stored))
        return stored

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    def _store(self, kind: ChangeType, key: tuple[str, str, str], obj: Obj) -> Obj:
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = obj
        self._tell(Change(kind, key[0], obj))
        return obj

    def _tell(self, change: Change) -> None:
        self.changes.append(change)
        for watcher in list(self._watchers):
            watcher(change)

    def events(self, name: str) -> Sequence[tuple[str, str, str, int]]:
        """Type, reason, message and count of the events about an object."""
        return [
            (event["type"], event["reason"], event["message"], event["count"])
            for event in sorted(self.list("events"), key=lambda event: int(event["metadata"]["resourceVersion"]))
            if event["involvedObject"]["name"] == name
        ]

    def statuses(self, name: str) -> Sequence[Obj]:
        """Every status a pod had, in order."""
        return [
            change.object.get("status", {})
            for change in self.changes
            if change.resource == "pods" and change.object["metadata"]["name"] == name
        ]


@dataclass
class FakeNetwork:
    """Addresses counted up per node; ports in a dict."""

    pods: dict[str, str] = field(default_factory=dict)
    ports: dict[tuple[str, int], PodPort] = field(default_factory=dict)
    next: int = 2

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        self.pods[uid] = wanted or f"127.16.1.{self.next}"
        self.next += not wanted
        return self.pods[uid]

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        self.ports[self.pods[uid], port] = server

    def close(self, uid: str, port: int) -> None:
        self.ports.pop((self.pods.get(uid, ""), port), None)

    def remove_pod(self, uid: str) -> None:
        ip = self.pods.pop(uid, "")
        for key in [key for key in self.ports if key[0] == ip]:
            del self.ports[key]

    def port_at(self, ip: str, port: int) -> PodPort | None:
        return self.ports.get((ip, port))

    def is_pod(self, ip: str) -> bool:
        return ip in self.pods.values()


def http_port(app: App) -> PodPort:
    """A port whose app is called directly; nothing connects in these tests."""
    return PodPort(connected=lambda flow: asyncio.Protocol(), app=app)


class Clock:
    """Wall time that tests set."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


def pod(name: str, image: str = "nginx", **spec: Any) -> Obj:
    """A pod bound to node k3s-w1; container fields by keyword `container`."""
    container = {"name": "c", "image": image, "imagePullPolicy": "IfNotPresent", **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"nodeName": "k3s-w1", "containers": [container], **spec},
    }


async def eventually(condition: Callable[[], object], seconds: float = 3.0) -> None:
    """Let the loop run until the condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        if loop.time() > deadline:
            raise AssertionError("the condition did not come true in time")
        await asyncio.sleep(0.002)
