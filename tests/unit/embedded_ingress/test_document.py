from __future__ import annotations

from labctl.embedded.ingress.annotations.document import document
from labctl.embedded.ingress.annotations.extract import CATALOGUE


def test_every_annotation_is_listed_once() -> None:
    text = document()
    for name in CATALOGUE:
        assert text.count(f"\n| `{name}` |") == 1, name
