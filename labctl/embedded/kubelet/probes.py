"""Startup, readiness and liveness probes of one container, with the kubelet's thresholds and timing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from labctl.embedded.clientset import Obj
from labctl.embedded.kubelet.handlers import Outcome, run_handler, timed_out
from labctl.embedded.kubelet.record import ContainerRecord
from labctl.embedded.kubelet.runtime import ContainerStarter, Host

OUTPUT_LIMIT = 10 * 1024
"""Bytes of a probe's output that an event shows."""

TITLES = {"startupProbe": "Startup", "readinessProbe": "Readiness", "livenessProbe": "Liveness"}


class Prober:
    """Probes a container until it ends.

    The first probe is made `initialDelaySeconds` after the start and then every `periodSeconds`: a container that
    is ready at once is Ready at once.
    """

    def __init__(
        self,
        host: Host,
        starter: ContainerStarter,
        record: ContainerRecord,
        changed: Callable[[], None],
        kill: Callable[[str, float | None], None],
    ) -> None:
        self._host = host
        self._record = record
        self._starter = starter
        self._changed = changed
        self._kill = kill
        self._tasks: list[asyncio.Task[None]] = []
        self._started = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        if self._record.started:
            self._started.set()
        for kind in TITLES:
            probe = self._record.spec.get(kind)
            if probe:
                self._tasks.append(loop.create_task(self._loop(kind, probe)))

    def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _loop(self, kind: str, probe: Obj) -> None:
        if kind != "startupProbe":
            await self._started.wait()
        await self._initial_delay(kind, probe)
        successes = failures = 0
        while True:
            outcome = await self._once(kind, probe)
            if not outcome.errored:
                successes, failures = (successes + 1, 0) if outcome.ok else (0, failures + 1)
                if self._conclude(kind, probe, successes, failures):
                    return
            await asyncio.sleep(probe.get("periodSeconds", 10))

    async def _initial_delay(self, kind: str, probe: Obj) -> None:
        """Wait for `initialDelaySeconds`; eagerly, only until the container first answers well."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # let a process that is starting open its ports first
        until = self._record.run_started + probe.get("initialDelaySeconds", 0)
        eager = self._host.settings.eager_probes and kind != "livenessProbe"
        pause = 0.005
        while (left := until - loop.time()) > 0:
            if eager and (await self._ask(probe)).ok:
                return
            await asyncio.sleep(min(left, pause) if eager else left)
            pause = min(pause * 2, 0.5)

    async def _ask(self, probe: Obj) -> Outcome:
        seconds = float(probe.get("timeoutSeconds", 1))
        sandbox = self._starter.sandbox
        try:
            handling = run_handler(probe, sandbox, self._record, self._host.network)
            return await asyncio.wait_for(handling, seconds)
        except TimeoutError:
            return timed_out(probe, sandbox, self._record, seconds)

    async def _once(self, kind: str, probe: Obj) -> Outcome:
        outcome = await self._ask(probe)
        if not outcome.ok:
            what = "errored and resulted in unknown state" if outcome.errored else "failed"
            text = f"{TITLES[kind]} probe {what}: {outcome.output[:OUTPUT_LIMIT]}"
            self._starter.event(self._record, "Warning", "Unhealthy", text)
        return outcome

    def _conclude(self, kind: str, probe: Obj, successes: int, failures: int) -> bool:
        """Act on a result that has reached its threshold; whether this probe is over."""
        record = self._record
        good = successes >= probe.get("successThreshold", 1)
        bad = failures >= probe.get("failureThreshold", 3)
        if kind == "startupProbe" and good:
            record.started = True
            record.ready = not record.spec.get("readinessProbe")
            self._started.set()
            self._changed()
            return True
        if kind == "readinessProbe" and (good or bad) and record.ready != good:
            record.ready = good
            self._changed()
        if bad and kind != "readinessProbe":
            message = f"Container {record.name} failed {TITLES[kind].lower()} probe, will be restarted"
            self._kill(message, probe.get("terminationGracePeriodSeconds"))
            return True
        return False
