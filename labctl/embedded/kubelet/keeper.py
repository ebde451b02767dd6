"""One container's life: started, probed, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from labctl.embedded.kubelet.ending import go_seconds, not_started, terminated
from labctl.embedded.kubelet.hooks import post_start, pre_stop
from labctl.embedded.kubelet.probes import Prober
from labctl.embedded.kubelet.record import ContainerRecord, Kind, waiting
from labctl.embedded.kubelet.runtime import ContainerStarter, Host, NotStartedError, back_off_message

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
            not_started(record, problem, owner.host.settings.timestamp())
            record.finished = asyncio.get_running_loop().time()
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
            problem = self.start()
            owner.report()
            if problem is not None and not problem.crashed:
                await self._pause(problem)
                continue
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
            while problem is not None and not problem.crashed:
                await self._pause(problem)
                problem = self.start()
                owner.report()
            await self._end_of_run()
            if not self._restarts():
                if problem is not None:
                    record.state, record.last_state = record.last_state, {}
                return
            if record.redefined:
                record.redefined = False
            else:
                await self._back_off()
            problem = self.start()
            owner.report()

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
        loop = asyncio.get_running_loop()
        self.stop_probes()
        for port in running.ports:
            owner.host.network.close(owner.uid, port)
        if record.log is not None:
            record.log.close()
        if loop.time() - record.run_started >= owner.host.settings.backoff_reset:
            record.failures = 0
        record.finished = loop.time()
        record.ready = record.started = False
        record.state = terminated(record, code, owner.host.settings.timestamp())

    # -- inside -----------------------------------------------------------------------------------------------------

    async def _end_of_run(self) -> None:
        running = self.record.running
        if running is not None:
            self.ended(await asyncio.shield(running.exited))
            self._owner.report()

    def _restarts(self) -> bool:
        if self._owner.ending or self.record.kind is Kind.EPHEMERAL:
            return False
        if self.record.kind is Kind.SIDECAR or self._owner.policy == "Always" or self.record.redefined:
            return True
        ended = self.record.terminated
        return self._owner.policy == "OnFailure" and (ended is None or ended["exitCode"] != 0)

    async def _back_off(self) -> None:
        """Wait until a crashed container may start again: at once the first time, then 10 s, 20 s, … 5 minutes."""
        record, owner = self.record, self._owner
        settings = owner.host.settings
        delay = settings.crash_delay(record.failures)
        record.failures += 1
        if not delay:
            return
        loop = asyncio.get_running_loop()
        until = record.finished + delay * settings.backoff_scale
        ended = record.state if record.terminated else record.last_state
        pod = f"{owner.key[1]}_{owner.key[0]}({owner.uid})"
        text = f"Back-off restarting failed container {record.name} in pod {pod}"
        owner.runtime.event(record, "Warning", "BackOff", text)
        # A crash shows as Error (or Completed) for a while before it shows as CrashLoopBackOff.
        await asyncio.sleep(min(settings.crash_shown * settings.backoff_scale, until - loop.time()))
        message = f"back-off {go_seconds(delay)} restarting failed container={record.name} pod={pod}"
        record.last_state, record.state = ended, waiting("CrashLoopBackOff", message)
        owner.report()
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, settings.retry_delay()))
            owner.runtime.event(record, "Warning", "BackOff", text)

    async def _pause(self, problem: NotStartedError) -> None:
        """Wait until a container that could not be created is tried again."""
        record, owner = self.record, self._owner
        pulling = problem.reason == "ErrImagePull"
        if pulling:
            owner.runtime.back_off_pull(record)
        await asyncio.sleep(owner.host.settings.retry_delay())
        if pulling:
            message = back_off_message(record.spec.get("image", ""), problem.message)
            record.state = waiting("ImagePullBackOff", message)
            owner.report()

    def _unhealthy(self, message: str, grace: float | None) -> None:
        """A liveness or startup probe has failed for good."""
        self._owner.spawn(self.stop(self._owner.grace if grace is None else grace, message))

    async def _post_start(self) -> None:
        record, owner = self.record, self._owner
        if not await post_start(owner.host, owner.runtime.sandbox, record):
            owner.runtime.event(record, "Warning", "FailedPostStartHook", "PostStartHook failed")
            await self.stop(owner.grace, "FailedPostStartHook")
