"""JSON values as Kubernetes objects are made of: copies, comparison, ordering of the well-known keys."""

from __future__ import annotations

from typing import Any

from labctl.embedded.clientset import Obj

_METADATA_ORDER = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)


def copy(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copy(item) if isinstance(item, (dict, list)) else item for key, item in value.items()}
    if isinstance(value, list):
        return [copy(item) if isinstance(item, (dict, list)) else item for item in value]
    return value


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same, telling true from 1 (which Python does not)."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(item, right[key]) for key, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right) and type(left) is type(right)


def ordered(obj: Obj, kind: str, api_version: str) -> Obj:
    """The object with kind, apiVersion and metadata first and the metadata's keys in the order of ObjectMeta."""
    metadata = obj.get("metadata") or {}
    result: Obj = {"kind": kind, "apiVersion": api_version}
    arranged = {key: metadata[key] for key in _METADATA_ORDER if key in metadata}
    arranged.update(metadata)
    result["metadata"] = arranged
    for key, value in obj.items():
        if key not in result:
            result[key] = value
    # `status` is last in every built-in type.
    if "status" in result:
        result["status"] = result.pop("status")
    return result
