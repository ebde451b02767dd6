"""Cells of pods: what `kubectl get pods` shows as READY, STATUS and RESTARTS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import human


@dataclass(slots=True)
class _Tally:
    """What is counted over a pod's container statuses."""

    reason: str
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""

    def restarted(self, status: Obj) -> None:
        self.restarts += status.get("restartCount", 0)
        finished = _terminated(status.get("lastState")).get("finishedAt") or ""
        self.last_restart = max(self.last_restart, finished)


def pod(obj: Obj, now: datetime) -> list[Any]:
    """Name, ready, status, restarts, age, IP, node, nominated node, readiness gates."""
    spec, status, metadata = obj["spec"], obj.get("status", {}), obj["metadata"]
    sidecars = {c["name"] for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always"}
    tally = _Tally(_phase_reason(status))
    side = _Tally("")
    initializing = _init_containers(obj, sidecars, tally, side)
    if not initializing or _condition(status, "Initialized"):
        tally.restarts, tally.last_restart = side.restarts, side.last_restart
        _containers(status, tally)
    total = len(spec.get("containers") or ()) + len(sidecars)
    restarts = str(tally.restarts)
    if tally.restarts and tally.last_restart:
        restarts = f"{restarts} ({human.age(tally.last_restart, now)} ago)"
    return [
        metadata["name"],
        f"{tally.ready}/{total}",
        _terminating(obj) or tally.reason,
        restarts,
        human.age(metadata.get("creationTimestamp"), now),
        next((ip["ip"] for ip in status.get("podIPs", ())), "") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _readiness_gates(spec, status),
    ]


def reason(obj: Obj) -> str:
    """The STATUS column alone."""
    return str(pod(obj, datetime.fromisoformat("9999-12-31T00:00:00+00:00"))[2])


def _phase_reason(status: Obj) -> str:
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return str(status.get("reason") or status.get("phase", ""))


def _init_containers(obj: Obj, sidecars: set[str], tally: _Tally, side: _Tally) -> bool:
    """Count the init containers' restarts; whether one of them has not done its work yet (then it is the reason)."""
    listed = obj["spec"].get("initContainers", ())
    for index, status in enumerate(obj.get("status", {}).get("initContainerStatuses", ())):
        tally.restarted(status)
        sidecar = status["name"] in sidecars
        if sidecar:
            side.restarted(status)
        ended = status.get("state", {}).get("terminated")
        if ended is not None and ended.get("exitCode", 0) == 0:
            continue
        if sidecar and status.get("started"):
            tally.ready += bool(status.get("ready"))
            continue
        tally.reason = _init_reason(status, index, len(listed))
        return True
    return False


def _init_reason(status: Obj, index: int, total: int) -> str:
    state = status.get("state", {})
    if state.get("terminated") is not None:
        return f"Init:{_end(state['terminated'])}"
    waiting = (state.get("waiting") or {}).get("reason", "")
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{total}"


def _containers(status: Obj, tally: _Tally) -> None:
    running = False
    for item in reversed(status.get("containerStatuses", ())):
        tally.restarted(item)
        state = item.get("state", {})
        if (state.get("waiting") or {}).get("reason"):
            tally.reason = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            tally.reason = _end(state["terminated"])
        elif item.get("ready") and state.get("running") is not None:
            running = True
            tally.ready += 1
    if tally.reason == "Completed" and running:
        tally.reason = "Running" if _condition(status, "Ready") else "NotReady"


def _end(terminated: Obj) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _terminating(obj: Obj) -> str:
    status = obj.get("status", {})
    if not obj["metadata"].get("deletionTimestamp"):
        return ""
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return "" if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _readiness_gates(spec: Obj, status: Obj) -> str:
    gates = spec.get("readinessGates", ())
    if not gates:
        return "<none>"
    return f"{sum(_condition(status, gate['conditionType']) for gate in gates)}/{len(gates)}"


def _condition(status: Obj, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions", ()))


def _terminated(state: Any) -> Obj:
    return (state or {}).get("terminated") or {}


CELLS: dict[str, Callable[[Obj, datetime], list[Any]]] = {"Pod": pod}
