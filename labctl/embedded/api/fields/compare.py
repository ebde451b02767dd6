"""Which fields differ between two objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from labctl.embedded.api.fields.sets import EMPTY, FieldSet, node, without_subtrees
from labctl.embedded.api.fields.shapes import Form, Shape, element_key, form_of
from labctl.embedded.api.jsonvalue import equal


class _Absent:
    """There is no such value (null is one)."""


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The fields that the second object lacks, has changed, and has added."""

    removed: FieldSet
    modified: FieldSet
    added: FieldSet

    def without(self, ignored: FieldSet) -> Comparison:
        """The same without some fields and all that is below them."""
        return Comparison(*(without_subtrees(part, ignored) for part in (self.removed, self.modified, self.added)))


def compare(old: Any, new: Any, shape: Shape) -> Comparison:
    """Compare two objects of a shape."""
    removed, modified, added = (tree or EMPTY for tree in _compare(old, new, shape))
    return Comparison(removed, modified, added)


_Trees = tuple[FieldSet | None, FieldSet | None, FieldSet | None]
_NOTHING: _Trees = (None, None, None)


def _compare(old: Any, new: Any, shape: Shape) -> _Trees:
    """The nodes at two values' place in the three sets."""
    form = form_of(shape, old, new)
    if form in (Form.SCALAR, Form.ATOMIC) or (not _filled(old) and not _filled(new)):
        return _leaf(old, new)
    if form is Form.MAP and (_fits(old, dict) and _fits(new, dict)):
        return _inner(old, new, _map_pairs(old, new, shape))
    if form in (Form.KEYED_LIST, Form.SET) and _fits(old, list) and _fits(new, list):
        return _inner(old, new, _list_pairs(old, new, shape))
    return _leaf(old, new)


def _inner(old: Any, new: Any, pairs: Iterator[tuple[str, Any, Any, Shape]]) -> _Trees:
    removed: FieldSet = {}
    modified: FieldSet = {}
    added: FieldSet = {}
    for key, before, after, shape in pairs:
        if before is after:
            continue
        for tree, child in zip((removed, modified, added), _compare(before, after, shape), strict=True):
            if child is not None:
                tree[key] = child
    return (
        node(removed, member=new is ABSENT),
        node(modified, member=False),
        node(added, member=old is ABSENT),
    )


def _map_pairs(old: Any, new: Any, shape: Shape) -> Iterator[tuple[str, Any, Any, Shape]]:
    before, after = _dict(old), _dict(new)
    for key in {**before, **after}:
        yield f"f:{key}", before.get(key, ABSENT), after.get(key, ABSENT), shape.child(key)


def _list_pairs(old: Any, new: Any, shape: Shape) -> Iterator[tuple[str, Any, Any, Shape]]:
    before, after = _by_key(old, shape), _by_key(new, shape)
    for key in {**before, **after}:
        yield key, before.get(key, ABSENT), after.get(key, ABSENT), shape.element()


def _leaf(old: Any, new: Any) -> _Trees:
    if old is ABSENT:
        return (None, None, {}) if new is not ABSENT else _NOTHING
    if new is ABSENT:
        return {}, None, None
    return _NOTHING if equal(old, new) else (None, {}, None)


def _filled(value: Any) -> bool:
    return isinstance(value, (dict, list)) and bool(value)


def _fits(value: Any, kind: type) -> bool:
    return value is ABSENT or value is None or isinstance(value, kind)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _by_key(value: Any, shape: Shape) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in value if isinstance(value, list) else ():
        key = element_key(shape, item)
        if key is not None:
            found[key] = item
    return found
