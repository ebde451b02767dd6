"""One pod's life on its node: volumes, sandbox, init containers, containers, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from labctl.embedded.clientset import ApiError, DeleteOptions, Obj
from labctl.embedded.images.filesystem import Volume
from labctl.embedded.kubelet import volumes as pod_volumes
from labctl.embedded.kubelet.keeper import Keeper
from labctl.embedded.kubelet.nodes import NodeSpec
from labctl.embedded.kubelet.record import ContainerRecord, Kind, ephemeral_record, records_of
from labctl.embedded.kubelet.runtime import ContainerStarter, Host, Sandbox
from labctl.embedded.kubelet.status import PodView, pod_status

DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")

MOUNT_RETRY, MOUNT_RETRY_MAX = 0.5, 122.0
"""First and longest pause in seconds between attempts to set up a volume; it doubles."""


class PodWorker:
    """Runs one pod. All methods are called on the event loop.

    Args:
        host: What all pods share.
        node: The pod's node.
        pod: The stored pod.
        records: Its containers as they were before a restart of the daemon; None for a pod that has not run.
    """

    def __init__(self, host: Host, node: NodeSpec, pod: Obj, records: Sequence[ContainerRecord] | None = None) -> None:
        status = pod.get("status") or {}
        self.host = host
        self.node = node
        self.pod = pod
        self.ip = status.get("podIP", "") if records is not None else ""
        self.finished = False
        self.ending = False
        self.keepers = [Keeper(self, record) for record in (records_of(pod) if records is None else records)]
        self._starter: ContainerStarter | None = None
        self._sandboxed = False
        self._start_time = status.get("startTime") or host.settings.timestamp()
        self._failure = ("", "")
        self._tasks: set[asyncio.Task[None]] = set()
        self._volumes: dict[str, Volume] = {}
        self._progress = asyncio.Event()
        self._grace_left: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.pod["metadata"]["namespace"], self.pod["metadata"]["name"]

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self.pod["metadata"]["uid"])

    @property
    def policy(self) -> str:
        """`restartPolicy`."""
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    @property
    def runtime(self) -> ContainerStarter:
        """Starts containers; there is none before the sandbox is."""
        assert self._starter is not None, "containers start in a sandbox"
        return self._starter

    @property
    def grace(self) -> float:
        """Seconds that its containers get to end."""
        seconds = self.pod["metadata"].get("deletionGracePeriodSeconds")
        if seconds is None:
            seconds = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        return float(max(seconds, 0))

    @property
    def records(self) -> list[ContainerRecord]:
        """What is known of its containers."""
        return [keeper.record for keeper in self.keepers]

    def record(self, name: str) -> ContainerRecord | None:
        """A container by name."""
        return next((record for record in self.records if record.name == name), None)

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self.spawn(self._run())
        deadline = self.pod["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            self.spawn(self._expire(float(deadline)))

    async def _run(self) -> None:
        self.report()
        await self._set_up_volumes()
        await asyncio.sleep(self.host.settings.pace)
        await self._open_sandbox()
        if await self._initialise():
            mains = self._of_kind(Kind.MAIN)
            problems = [keeper.start() for keeper in mains]
            if not any(problems):
                self.report()
            self._start_ephemeral()
            await asyncio.gather(*(keeper.keep(problem) for keeper, problem in zip(mains, problems, strict=True)))
        await self._finish()

    async def _set_up_volumes(self) -> None:
        delay = MOUNT_RETRY
        while True:
            try:
                self._volumes = pod_volumes.set_up(self.pod, self.host.volumes)
                return
            except pod_volumes.MountError as error:
                message = f'MountVolume.SetUp failed for volume "{error.volume}" : {error.message}'
                self._event("Warning", "FailedMount", message)
            await asyncio.sleep(delay * self.host.settings.backoff_scale)
            delay = min(delay * 2, MOUNT_RETRY_MAX)

    async def _open_sandbox(self) -> None:
        spec, meta = self.pod["spec"], self.pod["metadata"]
        host_network = bool(spec.get("hostNetwork"))
        while not self._sandboxed:
            try:
                network = self.host.network
                self.ip = network.add_pod(self.uid, self.node.name, host_network=host_network, wanted=self.ip)
                self._sandboxed = True
            except RuntimeError as error:
                text = f"Failed to create pod sandbox: rpc error: code = Unknown desc = {error}"
                self._event("Warning", "FailedCreatePodSandBox", text)
                await asyncio.sleep(self.host.settings.retry_delay())
        hostname = self.node.name if host_network else (spec.get("hostname") or meta["name"])[:63]
        status = {
            **(self.pod.get("status") or {}),
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "hostIP": self.node.address,
            "hostIPs": [{"ip": self.node.address}],
        }
        sandbox = Sandbox({**self.pod, "status": status}, self.node, self.ip, hostname, self._volumes)
        self._starter = ContainerStarter(self.host, sandbox)

    async def _initialise(self) -> bool:
        """Init containers one after another; False when one failed and the pod must not start it again."""
        for keeper in list(self.keepers):
            if keeper.record.kind is Kind.SIDECAR:
                problem = keeper.start()
                self.report()
                self.spawn(keeper.keep(problem))
                await self._until(partial(_is_started, keeper.record))
            elif keeper.record.kind is Kind.INIT and not await keeper.run_once():
                return False
        return True

    def _start_ephemeral(self) -> None:
        """Debug containers that were added to the running pod."""
        if self._starter is None or self.ending:
            return
        for spec in self.pod["spec"].get("ephemeralContainers") or []:
            if self.record(spec["name"]) is None:
                keeper = Keeper(self, ephemeral_record(spec))
                self.keepers.append(keeper)
                problem = keeper.start()
                self.report()
                self.spawn(keeper.keep(problem))

    # -- end --------------------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """All containers have ended for good: stop the others, give the sandbox back, show the final phase."""
        self.ending = True
        await self._stop_kind(Kind.EPHEMERAL, self.grace)
        await self._stop_kind(Kind.SIDECAR, self.grace)
        self.finished = True
        self._close()
        self.report()
        # Of a pod that is over only its logs are wanted.
        self._volumes, self._starter = {}, None
        for record in self.records:
            record.context = record.system = None

    def terminate(self, grace: float) -> None:
        """The pod was marked for deletion; a later call with a shorter grace cuts the first one short."""
        if self._grace_left is not None and grace >= self._grace_left:
            return
        self._grace_left = grace
        self.ending = True
        self._cancel_tasks()
        self.spawn(self._terminate(grace))

    async def _terminate(self, grace: float) -> None:
        self.report()
        for kind in (Kind.EPHEMERAL, Kind.MAIN, Kind.INIT, Kind.SIDECAR):
            await self._stop_kind(kind, grace)
        await asyncio.sleep(self.host.settings.pace)
        self.finished = True
        self._close()
        self.report()
        options = DeleteOptions(grace_period_seconds=0, preconditions={"uid": self.uid})
        with contextlib.suppress(ApiError):
            self.host.clientset.delete("pods", *self.key, options)

    async def _stop_kind(self, kind: Kind, grace: float) -> None:
        running = [keeper for keeper in self._of_kind(kind) if keeper.record.running is not None]
        if kind is Kind.SIDECAR:
            for keeper in reversed(running):
                await keeper.finish(grace)
        else:
            await asyncio.gather(*(keeper.finish(grace) for keeper in running))

    def kill(self) -> None:
        """The pod is gone from the API, or the kubelet stops: end everything at once, write nothing."""
        self._cancel_tasks()
        self.ending = self.finished = True
        for keeper in self.keepers:
            keeper.kill()
        self._close()

    def _close(self) -> None:
        for keeper in self.keepers:
            keeper.stop_probes()
        if self._sandboxed:
            self._sandboxed = False
            self.host.network.remove_pod(self.uid)

    async def _expire(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._failure = DEADLINE
        self._event("Normal", *DEADLINE)
        self._cancel_tasks(keep=asyncio.current_task())
        await self._stop_kind(Kind.MAIN, self.grace)
        await self._finish()

    # -- what the API says ------------------------------------------------------------------------------------------

    def changed(self, pod: Obj) -> None:
        """The stored pod has changed: take it over."""
        self.pod = pod
        specs = {spec["name"]: spec for spec in pod["spec"]["containers"]}
        for keeper in self._of_kind(Kind.MAIN):
            self._redefine(keeper, specs.get(keeper.record.name, keeper.record.spec))
        self._start_ephemeral()

    def _redefine(self, keeper: Keeper, spec: Obj) -> None:
        """A container whose image was changed in place is started again with it."""
        record = keeper.record
        if spec.get("image") != record.spec.get("image") and record.running is not None and not self.ending:
            record.replaced = True
            message = f"Container {record.name} definition changed, will be restarted"
            self.spawn(keeper.stop(self.grace, message))
        record.spec = spec

    def refresh_volumes(self, changed: pod_volumes.Reference) -> None:
        """A ConfigMap or Secret of the namespace has changed."""
        if self._volumes:
            pod_volumes.refresh(self._volumes, self.pod, self.host.volumes, changed)

    def report(self) -> None:
        """Write the pod's status, when it differs from what is stored."""
        self._progress.set()
        stored = self.host.clientset.get("pods", *self.key)
        if stored is None or stored["metadata"]["uid"] != self.uid:
            return
        self.pod = stored
        status = pod_status(
            PodView(
                pod=stored,
                records=self.records,
                host_ip=self.node.address,
                pod_ip=self.ip,
                sandbox=self._sandboxed,
                finished=self.finished,
                start_time=self._start_time,
                now=self.host.settings.timestamp(),
                failure=self._failure,
            )
        )
        if status == stored.get("status"):
            return
        with contextlib.suppress(ApiError):
            self.pod = self.host.clientset.update("pods", {**stored, "status": status}, subresource="status")

    # -- helpers ----------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the pod."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel_tasks(self, keep: asyncio.Task[object] | None = None) -> None:
        for task in self._tasks:
            if task is not keep:
                task.cancel()

    def _of_kind(self, kind: Kind) -> list[Keeper]:
        return [keeper for keeper in self.keepers if keeper.record.kind is kind]

    def _event(self, kind: str, reason: str, message: str) -> None:
        self.host.recorder.event(self.pod, self.node.name, kind, reason, message)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._progress.clear()
            await self._progress.wait()


def _is_started(record: ContainerRecord) -> bool:
    return record.started
