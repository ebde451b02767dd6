from __future__ import annotations

from pathlib import Path

from labctl.embedded.ingress.annotations.document import document
from labctl.embedded.ingress.annotations.extract import CATALOGUE

ROOT = Path(__file__).parents[3]


def test_the_documentation_is_current() -> None:
    assert (ROOT / "docs" / "annotations.md").read_text() == document(), "run `make annotations`"


def test_every_annotation_is_listed_once() -> None:
    text = document()
    for name in CATALOGUE:
        assert text.count(f"\n| `{name}` |") == 1, name
