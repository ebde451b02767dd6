"""metadata.managedFields: which manager set which field."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource


@dataclass(frozen=True, slots=True)
class Update:
    """Who makes a change, through which endpoint, and when."""

    manager: str
    api_version: str
    subresource: str
    now: datetime


def after_update(resource: Resource, new: Obj, old: Obj | None, update: Update) -> list[Obj]:
    """The managedFields of `new`."""
    return list((old or {}).get("metadata", {}).get("managedFields") or [])
