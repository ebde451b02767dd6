from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labctl.embedded.api.fields import sets
from labctl.embedded.api.fields.compare import compare
from labctl.embedded.api.fields.merging import field_set, merge, without
from labctl.embedded.api.fields.shapes import shape_of_struct
from labctl.embedded.kinds.wire import kind_struct
from tests.unit.embedded_api.server import CONFIG_MAPS, DEPLOYMENTS, Server, deployment

MAP = f"{CONFIG_MAPS}/c"


def _config(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


def _managers(obj: dict[str, Any]) -> dict[str, Any]:
    return {f"{m['manager']}/{m['operation']}": m["fieldsV1"] for m in obj["metadata"]["managedFields"]}


def test_applying_creates_and_owns(server: Server) -> None:
    answer = server.apply(MAP, _config(a="1"), "t")
    assert answer.status == 201
    assert _managers(answer.json) == {"t/Apply": {"f:data": {"f:a": {}}}}


def test_a_field_of_another_manager_is_a_conflict_unless_forced(server: Server) -> None:
    server.apply(MAP, _config(a="1", b="1"), "t")
    conflict = server.apply(MAP, _config(a="2"), "u")
    assert conflict.status == 409
    assert conflict.message == 'Apply failed with 1 conflict: conflict with "t": .data.a'
    assert conflict.json["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "t"', "field": ".data.a"}
    ]
    several = server.apply(MAP, _config(a="2", b="2"), "u")
    assert several.message == 'Apply failed with 2 conflicts: conflicts with "t":\n- .data.a\n- .data.b'
    forced = server.apply(MAP, _config(a="2"), "u", force=True)
    assert forced.json["data"] == {"a": "2", "b": "1"}
    assert _managers(forced.json) == {"t/Apply": {"f:data": {"f:b": {}}}, "u/Apply": {"f:data": {"f:a": {}}}}


def test_the_same_value_is_owned_by_both(server: Server) -> None:
    server.apply(MAP, _config(a="1"), "t")
    shared = server.apply(MAP, _config(a="1"), "u")
    assert shared.status == 200
    assert set(_managers(shared.json)) == {"t/Apply", "u/Apply"}


def test_what_is_applied_no_longer_goes_when_nobody_else_owns_it(server: Server) -> None:
    server.apply(MAP, _config(a="1", b="1"), "t")
    server.apply(MAP, _config(b="1"), "u")
    left = server.apply(MAP, _config(c="1"), "t")
    assert left.json["data"] == {"b": "1", "c": "1"}


def test_an_update_takes_the_fields_it_changes(server: Server) -> None:
    server.apply(MAP, _config(a="1", b="1"), "t")
    patched = server.patch(MAP, {"data": {"a": "2"}}, "merge-patch+json")
    assert _managers(patched.json) == {"t/Apply": {"f:data": {"f:b": {}}}, "tester/Update": {"f:data": {"f:a": {}}}}
    conflict = server.apply(MAP, _config(a="3", b="1"), "t")
    assert conflict.message == 'Apply failed with 1 conflict: conflict with "tester" using v1: .data.a'


def test_applying_the_same_again_changes_nothing(server: Server) -> None:
    first = server.apply(MAP, _config(a="1"), "t").json
    server.time.pass_(10)
    assert server.apply(MAP, _config(a="1"), "t").json == first


def test_lists_merge_by_their_keys(server: Server) -> None:
    target = f"{DEPLOYMENTS}/web"
    server.post(DEPLOYMENTS, deployment())
    sidecar = {"name": "sidecar", "image": "busybox"}
    config = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [sidecar]}}},
    }
    applied = server.apply(target, config, "t")
    names = [container["name"] for container in applied.json["spec"]["template"]["spec"]["containers"]]
    assert sorted(names) == ["c", "sidecar"]
    config["spec"] = {"template": {"spec": {"containers": []}}}
    removed = server.apply(target, config, "t")
    names = [container["name"] for container in removed.json["spec"]["template"]["spec"]["containers"]]
    assert names == ["c"]


def test_the_status_has_its_own_managers(server: Server) -> None:
    server.post(DEPLOYMENTS, deployment())
    server.patch(f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 2}}, "merge-patch+json")
    entries = server.get(f"{DEPLOYMENTS}/web").json["metadata"]["managedFields"]
    assert [entry.get("subresource", "") for entry in entries] == ["", "status"]
    assert entries[1]["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    assert "f:status" not in entries[0]["fieldsV1"]


def test_wrong_configurations_are_refused(server: Server) -> None:
    assert "is required for apply patch" in server.apply(MAP, _config(a="1"), "").message
    other = _config() | {"kind": "Secret"}
    assert server.apply(MAP, other, "t").message == "invalid object type: /v1, Kind=Secret"
    unknown = _config() | {"nope": {}}
    assert "field not declared in schema" in server.apply(MAP, unknown, "t").message
    managed = _config() | {"metadata": {"name": "c", "managedFields": []}}
    assert server.apply(MAP, managed, "t").message == "metadata.managedFields must be nil"
    assert server.apply(MAP, b"{", "t").status == 400
    twice = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "y"}]},
    }
    answer = server.apply("/api/v1/namespaces/default/pods/p", twice, "t")
    assert 'duplicate entries for key [name="a"]' in answer.message


_KEYS = st.sampled_from("abc")
_SETS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.just({}), lambda inner: st.dictionaries(_KEYS.map("f:{}".format) | st.just("."), inner, max_size=3), max_leaves=8
)


def _members(tree: dict[str, Any]) -> set[str]:
    return set(sets.paths(tree))


def _sound(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree without what no set holds: members of members, and a marked leaf."""
    result = {key: _sound(child) for key, child in tree.items() if key != "."}
    return result | ({".": {}} if "." in tree and result else {})


def _root(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: child for key, child in _sound(tree).items() if key != "."}


@given(left=_SETS.map(_root), right=_SETS.map(_root))
def test_field_sets_are_sets(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert _members(sets.union(left, right)) == _members(left) | _members(right)
    assert _members(sets.intersection(left, right)) == _members(left) & _members(right)
    assert _members(sets.difference(left, right)) == _members(left) - _members(right)


_CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")},
        optional={"image": st.sampled_from("12"), "args": st.lists(st.sampled_from("xy"), min_size=1, max_size=2)},
    ),
    unique_by=lambda item: item["name"],
    min_size=1,
)


@given(live=_CONTAINERS, applied=_CONTAINERS)
def test_merging_is_idempotent_and_what_is_applied_is_then_there(live: Any, applied: Any) -> None:
    struct = kind_struct("v1", "Pod")
    assert struct is not None
    shape = shape_of_struct(struct)
    before, config = {"spec": {"containers": live}}, {"spec": {"containers": applied}}
    merged = merge(before, config, shape)
    assert merge(merged, config, shape) == merged
    assert _members(field_set(config, shape)) <= _members(field_set(merged, shape))
    difference = compare(before, merged, shape)
    assert difference.removed == {}
    assert without(merged, field_set(merged, shape), shape) != merged
