"""One test host, seen from the machine that it runs on."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.hosts import processes

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Host:
    """A host that was made.

    Attributes:
        name: Its hostname.
        address: Where its sshd listens.
        home: Its files on this machine: `upper` (its layer over the base tree), `state` (its /var/lib), console.log.
        supervisor: Process id of its nspawn.
        started: When that process started (ticks since boot): a reused process id is not it.
    """

    name: str
    address: str
    home: Path
    supervisor: int
    started: int

    @property
    def running(self) -> bool:
        """Whether its nspawn lives."""
        return bool(self.started) and processes.started(self.supervisor) == self.started

    @property
    def pid(self) -> int:
        """Process id, here, of the host's process 1; 0 when it does not run."""
        return processes.first_in_namespace(self.supervisor) if self.running else 0

    @property
    def root(self) -> Path:
        """Its file system as it sees it; only while it runs."""
        return Path(f"/proc/{self.pid}/root")

    def command(self, *command: str) -> list[str]:
        """The command so that it runs in the host as root, whatever sshd and network do there."""
        target = ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        return [*target, "--", "env", "-i", f"PATH={_PATH}", "HOME=/root", "TERM=dumb", "LC_ALL=C.UTF-8", *command]

    def run(self, *command: str, check: bool = True, timeout: float = 60.0) -> str:
        """Run it there; what it printed (stdout).

        Raises:
            AssertionError: It failed, and `check` is on; the message has all that it printed.
        """
        done = subprocess.run(
            self.command(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
        assert not check or done.returncode == 0, (
            f"{self.name}: {' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def shell(self, script: str, *, check: bool = True, timeout: float = 60.0) -> str:
        """`run` for a line of shell."""
        return self.run("/bin/sh", "-ec", script, check=check, timeout=timeout)

    def listens(self, port: int) -> bool:
        """Whether a TCP socket of the host listens on the port."""
        wanted = f":{port:04X}"
        for table in ("tcp", "tcp6"):
            try:
                lines = Path(f"/proc/{self.pid}/net/{table}").read_text().splitlines()[1:]
            except (FileNotFoundError, ProcessLookupError):
                return False
            if any(_listening(line.split(), wanted) for line in lines):
                return True
        return False

    def _has_address(self) -> bool:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return f" {self.address}\n" in Path(f"/proc/{self.pid}/net/fib_trie").read_text()
        return False

    def wait_booted(self, timeout: float) -> None:
        """Wait until the network is up, sshd listens, and systemd has no job left.

        Raises:
            TimeoutError: It did not come to that; the message has the end of the console.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.running:
            if self.pid and self.listens(22) and self._has_address():
                state = self.run("systemctl", "is-system-running", "--wait", check=False, timeout=timeout).strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(0.1)
        lines = (self.home / "console.log").read_text(errors="replace").splitlines()[-20:]
        raise TimeoutError(f"{self.name} did not boot within {timeout:g} s; its console ends:\n" + "\n".join(lines))


def _listening(fields: Sequence[str], port: str) -> bool:
    return fields[3] == "0A" and fields[1].endswith(port)
