"""Pods that ran before the daemon stopped: what their containers' records are after a node has rebooted."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.kubelet.record import ContainerRecord, records_of, waiting
from labctl.embedded.kubelet.settings import Settings

UNKNOWN_EXIT = 255
"""Exit code of a container whose end nobody saw."""


def restored_records(pod: Obj, settings: Settings) -> list[ContainerRecord]:
    """Records whose next start counts as a restart, as after a reboot of the node."""
    status = pod.get("status") or {}
    entries = {
        item["name"]: item for key in ("initContainerStatuses", "containerStatuses") for item in status.get(key) or []
    }
    records = records_of(pod)
    for record in records:
        if record.name in entries:
            _restore(record, entries[record.name], settings)
    return records


def _restore(record: ContainerRecord, entry: Obj, settings: Settings) -> None:
    record.restarts = entry.get("restartCount", 0)
    record.container_id = entry.get("containerID", "")
    record.image = entry.get("image", record.image)
    record.image_id = entry.get("imageID", "")
    record.last_state = entry.get("lastState") or {}
    state = entry.get("state") or {}
    if "terminated" in state:
        record.last_state = {"terminated": state["terminated"]}
    elif "running" in state:
        record.last_state = {
            "terminated": {
                "exitCode": UNKNOWN_EXIT,
                "reason": "Unknown",
                "startedAt": state["running"].get("startedAt"),
                "finishedAt": settings.timestamp(),
                "containerID": record.container_id,
            }
        }
    if record.container_id:
        record.state = waiting("ContainerCreating")
