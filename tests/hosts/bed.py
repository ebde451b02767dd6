"""A bed of test hosts: made, found again by its state file, and removed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts import cgroups, network, processes
from tests.hosts.host import Host
from tests.hosts.layer import Layer
from tests.hosts.paths import cache
from tests.hosts.recipe import base_tree

STUDY = {"k3s-s": "192.168.10.10", "k3s-w1": "192.168.10.101", "k3s-w2": "192.168.10.102", "k3s-w3": "192.168.10.103"}
BOOT_TIMEOUT = 60.0
_BOOT_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
Say = Callable[[str], None]


def addresses(count: int) -> dict[str, str]:
    """The study's hosts, then more workers: name → address."""
    more = {f"k3s-w{number}": f"192.168.10.{100 + number}" for number in range(4, count)}
    return dict([*STUDY.items(), *more.items()][:count])


@dataclass(frozen=True, slots=True)
class Bed:
    """Test hosts that share a network namespace.

    Attributes:
        name: Beds with different names run side by side; all have the same addresses.
    """

    name: str = field(default_factory=lambda: os.environ.get("LABCTL_TEST_BED", "0"))

    @property
    def directory(self) -> Path:
        """Its files."""
        return cache() / f"bed-{self.name}"

    @property
    def key(self) -> Path:
        """The client's private key: root, ubuntu and student take it on every host."""
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Every host's keys, by name and address."""
        return self.directory / "known_hosts"

    @property
    def _state(self) -> Path:
        return self.directory / "state.json"

    def hosts(self) -> dict[str, Host]:
        """The hosts that were made, running or not."""
        try:
            state = json.loads(self._state.read_text())
        except FileNotFoundError:
            return {}
        return {
            name: Host(name, entry["address"], self._home(name), entry["pid"], entry["started"])
            for name, entry in state["hosts"].items()
        }

    def host(self, name: str) -> Host:
        """One of them."""
        return self.hosts()[name]

    def client(self, *command: str) -> list[str]:
        """The command, so that it runs where labctl runs: on the machine, in the hosts' network."""
        return [*network.entering(self.name), *command]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the bed: nobody else takes it up or down, or tests on it, meanwhile."""
        cache().mkdir(mode=0o700, parents=True, exist_ok=True)
        with (cache() / f"bed-{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def up(self, count: int = len(STUDY), say: Say = lambda text: None) -> None:
        """Make the hosts afresh and wait until all have booted; what an earlier run left is cleared first.

        Raises:
            TimeoutError: A host did not boot; the message has the end of its console.
        """
        base = base_tree(say)
        self.down()
        self.directory.mkdir(mode=0o700)
        network.make(self.name)
        self._make_client_key()
        wanted = addresses(count)
        begin = time.monotonic()
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda item: self._make_files(base, *item), wanted.items()))
        self._write_known_hosts(wanted)
        for name, address in wanted.items():
            self._boot(name, address, base)
        for host in self.hosts().values():
            host.wait_booted(BOOT_TIMEOUT)
        say(f"{count} hosts up in {time.monotonic() - begin:.1f} s")

    def start(self, name: str) -> Host:
        """Boot a host that was stopped, with the files that it has."""
        return self._boot(name, self.host(name).address, base_tree(lambda text: None))

    def _boot(self, name: str, address: str, base: Path) -> Host:
        groups = self._groups(name)
        cgroups.make(groups)
        layer = Layer(base, self._home(name))
        words = ["unshare", "--mount", "/bin/sh", "-ec", _boot_script(name, groups, layer)]
        pid = processes.spawn([*network.entering(self.name), *words], _BOOT_ENVIRONMENT, self._console(name))
        entry = {"address": address, "pid": pid, "started": processes.started(pid)}
        self._remember(name, entry)
        return self.host(name)

    def stop(self, name: str) -> None:
        """Cut one host's power."""
        groups = self._groups(name)
        for pid in cgroups.members(groups):
            processes.end(pid, processes.started(pid))
        cgroups.remove(groups)

    def down(self) -> None:
        """Remove everything: processes, network namespace, control groups, files. Nothing happens when there is none."""
        for name in self.hosts():
            self.stop(name)
        network.remove(self.name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _home(self, name: str) -> Path:
        return self.directory / "hosts" / name

    def _console(self, name: str) -> Path:
        return self._home(name) / "console.log"

    def _groups(self, name: str) -> list[Path]:
        return cgroups.groups(f"labctl-hosts-{self.name}-{name}")

    def _remember(self, name: str, entry: dict[str, object]) -> None:
        state = json.loads(self._state.read_text()) if self._state.exists() else {"hosts": {}}
        state["hosts"][name] = entry
        partial = self._state.with_suffix(".partial")
        partial.write_text(json.dumps(state, indent=2))
        partial.replace(self._state)

    def _make_client_key(self) -> None:
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "client", "-f", str(self.key))

    def _make_files(self, base: Path, name: str, address: str) -> None:
        """What makes the host itself: written into its layer over the base tree."""
        layer = Layer(base, self._home(name))
        layer.make()
        layer.write("etc/hostname", f"{name}\n")
        layer.write("etc/hosts", f"127.0.0.1 localhost\n{address} {name}\n")
        layer.write("etc/machine-id", f"{os.urandom(16).hex()}\n")
        layer.write(
            "etc/host-network",
            f"ip addr add {address}/{network.PREFIX} dev host0\nip link set host0 up\n"
            f"ip route add default via {network.CLIENT}\n",
        )
        layer.directory("etc/ssh")
        _run("ssh-keygen", "-q", "-A", "-f", str(layer.upper))
        for user in ("root", "home/ubuntu", "home/student"):
            layer.write(f"{user}/.ssh/authorized_keys", self.key.with_suffix(".pub").read_text(), like=user)

    def _write_known_hosts(self, wanted: dict[str, str]) -> None:
        lines: list[str] = []
        for name, address in wanted.items():
            publics = sorted((self._home(name) / "upper/etc/ssh").glob("ssh_host_*_key.pub"))
            lines.extend(f"{name},{address} {' '.join(path.read_text().split()[:2])}\n" for path in publics)
        self.known_hosts.write_text("".join(lines))


def _boot_script(name: str, groups: Sequence[Path], layer: Layer) -> str:
    """Becomes the host: the mounts are in a mount namespace of its own, and go when its processes go."""
    joins = [f"echo $$ > {shlex.quote(f'{group}/cgroup.procs')}" for group in groups]
    return "\n".join([*joins, layer.mount_command(), f"exec {shlex.join(_nspawn(name, layer))}"])


def _nspawn(name: str, layer: Layer) -> Sequence[str]:
    return (
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--keep-unit",
        "--register=no",
        f"--machine={name}",
        f"--directory={layer.root}",
        f"--bind={layer.state}:/var/lib",
        f"--network-bridge={network.BRIDGE}",
        "--capability=all",
        "--system-call-filter=add_key keyctl bpf",  # container runtimes ask for these
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=read-only",
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
