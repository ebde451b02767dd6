"""What requests need to know about a resource, wherever it is defined."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from labctl.embedded.api.columns import Columns
from labctl.embedded.api.custom.definitions import CustomKinds
from labctl.embedded.api.custom.jsonpath import JsonPathError, find, text_of
from labctl.embedded.api.custom.kinds import CustomKind
from labctl.embedded.api.users import User
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import human, tables
from labctl.embedded.kinds.resources import Resource


class CustomResources:
    """Tables, selectable fields and list kinds of every resource.

    Args:
        kinds: The custom kinds.
    """

    def __init__(self, kinds: CustomKinds) -> None:
        self._kinds = kinds

    def columns(self, resource: Resource) -> Columns:
        """How its objects are shown as a Table."""
        custom = self._kinds.get(resource)
        if custom is not None:
            return Columns(
                tables.custom_columns(list(custom.columns)), lambda obj, now: _cells(custom, obj, now), lambda obj: []
            )
        return Columns(
            tables.columns(resource),
            lambda obj, now: tables.cells(resource, obj, now),
            lambda obj: tables.row_conditions(resource, obj),
        )

    def selectable(self, resource: Resource) -> frozenset[str]:
        """Fields it can be selected by, besides name and namespace."""
        custom = self._kinds.get(resource)
        return frozenset(path.lstrip(".") for path in custom.selectable) if custom else frozenset()

    def is_custom(self, resource: Resource) -> bool:
        """Whether a CustomResourceDefinition defines it."""
        return self._kinds.get(resource) is not None

    def list_kind(self, resource: Resource) -> str:
        """The kind of its lists."""
        custom = self._kinds.get(resource)
        return custom.list_kind if custom else f"{resource.kind}List"

    def attribute(self, resource: Resource, obj: Obj, user: User) -> None:
        """Write into a new object who asked for it, where its kind records that."""
        if resource.kind == "CertificateSigningRequest" and isinstance(obj.get("spec"), dict):
            info = user.info()
            obj["spec"] |= {key: info[key] for key in ("username", "uid", "groups", "extra") if key in info}


def _cells(custom: CustomKind, obj: Obj, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], *(_cell(column, obj, now) for column in custom.columns)]


def _cell(column: Obj, obj: Obj, now: datetime) -> Any:
    try:
        found = find(column["jsonPath"], obj)
    except JsonPathError:
        return None
    value = found[0] if found else None
    if value is None:
        return None
    match column.get("type"):
        case "string":
            return text_of(value)
        case "integer" | "number":
            return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return human.age(value, now) if isinstance(value, str) else None
    return None
