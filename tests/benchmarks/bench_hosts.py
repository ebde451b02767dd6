"""`labctl up` on four test hosts against what k3sup does: one connection per command, one node after another.

`python -m tests.benchmarks.bench_hosts` (as root) makes the hosts, and gives both the same release files (the stand-in k3s) and
hosts in the same state, in alternating rounds. The peer is a script of ssh and scp commands in k3sup's order: install the server
and wait for it, read the token, join each agent and wait for it. It checks nothing; labctl's checks are in its time.
Wanted: at most 0.6 of the peer's time.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.hosts import prerequisites
from tests.hosts.bed import STUDY, Bed
from tests.hosts.faults import reset
from tests.hosts.lab import Lab
from tests.hosts.standin import build

ROUNDS = 3
WANTED = 0.6
UNIT = """[Unit]
Description=k3s
[Service]
Type=notify
KillMode=process
TimeoutStartSec=0
ExecStart=/usr/local/bin/k3s {what}
"""


def main() -> None:
    """Print the ratio."""
    reason = prerequisites.missing()
    if reason:
        print(f"skipped: {reason}")
        return
    bed = Bed("bench")
    with bed.locked(), tempfile.TemporaryDirectory() as folder:
        try:
            bed.up()
            _measure(bed, Path(folder))
        finally:
            bed.down()


def _measure(bed: Bed, folder: Path) -> None:
    artifacts = folder / "artifacts"
    build.artifacts(artifacts, "v1.30.14+k3s1")
    lab = Lab(bed, folder, artifacts)
    lab.describe(list(STUDY))
    ours, theirs, again = [], [], []
    for _ in range(ROUNDS):
        ours.append(_timed(lambda: _labctl(lab)))
        again.append(_timed(lambda: _labctl(lab)))
        _reset(bed)
        theirs.append(_timed(lambda: _sequence(bed, artifacts)))
        _reset(bed)
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"labctl up, 4 hosts        {mine:6.1f} s  {_all(ours)}")
    print(f"k3sup-like sequence       {peer:6.1f} s  {_all(theirs)}")
    print(f"ratio                     {mine / peer:6.2f}    wanted: at most {WANTED}")
    print(f"labctl up, nothing to do  {statistics.median(again):6.1f} s  {_all(again)}")


def _all(times: list[float]) -> str:
    return "(" + ", ".join(f"{seconds:.1f}" for seconds in times) + ")"


def _timed(action: object) -> float:
    assert callable(action)
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def _reset(bed: Bed) -> None:
    for host in bed.hosts().values():
        reset(host)


def _labctl(lab: Lab) -> None:
    done = lab.up()
    if done.code:
        raise SystemExit(done.text)


def _sequence(bed: Bed, artifacts: Path) -> None:
    """The peer: each line is a connection of its own."""
    server, *agents = STUDY
    _install(bed, artifacts, server, "server --disable traefik")
    token = _ssh(bed, server, "cat /var/lib/rancher/k3s/server/node-token").strip()
    _ssh(bed, server, "cat /etc/rancher/k3s/k3s.yaml")
    for agent in agents:
        _install(bed, artifacts, agent, f"agent --server https://{STUDY[server]}:6443 --token {token}")
    wait = "until [ $(k3s kubectl get --raw /api/v1/nodes | grep -o 'posting ready' | wc -l) = 4 ]; do sleep 0.2; done"
    _ssh(bed, server, wait)


def _install(bed: Bed, artifacts: Path, host: str, what: str) -> None:
    options = _options(bed)
    _run(bed.client("scp", *options, str(artifacts / "k3s"), f"root@{STUDY[host]}:/usr/local/bin/k3s"))
    unit = UNIT.format(what=what)
    _ssh(bed, host, f"chmod 755 /usr/local/bin/k3s; printf '%s' '{unit}' > /etc/systemd/system/k3s.service")
    _ssh(bed, host, "systemctl daemon-reload; systemctl restart k3s")


def _ssh(bed: Bed, host: str, command: str) -> str:
    return _run(bed.client("ssh", *_options(bed), f"root@{STUDY[host]}", command))


def _options(bed: Bed) -> list[str]:
    known = ["-o", f"UserKnownHostsFile={bed.known_hosts}", "-o", "BatchMode=yes"]
    return ["-F", "none", "-q", "-i", str(bed.key), *known]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
