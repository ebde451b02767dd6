"""What a controller wants done, as values; the runner carries it out in order and stops at the first failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import DeleteOptions, Obj

NORMAL, WARNING = "Normal", "Warning"


@dataclass(frozen=True, slots=True)
class Note:
    """What an event says. `{name}` stands for the created object's name, `{error}` for the API's refusal."""

    reason: str
    message: str
    type: str = NORMAL


@dataclass(frozen=True, slots=True)
class Record:
    """Write an event about an object.

    Attributes:
        about: The involved object.
        note: What it says.
        action: What was done, for events of the new kind (`events.k8s.io`), which only the scheduler writes.
    """

    about: Obj
    note: Note
    action: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object.

    Attributes:
        resource: `plural` or `plural.group`.
        object: The object; `metadata.generateName` asks the API for a name.
        then: Event to write when it worked.
        otherwise: Event to write when the API refused.
        exists_is_fine: An object of that name that exists already is no failure.
    """

    resource: str
    object: Obj
    then: Record | None = None
    otherwise: Record | None = None
    exists_is_fine: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object, or only a subresource of it. Its resourceVersion is the one that was observed.

    An update that only confirms what was observed earlier in the same list is made on top of it.
    """

    resource: str
    object: Obj
    subresource: str = ""
    then: Record | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object; one that is gone already is no failure."""

    resource: str
    object: Obj
    options: DeleteOptions = DeleteOptions()
    then: Record | None = None
    otherwise: Record | None = None


@dataclass(frozen=True, slots=True)
class Recheck:
    """Look again at a time (seconds since the epoch), though nothing may have changed."""

    at: float


Wanted = Create | Update | Delete | Record | Recheck
Plan = Sequence[Wanted]


def update_status(resource: str, obj: Obj, new: Obj) -> list[Wanted]:
    """The update to another status; nothing when it is the status it has."""
    if obj.get("status") == new:
        return []
    return [Update(resource, {**obj, "status": new}, "status")]
