"""Objects as Tables and as their metadata alone, as kubectl and metadata clients ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from labctl.embedded.api.columns import Columns
from labctl.embedded.clientset import Obj

TRANSFORMS = frozenset({"Table", "PartialObjectMetadata", "PartialObjectMetadataList"})
_GROUP_VERSION = "meta.k8s.io/"


def partial(obj: Obj, version: str) -> Obj:
    """The object's metadata as a PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": _GROUP_VERSION + (version or "v1"),
        "metadata": obj["metadata"],
    }


def partial_list(objects: Sequence[Obj], metadata: Obj, version: str) -> Obj:
    """A list of metadata."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": _GROUP_VERSION + (version or "v1"),
        "metadata": metadata,
        "items": [partial(obj, version) for obj in objects],
    }


def table(
    columns: Columns,
    objects: Sequence[Obj],
    metadata: Obj,
    version: str,
    include: str,
    now: datetime,
    *,
    header: bool = True,
) -> Obj:
    """A Table of objects.

    Args:
        columns: How to show them.
        objects: The rows.
        metadata: The list's metadata (or that of the one object).
        version: `v1` or `v1beta1`.
        include: `includeObject`: `Metadata` (also when empty), `Object` or `None`.
        now: What ages are counted to.
        header: Whether to say what the columns are (a watch says it once).
    """
    return {
        "kind": "Table",
        "apiVersion": _GROUP_VERSION + (version or "v1"),
        "metadata": metadata,
        "columnDefinitions": columns.definitions if header else None,
        "rows": [_row(columns, obj, include, version, now) for obj in objects],
    }


def _row(columns: Columns, obj: Obj, include: str, version: str, now: datetime) -> Obj:
    row: dict[str, Any] = {"cells": columns.cells(obj, now)}
    conditions = columns.conditions(obj)
    if conditions:
        row["conditions"] = conditions
    if include == "Object":
        row["object"] = obj
    elif include == "None":
        row["object"] = None
    else:
        row["object"] = partial(obj, version)
    return row
