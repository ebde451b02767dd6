"""Changes that a lab makes for a while, and how they are taken back: at its end, or at the start of the next run.

The way back is kept in an annotation of the changed object, written in the same request as the change: a run that was
killed leaves nothing that the next one could not put right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labctl.objects.manifests import Obj

UNDO = "labctl.dev/undo"
"""Annotation that holds the JSON merge patch which takes a lab's changes back."""

Patch = dict[str, Any]


def patch_with_undo(live: Obj, patch: Mapping[str, Any]) -> Patch:
    """The merge patch to send: the wanted one, and the annotation with the way back.

    Args:
        live: The object as it is; where a change has been made already, the first way back is kept and widened.
        patch: JSON merge patch (RFC 7396).
    """
    earlier = undo_of(live) or {}
    undo = merge(inverse(live, patch), earlier)
    annotation = {"metadata": {"annotations": {UNDO: json.dumps(undo, sort_keys=True, separators=(",", ":"))}}}
    return merge(dict(patch), annotation)


def undo_of(live: Obj) -> Patch | None:
    """The merge patch that takes a lab's changes back and removes the annotation; None where there are none."""
    text = (live["metadata"].get("annotations") or {}).get(UNDO)
    if text is None:
        return None
    try:
        undo = json.loads(text)
    except ValueError:
        undo = {}
    base = undo if isinstance(undo, dict) else {}
    return merge(base, {"metadata": {"annotations": {UNDO: None}}})


def inverse(live: Mapping[str, Any], patch: Mapping[str, Any]) -> Patch:
    """The merge patch that restores every value of `live` that `patch` would change."""
    result: Patch = {}
    for key, value in patch.items():
        before = live.get(key)
        if isinstance(value, Mapping) and (before is None or isinstance(before, Mapping)):
            result[key] = inverse(before or {}, value)
        else:
            result[key] = before
    return result


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Patch:
    """Two merge patches as one that does what both do in turn; nulls stay, for they delete."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        is_nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merge(below, value) if is_nested and isinstance(below, Mapping) else value
    return result
