"""JSON merge patches (RFC 7396) as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def inverse(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that brings `target` back after `patch` was applied to it.

    What the patch adds is removed (null), what it replaces or removes is put back. Lists are values, as in the RFC.
    Of a mapping that the patch adds only its entries are removed: others may have put theirs beside them since.
    """
    undo: dict[str, Any] = {}
    for key, value in patch.items():
        before = target.get(key)
        if isinstance(value, Mapping) and (before is None or isinstance(before, Mapping)):
            undo[key] = inverse(before or {}, value)
        else:
            undo[key] = before
    return undo
