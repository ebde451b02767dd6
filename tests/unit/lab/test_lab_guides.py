"""Every lab is explained in English and in Korean, and both guides have the reader type the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labctl.config.lab import load_lab
from labctl.lab.catalogue import find_labs

LABS = find_labs([])


def typed(guide: Path) -> list[str]:
    """What stands in the guide's shell blocks, without remarks; words to be replaced, `<…>`, are in the guide's language."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    lines = (re.sub(r"(^|\s+)#.*$", "", line).strip() for block in blocks for line in block.splitlines())
    return [re.sub(r"<[^>]*>", "<>", line) for line in lines if line]


@pytest.mark.parametrize("name", sorted(LABS))
def test_both_guides_have_the_reader_type_the_same(name: str) -> None:
    english, korean = (typed(LABS[name] / guide) for guide in ("guide.md", "guide.ko.md"))
    assert english == korean
    assert english or load_lab(LABS[name]).reference, "a lab that can be run also says how to do it by hand"
