from __future__ import annotations

from labctl.ingress.values import Layer, coalesce, leaves, merge_values, origins


def test_mappings_are_merged_and_everything_else_is_replaced() -> None:
    merged = merge_values({"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3], "z": 4}}, {"b": {"c": 5}})
    assert merged == {"a": {"x": 1, "y": [3], "z": 4}, "b": {"c": 5}}


def test_merging_changes_none_of_its_layers() -> None:
    below, above = {"a": {"x": [1]}}, {"a": {"y": [2]}}
    merged = merge_values(below, above)
    merged["a"]["x"].append(9)
    merged["a"]["y"].append(9)
    assert (below, above) == ({"a": {"x": [1]}}, {"a": {"y": [2]}})


def test_a_null_removes_the_charts_default() -> None:
    values = merge_values({"a": {"x": 1}}, {"a": {"x": None, "y": None}})
    assert coalesce(values, {"a": {"x": 0, "y": 0, "z": 0}, "b": {"c": 1}}) == {"a": {"z": 0}, "b": {"c": 1}}


def test_a_value_replaces_a_default_mapping_and_the_other_way_round() -> None:
    assert coalesce({"a": 1}, {"a": {"x": 1}}) == {"a": 1}
    assert coalesce({"a": {"x": None, "y": 2}}, {"a": 1}) == {"a": {"y": 2}}


def test_every_value_knows_where_it_came_from() -> None:
    layers = (
        Layer("the study", {"a": {"x": 1, "y": 2}, "b": {"c": 1}}),
        Layer("cluster.yaml", {"a": {"x": 3}, "d": []}),
        Layer("--set b=1", {"b": 1}),
    )
    found = origins(layers)
    assert found == {
        ("a", "x"): "cluster.yaml",
        ("a", "y"): "the study",
        ("b",): "--set b=1",
        ("d",): "cluster.yaml",
    }
    merged = merge_values(*(layer.values for layer in layers))
    assert {path for path, _ in leaves(merged)} == set(found)
