"""A small API in memory, and a kubelet that runs every pod at once: what the controllers are tested against."""

from __future__ import annotations

import asyncio
import copy
import itertools
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from labctl.embedded.clientset import ApiError, Change, ChangeType, DeleteOptions, Obj
from labctl.embedded.controllers import ControllerManager, ControllerSettings
from labctl.embedded.controllers.meta import rfc3339
from labctl.embedded.kinds.resources import find
from labctl.env import Clock

NO_DELETE_OPTIONS = DeleteOptions()
_WITH_GENERATION = {
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "pods",
    "jobs.batch",
}
_STATUSFUL = ("deployments.apps", "pods", "nodes", "jobs.batch", "statefulsets.apps", "daemonsets.apps", "services")


class MemoryClientset:
    """The contract of `Clientset` with what the controllers rely on: versions, generations, finalizers, grace."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.objects: dict[str, dict[tuple[str, str], Obj]] = {}
        self.refusals: list[Callable[[str, Obj], ApiError | None]] = []
        self.log: list[Change] = []
        self._callbacks: list[Callable[[Change], None]] = []
        self._versions = itertools.count(1)
        self._names = itertools.count(1)

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        return self.objects.get(resource, {}).get((namespace, name))

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        found = self.objects.get(resource, {})
        return [found[place] for place in sorted(found) if not namespace or place[0] == namespace]

    def create(self, resource: str, obj: Obj) -> Obj:
        made = copy.deepcopy(obj)
        metadata = made["metadata"]
        for refuse in self.refusals:
            if (error := refuse(resource, made)) is not None:
                raise error
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{next(self._names):05d}"
        place = (metadata.get("namespace", ""), metadata["name"])
        if place in self.objects.get(resource, {}):
            raise ApiError(409, "AlreadyExists", f'{resource} "{place[1]}" already exists')
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = rfc3339(self.clock.now().timestamp())
        if resource in _WITH_GENERATION:
            metadata["generation"] = 1
        if resource in _STATUSFUL:
            made.setdefault("status", {})
        if resource == "namespaces":
            made.setdefault("spec", {})["finalizers"] = ["kubernetes"]
            made["status"] = {"phase": "Active"}
        return self._commit(ChangeType.ADDED, resource, made)

    def update(self, resource: str, obj: Obj, *, subresource: str = "") -> Obj:
        place = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        stored = self.objects.get(resource, {}).get(place)
        if stored is None:
            raise ApiError(404, "NotFound", f'{resource} "{place[1]}" not found')
        wanted = obj["metadata"].get("resourceVersion")
        if wanted and wanted != stored["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        changed = _merged(stored, copy.deepcopy(obj), subresource)
        if changed == stored:
            return stored
        if resource in _WITH_GENERATION and changed.get("spec") != stored.get("spec") and not subresource:
            changed["metadata"]["generation"] = stored["metadata"]["generation"] + 1
        if _is_over(resource, changed):
            return self._commit(ChangeType.DELETED, resource, changed)
        return self._commit(ChangeType.MODIFIED, resource, changed)

    def delete(self, resource: str, namespace: str, name: str, options: DeleteOptions = NO_DELETE_OPTIONS) -> Obj:
        stored = self.get(resource, namespace, name)
        if stored is None:
            raise ApiError(404, "NotFound", f'{resource} "{name}" not found')
        if options.preconditions.get("uid", stored["metadata"]["uid"]) != stored["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "the UID in the precondition does not match")
        changed = copy.deepcopy(stored)
        metadata = changed["metadata"]
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(options.propagation_policy)
        if finalizer and finalizer not in metadata.get("finalizers", []):
            metadata["finalizers"] = [*metadata.get("finalizers", []), finalizer]
        grace = options.grace_period_seconds
        on_node = resource == "pods" and changed["spec"].get("nodeName") and grace != 0
        if not on_node and resource != "namespaces" and not metadata.get("finalizers"):
            return self._commit(ChangeType.DELETED, resource, changed)
        if "deletionTimestamp" in metadata and not finalizer:
            return stored
        metadata.setdefault("deletionTimestamp", rfc3339(self.clock.now().timestamp()))
        if resource == "namespaces":
            changed["status"]["phase"] = "Terminating"
        return self._commit(ChangeType.MODIFIED, resource, changed)

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def patch(
        self, resource: str, namespace: str, name: str, change: Callable[[Obj], object], subresource: str = ""
    ) -> Obj:
        """Change a copy of an object and update it: what a person with kubectl does."""
        obj = copy.deepcopy(self.objects[resource][namespace, name])
        change(obj)
        return self.update(resource, obj, subresource=subresource)

    def set_spec(self, resource: str, namespace: str, name: str, **fields: Any) -> Obj:
        """Change fields of the spec."""
        return self.patch(resource, namespace, name, lambda obj: obj["spec"].update(fields))

    def _commit(self, type_: ChangeType, resource: str, obj: Obj) -> Obj:
        place = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        known = find(resource)
        if known is not None:
            obj.setdefault("apiVersion", known.api_version)
            obj.setdefault("kind", known.kind)
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        members = self.objects.setdefault(resource, {})
        change = Change(type_, resource, obj, members.get(place))
        if type_ is ChangeType.DELETED:
            del members[place]
        else:
            members[place] = obj
        self.log.append(change)
        for callback in list(self._callbacks):
            callback(change)
        return obj


def _merged(stored: Obj, obj: Obj, subresource: str) -> Obj:
    if subresource == "binding":
        return {**stored, "metadata": dict(stored["metadata"]), "spec": obj["spec"], "status": obj["status"]}
    if subresource == "status":
        kept = {**stored["metadata"], "annotations": obj["metadata"].get("annotations")}
        kept = {field: value for field, value in kept.items() if value is not None}
        return {**stored, "metadata": kept, "status": obj.get("status")}
    if subresource == "finalize":
        return {**stored, "metadata": dict(stored["metadata"]), "spec": obj["spec"]}
    changed = {**obj, **({"status": stored["status"]} if "status" in stored else {})}
    changed["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
    return changed


def _is_over(resource: str, obj: Obj) -> bool:
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    return resource != "pods" and not (resource == "namespaces" and obj["spec"].get("finalizers"))


class InstantKubelet:
    """Runs every pod that has a node at once, and ends every pod that is deleted at once."""

    def __init__(self, clientset: MemoryClientset) -> None:
        self.clientset = clientset
        self.healthy: Callable[[Obj], bool] = lambda pod: True
        self.exit_phase: Callable[[Obj], str] = lambda pod: ""
        self.holds: Callable[[Obj], bool] = lambda pod: False
        self._addresses = itertools.count(1)
        clientset.subscribe(self._see)

    def _see(self, change: Change) -> None:
        if change.resource == "pods" and change.type is not ChangeType.DELETED:
            asyncio.get_running_loop().call_soon(self.look, change.object["metadata"])

    def look(self, place: Obj) -> None:
        """Do for one pod what is to be done now."""
        pod = self.clientset.get("pods", place["namespace"], place["name"])
        if pod is None or not pod["spec"].get("nodeName") or self.holds(pod):
            return
        if "deletionTimestamp" in pod["metadata"]:
            self.clientset.delete("pods", place["namespace"], place["name"], DeleteOptions(grace_period_seconds=0))
        elif pod["status"].get("phase", "Pending") == "Pending" or self._turned(pod):
            self._run(pod)

    def _turned(self, pod: Obj) -> bool:
        ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in pod["status"]["conditions"])
        return pod["status"]["phase"] == "Running" and ready != self.healthy(pod)

    def _run(self, pod: Obj) -> None:
        ready, phase = self.healthy(pod), self.exit_phase(pod) or "Running"
        now = rfc3339(self.clientset.clock.now().timestamp())
        verdict = "True" if ready and phase == "Running" else "False"
        status = {
            "phase": phase,
            "podIP": pod["status"].get("podIP") or f"10.0.0.{next(self._addresses)}",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": now},
                {"type": "Ready", "status": verdict, "lastTransitionTime": now},
            ],
        }
        self.clientset.update("pods", {**pod, "status": status}, subresource="status")


class Cluster:
    """An API, controllers and an instant kubelet, with four nodes and a namespace `default`."""

    def __init__(self, settings: ControllerSettings | None = None, clock: Clock | None = None) -> None:
        self.api = MemoryClientset(clock)
        self.kubelet = InstantKubelet(self.api)
        self.manager = ControllerManager(
            self.api, settings or ControllerSettings(root_ca="CA", seed=1, garbage_delay=0.001), clock=self.api.clock
        )
        for name in ("k3s-s", "k3s-w1", "k3s-w2", "k3s-w3"):
            self.api.create("nodes", node(name))
            self.api.create("leases.coordination.k8s.io", lease(name))
        self.api.create("namespaces", {"metadata": {"name": "default"}})

    async def settle(self) -> None:
        """Wait until neither controllers nor kubelet have anything to do."""
        async with asyncio.timeout(10):
            quiet = 0
            while quiet < 3:
                await self.manager.wait_settled()
                before = len(self.api.log)
                for _ in range(3):
                    await asyncio.sleep(0)
                quiet = quiet + 1 if self.manager.settled and len(self.api.log) == before else 0

    def events(self, kind: str = "") -> list[str]:
        """Reasons and messages of the events so far, in order."""
        found = [
            change.object
            for change in self.api.log
            if change.resource == "events" and (not kind or change.object["involvedObject"]["kind"] == kind)
        ]
        return [f"{event['reason']}: {event['message']}" for event in found]


def run(scenario: Callable[[Cluster], Awaitable[None]], **options: Any) -> None:
    """Run a scenario against a new cluster, with the controllers started."""

    faults: list[Obj] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        cluster = Cluster(**options)
        cluster.manager.start()
        await cluster.settle()
        try:
            await scenario(cluster)
        finally:
            cluster.manager.stop()

    asyncio.run(main())
    for fault in faults:
        raise fault["exception"]


def node(name: str, **spec: Any) -> Obj:
    """A ready node."""
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "2", "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": f"127.0.10.{10 + len(name)}"}],
        },
    }


def lease(node_name: str) -> Obj:
    """What the kubelet of a node renews, here for good: how slow the machine is kills no node."""
    spec = {"holderIdentity": node_name, "renewTime": "2100-01-01T00:00:00.000000Z"}
    return {"metadata": {"name": node_name, "namespace": "kube-node-lease"}, "spec": spec}


def template(app: str, image: str = "nginx:1.25") -> Obj:
    """A pod template with one container."""
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": image}]}}


def deployment(name: str, replicas: int = 2, **spec: Any) -> Obj:
    """A Deployment as the API defaults it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


def service(name: str, app: str, **spec: Any) -> Obj:
    """A Service for the pods of one app."""
    ports = [{"name": "web", "protocol": "TCP", "port": 9001, "targetPort": 80}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.10.200.9",
            "ipFamilies": ["IPv4"],
            "selector": {"app": app},
            "ports": ports,
            **spec,
        },
    }
