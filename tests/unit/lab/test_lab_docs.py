from __future__ import annotations

import re
from pathlib import Path

from labctl.config.lab import load_lab
from labctl.lab.plan import Overrides, lab_objects

DOCS = Path(__file__).parents[3] / "docs"


def test_the_worked_example_of_the_documentation_is_a_lab(tmp_path: Path) -> None:
    text = (DOCS / "writing-labs.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", text, re.DOTALL))
    assert set(files) == {"hello.yaml", "lab.yaml"}
    folder = tmp_path / "hello"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    lab = load_lab(folder)
    assert [obj["kind"] for obj in lab_objects(lab, Overrides())] == ["Deployment", "Service", "Ingress"]
