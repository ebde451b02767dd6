"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from labctl.embedded.api.jsonvalue import copy, equal


class PatchError(Exception):
    """The patch does not fit the object."""


def apply_json_patch(document: Any, operations: Sequence[dict[str, Any]]) -> Any:
    """The document after the operations; the argument is not changed.

    Raises:
        PatchError: A path does not exist, a test fails, an operation is unknown.
    """
    result = copy(document)
    for operation in operations:
        result = _apply(result, operation)
    return result


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    kind = operation.get("op")
    path = _pointer(operation.get("path"))
    match kind:
        case "add":
            return _add(document, path, copy(operation.get("value")))
        case "remove":
            return _remove(document, path)[0]
        case "replace":
            return _replace(document, path, copy(operation.get("value")))
        case "move":
            document, value = _remove(document, _pointer(operation.get("from")))
            return _add(document, path, value)
        case "copy":
            return _add(document, path, copy(_get(document, _pointer(operation.get("from")))))
        case "test":
            _test(document, path, operation.get("value"))
            return document
    raise PatchError(f"Unexpected kind: {kind}")


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"error in path: {text}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _missing(path: Sequence[str]) -> PatchError:
    return PatchError(f"doc is missing path: /{'/'.join(path)}: missing value")


def _index(items: list[Any], key: str, path: Sequence[str], *, end: bool = False) -> int:
    if end and key == "-":
        return len(items)
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)", key, re.ASCII):
        raise _missing(path)
    index = int(key)
    if index < 0:
        index += len(items) + end
    if not 0 <= index < len(items) + end:
        raise PatchError(f"Unable to access invalid index: {key}: invalid index referenced")
    return index


def _get(document: Any, path: Sequence[str]) -> Any:
    for key in path:
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list):
            document = document[_index(document, key, path)]
        else:
            raise _missing(path)
    return document


def _parent(document: Any, path: Sequence[str]) -> Any:
    parent = _get(document, path[:-1])
    if not isinstance(parent, (dict, list)):
        raise _missing(path)
    return parent


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, key = _parent(document, path), path[-1]
    if isinstance(parent, dict):
        parent[key] = value
    else:
        parent.insert(_index(parent, key, path, end=True), value)
    return document


def _remove(document: Any, path: Sequence[str]) -> tuple[Any, Any]:
    if not path:
        return None, document
    parent, key = _parent(document, path), path[-1]
    if isinstance(parent, list):
        return document, parent.pop(_index(parent, key, path))
    if key not in parent:
        raise PatchError(f"Unable to remove nonexistent key: {key}: missing value")
    return document, parent.pop(key)


def _replace(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, key = _parent(document, path), path[-1]
    if isinstance(parent, list):
        parent[_index(parent, key, path)] = value
    elif key in parent:
        parent[key] = value
    else:
        raise _missing(path)
    return document


def _test(document: Any, path: Sequence[str], value: Any) -> None:
    try:
        actual = _get(document, path)
    except PatchError:
        # A missing value equals null.
        if value is None:
            return
        raise
    if not equal(actual, value):
        raise PatchError(f"testing value /{'/'.join(path)} failed: test failed")


def apply_merge_patch(document: Any, patch: Any) -> Any:
    """The document after a merge patch; the argument is not changed."""
    if not isinstance(patch, dict):
        return copy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result
