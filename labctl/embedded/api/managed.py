"""metadata.managedFields: which manager set which field.

Source: k8s.io/apimachinery v0.34.4 `pkg/util/managedfields` and sigs.k8s.io/structured-merge-diff v6 `merge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from labctl.embedded.api.fields import sets
from labctl.embedded.api.fields.compare import compare
from labctl.embedded.api.fields.sets import FieldSet
from labctl.embedded.api.fields.shapes import Shape
from labctl.embedded.api.objectmeta import timestamp
from labctl.embedded.clientset import Obj

_MAX_UPDATERS = 10
_ANCIENT = "ancient-changes"
_NEVER_OWNED = sets.of_paths(
    ("apiVersion",),
    ("kind",),
    ("metadata",),
    *(
        ("metadata", name)
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Manager:
    """An entry of managedFields.

    Attributes:
        name: The field manager.
        operation: `Apply` or `Update`.
        api_version: The version its fields are named in.
        subresource: The subresource it writes; empty for the object itself.
        time: When it last changed a field; empty when that is not known.
        fields: What it owns.
    """

    name: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: FieldSet

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from other entries: an applier keeps its entry when the version changes."""
        return self.name, self.operation, "" if self.operation == "Apply" else self.api_version, self.subresource

    def entry(self) -> Obj:
        """As it stands in managedFields."""
        result: Obj = {"manager": self.name, "operation": self.operation, "apiVersion": self.api_version}
        if self.time:
            result["time"] = self.time
        result |= {"fieldsType": "FieldsV1", "fieldsV1": sets.ordered(self.fields)}
        if self.subresource:
            result["subresource"] = self.subresource
        return result

    @property
    def title(self) -> str:
        """As conflict messages name it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


def decode(entries: Any) -> list[Manager]:
    """The managers of a managedFields list; none when it is not in order."""
    managers: list[Manager] = []
    for entry in entries or ():
        fields = entry.get("fieldsV1")
        if entry.get("operation") not in ("Apply", "Update") or not entry.get("apiVersion"):
            return []
        if entry.get("fieldsType") != "FieldsV1":
            return []
        managers.append(
            Manager(
                entry.get("manager", ""),
                entry["operation"],
                entry["apiVersion"],
                entry.get("subresource", ""),
                entry.get("time") or "",
                fields if isinstance(fields, dict) else {},
            )
        )
    return managers


def encode(managers: Sequence[Manager]) -> list[Obj]:
    """The managedFields list, in its order."""
    order = sorted(managers, key=lambda m: (m.operation, m.time, m.name, m.api_version, m.subresource))
    return [manager.entry() for manager in order]


def stripped(fields: FieldSet) -> FieldSet:
    """A set without the fields that nobody owns."""
    return sets.difference(fields, _NEVER_OWNED)


def base(new: Obj, old: Obj | None, *, subresource: bool) -> list[Manager]:
    """The managers before a change: as the client wrote them, where it may, or else as they are stored."""
    live = decode((old or {}).get("metadata", {}).get("managedFields"))
    if subresource:
        return live
    given = new["metadata"].get("managedFields")
    # `managedFields: []` or `[{}]` resets them.
    if given is not None and (not given or given == [{}]):
        return []
    return decode(given) or live


@dataclass(frozen=True, slots=True)
class Update:
    """Who makes a change, through which endpoint, and when.

    Attributes:
        manager: Field manager.
        api_version: Version of the request.
        subresource: Subresource of the request; else empty.
        now: The time.
        ignored: Fields that this endpoint does not write.
    """

    manager: str
    api_version: str
    subresource: str
    now: datetime
    ignored: FieldSet


def after_update(shape: Shape, new: Obj, old: Obj | None, empty: Obj, update: Update) -> list[Obj]:
    """The managedFields of an object after an update (or create, patch) of it.

    Args:
        shape: The kind's shape.
        new: The object as it is to be; its managedFields are those of the request.
        old: The stored object; None when it is created.
        empty: What an object of the kind is before anything is set.
        update: Who changes it.
    """
    managers = base(new, old, subresource=bool(update.subresource))
    difference = compare(bare(old or empty), bare(new), shape).without(update.ignored)
    changed = sets.union(difference.modified, difference.added)
    lost = sets.union(changed, difference.removed)
    kept = [replace(manager, fields=_less(manager.fields, lost)) for manager in managers] if lost else managers
    mine = stripped(changed)
    if mine:
        kept = _add(kept, mine, update)
    kept = [manager for manager in kept if manager.fields]
    return encode(_capped(kept))


def _less(fields: FieldSet, lost: FieldSet) -> FieldSet:
    return sets.difference(fields, lost) if sets.intersection(fields, lost) else fields


def _add(managers: Sequence[Manager], fields: FieldSet, update: Update) -> list[Manager]:
    name = update.manager or "unknown"
    mine = Manager(name, "Update", update.api_version, update.subresource, timestamp(update.now), fields)
    result: list[Manager] = []
    for manager in managers:
        if manager.key == mine.key:
            mine = replace(mine, fields=sets.union(manager.fields, mine.fields))
        else:
            result.append(manager)
    return [*result, mine]


def _capped(managers: list[Manager]) -> list[Manager]:
    """Put the oldest updaters of a version together when there are too many."""
    updaters = sorted((m for m in managers if m.operation == "Update"), key=lambda m: (m.time, m.key))
    excess = len(updaters) - _MAX_UPDATERS
    if excess <= 0:
        return managers
    old = updaters[: excess + 1]
    version = old[0].api_version
    old = [manager for manager in old if manager.api_version == version]
    merged = old[0]
    for manager in old[1:]:
        merged = replace(merged, fields=sets.union(merged.fields, manager.fields), time=manager.time)
    bucket = replace(merged, name=_ANCIENT, subresource="")
    return [manager for manager in managers if manager not in old] + ([bucket] if len(old) > 1 else old)


def bare(obj: Obj) -> Obj:
    """The object without its managedFields, which own nothing themselves."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}
