"""One container's life: started, probed, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from labctl.embedded.kubelet.ending import go_seconds, start_error, terminated
from labctl.embedded.kubelet.hooks import post_start, pre_stop
from labctl.embedded.kubelet.probes import Prober
from labctl.embedded.kubelet.record import ContainerRecord, Kind, waiting
from labctl.embedded.kubelet.runtime import ContainerStarter, Host, NotStartedError

MINIMUM_GRACE = 2.0
"""Seconds every container gets between SIGTERM and SIGKILL, unless the pod is deleted with grace 0."""

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


class Owner(Protocol):
    """The pod, as its containers see it."""

    @property
    def host(self) -> Host:
        """What all pods share."""

    @property
    def uid(self) -> str:
        """The pod's uid."""

    @property
    def key(self) -> tuple[str, str]:
        """Its namespace and name."""

    @property
    def policy(self) -> str:
        """Its restart policy."""

    @property
    def ending(self) -> bool:
        """Whether nothing is to be restarted any more."""

    @property
    def runtime(self) -> ContainerStarter:
        """Starts containers in its sandbox."""

    @property
    def grace(self) -> float:
        """Its grace period in seconds."""

    def report(self) -> None:
        """Write its status."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the pod."""


class Keeper:
    """Keeps one container as its pod wants it."""

    def __init__(self, owner: Owner, record: ContainerRecord) -> None:
        self._owner = owner
        self.record = record
        self._prober: Prober | None = None

    def start(self) -> NotStartedError | None:
        """Try to start the container; what was in the way, if something was."""
        record, owner = self.record, self._owner
        try:
            owner.runtime.start(record)
        except NotStartedError as problem:
            if problem.crashed:
                self._forget_run()
                start_error(record, problem, owner.host.settings.timestamp())
            return problem
        probed = record.kind in (Kind.MAIN, Kind.SIDECAR)
        record.started = not (probed and record.spec.get("startupProbe"))
        record.ready = probed and record.started and not record.spec.get("readinessProbe")
        if probed and any(record.spec.get(kind) for kind in PROBES):
            self._prober = Prober(owner.host, owner.runtime, record, owner.report, self._unhealthy)
            self._prober.start()
        if (record.spec.get("lifecycle") or {}).get("postStart"):
            owner.spawn(self._post_start())
        return None

    async def run_once(self) -> bool:
        """Run an init container until it succeeds; False when it failed and is not to be started again."""
        record, owner = self.record, self._owner
        while True:
            await self._until_created(self.start())
            owner.report()
            await self._end_of_run()
            if record.succeeded:
                record.ready = True
                return True
            if owner.policy == "Never":
                return False
            await self._back_off()

    async def keep(self, problem: NotStartedError | None = None) -> None:
        """Keep the container running as the restart policy wants it; returns when it has ended for good.

        Args:
            problem: What was in the way of its first start.
        """
        record, owner = self.record, self._owner
        while True:
            problem = await self._until_created(problem)
            owner.report()
            await self._end_of_run()
            if not self._restarts():
                if problem is not None:
                    record.state, record.last_state = record.last_state, {}
                return
            await self._back_off()
            problem = self.start()

    async def stop(self, grace: float, message: str) -> None:
        """Stop the container: preStop hook, SIGTERM, SIGKILL; returns when it has ended.

        Args:
            grace: Seconds it may take.
            message: Why, for the event.
        """
        record, owner = self.record, self._owner
        running = record.running
        if running is None or running.exited.done():
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        owner.runtime.event(record, "Normal", "Killing", message)
        if grace > 0 and (record.spec.get("lifecycle") or {}).get("preStop"):
            await pre_stop(owner.host, owner.runtime, record, grace)
        running.stop(max(deadline - loop.time(), MINIMUM_GRACE) if grace > 0 else 0.0)
        await asyncio.wait({running.exited})

    async def finish(self, grace: float) -> None:
        """Stop the container for good."""
        await self.stop(grace, f"Stopping container {self.record.name}")
        if self.record.running is not None and self.record.running.exited.done():
            self.ended(self.record.running.exited.result())

    def kill(self) -> None:
        """End the container at once and leave no trace in the API."""
        self.stop_probes()
        record = self.record
        if record.running is not None:
            record.running.stop(0)
            record.running = None
        if record.log is not None:
            record.log.close()

    def stop_probes(self) -> None:
        """No more probes."""
        if self._prober is not None:
            self._prober.stop()
            self._prober = None

    def ended(self, code: int) -> None:
        """The container has ended: its state, its ports, its probes, its log."""
        record, owner = self.record, self._owner
        running, record.running = record.running, None
        if running is None:
            return
        self.stop_probes()
        for port in running.ports:
            owner.host.network.close(owner.uid, port)
        if record.log is not None:
            record.log.close()
        self._forget_run()
        record.ready = record.started = False
        record.state = terminated(record, code, owner.host.settings.timestamp())

    # -- inside -----------------------------------------------------------------------------------------------------

    def _forget_run(self) -> None:
        """A container has ended: of those before it the runtime keeps nothing (MaxPerPodContainer is 1)."""
        record = self.record
        record.finished_before, record.finished = record.finished, asyncio.get_running_loop().time()
        for container_id in list(record.logs):
            if container_id != record.container_id:
                del record.logs[container_id]

    async def _end_of_run(self) -> None:
        running = self.record.running
        if running is not None:
            self.ended(await asyncio.shield(running.exited))
            self._owner.report()

    def _restarts(self) -> bool:
        if self._owner.ending or self.record.kind is Kind.EPHEMERAL:
            return False
        if self.record.kind is Kind.SIDECAR or self._owner.policy == "Always" or self.record.replaced:
            return True
        ended = self.record.terminated
        return self._owner.policy == "OnFailure" and (ended is None or ended["exitCode"] != 0)

    async def _back_off(self) -> None:
        """Wait until a container that has ended may start again (doBackOff of kuberuntime_manager.go).

        The kubelet looks at it when it ends and then every ten to fifteen seconds, and each time the status tells
        what the look before has decided: a crash shows as Error for that long before it shows as CrashLoopBackOff.
        What the kubelet ends itself it looks at twice in a row: at a container that a probe or a change ends while it
        still runs, so that the end before counts; at one whose hook failed when it ended, and when its end is seen.
        """
        record, settings = self.record, self._owner.host.settings
        now = asyncio.get_running_loop().time
        since = record.finished_before if record.replaced else record.finished
        again = record.replaced or record.hook_failed
        record.replaced = record.hook_failed = False
        while since is not None and record.crashes.left(since, now(), settings) > 0:
            message = self._held_back()
            if not again:
                await asyncio.sleep(settings.retry_delay())
            since, again = record.finished, False
            if record.terminated:
                record.last_state = record.state
            record.state = waiting("CrashLoopBackOff", message)
            self._owner.report()
        if since is not None:
            record.crashes.next(since, now(), settings)

    def _held_back(self) -> str:
        """Say that the container does not start yet; the message of its state."""
        record, owner = self.record, self._owner
        pod = f"{owner.key[1]}_{owner.key[0]}({owner.uid})"
        text = f"Back-off restarting failed container {record.name} in pod {pod}"
        owner.runtime.event(record, "Warning", "BackOff", text)
        return f"back-off {go_seconds(record.crashes.delay)} restarting failed container={record.name} pod={pod}"

    async def _until_created(self, problem: NotStartedError | None) -> NotStartedError | None:
        """Try until a container could be created; what was in the way of its process, if something was.

        Args:
            problem: What was in the way of the first attempt. The kubelet makes another as soon as it sees the
                new sandbox, and then one every ten to fifteen seconds; the status tells how the one before went.
        """
        first = True
        while problem is not None and not problem.crashed:
            if not first:
                await asyncio.sleep(self._owner.host.settings.retry_delay())
            self.record.state = waiting(problem.reason, problem.message)
            self._owner.report()
            problem, first = self.start(), False
        return problem

    def _unhealthy(self, message: str, grace: float | None) -> None:
        """A liveness or startup probe has failed for good."""
        self.record.replaced = self._owner.policy != "Never"
        self._owner.spawn(self.stop(self._owner.grace if grace is None else grace, message))

    async def _post_start(self) -> None:
        record, owner = self.record, self._owner
        if not await post_start(owner.host, owner.runtime.sandbox, record):
            record.hook_failed = True
            owner.runtime.event(record, "Warning", "FailedPostStartHook", "PostStartHook failed")
            await self.stop(owner.grace, "FailedPostStartHook")
