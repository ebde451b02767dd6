"""The scripts that run on hosts, run here: with their paths moved into a folder of the test's."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from labctl.k3s import layout, render
from labctl.k3s.change import change_script
from labctl.k3s.journal import cause_of, shown
from labctl.k3s.plan import make_plan
from tests.unit.k3s.world import SERVER, WISHES, empty, inventory

CLUSTER = inventory()
TOOLS = {"systemctl": 'echo systemctl "$@" >> {root}/log\n', "restorecon": "exit 0\n", "id": "echo 0\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("bin", "etc/systemd/system", "usr/local/bin", "var/lib", "run", "opt"):
        (tmp_path / name).mkdir(parents=True)
    for name, body in TOOLS.items():
        tool = tmp_path / "bin" / name
        tool.write_text("#!/bin/sh\n" + body.format(root=tmp_path))
        tool.chmod(0o755)
    return tmp_path


def run(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    moved = re.sub(r"(?<![\w.])/(etc|usr/local|usr/libexec|var|opt|run)(?=/)", rf"{root}/\1", script)
    environment = {**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}"}
    return subprocess.run(["/bin/sh", "-s"], input=moved, capture_output=True, text=True, env=environment)


def test_every_file_is_written_whole_with_its_mode_and_the_pending_mark(root: Path) -> None:
    plan = make_plan(CLUSTER, {node.name: empty(node) for node in CLUSTER.nodes}, WISHES).of("k3s-s")
    (root / "var/lib/kubelet").mkdir()
    result = run(root, change_script(plan))
    assert (result.returncode, result.stderr) == (0, "")
    config = root / "etc/rancher/k3s/config.yaml"
    assert f"node-name: {SERVER.name}" in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o600
    assert (root / "etc/rancher").stat().st_mode & 0o777 == 0o755
    assert (root / "usr/local/bin/k3s-killall.sh").stat().st_mode & 0o777 == 0o755
    assert (root / "usr/local/bin/kubectl").readlink() == Path("k3s")
    assert (root / "etc/rancher/k3s/labctl.pending").exists()
    assert (root / "etc/rancher/k3s/labctl.before").read_text().split() == [str(root / "var/lib/kubelet")]
    assert (root / "log").read_text().splitlines() == [
        "systemctl daemon-reload",
        "systemctl enable --quiet k3s.service",
    ]
    assert not list(root.rglob("*.labctl-partial"))


def test_a_write_that_fails_leaves_the_old_file(root: Path) -> None:
    plan = make_plan(CLUSTER, {node.name: empty(node) for node in CLUSTER.nodes}, WISHES).of("k3s-s")
    (root / "etc/rancher").write_text("a file where a folder should be")
    result = run(root, change_script(plan))
    assert result.returncode != 0
    assert (root / "etc/rancher").read_text() == "a file where a folder should be"


def test_uninstalling_leaves_what_was_there_before_and_nothing_else(root: Path) -> None:
    (root / "var/lib/kubelet").mkdir()
    (root / "var/lib/kubelet/own").write_text("mine")
    before = sorted(path for path in root.rglob("*") if path.name != "log")
    plan = make_plan(CLUSTER, {node.name: empty(node) for node in CLUSTER.nodes}, WISHES).of("k3s-s")
    run(root, change_script(plan))
    (root / "usr/local/bin/k3s").write_text("binary")
    for made in ("var/lib/rancher/k3s/server/db", "etc/rancher/node", "run/k3s", "var/lib/cni"):
        (root / made).mkdir(parents=True)
    script = render.uninstall_script(CLUSTER).replace(f"[ -x {layout.KILLALL} ] && {layout.KILLALL}", "")
    result = run(root, script)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path for path in root.rglob("*") if path.name != "log") == before


def test_data_can_be_kept(root: Path) -> None:
    plan = make_plan(CLUSTER, {node.name: empty(node) for node in CLUSTER.nodes}, WISHES).of("k3s-s")
    run(root, change_script(plan))
    for made in ("var/lib/rancher/k3s/server/db", "var/lib/rancher/k3s/agent", "etc/rancher/node"):
        (root / made).mkdir(parents=True)
    script = render.uninstall_script(CLUSTER).replace(f"[ -x {layout.KILLALL} ] && {layout.KILLALL}", "")
    assert run(root, f"set -- --keep-data\n{script}").returncode == 0
    assert (root / "var/lib/rancher/k3s/server/db").exists()
    assert (root / "etc/rancher/node").exists()
    assert not (root / "var/lib/rancher/k3s/agent").exists()
    assert not (root / "etc/rancher/k3s").exists()


@pytest.mark.parametrize("text", [render.killall_script(CLUSTER), render.uninstall_script(CLUSTER)])
def test_scripts_are_posix_shell_and_have_no_placeholder_left(text: str) -> None:
    assert subprocess.run(["/bin/sh", "-n"], input=text.encode(), check=False).returncode == 0
    assert not re.search(r"@[A-Z_]+@", text)
    assert text.splitlines()[1].startswith(layout.MARK)


@pytest.mark.parametrize(
    ("line", "words", "final"),
    [
        (
            "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password'",
            "another node",
            True,
        ),
        ("token CA hash does not match the Cluster CA certificate hash", "another cluster", True),
        ("failed to get CA certs: https://127.0.0.1:6444/cacerts: not authorized", "refuses its token", True),
        ("starting kubernetes: listen tcp 0.0.0.0:6443: bind: address already in use", "port", True),
        ("x509: certificate has expired or is not yet valid: current time", "clocks differ", True),
        ("bootstrap data already found and encrypted with different token", "another token", True),
        ("failed to find memory cgroup (v2)", "control group", True),
        ("Error: flag provided but not defined: -cluster-ini", "configuration", True),
        ("write /var/lib/rancher: no space left on device", "disk is full", True),
        ("dial tcp 192.168.10.10:6443: connect: connection refused", "does not reach", False),
    ],
)
def test_known_causes_are_told_from_k3s_own_words(line: str, words: str, final: bool) -> None:
    cause = cause_of(["Starting k3s", line, "retrying"])
    assert cause is not None
    assert words in cause.words
    assert cause.final is final


def test_the_log_is_shown_short_and_without_tokens() -> None:
    lines = ['time="2026-01-01" level=info msg="a"', "same", "same", "token K10aaaaaaaaaaaaaaaaaaaa::server:pw here"]
    assert shown(lines).splitlines() == ['    level=info msg="a"', "    same", "    token *** here"]
