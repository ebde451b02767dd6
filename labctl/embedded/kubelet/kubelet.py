"""The kubelet of all embedded nodes: it runs the pods bound to them, and keeps the Node objects alive."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime

from labctl.embedded.api.kubelet import Streams
from labctl.embedded.clientset import ApiError, Change, ChangeType, Clientset, DeleteOptions, Obj
from labctl.embedded.cni import PodNetwork
from labctl.embedded.cri import NetworkClient
from labctl.embedded.http.messages import Duplex
from labctl.embedded.images.catalogue import Catalogue
from labctl.embedded.kubelet import execution
from labctl.embedded.kubelet import nodes as node_objects
from labctl.embedded.kubelet.events import Recorder
from labctl.embedded.kubelet.logs import ContainerLog, LogOptions
from labctl.embedded.kubelet.nodes import NodeSpec
from labctl.embedded.kubelet.record import ContainerRecord
from labctl.embedded.kubelet.restore import restored_records
from labctl.embedded.kubelet.runtime import Host
from labctl.embedded.kubelet.settings import Settings
from labctl.embedded.kubelet.status import STATUS_FIELDS, TERMINAL, container_status
from labctl.embedded.kubelet.volumes import TokenSource, VolumeSources, no_token
from labctl.embedded.kubelet.worker import PodWorker

PodKey = tuple[str, str]


class Kubelet:
    """Runs the pods of every embedded node."""

    def __init__(
        self,
        clientset: Clientset,
        network: PodNetwork,
        catalogue: Catalogue,
        nodes: Iterable[NodeSpec],
        settings: Settings | None = None,
        *,
        token: TokenSource = no_token,
        client: NetworkClient | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._clientset = clientset
        self._catalogue = catalogue
        self._nodes = {node.name: node for node in nodes}
        self._served = dict(self._nodes)
        self._recorder = Recorder(clientset, self.settings)
        sources = VolumeSources(clientset, token, self.settings)
        self._host = Host(clientset, network, catalogue, self._recorder, self.settings, sources, client)
        self._workers: dict[PodKey, PodWorker] = {}
        self._dirty: dict[PodKey, None] = {}
        self._stale: dict[tuple[str, str, str], None] = {}
        self._scheduled = False
        self._unsubscribe: Callable[[], None] | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._boot_id = str(uuid.uuid4())

    def start(self) -> None:
        """Register the nodes, take up the pods that are bound to them, and follow the API from then on."""
        self._unsubscribe = self._clientset.subscribe(self._notice)
        images = self._catalogue.node_images()
        for node in self._nodes.values():
            registered = node_objects.register(self._clientset, node, images, self.settings, self._boot_id)
            for reason, message in node_objects.start_events(node.name):
                self._recorder.event(registered, node.name, "Normal", reason, message)
        node_objects.renew_leases(self._clientset, self._nodes, self.settings)
        for pod in self._clientset.list("pods"):
            self._sync(_key(pod), restart=True)
        self._heartbeat = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        """Stop all containers at once; the pods stay as they are stored, and the next start takes them up again."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()
        self._recorder.flush()
        await asyncio.sleep(0)

    def serve(self, node: NodeSpec) -> None:
        """Run the pods of a node that is registered, and kept alive, by somebody else."""
        self._served[node.name] = node
        for pod in self._clientset.list("pods"):
            if pod["spec"].get("nodeName") == node.name:
                self._sync(_key(pod), restart=True)

    def worker(self, namespace: str, pod: str) -> PodWorker | None:
        """What runs a pod."""
        return self._workers.get((namespace, pod))

    # -- following the API --------------------------------------------------------------------------------------

    def _notice(self, change: Change) -> None:
        if change.resource == "pods":
            self._dirty[_key(change.object)] = None
        elif change.resource in ("configmaps", "secrets") and change.type is not ChangeType.DELETED:
            meta = change.object["metadata"]
            self._stale[meta["namespace"], change.resource, meta["name"]] = None
        elif change.resource == "nodes" and change.type is ChangeType.MODIFIED:
            self._node_changed(change)
            return
        else:
            return
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _node_changed(self, change: Change) -> None:
        name = change.object["metadata"]["name"]
        before = bool(((change.previous or {}).get("spec") or {}).get("unschedulable"))
        after = bool(change.object["spec"].get("unschedulable"))
        if name in self._nodes and before != after:
            reason = "NodeNotSchedulable" if after else "NodeSchedulable"
            self._recorder.event(change.object, name, "Normal", reason, f"Node {name} status is now: {reason}")

    def _work(self) -> None:
        self._scheduled = False
        dirty, self._dirty = self._dirty, {}
        for key in dirty:
            self._sync(key)
        stale, self._stale = self._stale, {}
        for namespace, resource, name in stale:
            for worker in self._workers.values():
                if worker.key[0] == namespace:
                    worker.refresh_volumes((resource, name))

    def _sync(self, key: PodKey, *, restart: bool = False) -> None:
        pod = self._clientset.get("pods", *key)
        worker = self._workers.get(key)
        if worker is not None and (pod is None or pod["metadata"]["uid"] != worker.uid):
            worker.kill()
            del self._workers[key]
            worker = None
        if pod is None or pod["spec"].get("nodeName") not in self._served:
            return
        if worker is not None:
            worker.changed(pod)
            self._terminate_if_deleted(worker, pod)
        else:
            self._adopt(key, pod, restart=restart)

    def _adopt(self, key: PodKey, pod: Obj, *, restart: bool) -> None:
        node = self._served[pod["spec"]["nodeName"]]
        status = pod.get("status") or {}
        deleted = "deletionTimestamp" in pod["metadata"]
        if status.get("phase") in TERMINAL or (deleted and (restart or not status.get("startTime"))):
            if deleted:
                self._remove(key, pod)
            return
        records = restored_records(pod, self.settings) if restart and status.get("startTime") else None
        worker = PodWorker(self._host, node, pod, records)
        self._workers[key] = worker
        if records is not None:
            text = "Pod sandbox changed, it will be killed and re-created."
            self._recorder.event(pod, node.name, "Normal", "SandboxChanged", text)
        worker.start()
        self._terminate_if_deleted(worker, pod)

    def _terminate_if_deleted(self, worker: PodWorker, pod: Obj) -> None:
        if "deletionTimestamp" not in pod["metadata"]:
            return
        if worker.finished and (pod.get("status") or {}).get("phase") in TERMINAL:
            self._remove(worker.key, pod)
            return
        worker.terminate(float(max(pod["metadata"].get("deletionGracePeriodSeconds") or 0, 0)))

    def _remove(self, key: PodKey, pod: Obj) -> None:
        options = DeleteOptions(grace_period_seconds=0, preconditions={"uid": pod["metadata"]["uid"]})
        try:
            self._clientset.delete("pods", *key, options)
        except ApiError:
            # Somebody else was quicker, or a finalizer holds it.
            return

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.settings.heartbeat_interval)
            node_objects.renew_leases(self._clientset, self._nodes, self.settings)
            for node in self._nodes.values():
                self._recover(node)

    def _recover(self, node: NodeSpec) -> None:
        """Say again that a node is ready which was given up while this process slept (a suspended laptop)."""
        stored = self._clientset.get("nodes", "", node.name)
        if stored is None or node_objects.is_ready(stored):
            return
        images = self._catalogue.node_images()
        stored = node_objects.register(self._clientset, node, images, self.settings, self._boot_id)
        self._recorder.event(stored, node.name, "Normal", "NodeReady", f"Node {node.name} status is now: NodeReady")

    # -- logs ---------------------------------------------------------------------------------------------------

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        previous: bool = False,
        tail_lines: int | None = None,
        since_seconds: int | None = None,
        since_time: datetime | None = None,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> bytes | AsyncIterator[bytes]:
        """A container's log.

        Returns:
            The text there is; with `follow` its pieces as they come, until the container ends.

        Raises:
            ApiError: As the kubelet answers: an unknown container, one that has not started, no previous one.
        """
        log = self._find_log(namespace, pod, container, previous=previous)
        since = 0
        if since_seconds is not None:
            since = int((self.settings.now().timestamp() - since_seconds) * 1e9)
        elif since_time is not None:
            since = int(since_time.timestamp() * 1e9)
        options = LogOptions(follow, tail_lines, since, timestamps, limit_bytes)
        if log is None:
            return b""
        return log.stream(options) if follow else log.read(options)

    # -- processes ----------------------------------------------------------------------------------------------

    async def exec(self, namespace: str, pod: str, container: str, command: Sequence[str], streams: Streams) -> int:
        """Run a command in a container; returns its exit code.

        Raises:
            ApiError: There is no such container, or it does not run.
            ExecError: The command cannot be started.
        """
        return await execution.execute(self._running(namespace, pod, container), command, streams)

    async def attach(self, namespace: str, pod: str, container: str, streams: Streams) -> int:
        """Connect to a container's main process until it ends or the client leaves; returns its exit code.

        Raises:
            ApiError: There is no such container, or it does not run.
        """
        return await execution.attach(self._running(namespace, pod, container), streams)

    async def port_forward(self, namespace: str, pod: str, port: int) -> Duplex:
        """A connection to a port of the pod.

        Raises:
            ApiError: The pod does not run.
            OSError: Nothing listens there.
        """
        worker = self._workers.get((namespace, pod))
        if worker is None or not worker.ip:
            raise ApiError(404, "NotFound", f'pods "{pod}" not found', {"name": pod, "kind": "pods"})
        return execution.port_forward(self._host.network, worker.ip, port)

    def _running(self, namespace: str, pod: str, container: str) -> ContainerRecord:
        worker = self._workers.get((namespace, pod))
        record = worker.record(container) if worker is not None else None
        if record is None:
            raise ApiError(404, "NotFound", f'container not found ("{container}")')
        return record

    def _find_log(self, namespace: str, pod: str, container: str, *, previous: bool) -> ContainerLog | None:
        stored = self._clientset.get("pods", namespace, pod)
        if stored is None:
            raise ApiError(404, "NotFound", f'pods "{pod}" not found', {"name": pod, "kind": "pods"})
        worker = self._workers.get((namespace, pod))
        record = worker.record(container) if worker is not None else None
        if record is not None:
            status = container_status(record)
        elif worker is not None:
            raise ApiError(400, "BadRequest", f"container {container} is not valid for pod {pod}")
        else:
            known = [entry for field, _ in STATUS_FIELDS for entry in (stored.get("status") or {}).get(field) or []]
            status = next((entry for entry in known if entry["name"] == container), {})
        if not status:
            return None
        container_id = logged_container(pod, status, previous=previous)
        return (record.logs.get(container_id) if record is not None else None) or lost_log(container_id)


def logged_container(pod: str, status: Obj, *, previous: bool) -> str:
    """Which container's log is meant (validateContainerLogStatus of kubelet_pods.go).

    Raises:
        ApiError: There is none.
    """
    name, state = status["name"], status["state"]
    last_id: str = (status["lastState"].get("terminated") or {}).get("containerID", "")
    if previous:
        if not last_id:
            text = f'previous terminated container "{name}" in pod "{pod}" not found'
            raise ApiError(400, "BadRequest", text)
        return last_id
    if "running" in state:
        return str(status["containerID"])
    ended: Obj = state.get("terminated") or {}
    if found := ended.get("containerID") or last_id:
        return str(found)
    reason = (state.get("waiting") or {}).get("reason", "")
    text = f"is waiting to start: {_LOG_REASONS.get(reason, reason)}" if not ended else "is terminated"
    raise ApiError(400, "BadRequest", f'container "{name}" in pod "{pod}" {text}')


def lost_log(container_id: str) -> ContainerLog:
    """What is left of the log of a container that the runtime no longer has: its regret."""
    log = ContainerLog()
    log.append(f"unable to retrieve container logs for {container_id}")
    log.close()
    return log


_LOG_REASONS = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


def _key(pod: Obj) -> PodKey:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]
