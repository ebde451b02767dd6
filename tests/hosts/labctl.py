"""labctl as its user runs it, on the client's side of a bed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts.bed import STUDY, Bed


@dataclass(slots=True)
class Labctl:
    """One user's home, cluster.yaml and labctl.

    Attributes:
        bed: The hosts.
        home: Home, working directory and state of the user.
        environ: Further environment variables.
    """

    bed: Bed
    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, *, hosts: Sequence[str] = tuple(STUDY), ssh: str = "", more: str = "", **nodes: str) -> None:
        """Write cluster.yaml: the first host is the server. `nodes` gives a host (`k3s_w1`) an `ssh:` of its own."""
        lines = ["apiVersion: labctl/v1", "kind: Cluster", "name: hosts", "provider: ssh", "nodes:"]
        for index, name in enumerate(hosts):
            own = nodes.get(name.replace("-", "_"))
            extra = f", ssh: {{{own}}}" if own else ""
            role = "agent" if index else "server"
            lines.append(f"  - {{name: {name}, role: {role}, address: {STUDY.get(name, name)}{extra}}}")
        lines += [f"ssh: {{{ssh or f'user: ubuntu, identityFile: {self.bed.key}'}}}", more]
        (self.home / "cluster.yaml").write_text("\n".join(lines) + "\n")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            self.bed.client(sys.executable, "-m", "labctl", *arguments),
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self) -> Mapping[str, str]:
        """The environment of the user's commands."""
        root = str(Path(__file__).parents[2])
        own = {"HOME": str(self.home), "LABCTL_STATE_DIR": str(self.home / "state"), "PYTHONPATH": root}
        return {"PATH": os.environ["PATH"], "LABCTL_CACHE_DIR": str(self.home / "cache"), **own, **self.environ}

    def run(self, *arguments: str, timeout: float = 120.0) -> tuple[int, str]:
        """Run a command; its exit status and everything it wrote."""
        child = self.start(*arguments)
        try:
            output, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            raise
        return child.returncode, output
