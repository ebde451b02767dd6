"""The kinds that CustomResourceDefinitions define."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labctl.embedded.api.fields.shapes import SchemaShape
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource, storage_version_hash

_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_AGE: Obj = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": (
        "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
        "guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It "
        "is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More "
        "info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class CustomKind:
    """One version of a custom kind.

    Attributes:
        resource: How it is served.
        list_kind: Kind of its lists.
        storage_version: The version its objects are stored in.
        schema: Its structural schema; empty when it keeps everything.
        columns: `additionalPrinterColumns`, or the age when there are none.
        scale: Paths of the scale subresource (`specReplicasPath`, …); None without one.
        selectable: JSON paths of the fields it can be selected by.
        shape: How its objects are merged.
    """

    resource: Resource
    list_kind: str
    storage_version: str
    schema: Obj
    columns: tuple[Obj, ...]
    scale: Obj | None
    selectable: tuple[str, ...]
    shape: SchemaShape

    @property
    def preserves_unknown(self) -> bool:
        """Whether nothing is pruned."""
        return not self.schema


def served_kinds(definition: Obj) -> Iterator[CustomKind]:
    """The served versions of a CustomResourceDefinition, the most preferred first."""
    spec = definition["spec"]
    versions = [version for version in spec.get("versions") or () if version.get("served")]
    storage = next((v["name"] for v in spec.get("versions") or () if v.get("storage")), "")
    terminating = bool(definition["metadata"].get("deletionTimestamp"))
    for version in sorted(versions, key=lambda item: version_priority(item["name"])):
        yield _kind(spec, version, storage, terminating=terminating)


def _kind(spec: Obj, version: Obj, storage: str, *, terminating: bool) -> CustomKind:
    names = spec["names"]
    subresources = version.get("subresources") or {}
    schema: Obj = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    resource = Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        kind=names["kind"],
        namespaced=spec.get("scope") == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=tuple(verb for verb in _VERBS if not terminating or verb not in ("create", "update", "patch")),
        subresources=tuple(name for name in ("status", "scale") if name in subresources),
        storage_version_hash=storage_version_hash(spec["group"], storage, names["kind"]),
    )
    return CustomKind(
        resource=resource,
        list_kind=names.get("listKind") or f"{names['kind']}List",
        storage_version=storage,
        schema=schema,
        columns=tuple(version.get("additionalPrinterColumns") or (_AGE,)),
        scale=subresources.get("scale"),
        selectable=tuple(item["jsonPath"] for item in version.get("selectableFields") or ()),
        shape=SchemaShape(schema, root=True),
    )


def version_priority(version: str) -> tuple[Any, ...]:
    """Sorts versions as Kubernetes prefers them: v2 before v1 before v1beta2 before v1alpha1 before others.

    Source: k8s.io/apimachinery `pkg/version/helpers.go`.
    """
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (1, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (0, stage, -int(match[1]), -int(match[3] or 0))
