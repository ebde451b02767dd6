"""Merging what is applied into an object, and taking out what is applied no longer."""

from __future__ import annotations

from collections import deque
from typing import Any

from labctl.embedded.api.fields.compare import ABSENT
from labctl.embedded.api.fields.sets import SELF, FieldSet, element_text, is_member, node
from labctl.embedded.api.fields.shapes import Form, Shape, element_key, form_of
from labctl.embedded.clientset import Obj


class DuplicateKeysError(ValueError):
    """An applied list has two elements of the same keys; the text is the API server's."""


def field_set(value: Obj, shape: Shape) -> FieldSet:
    """The fields that an object sets."""
    return _fields_of(value, shape) or {}


def _fields_of(value: Any, shape: Shape) -> FieldSet | None:
    """The node of a value, without saying whether the value itself is a member (unless it is a leaf)."""
    form = form_of(shape, value)
    if form is Form.MAP and isinstance(value, dict):
        return _fields_of_map(value, shape)
    if form in (Form.KEYED_LIST, Form.SET) and isinstance(value, list):
        return _fields_of_list(value, shape)
    return None if form in (Form.MAP, Form.KEYED_LIST, Form.SET) else {}


def _fields_of_map(value: Obj, shape: Shape) -> FieldSet | None:
    children: FieldSet = {}
    for key, item in value.items():
        below = _fields_of(item, shape.child(key))
        empty = item is None or item == {}
        # What a free map holds belongs to its keys' owners; declared fields only to those of their leaves.
        member = below == {} or empty or not shape.is_field(key)
        found = node({name: child for name, child in (below or {}).items() if name != SELF}, member=member)
        if found is not None:
            children[f"f:{key}"] = found
    return children or None


def _fields_of_list(value: list[Any], shape: Shape) -> FieldSet | None:
    children: FieldSet = {}
    for item in value:
        key = element_key(shape, item)
        if key is not None:
            below = _fields_of(item, shape.element()) or {}
            children[key] = node({name: child for name, child in below.items() if name != SELF}, member=True) or {}
    return children or None


def merge(live: Any, applied: Any, shape: Shape) -> Any:
    """The live object with everything that is applied in it; shared where nothing changes.

    Raises:
        DuplicateKeysError: An applied list has two elements of the same keys.
    """
    if applied is ABSENT:
        return live
    form = form_of(shape, live, applied)
    if form is Form.MAP and isinstance(applied, dict) and applied:
        before = live if isinstance(live, dict) else {}
        result = dict(before)
        for key, value in applied.items():
            result[key] = merge(before.get(key, ABSENT), value, shape.child(key))
        return result
    if form in (Form.KEYED_LIST, Form.SET) and isinstance(applied, list) and applied:
        return _merge_list(live if isinstance(live, list) else [], applied, shape)
    if live is not ABSENT and not applied and form in (Form.MAP, Form.KEYED_LIST, Form.SET) and live:
        # An empty applied map or list claims nothing.
        return live
    return applied


def _merge_list(live: list[Any], applied: list[Any], shape: Shape) -> list[Any]:
    """Live elements keep their order, applied ones theirs; where they meet, what is applied leads."""
    wanted = _indexed(applied, shape)
    present = {key: item for item in live if (key := element_key(shape, item)) is not None}
    left = deque((element_key(shape, item), item) for item in live)
    right = deque(wanted)
    shared = deque(key for key in wanted if key in present)
    result: list[Any] = []
    done: set[str] = set()
    while left or right:
        key = left[0][0] if left else None
        if left and key not in wanted:
            result.append(left.popleft()[1])
            continue
        if left and right and key != right[0] and shared and shared[0] != key:
            # It is applied too, but further down: it comes in its place there.
            left.popleft()
            continue
        if left and (key in done or (right and key == right[0])):
            left.popleft()
        if right:
            taken = right.popleft()
            done.add(taken)
            result.append(merge(present.get(taken, ABSENT), wanted[taken], shape.element()))
            if shared and shared[0] == taken:
                shared.popleft()
    return result


def _indexed(items: list[Any], shape: Shape) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        key = element_key(shape, item)
        if key is None:
            required = shape.keys()
            names = " ".join(f'"{name}"' for name in required)
            text = f"associative list with keys has an element that omits all key fields [{names}]"
            raise DuplicateKeysError(f"{text} (and doesn't have default values for any key fields)")
        if key in found:
            raise DuplicateKeysError(f"duplicate entries for key {element_text(key)}")
        found[key] = item
    return found


def without(value: Any, removed: FieldSet, shape: Shape) -> Any:
    """The value without the fields of a set; ABSENT when nothing remains of a list or map."""
    form = form_of(shape, value)
    if form is Form.MAP and isinstance(value, dict):
        return _without_map(value, removed, shape)
    if form in (Form.KEYED_LIST, Form.SET) and isinstance(value, list):
        return _without_list(value, removed, shape)
    return value


def _without_map(value: Obj, removed: FieldSet, shape: Shape) -> Any:
    result: Obj = {}
    for key, item in value.items():
        below = removed.get(f"f:{key}")
        if below is not None and is_member(below):
            continue
        kept = without(item, below, shape.child(key)) if below else item
        if kept is not ABSENT:
            result[key] = kept
    return result if result or not value else ABSENT


def _without_list(value: list[Any], removed: FieldSet, shape: Shape) -> Any:
    result: list[Any] = []
    for item in value:
        below = removed.get(element_key(shape, item) or "")
        if below is not None and is_member(below):
            continue
        kept = without(item, below, shape.element()) if below else item
        if kept is not ABSENT:
            result.append(kept)
    return result if result or not value else ABSENT


def with_named_fields(tree: FieldSet, shape: Shape) -> FieldSet:
    """The set with every declared field in it that holds a member of the set."""
    result: FieldSet = {}
    for key, child in tree.items():
        if key == SELF:
            continue
        kind, _, name = key.partition(":")
        below = shape.child(name) if kind == "f" else shape.element()
        member = is_member(child) or (kind == "f" and shape.is_field(name))
        found = node(with_named_fields(child, below), member=member)
        if found is not None:
            result[key] = found
    return result
