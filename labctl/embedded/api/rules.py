"""What is specific to kinds, as the registry sees it."""

from __future__ import annotations

from typing import Protocol

from labctl.embedded.api.fields.sets import FieldSet
from labctl.embedded.api.fields.shapes import Shape
from labctl.embedded.api.scale import ScalePaths
from labctl.embedded.clientset import Clientset, Obj
from labctl.embedded.kinds.resources import Resource


class Admission(Protocol):
    """Who is asked before a client's change is stored."""

    def mutate(self, resource: Resource, new: Obj | None, old: Obj | None, subresource: str) -> Obj | None:
        """The object as it is to be; None for a deletion. Raises ApiError."""

    def validate(self, resource: Resource, new: Obj | None, old: Obj | None, subresource: str) -> None:
        """Refuse a change. Raises ApiError."""


class Rules(Protocol):
    """Defaulting, strategies and validation of every served resource, built-in or custom."""

    def defaults(self, resource: Resource, obj: Obj) -> None:
        """Decode into the kind's canonical form and fill in defaults, in place."""

    def reorder(self, resource: Resource, obj: Obj) -> None:
        """Put the object into the form in which it is stored and sent, in place."""

    def prepare_for_create(self, resource: Resource, obj: Obj, state: Clientset) -> None:
        """Admission, allocation and what a create may not set. Raises ApiError."""

    def prepare_for_update(self, resource: Resource, new: Obj, old: Obj, state: Clientset) -> None:
        """Admission, generation, and what an update may not change. Raises ApiError."""

    def prepare_for_subresource(self, resource: Resource, new: Obj, old: Obj, subresource: str) -> None:
        """Reduce an update of a subresource to the part of the object that it may change. Raises ApiError."""

    def validate(self, resource: Resource, new: Obj, old: Obj | None) -> None:
        """Raise the 422 that a wrong object gets."""

    def admit_new(self, resource: Resource, obj: Obj, state: Clientset) -> None:
        """Refuse a valid new object that its namespace has no room for. Raises ApiError."""

    def prepare_for_delete(self, resource: Resource, name: str) -> None:
        """Refuse to delete what must live on. Raises ApiError."""

    def shape(self, resource: Resource) -> Shape:
        """How objects are merged and compared."""

    def empty(self, resource: Resource) -> Obj:
        """What an object is before anything is set."""

    def ignored_fields(self, resource: Resource, subresource: str) -> FieldSet:
        """Fields that the resource, or one of its subresources, does not write."""

    def scale_paths(self, resource: Resource) -> ScalePaths:
        """Where the scale subresource reads and writes."""

    def warnings(self, resource: Resource, obj: Obj) -> list[str]:
        """What whoever wrote a (valid) object should know."""

    def type_error(self, resource: Resource, obj: Obj) -> str:
        """Go's words for the first value of a wrong type; empty when there is none."""

    def patch_type_error(self, resource: Resource, obj: Obj) -> str:
        """The same in the words that a strategic merge patch gets."""

    def unknown_fields(self, resource: Resource, obj: Obj) -> list[str]:
        """Paths of fields that the kind does not have."""
