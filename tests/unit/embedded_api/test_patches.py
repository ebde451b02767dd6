import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.embedded.api.jsonvalue import copy
from labctl.embedded.api.patches.jsonpatch import PatchError, apply_json_patch, apply_merge_patch
from labctl.embedded.api.patches.strategic import apply_strategic_patch
from labctl.embedded.clientset import ApiError
from labctl.embedded.kinds.wire import Struct, kind_struct

_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_DOCUMENTS = st.dictionaries(st.text(max_size=3), _VALUES, max_size=4)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _merge_difference(old: Any, new: Any) -> Any:
    """The merge patch that turns one document into another."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif json.dumps(old[key], sort_keys=True) != json.dumps(value, sort_keys=True):
            patch[key] = _merge_difference(old[key], value)
    return patch


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/b", "value": 2}], {"a": {"x": [1, 2]}, "b": 2}),
        ([{"op": "add", "path": "/a/x/-", "value": 3}], {"a": {"x": [1, 2, 3]}}),
        ([{"op": "add", "path": "/a/x/0", "value": 0}], {"a": {"x": [0, 1, 2]}}),
        ([{"op": "remove", "path": "/a/x/1"}], {"a": {"x": [1]}}),
        ([{"op": "replace", "path": "/a/x", "value": "y"}], {"a": {"x": "y"}}),
        ([{"op": "move", "from": "/a/x", "path": "/m~1n"}], {"a": {}, "m/n": [1, 2]}),
        ([{"op": "copy", "from": "/a/x/0", "path": "/c"}], {"a": {"x": [1, 2]}, "c": 1}),
        ([{"op": "test", "path": "/a/x/0", "value": 1}], {"a": {"x": [1, 2]}}),
    ],
)
def test_json_patch_operations(operations: list[dict[str, Any]], expected: Any) -> None:
    document = {"a": {"x": [1, 2]}}
    assert apply_json_patch(document, operations) == expected
    assert document == {"a": {"x": [1, 2]}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nope"},
        {"op": "replace", "path": "/a/nope", "value": 1},
        {"op": "add", "path": "/a/x/9", "value": 1},
        {"op": "test", "path": "/a/x/0", "value": True},
        {"op": "nope", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a/x/01", "value": 1},
    ],
)
def test_json_patches_that_do_not_fit_are_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        apply_json_patch({"a": {"x": [1, 2]}}, [operation])


@given(document=_DOCUMENTS, patch=_DOCUMENTS)
def test_a_merge_patch_is_idempotent(document: Any, patch: Any) -> None:
    once = apply_merge_patch(document, patch)
    assert apply_merge_patch(once, patch) == once


@given(old=_DOCUMENTS.map(_without_nulls), new=_DOCUMENTS.map(_without_nulls))
def test_the_merge_patch_between_two_documents_leads_from_one_to_the_other(old: Any, new: Any) -> None:
    before = copy(old)
    patched = apply_merge_patch(old, _merge_difference(old, new))
    assert json.dumps(patched, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert old == before


@given(old=_DOCUMENTS, value=_VALUES)
def test_adding_and_removing_gives_the_same_document(old: dict[str, Any], value: Any) -> None:
    added = apply_json_patch(old, [{"op": "add", "path": "/new-key", "value": value}])
    assert apply_json_patch(added, [{"op": "remove", "path": "/new-key"}]) == old


def _pod() -> Struct:
    found = kind_struct("v1", "Pod")
    assert found is not None
    return found


def _patched(spec: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = apply_strategic_patch({"spec": spec}, {"spec": patch}, _pod())["spec"]
    return result


def test_lists_merge_by_their_key_and_new_elements_lead() -> None:
    spec = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    patch = {"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}
    names = [(item["name"], item["image"]) for item in _patched(spec, patch)["containers"]]
    assert names == [("a", "1"), ("b", "2"), ("c", "3")]
    assert [item["name"] for item in _patched(spec, {"containers": [{"name": "z"}]})["containers"]] == ["z", "a", "b"]


def test_set_element_order_decides_the_order() -> None:
    spec = {"containers": [{"name": "a"}, {"name": "b"}]}
    patch = {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "new"}, {"name": "a"}],
        "containers": [{"name": "new", "image": "x"}],
    }
    assert [item["name"] for item in _patched(spec, patch)["containers"]] == ["b", "new", "a"]


def test_directives_delete_and_replace() -> None:
    spec = {"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"x": "1", "y": "2"}}
    assert _patched(spec, {"containers": [{"name": "a", "$patch": "delete"}]})["containers"] == [{"name": "b"}]
    replaced = _patched(spec, {"containers": [{"$patch": "replace"}, {"name": "c"}]})
    assert replaced["containers"] == [{"name": "c"}]
    assert _patched(spec, {"nodeSelector": {"$patch": "replace", "z": "3"}})["nodeSelector"] == {"z": "3"}
    assert _patched(spec, {"nodeSelector": {"$patch": "delete"}})["nodeSelector"] == {}
    assert "nodeSelector" not in _patched(spec, {"nodeSelector": None})
    assert _patched(spec, {"nodeSelector": {"x": None}})["nodeSelector"] == {"y": "2"}


def test_retain_keys_drops_the_other_members_of_a_union() -> None:
    spec = {"volumes": [{"name": "v", "emptyDir": {}}]}
    patch = {"volumes": [{"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}]}
    assert _patched(spec, patch)["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]
    with pytest.raises(ApiError, match="retainKeys"):
        _patched(spec, {"volumes": [{"name": "v", "hostPath": {}, "$retainKeys": ["name"]}]})


def test_primitive_lists_merge_and_lose_elements() -> None:
    obj = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}
    assert apply_strategic_patch(obj, patch, _pod())["metadata"]["finalizers"] == ["c", "b"]


def test_atomic_lists_are_replaced() -> None:
    spec = {"tolerations": [{"key": "a"}], "containers": [{"name": "c", "args": ["1", "2"]}]}
    patch = {"tolerations": [{"key": "b"}], "containers": [{"name": "c", "args": ["3"]}]}
    patched = _patched(spec, patch)
    assert patched["tolerations"] == [{"key": "b"}]
    assert patched["containers"] == [{"name": "c", "args": ["3"]}]


def test_an_element_without_its_merge_key_is_refused() -> None:
    with pytest.raises(ApiError, match="does not contain declared merge key: name"):
        _patched({"containers": [{"name": "a"}]}, {"containers": [{"image": "x"}]})


_NAMES = st.sampled_from(["a", "b", "c", "d"])
_CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": _NAMES, "image": st.sampled_from(["1", "2"])}), unique_by=lambda c: c["name"]
)


@given(live=_CONTAINERS, patch=_CONTAINERS)
def test_a_strategic_patch_of_a_list_is_idempotent_and_loses_nothing(live: Any, patch: Any) -> None:
    once = _patched({"containers": live}, {"containers": patch})
    assert _patched(once, {"containers": patch}) == once
    images = {item["name"]: item["image"] for item in live} | {item["name"]: item["image"] for item in patch}
    assert {item["name"]: item["image"] for item in once["containers"]} == images


@given(live=_CONTAINERS, first=_CONTAINERS, second=_CONTAINERS)
def test_strategic_patches_of_different_elements_commute(live: Any, first: Any, second: Any) -> None:
    taken = {item["name"] for item in first}
    second = [item for item in second if item["name"] not in taken]
    forth = _patched(_patched({"containers": live}, {"containers": first}), {"containers": second})
    back = _patched(_patched({"containers": live}, {"containers": second}), {"containers": first})

    def by_name(spec: dict[str, Any]) -> list[Any]:
        return sorted(spec["containers"], key=lambda item: str(item["name"]))

    assert by_name(forth) == by_name(back)
