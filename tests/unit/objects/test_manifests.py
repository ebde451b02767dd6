from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import ConfigError
from labctl.objects.manifests import describe, load_manifests, parse_manifests


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_manifests(text, "x.yaml")
    return [(p.position.line, p.position.column, p.message) for p in caught.value.problems]


def test_documents_and_lists_become_objects_in_order() -> None:
    text = """\
apiVersion: v1
kind: Service
metadata: {name: a}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: b}}
- {apiVersion: v1, kind: Pod, metadata: {name: c, namespace: n}}
---
"""
    assert [describe(obj) for obj in parse_manifests(text, "x")] == ["Service a", "Pod b", "Pod n/c"]


def test_all_mistakes_are_reported_with_their_places() -> None:
    text = "kind: Pod\nmetadata: {name: a}\n---\n- 1\n---\napiVersion: v1\nkind: Pod\nmetadata: {}\n"
    assert problems(text) == [
        (1, 1, "a Kubernetes object needs apiVersion"),
        (4, 1, "a Kubernetes object is a mapping, this is a list"),
        (6, 1, "Pod needs metadata.name"),
    ]


def test_a_syntax_error_has_a_place() -> None:
    ((line, column, message),) = problems("apiVersion: v1\nkind: [\n")
    assert (line, column) == (3, 1)
    assert message.startswith("not valid YAML")


def test_a_missing_file_is_a_problem_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 problem in"):
        load_manifests(tmp_path / "none.yaml")
