"""The built wheel is complete: labs, guides and schemas are in it, and it works from any directory."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
import labctl
assert labctl.__file__.startswith(sys.argv[1]), labctl.__file__
from labctl.cli.main import run
for arguments in (["list"], ["show", "canary", "--lang", "ko"], ["version"], ["up", "--dry-run"]):
    assert run(arguments) == 0, arguments
"""


def test_the_wheel_works_from_any_directory(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
        names = set(archive.namelist())
    assert {"labctl/report/schema/report.v1.json", "labctl/_data/labs/canary/guide.ko.md", "labctl/py.typed"} <= names
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(unpacked)], cwd=elsewhere, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Canary: one request in ten" in done.stdout
    assert "열 번에 한 번" in done.stdout
