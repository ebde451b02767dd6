"""Resources of CustomResourceDefinitions, and what they have in common with the built-in ones."""

from __future__ import annotations

from labctl.embedded.api.columns import Columns
from labctl.embedded.api.users import User
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import tables
from labctl.embedded.kinds.resources import Resource


class CustomResources:
    """What requests need to know about a resource, wherever it is defined."""

    def columns(self, resource: Resource) -> Columns:
        """How its objects are shown as a Table."""
        return Columns(
            tables.columns(resource),
            lambda obj, now: tables.cells(resource, obj, now),
            lambda obj: tables.row_conditions(resource, obj),
        )

    def selectable(self, resource: Resource) -> frozenset[str]:
        """Fields it can be selected by, besides name and namespace."""
        return frozenset()

    def attribute(self, resource: Resource, obj: Obj, user: User) -> None:
        """Write into a new object who asked for it, where its kind records that."""
        if resource.kind == "CertificateSigningRequest" and isinstance(obj.get("spec"), dict):
            info = user.info()
            obj["spec"] |= {key: info[key] for key in ("username", "uid", "groups", "extra") if key in info}
