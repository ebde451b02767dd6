"""Documents that promise tests keep their word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "differences.md").read_text().splitlines()
    if line.startswith("| ") and "|---" not in line
][1:]


@pytest.mark.parametrize("row", ROWS)
def test_every_difference_names_a_test_that_exists(row: str) -> None:
    found = re.search(r"`(tests/[^`]+)`", row)
    assert found, row
    file, _, name = found.group(1).partition("::")
    assert (ROOT / file).exists(), file
    assert not name or f"def {name}(" in (ROOT / file).read_text()


@pytest.mark.parametrize(
    "document", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=str
)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target
