"""Reading and rebuilding Kubernetes objects, which are shared and therefore never changed in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from labctl.embedded.clientset import Obj

Key = tuple[str, ...]
"""What a controller works on: usually (namespace, name)."""


def name(obj: Obj) -> str:
    """`metadata.name`."""
    found: str = obj["metadata"].get("name", "")
    return found


def namespace(obj: Obj) -> str:
    """`metadata.namespace`; empty for cluster-scoped objects."""
    found: str = obj["metadata"].get("namespace", "")
    return found


def uid(obj: Obj) -> str:
    """`metadata.uid`."""
    found: str = obj["metadata"].get("uid", "")
    return found


def key(obj: Obj) -> Key:
    """(namespace, name)."""
    return namespace(obj), name(obj)


def labels(obj: Obj) -> Mapping[str, str]:
    """`metadata.labels`, perhaps empty."""
    found: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return found


def annotations_of(obj: Obj) -> Mapping[str, str]:
    """`metadata.annotations`, perhaps empty."""
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def finalizers(obj: Obj) -> list[str]:
    """`metadata.finalizers`, perhaps empty."""
    found: list[str] = obj["metadata"].get("finalizers") or []
    return found


def generation(obj: Obj) -> int:
    """`metadata.generation`; 0 for kinds without one."""
    found: int = obj["metadata"].get("generation", 0)
    return found


def spec(obj: Obj) -> Obj:
    """`spec`, perhaps empty."""
    found: Obj = obj.get("spec") or {}
    return found


def status(obj: Obj) -> Obj:
    """`status`, perhaps empty."""
    found: Obj = obj.get("status") or {}
    return found


def deleting(obj: Obj) -> bool:
    """Whether deletion was asked for and has not ended."""
    return "deletionTimestamp" in obj["metadata"]


def created(obj: Obj) -> float:
    """`metadata.creationTimestamp` as seconds since the epoch."""
    return parse_time(obj["metadata"].get("creationTimestamp"))


def owner_references(obj: Obj) -> list[Obj]:
    """`metadata.ownerReferences`, perhaps empty."""
    found: list[Obj] = obj["metadata"].get("ownerReferences") or []
    return found


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference that says `controller: true`."""
    return next((reference for reference in owner_references(obj) if reference.get("controller")), None)


def controller_reference(owner: Obj) -> Obj:
    """The owner reference a controller puts on what it creates for `owner`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def with_metadata(obj: Obj, **changes: Any) -> Obj:
    """A copy whose metadata has these fields; None removes a field."""
    metadata = {**obj["metadata"], **changes}
    return {**obj, "metadata": {field: value for field, value in metadata.items() if value is not None}}


def with_annotations(obj: Obj, changes: Mapping[str, str]) -> Obj:
    """A copy with these annotations added or replaced."""
    return with_metadata(obj, annotations={**annotations_of(obj), **changes})


def with_spec(obj: Obj, **changes: Any) -> Obj:
    """A copy whose spec has these fields."""
    return {**obj, "spec": {**spec(obj), **changes}}


def with_status(obj: Obj, new: Obj) -> Obj:
    """A copy with another status."""
    return {**obj, "status": new}


def without_finalizer(obj: Obj, finalizer: str) -> Obj:
    """A copy without one finalizer."""
    left = [entry for entry in finalizers(obj) if entry != finalizer]
    return with_metadata(obj, finalizers=left or None)


def condition(conditions: Iterable[Obj] | None, type_: str) -> Obj | None:
    """The condition of one type."""
    return next((entry for entry in conditions or () if entry.get("type") == type_), None)


def condition_of(obj: Obj, type_: str) -> Obj | None:
    """The condition of one type in the object's status."""
    return condition(status(obj).get("conditions"), type_)


def is_true(entry: Obj | None) -> bool:
    """Whether a condition exists and is True."""
    return entry is not None and entry.get("status") == "True"


def parse_time(text: str | None) -> float:
    """RFC 3339 as seconds since the epoch; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def rfc3339(seconds: float) -> str:
    """`metav1.Time`: whole seconds, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """`metav1.MicroTime`: microseconds, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
