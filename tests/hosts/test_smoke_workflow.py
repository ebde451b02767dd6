"""The workflow that users copy: valid to actionlint, and what its steps write is valid to labctl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts.bed import STUDY

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/smoke.yml"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"

pytestmark = pytest.mark.hosts


def steps() -> list[dict[str, Any]]:
    content = yaml.safe_load(WORKFLOW.read_text())
    found: list[dict[str, Any]] = content["jobs"]["labs"]["steps"]
    return found


def test_actionlint_accepts_it() -> None:
    if shutil.which("go") is None:
        pytest.skip("actionlint is a Go program, and there is no `go`")
    done = subprocess.run(["go", "run", ACTIONLINT, "-shellcheck=", str(WORKFLOW)], capture_output=True, text=True)
    if "dial tcp" in done.stderr or "lookup" in done.stderr:
        pytest.skip(f"actionlint cannot be downloaded: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_results_are_kept_and_the_host_is_cleaned_whatever_happens() -> None:
    always = [step for step in steps() if step.get("if") == "always()"]
    assert [step.get("uses", step.get("run")) for step in always] == ["actions/upload-artifact@v4", "labctl down"]
    runs = " ".join(step.get("run", "") for step in steps())
    assert "labctl up" in runs
    assert "labctl run path host canary https -o junit --output-file labctl.xml" in runs


def test_its_cluster_yaml_is_one(tmp_path: Path) -> None:
    from labctl.config.inventory import load_inventory

    script = next(step["run"] for step in steps() if step.get("name") == "Describe the cluster")
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "ip").write_text("#!/bin/sh\necho '192.0.2.1 via 10.1.0.1 dev eth0 src 10.1.0.4 uid 1001'\n")
    (fake / "ip").chmod(0o755)
    environ = {"PATH": f"{fake}:/usr/bin:/bin", "CHANNEL": "v1.30"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environ, check=True)
    inventory = load_inventory(tmp_path / "cluster.yaml")
    assert [node.address for node in inventory.nodes] == ["10.1.0.4"]
    assert inventory.nodes[0].address not in STUDY.values()
