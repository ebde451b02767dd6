"""Strategic merge patch: merges lists by the keys that their types declare.

Source: k8s.io/apimachinery v0.34.4 `pkg/util/strategicpatch`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from labctl.embedded.api.errors import GenericError, bad_request
from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds.wire import Field, Struct

_DIRECTIVE = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_PREFIX = "$deleteFromPrimitiveList"
_ORDER_PREFIX = "$setElementOrder"

_Items = list[Any]


def apply_strategic_patch(obj: Obj, patch: Obj, struct: Struct) -> Obj:
    """The object after the patch; the arguments are not changed.

    Raises:
        ApiError: 400, the patch has not the form it must have.
    """
    return _merge_map(copy(obj), copy(patch), struct)


def _failure(message: str) -> ApiError:
    """A patch that cannot be applied for a reason that the API server has no name for.

    The real one answers 500 with these words; here the fault is the client's, and so is the code.
    """
    return ApiError(400, "", message)


def _bad_list(directive: str) -> ApiError:
    words = {
        _DELETE_PREFIX: "invalid patch format of primitive list",
        _ORDER_PREFIX: "invalid patch format of setElementOrder list",
        _RETAIN_KEYS: "invalid patch format of retainKeys",
    }
    return bad_request(words[directive])


def _merge_map(original: Obj, patch: Obj, struct: Struct | None) -> Obj:
    if _DIRECTIVE in patch:
        return _whole_map(patch)
    _retain_keys(original, patch)
    _set_element_orders(original, patch, struct)
    for key, value in patch.items():
        if key.startswith(_DELETE_PREFIX):
            _delete_from_list(original, key, value)
        elif value is None:
            original.pop(key, None)
        else:
            _merge_field(original, key, value, struct)
    return original


def _whole_map(patch: Obj) -> Obj:
    directive = patch.pop(_DIRECTIVE)
    if directive == "replace":
        return patch
    if directive == "delete":
        return {}
    raise _failure(f"unknown patch type: {directive} in map: {shown(patch)}")


def _merge_field(original: Obj, key: str, value: Any, struct: Struct | None) -> None:
    present = original.get(key)
    if key not in original or type(present) is not type(value):
        kept, keep = _without_directives(_without_nulls(value))
        if keep:
            original[key] = kept
        else:
            original.pop(key, None)
    elif isinstance(value, dict):
        field = _field(struct, key)
        if field and "replace" in _strategies(field):
            original[key] = value
        else:
            original[key] = _merge_map(present if isinstance(present, dict) else {}, value, _map_struct(field))
    elif isinstance(value, list):
        original[key] = _merge_list_field(present if isinstance(present, list) else [], value, _field(struct, key))
    else:
        original[key] = value


def _strategies(field: Field | None) -> Sequence[str]:
    return field.patch_strategy.split(",") if field and field.patch_strategy else ()


def _field(struct: Struct | None, key: str) -> Field | None:
    return struct.by_name.get(key) if struct else None


def _map_struct(field: Field | None) -> Struct | None:
    return field.type.struct if field else None


def _element_struct(field: Field | None) -> Struct | None:
    return field.type.element.struct if field and field.type.element else None


def _retain_keys(original: Obj, patch: Obj) -> None:
    if _RETAIN_KEYS not in patch:
        return
    retained = patch.pop(_RETAIN_KEYS)
    if not isinstance(retained, list):
        raise _bad_list(_RETAIN_KEYS)
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE_PREFIX, _ORDER_PREFIX)) and key not in retained:
            raise _bad_list(_RETAIN_KEYS)
    for key in [key for key in original if key not in retained]:
        del original[key]


def _delete_from_list(original: Obj, key: str, values: Any) -> None:
    name = _suffix(key, _DELETE_PREFIX)
    present = original.get(name)
    if not isinstance(values, list):
        raise _bad_list(_DELETE_PREFIX)
    if isinstance(present, list):
        original[name] = [item for item in present if item not in values]


def _suffix(key: str, prefix: str) -> str:
    head, slash, name = key.partition("/")
    if not slash or head != prefix:
        raise _bad_list(prefix)
    return name


def _set_element_orders(original: Obj, patch: Obj, struct: Struct | None) -> None:
    """Merge the lists that come with a `$setElementOrder`, and put them into that order."""
    for key in [key for key in patch if key.startswith(_ORDER_PREFIX)]:
        order = patch.pop(key)
        name = _suffix(key, _ORDER_PREFIX)
        if not isinstance(order, list):
            raise _bad_list(_ORDER_PREFIX)
        before, change = original.get(name), patch.get(name)
        if before is None and change is None:
            continue
        field = _field(struct, name)
        merge_key = field.merge_key if field else ""
        merged = _ordered_merge(before, change, field)
        patch.pop(name, None)
        mine, others = _partition(merged, order, merge_key)
        original[name] = _interleave(mine, others, order, before or [], merge_key)


def _ordered_merge(before: Any, change: Any, field: Field | None) -> _Items:
    for value in (before, change):
        if value is not None and not isinstance(value, list):
            raise _bad_list(_ORDER_PREFIX)
    if change is None:
        return list(before)
    if before is None:
        kept, _ = _without_directives(_without_nulls(change))
        return list(kept)
    return _merge_list_field(before, change, field)


def _merge_list_field(original: _Items, patch: _Items, field: Field | None) -> _Items:
    if "merge" not in _strategies(field):
        return patch
    assert field is not None
    if not original and not patch:
        return original
    if any(isinstance(item, list) for item in (*original, *patch)):
        raise GenericError(422, "Invalid", "the server rejected our request due to an error in our request")
    if not any(isinstance(item, dict) for item in (*original, *patch)):
        return _merge_scalars(original, patch)
    return _merge_objects(original, patch, field.merge_key, _element_struct(field))


def _merge_scalars(original: _Items, patch: _Items) -> _Items:
    merged = list(dict.fromkeys([*original, *patch]))
    mine, others = _partition(merged, patch, "")
    return _interleave(mine, others, patch, original, "")


def _merge_objects(original: _Items, patch: _Items, merge_key: str, struct: Struct | None) -> _Items:
    if not merge_key:
        raise _failure(f"cannot merge lists without merge key for {struct.name if struct else ''}")
    original, patch = _special_elements(original, patch, merge_key)
    merged = list(original)
    for item in patch:
        at = _find(merged, _key_of(item, merge_key), merge_key)
        if at >= 0:
            merged[at] = _merge_map(merged[at], item, struct)
        else:
            merged.append(item)
    mine, others = _partition(merged, patch, merge_key)
    return _interleave(mine, others, patch, original, merge_key)


def _special_elements(original: _Items, patch: _Items, merge_key: str) -> tuple[_Items, _Items]:
    """Do what elements with `$patch` say; the others remain."""
    plain: _Items = []
    replace = False
    for item in patch:
        if not isinstance(item, dict):
            raise _failure(f"expected a map in the patch, but found: {item}")
        directive = item.get(_DIRECTIVE)
        if directive is None:
            plain.append(item)
        elif directive == "delete":
            value = _key_of(item, merge_key)
            original = [other for other in original if other.get(merge_key) != value]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise _failure("merging lists cannot yet be specified in the patch")
        else:
            raise _failure(f"unknown patch type: {directive} in map: {shown(item)}")
    return ([], plain) if replace else (original, plain)


def _key_of(item: Any, merge_key: str) -> Any:
    if not isinstance(item, dict) or merge_key not in item:
        raise _failure(f"map: {shown(item)} does not contain declared merge key: {merge_key}")
    return item[merge_key]


def _find(items: _Items, value: Any, merge_key: str) -> int:
    for index, item in enumerate(items):
        if (item.get(merge_key) if merge_key and isinstance(item, dict) else item) == value:
            return index
    return -1


def _partition(items: _Items, by: _Items, merge_key: str) -> tuple[_Items, _Items]:
    """The items that are in `by`, and the others."""
    mine: _Items = []
    others: _Items = []
    for item in items:
        value = _key_of(item, merge_key) if merge_key else item
        (mine if _find(by, value, merge_key) >= 0 else others).append(item)
    return mine, others


def _interleave(mine: _Items, others: _Items, my_order: _Items, live_order: _Items, merge_key: str) -> _Items:
    """Both lists in one, each in its own order, and together as close to the live order as that allows."""

    def place(order: _Items, item: Any) -> int:
        return _find(order, item[merge_key] if merge_key else item, merge_key)

    left = sorted(others, key=functools.partial(place, live_order))
    right = sorted(mine, key=functools.partial(place, my_order))
    result: _Items = []
    while left and right:
        first, second = place(live_order, left[0]), place(live_order, right[0])
        result.append(left.pop(0) if 0 <= first < second else right.pop(0))
    return result + left + right


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _without_directives(value: Any) -> tuple[Any, bool]:
    """The value without what only directs a merge, and whether anything is to be kept of it."""
    if isinstance(value, dict):
        if _DIRECTIVE in value:
            return None, False
        pairs = ((key, _without_directives(item)) for key, item in value.items())
        return {key: item for key, (item, keep) in pairs if keep}, True
    if isinstance(value, list):
        return [item for item, keep in map(_without_directives, value) if keep], True
    return value, True


def shown(value: Any) -> str:
    """A value as Go's `%v` prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{shown(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(shown, value)) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)
