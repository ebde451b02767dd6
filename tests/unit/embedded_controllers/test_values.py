"""Selectors, hashes, rounding: the small rules everything stands on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers.hashing import pod_template_hash, revision_hash, safe_encode
from labctl.embedded.controllers.numbers import fenceposts, round_half_away, scaled
from labctl.embedded.controllers.selectors import matches, matches_map, matches_node_terms

LABELS = {"app": "web", "tier": "front", "size": "7"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "x": "y"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["6"]}]}, True),
        ({"matchExpressions": [{"key": "size", "operator": "Lt", "values": ["7"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["6"]}]}, False),
    ],
)
def test_label_selectors(selector: Obj | None, expected: bool) -> None:
    assert matches(selector, LABELS) is expected


def test_an_empty_map_selects_nothing() -> None:
    assert not matches_map({}, LABELS)
    assert matches_map({"app": "web"}, LABELS)


def test_node_selector_terms_are_alternatives_and_an_empty_one_matches_nothing() -> None:
    node: Obj = {"metadata": {"name": "n1", "labels": {"zone": "a"}}}
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    by_zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
    assert matches_node_terms([by_zone, by_name], node)
    assert not matches_node_terms([by_zone], node)
    assert not matches_node_terms([{}], node)


def test_the_safe_alphabet_is_the_one_of_recorded_hashes() -> None:
    assert safe_encode("0123456789") == "456789bcdf"


def test_a_recorded_statefulset_revision_hashes_to_its_recorded_name() -> None:
    recorded = json.loads((Path(__file__).parent / "data" / "recorded.json").read_text(encoding="utf-8"))
    (revision,) = [r for r in recorded["ControllerRevisionList"] if r["metadata"]["name"].startswith("sts1")]
    assert f"sts1-{revision_hash(revision['data'], 0)}" == revision["metadata"]["name"]


def test_another_template_or_a_collision_gives_another_hash() -> None:
    one = {"spec": {"containers": [{"image": "a"}]}}
    other = {"spec": {"containers": [{"image": "b"}]}}
    hashes = {pod_template_hash(one, None), pod_template_hash(other, None), pod_template_hash(one, 1)}
    assert len(hashes) == 3
    assert all(set(found) <= set("456789bcdf") for found in hashes)


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "expected"),
    [
        ("25%", "25%", 2, (1, 0)),
        ("25%", "25%", 4, (1, 1)),
        ("25%", "25%", 10, (3, 2)),
        (0, "10%", 3, (0, 1)),
        (2, 0, 3, (2, 0)),
        ("0%", "0%", 3, (0, 1)),
        ("100%", "0%", 3, (3, 0)),
    ],
)
def test_surge_is_rounded_up_and_unavailability_down(
    surge: int | str, unavailable: int | str, replicas: int, expected: tuple[int, int]
) -> None:
    assert fenceposts(surge, unavailable, replicas) == expected


def test_rounding() -> None:
    assert [round_half_away(n, 2) for n in (-3, -1, 0, 1, 3)] == [-2, -1, 0, 1, 2]
    assert scaled("34%", 3, round_up=True) == 2
    assert scaled("34%", 3, round_up=False) == 1
    assert scaled(5, 3, round_up=False) == 5
