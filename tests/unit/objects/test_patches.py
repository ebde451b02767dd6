from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labctl.objects.patches import inverse


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, as written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


keys = st.sampled_from("abc")
leaves = st.integers(0, 2) | st.just([1])
flat = st.dictionaries(keys, leaves, max_size=2)
objects = st.dictionaries(keys, leaves | flat | st.dictionaries(keys, flat, max_size=2), max_size=3)
flat_patches = st.dictionaries(keys, leaves | st.none(), max_size=2)
patches = st.dictionaries(
    keys, leaves | st.none() | flat_patches | st.dictionaries(keys, flat_patches, max_size=2), max_size=3
)


def without_empty(value: Any) -> Any:
    """A merge patch cannot tell an empty mapping from an absent one."""
    if not isinstance(value, dict):
        return value
    kept = {key: without_empty(inner) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner != {}}


@given(objects, patches)
def test_the_inverse_brings_the_object_back(target: dict[str, Any], patch: dict[str, Any]) -> None:
    back = merged(merged(target, patch), inverse(target, patch))
    assert without_empty(back) == without_empty(target)


def test_what_was_added_is_removed_and_what_was_changed_is_put_back() -> None:
    target = {"metadata": {"annotations": {"weight": "10", "kept": "x"}}}
    patch = {"metadata": {"annotations": {"weight": "50", "new": "y"}}}
    assert inverse(target, patch) == {"metadata": {"annotations": {"weight": "10", "new": None}}}


def test_of_an_added_mapping_only_the_added_entries_are_removed() -> None:
    assert inverse({}, {"metadata": {"annotations": {"new": "y"}}}) == {"metadata": {"annotations": {"new": None}}}
