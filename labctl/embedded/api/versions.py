"""Objects in the API version that a request names, which may not be the one they are stored in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labctl.embedded.api.conversion import conversion_of
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.store import Entry, encode


class Served:
    """Turns stored objects into served ones.

    Args:
        is_custom: Tells resources of CustomResourceDefinitions, whose list items carry kind and apiVersion.
        list_kinds: The list kind of a custom resource.
    """

    def __init__(self, is_custom: Callable[[Resource], bool], list_kinds: Callable[[Resource], str]) -> None:
        self._is_custom = is_custom
        self._list_kinds = list_kinds

    def is_stored_form(self, resource: Resource, obj: Obj) -> bool:
        """Whether an object is stored as this resource serves it."""
        return bool(obj["apiVersion"] == resource.api_version)

    def convert(self, resource: Resource, obj: Obj) -> Obj:
        """The object in the resource's version; the same object when it is stored so."""
        if self.is_stored_form(resource, obj):
            return obj
        return conversion_of(resource)(obj, resource.api_version)

    def to_stored(self, obj: Obj, stored: Resource) -> Obj:
        """The inverse: an object as a client wrote it, in the version it is stored in."""
        if obj.get("apiVersion") in (None, "", stored.api_version):
            return obj
        return conversion_of(stored)(obj, stored.api_version)

    def list_kind(self, resource: Resource) -> str:
        """The kind of the resource's lists."""
        return self._list_kinds(resource) if self._is_custom(resource) else f"{resource.kind}List"

    def list_object(self, resource: Resource, objects: Sequence[Obj], metadata: Obj) -> Obj:
        """A list. Items of built-in kinds have no kind and apiVersion of their own."""
        items = list(objects)
        if not self._is_custom(resource):
            items = [{key: value for key, value in obj.items() if key not in ("kind", "apiVersion")} for obj in items]
            head: Obj = {"kind": self.list_kind(resource), "apiVersion": resource.api_version}
            return head | {"metadata": metadata, "items": items}
        return {
            "apiVersion": resource.api_version,
            "items": items,
            "kind": self.list_kind(resource),
            "metadata": metadata,
        }

    def list_bytes(self, resource: Resource, entries: Sequence[Entry], metadata: Obj) -> bytes:
        """The list as compact JSON, put together from the objects' own; empty when it cannot be."""
        if self._is_custom(resource):
            return b""
        prefix = encode({"kind": resource.kind, "apiVersion": resource.api_version})[:-1] + b","
        skip = len(prefix)
        items: list[bytes] = []
        for entry in entries:
            if not entry.data.startswith(prefix):
                return b""
            items.append(b"{" + entry.data[skip:])
        head = encode({"kind": self.list_kind(resource), "apiVersion": resource.api_version, "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(items) + b"]}"
