"""The deprecated ComponentStatuses: made up for each request, stored nowhere."""

from __future__ import annotations

from functools import cache

from labctl.embedded.clientset import Obj
from labctl.embedded.store import Entry, encode

KEY = "componentstatuses"
_NAMES = ("scheduler", "controller-manager", "etcd-0")


@cache
def component_statuses() -> tuple[Entry, ...]:
    """All of them, in the real one's order: whoever can ask finds them healthy."""
    return tuple(_entry(name) for name in _NAMES)


def _entry(name: str) -> Entry:
    healthy = {"type": "Healthy", "status": "True", "message": "ok"}
    obj: Obj = {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [healthy]}
    return Entry(obj, encode(obj))
