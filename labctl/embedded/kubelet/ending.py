"""What a container leaves behind when it ends, or when it could not be started."""

from __future__ import annotations

import contextlib

from labctl.embedded.clientset import Obj
from labctl.embedded.kubelet.record import ContainerRecord, waiting
from labctl.embedded.kubelet.runtime import NotStartedError

MESSAGE_LIMIT = 4096
"""Bytes of a terminationMessagePath file that the status shows."""

LOG_LINES, LOG_BYTES = 80, 2048
"""What FallbackToLogsOnError takes from the end of the log."""

START_ERROR = 128
"""Exit code of a container whose process could not be started."""


def terminated(record: ContainerRecord, code: int, now: str) -> Obj:
    """The terminated state of a container that ran."""
    state: Obj = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
    message = termination_message(record, code)
    if message:
        state["message"] = message
    state["startedAt"] = record.state.get("running", {}).get("startedAt")
    state["finishedAt"] = now
    state["containerID"] = record.container_id
    return {"terminated": state}


def start_error(record: ContainerRecord, problem: NotStartedError, now: str) -> None:
    """Set a record to what a container left whose process could not be started."""
    record.ready = record.started = False
    record.running = None
    record.last_state = {
        "terminated": {
            "exitCode": START_ERROR,
            "reason": "StartError",
            "message": problem.message,
            "startedAt": "1970-01-01T00:00:00Z",
            "finishedAt": now,
            "containerID": record.container_id,
        }
    }
    record.state = waiting(problem.reason, problem.message)


def termination_message(record: ContainerRecord, code: int) -> str:
    """What the container left in its terminationMessagePath, or the end of its log if the spec asks for that."""
    if record.context is None:
        return ""
    path = record.spec.get("terminationMessagePath") or "/dev/termination-log"
    with contextlib.suppress(OSError):
        text = record.context.files.read(path)[:MESSAGE_LIMIT]
        if text:
            return text.decode("utf-8", "replace")
    if code != 0 and record.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError" and record.log is not None:
        lines = [text for _, text in list(record.log.lines())[-LOG_LINES:]]
        return "\n".join(lines)[-LOG_BYTES:] + ("\n" if lines else "")
    return ""


def go_seconds(seconds: float) -> str:
    """A duration as Go prints it: `10s`, `1m20s`, `5m0s`."""
    whole = int(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"
