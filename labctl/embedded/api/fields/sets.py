"""Sets of field paths, in the form of `fieldsV1`.

A set is a tree of dicts. Keys are path elements: `f:name` for a field, `k:{"name":"c"}` for the list element with those
keys, `v:"x"` for a set's element. A node is a member when it is empty or holds `.`; other keys are what is below it.
The root is no member: an empty root is the empty set. Trees are never changed once they are made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from labctl.embedded.store import encode

FieldSet = dict[str, Any]

SELF = "."
EMPTY: FieldSet = {}


def is_member(node: FieldSet) -> bool:
    """Whether a node (not the root) is in the set itself."""
    return not node or SELF in node


def _children(node: FieldSet) -> Iterator[tuple[str, FieldSet]]:
    return ((key, child) for key, child in node.items() if key != SELF)


def node(children: FieldSet, *, member: bool) -> FieldSet | None:
    """A node made of its parts; None when nothing is in it."""
    if not children:
        return {} if member else None
    return {SELF: {}, **children} if member else children


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """The paths of either set."""
    if not left or not right:
        return left or right
    result = dict(_children(left))
    for key, child in _children(right):
        result[key] = _union_nodes(result[key], child) if key in result else child
    return result


def _union_nodes(left: FieldSet, right: FieldSet) -> FieldSet:
    merged = union(_below(left), _below(right))
    return node(merged, member=is_member(left) or is_member(right)) or {}


def _below(tree: FieldSet) -> FieldSet:
    return {key: child for key, child in tree.items() if key != SELF} if SELF in tree else tree


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """The paths of the left set that are not in the right one."""
    return _combine(left, right, keep_common=False)


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """The paths of both sets."""
    return _combine(left, right, keep_common=True)


def _combine(left: FieldSet, right: FieldSet, *, keep_common: bool) -> FieldSet:
    result: FieldSet = {}
    for key, child in _children(left):
        other = right.get(key)
        if other is None:
            if not keep_common:
                result[key] = child
            continue
        member = is_member(child) and is_member(other) is keep_common
        kept = node(_combine(child, other, keep_common=keep_common), member=member)
        if kept is not None:
            result[key] = kept
    return result


def without_subtrees(tree: FieldSet, roots: FieldSet) -> FieldSet:
    """The set without the members of `roots` and all that is below them."""
    result: FieldSet = {}
    for key, child in _children(tree):
        root = roots.get(key)
        if root is None:
            result[key] = child
        elif not is_member(root):
            kept = node(without_subtrees(child, root), member=is_member(child))
            if kept is not None:
                result[key] = kept
    return result


def of_paths(*paths: tuple[str, ...]) -> FieldSet:
    """A set of paths made of field names."""
    result: FieldSet = {}
    for path in paths:
        tree: FieldSet = {}
        for name in reversed(path):
            tree = {f"f:{name}": tree}
        result = union(result, tree)
    return result


def paths(tree: FieldSet, prefix: str = "") -> Iterator[str]:
    """The members as people write them: `.spec.containers[name="c"].image`."""
    for key, child in sorted(_children(tree)):
        path = prefix + element_text(key)
        if is_member(child):
            yield path
        yield from paths(child, path)


def element_text(key: str) -> str:
    """A path element as `PathElement.String` writes it."""
    kind, _, value = key.partition(":")
    if kind == "f":
        return f".{value}"
    if kind == "v":
        return f"[={value}]"
    pairs = json.loads(value)
    return "[" + ",".join(f"{name}={encode(pairs[name]).decode()}" for name in sorted(pairs)) + "]"


def ordered(tree: FieldSet) -> FieldSet:
    """The same set with its keys in the order in which they are written."""
    return {key: ordered(tree[key]) for key in sorted(tree)}
