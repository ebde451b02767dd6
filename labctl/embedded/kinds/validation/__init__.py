"""What makes an object invalid, in the API server's words."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid
from labctl.embedded.kinds.resources import Resource

__all__ = ["Cause", "invalid", "validate"]


def validate(resource: Resource, obj: Obj, old: Obj | None) -> list[Cause]:
    """All faults of a new object, or of a change of `old`; both defaulted and prepared by the strategy."""
    return []
