"""A real labctl, as its user runs it: a process with a home, a working directory and a cluster of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.tools import tool

TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs programs in one place."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, *command: str) -> subprocess.Popen[str]:
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "LABCTL_STATE_DIR": str(self.home / "state"),
            "LANG": "C.UTF-8",
            **self.environ,
        }
        return subprocess.Popen(
            command,
            cwd=self.home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str) -> Done:
        with self.start(*command) as process:
            out, err = process.communicate(timeout=TIMEOUT)
        return Done(process.returncode, out, err)

    def labctl(self, *arguments: str) -> Done:
        return self.run(sys.executable, "-m", "labctl", *arguments)

    def kubectl(self, *arguments: str) -> Done:
        program = tool("kubectl")
        assert program is not None
        return self.run(str(program), "--kubeconfig", str(self.kubeconfig), *arguments)

    @property
    def kubeconfig(self) -> Path:
        return self.home / "state" / "clusters" / "study" / "kubeconfig"

    @property
    def pid(self) -> int:
        text = (self.kubeconfig.parent / "lock").read_text()
        return int(text.strip() or 0)


def cluster_yaml(number: int) -> str:
    """A cluster with addresses that no other cluster of this machine has."""
    return f"""\
apiVersion: labctl/v1
kind: Cluster
name: study
provider: embedded
nodes:
- {{name: k3s-s, role: server, address: 127.0.{number}.10}}
- {{name: k3s-w1, role: agent, address: 127.0.{number}.101}}
- {{name: k3s-w2, role: agent, address: 127.0.{number}.102}}
- {{name: k3s-w3, role: agent, address: 127.0.{number}.103}}
network:
  clusterCidr: 127.{number}.0.0/16
  serviceCidr: 127.{number + 1}.0.0/24
"""


def new_shell(home: Path, number: int) -> Shell:
    (home / "cluster.yaml").write_text(cluster_yaml(number))
    return Shell(home)


def stop(shell: Shell) -> None:
    """Take the cluster down, and make sure that its process is gone."""
    shell.labctl("down")
    lock = shell.kubeconfig.parent / "lock"
    if lock.exists() and shell.pid:
        os.kill(shell.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A cluster that is up, shared by tests that leave it as they found it."""
    shell = new_shell(tmp_path_factory.mktemp("study"), 66)
    done = shell.labctl("up")
    try:
        assert done.code == 0, done.err
        yield shell
    finally:
        stop(shell)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Shell]:
    """A place with a cluster.yaml where nothing is up."""
    shell = new_shell(tmp_path, 76)
    try:
        yield shell
    finally:
        stop(shell)
