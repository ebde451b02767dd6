"""labctl as its user runs it, on the machine in the hosts' network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hosts.bed import STUDY, Bed


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Lab:
    """A working directory with a cluster.yaml, a home, and labctl.

    Attributes:
        said: All that labctl has printed, for the search for secrets.
    """

    bed: Bed
    home: Path
    artifacts: Path
    environ: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def describe(self, nodes: Sequence[str], *, ssh: dict[str, Any] | None = None, **more: Any) -> None:
        """Write cluster.yaml: k3s-s is the server, unless other servers are named by `servers`."""
        servers = more.pop("servers", ["k3s-s"])
        content = {
            "apiVersion": "labctl/v1",
            "kind": "Cluster",
            "name": "study",
            "provider": "ssh",
            "nodes": [
                {"name": name, "role": "server" if name in servers else "agent", "address": STUDY[name]}
                for name in nodes
            ],
            "ssh": {"user": "root", "identityFile": str(self.bed.key), **(ssh or {})},
            "k3s": {"version": "v1.30.14+k3s1", **more.pop("k3s", {})},
            "ingress": {"install": more.pop("ingress", False)},
            **more,
        }
        (self.home / "cluster.yaml").write_text(json.dumps(content))  # JSON is YAML

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "LABCTL_STATE_DIR": str(self.home / "state"),
            "LABCTL_CACHE_DIR": str(self.home / "cache"),
            "LANG": "C.UTF-8",
            **self.environ,
        }
        return subprocess.Popen(
            self.bed.client(sys.executable, "-m", "labctl", *arguments),
            cwd=self.home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str], timeout: float = 120.0) -> Done:
        with process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        self.said.append(out + err)
        return Done(process.returncode, out, err)

    def labctl(self, *arguments: str, timeout: float = 120.0) -> Done:
        return self.finish(self.start(*arguments), timeout)

    def up(self, *arguments: str, timeout: float = 120.0) -> Done:
        return self.labctl("up", "--artifacts", str(self.artifacts), *arguments, timeout=timeout)

    def known_hosts(self, text: str) -> None:
        (self.home / ".ssh").mkdir(mode=0o700, exist_ok=True)
        (self.home / ".ssh/known_hosts").write_text(text)
