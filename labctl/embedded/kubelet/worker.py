"""One pod's life on its node: volumes, sandbox, init containers, containers with restarts and back-off, its end."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from labctl.embedded.clientset import ApiError, DeleteOptions, Obj
from labctl.embedded.images.filesystem import Volume
from labctl.embedded.kubelet import volumes as pod_volumes
from labctl.embedded.kubelet.ending import go_seconds, not_started, terminated
from labctl.embedded.kubelet.hooks import post_start, pre_stop
from labctl.embedded.kubelet.nodes import NodeSpec
from labctl.embedded.kubelet.probes import Prober
from labctl.embedded.kubelet.record import ContainerRecord, Kind, records_of, waiting
from labctl.embedded.kubelet.runtime import (
    ContainerStarter,
    Host,
    NotStartedError,
    Sandbox,
    back_off_message,
)
from labctl.embedded.kubelet.status import PodView, pod_status

MINIMUM_GRACE = 2.0
"""Seconds every container gets between SIGTERM and SIGKILL, unless the pod is deleted with grace 0."""

DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


class PodWorker:
    """Runs one pod. All methods are called on the event loop."""

    def __init__(self, host: Host, node: NodeSpec, pod: Obj, records: Sequence[ContainerRecord] | None = None) -> None:
        self.node = node
        self.pod = pod
        self.records: list[ContainerRecord] = list(records) if records is not None else records_of(pod)
        self.ip = (pod.get("status") or {}).get("podIP", "") if records is not None else ""
        self.starter: ContainerStarter | None = None
        self.finished = False
        self._host = host
        self._start_time = (pod.get("status") or {}).get("startTime") or host.settings.timestamp()
        self._failure = ("", "")
        self._tasks: set[asyncio.Task[None]] = set()
        self._probers: dict[str, Prober] = {}
        self._volumes: dict[str, Volume] = {}
        self._progress = asyncio.Event()
        self._sandboxed = False
        self._ending = False
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
    def _runtime(self) -> ContainerStarter:
        assert self.starter is not None, "containers start in a sandbox"
        return self.starter

    @property
    def policy(self) -> str:
        """`restartPolicy`."""
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    def record(self, name: str) -> ContainerRecord | None:
        """A container by name."""
        return next((record for record in self.records if record.name == name), None)

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._spawn(self._run())
        deadline = self.pod["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            self._spawn(self._expire(float(deadline)))

    async def _run(self) -> None:
        self.report()
        await self._set_up_volumes()
        await self._open_sandbox()
        if await self._initialise():
            await self._run_mains()
        await self._finish()

    async def _set_up_volumes(self) -> None:
        delay = 0.5
        while True:
            try:
                self._volumes = pod_volumes.set_up(self.pod, self._host.volumes)
                return
            except pod_volumes.MountError as error:
                message = f'MountVolume.SetUp failed for volume "{error.volume}" : {error.message}'
                self._host.recorder.event(self.pod, self.node.name, "Warning", "FailedMount", message)
            await asyncio.sleep(delay * self._host.settings.backoff_scale)
            delay = min(delay * 2, 122.0)

    async def _open_sandbox(self) -> None:
        spec, meta = self.pod["spec"], self.pod["metadata"]
        host_network = bool(spec.get("hostNetwork"))
        while not self._sandboxed:
            try:
                network = self._host.network
                self.ip = network.add_pod(self.uid, self.node.name, host_network=host_network, wanted=self.ip)
                self._sandboxed = True
            except RuntimeError as error:
                text = f"Failed to create pod sandbox: rpc error: code = Unknown desc = {error}"
                self._host.recorder.event(self.pod, self.node.name, "Warning", "FailedCreatePodSandBox", text)
                await asyncio.sleep(self._host.settings.retry_delay())
        hostname = self.node.name if host_network else (spec.get("hostname") or meta["name"])[:63]
        status = {
            **(self.pod.get("status") or {}),
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "hostIP": self.node.address,
            "hostIPs": [{"ip": self.node.address}],
        }
        sandbox = Sandbox({**self.pod, "status": status}, self.node, self.ip, hostname, self._volumes)
        self.starter = ContainerStarter(self._host, sandbox)

    async def _initialise(self) -> bool:
        """Init containers one after another; False when one failed and the pod must not start it again."""
        for record in self.records:
            if record.kind is Kind.SIDECAR:
                self._try_start(record)
                self.report()
                self._spawn(self._keep(record))
                await self._until(partial(_is_started, record))
            elif record.kind is Kind.INIT and not await self._run_init(record):
                return False
        return True

    async def _run_init(self, record: ContainerRecord) -> bool:
        while True:
            problem = self._try_start(record)
            self.report()
            if problem is not None and not problem.crashed:
                await self._pause(record, problem)
                continue
            if record.running is not None:
                self._ended(record, await asyncio.shield(record.running.exited))
                self.report()
            if record.succeeded:
                record.ready = True
                return True
            if self.policy == "Never":
                return False
            await self._back_off(record)

    async def _run_mains(self) -> None:
        mains = [record for record in self.records if record.kind is Kind.MAIN]
        problems = {record.name: self._try_start(record) for record in mains}
        self.report()
        await asyncio.gather(*(self._keep(record, problems[record.name]) for record in mains))

    async def _keep(self, record: ContainerRecord, problem: NotStartedError | None = None) -> None:
        """Keep a container as its restart policy wants it; returns when it has ended for good."""
        while True:
            while problem is not None and not problem.crashed:
                await self._pause(record, problem)
                problem = self._try_start(record)
                self.report()
            if record.running is not None:
                self._ended(record, await asyncio.shield(record.running.exited))
                self.report()
            if not self._restarts(record):
                if problem is not None:
                    record.state, record.last_state = record.last_state, {}
                return
            await self._back_off(record)
            problem = self._try_start(record)
            self.report()

    def _try_start(self, record: ContainerRecord) -> NotStartedError | None:
        try:
            self._runtime.start(record)
        except NotStartedError as problem:
            not_started(record, problem, self._host.settings.timestamp())
            record.finished = asyncio.get_running_loop().time()
            return problem
        spec = record.spec
        probed = record.kind is not Kind.INIT
        record.started = not (probed and spec.get("startupProbe"))
        record.ready = probed and record.started and not spec.get("readinessProbe")
        if probed:
            self._start_probes(record)
        if (spec.get("lifecycle") or {}).get("postStart"):
            self._spawn(self._post_start(record))
        return None

    def _restarts(self, record: ContainerRecord) -> bool:
        if self._ending or self.finished:
            return False
        if record.kind is Kind.SIDECAR or self.policy == "Always":
            return True
        ended = record.terminated
        return self.policy == "OnFailure" and (ended is None or ended["exitCode"] != 0)

    def _ended(self, record: ContainerRecord, code: int) -> None:
        """A container has ended: its state, its ports, its probes, its log."""
        loop = asyncio.get_running_loop()
        running, record.running = record.running, None
        if running is None:
            return
        prober = self._probers.pop(record.name, None)
        if prober is not None:
            prober.stop()
        for port in running.ports:
            self._host.network.close(self.uid, port)
        if record.log is not None:
            record.log.close()
        if loop.time() - record.run_started >= self._host.settings.backoff_reset:
            record.failures = 0
        record.finished = loop.time()
        record.ready = record.started = False
        record.state = terminated(record, code, self._host.settings.timestamp())

    async def _back_off(self, record: ContainerRecord) -> None:
        """Wait until a crashed container may start again: at once the first time, then 10 s, 20 s, … 5 minutes."""
        settings = self._host.settings
        delay = 0.0
        if record.failures:
            delay = min(settings.backoff_initial * 2 ** (record.failures - 1), settings.backoff_max)
        until = record.finished + delay * settings.backoff_scale
        ended = record.state if record.terminated else record.last_state
        namespace, name = self.key
        while asyncio.get_running_loop().time() < until:
            pod = f"{name}_{namespace}({self.uid})"
            text = f"Back-off restarting failed container {record.name} in pod {pod}"
            self._runtime.event(record, "Warning", "BackOff", text)
            await asyncio.sleep(settings.retry_delay())
            message = f"back-off {go_seconds(delay)} restarting failed container={record.name} pod={pod}"
            record.last_state, record.state = ended, waiting("CrashLoopBackOff", message)
            self.report()
        record.failures += 1

    async def _pause(self, record: ContainerRecord, problem: NotStartedError) -> None:
        """Wait until a container that could not be created is tried again."""
        if problem.reason == "ErrImagePull":
            self._runtime.back_off_pull(record)
        await asyncio.sleep(self._host.settings.retry_delay())
        if problem.reason == "ErrImagePull":
            message = back_off_message(record.spec.get("image", ""), problem.message)
            record.state = waiting("ImagePullBackOff", message)
            self.report()

    # -- probes and hooks ---------------------------------------------------------------------------------------

    def _start_probes(self, record: ContainerRecord) -> None:
        if not any(record.spec.get(kind) for kind in ("startupProbe", "readinessProbe", "livenessProbe")):
            return
        prober = Prober(self._host, self._runtime, record, self.report, self._kill_unhealthy)
        self._probers[record.name] = prober
        prober.start()

    def _kill_unhealthy(self, record: ContainerRecord, message: str, grace: float | None) -> None:
        """A liveness or startup probe has failed for good."""
        self._spawn(self._stop(record, self._grace() if grace is None else grace, message))

    async def _post_start(self, record: ContainerRecord) -> None:
        if not await post_start(self._host, self._runtime.sandbox, record):
            self._runtime.event(record, "Warning", "FailedPostStartHook", "PostStartHook failed")
            await self._stop(record, self._grace(), "FailedPostStartHook")

    async def _stop(self, record: ContainerRecord, grace: float, message: str) -> None:
        """Stop a running container: preStop hook, SIGTERM, SIGKILL; returns when it has ended."""
        running = record.running
        if running is None or running.exited.done():
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        self._runtime.event(record, "Normal", "Killing", message)
        if grace > 0 and (record.spec.get("lifecycle") or {}).get("preStop"):
            await pre_stop(self._host, self._runtime, record, grace)
        left = max(deadline - loop.time(), MINIMUM_GRACE) if grace > 0 else 0.0
        running.stop(left)
        await asyncio.wait({running.exited})

    # -- end ----------------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """All containers have ended for good: stop the sidecars, give the sandbox back, show the final phase."""
        self._ending = True
        await self._stop_kind(Kind.SIDECAR, self._grace())
        self.finished = True
        self._close()
        self.report()

    def terminate(self, grace: float) -> None:
        """The pod was marked for deletion; a later call with a shorter grace cuts the first one short."""
        if self._grace_left is not None and grace >= self._grace_left:
            return
        self._grace_left = grace
        self._ending = True
        self._cancel_tasks()
        self._spawn(self._terminate(grace))

    async def _terminate(self, grace: float) -> None:
        self.report()
        await self._stop_kind(Kind.EPHEMERAL, grace)
        await self._stop_kind(Kind.MAIN, grace)
        await self._stop_kind(Kind.INIT, grace)
        await self._stop_kind(Kind.SIDECAR, grace)
        self.finished = True
        self._close()
        self.report()
        namespace, name = self.key
        options = DeleteOptions(grace_period_seconds=0, preconditions={"uid": self.uid})
        with contextlib.suppress(ApiError):
            self._host.clientset.delete("pods", namespace, name, options)

    async def _stop_kind(self, kind: Kind, grace: float) -> None:
        running = [record for record in self.records if record.kind is kind and record.running is not None]
        if kind is Kind.SIDECAR:
            for record in reversed(running):
                await self._stop_and_end(record, grace)
            return
        await asyncio.gather(*(self._stop_and_end(record, grace) for record in running))

    async def _stop_and_end(self, record: ContainerRecord, grace: float) -> None:
        await self._stop(record, grace, f"Stopping container {record.name}")
        if record.running is not None and record.running.exited.done():
            self._ended(record, record.running.exited.result())

    def kill(self) -> None:
        """The pod is gone from the API, or the kubelet stops: end everything at once, write nothing."""
        self._cancel_tasks()
        self._ending = self.finished = True
        for record in self.records:
            if record.running is not None:
                record.running.stop(0)
                record.running = None
            if record.log is not None:
                record.log.close()
        self._close()

    def _close(self) -> None:
        for prober in self._probers.values():
            prober.stop()
        self._probers.clear()
        if self._sandboxed:
            self._sandboxed = False
            self._host.network.remove_pod(self.uid)

    async def _expire(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._failure = DEADLINE
        self._host.recorder.event(self.pod, self.node.name, "Normal", *DEADLINE)
        current = asyncio.current_task()
        self._cancel_tasks(keep=current)
        await self._stop_kind(Kind.MAIN, self._grace())
        await self._finish()

    # -- status -------------------------------------------------------------------------------------------------

    def changed(self, pod: Obj) -> None:
        """The stored pod has changed: take it over."""
        self.pod = pod

    def refresh_volumes(self) -> None:
        """A ConfigMap or Secret of the namespace has changed."""
        if self._volumes:
            pod_volumes.refresh(self._volumes, self.pod, self._host.volumes)

    def report(self) -> None:
        """Write the pod's status, when it differs from what is stored."""
        self._progress.set()
        namespace, name = self.key
        stored = self._host.clientset.get("pods", namespace, name)
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
                now=self._host.settings.timestamp(),
                failure=self._failure,
            )
        )
        if status == stored.get("status"):
            return
        with contextlib.suppress(ApiError):
            updated = {**stored, "status": copy.deepcopy(status)}
            self.pod = self._host.clientset.update("pods", updated, subresource="status")

    # -- tasks --------------------------------------------------------------------------------------------------

    def _grace(self) -> float:
        seconds = self.pod["metadata"].get("deletionGracePeriodSeconds")
        if seconds is None:
            seconds = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        return float(max(seconds, 0))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _cancel_tasks(self, keep: asyncio.Task[object] | None = None) -> None:
        for task in self._tasks:
            if task is not keep:
                task.cancel()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._progress.clear()
            await self._progress.wait()


def _is_started(record: ContainerRecord) -> bool:
    return record.started
