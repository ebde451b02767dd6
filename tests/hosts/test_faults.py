"""What goes wrong on real hosts: each with its message, the host's name, its exit code, in its time, and nothing half done.

The program that is installed is no k3s (fake_k3s.sh): these tests end before there is a cluster.
"""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import processes
from tests.hosts.arguments import watched_arguments
from tests.hosts.bed import STUDY, Bed
from tests.hosts.labctl import Labctl
from tests.hosts.recipe import STUDENT_PASSWORD

pytestmark = pytest.mark.hosts

FAKE = Path(__file__).parent / "fake_k3s.sh"
PARTIAL = "/usr/local/bin/k3s.labctl-partial*"
UNPLUG = "ip link set host0 down"
PLUG_IN = "ip link set host0 up; ip route add default via 192.168.10.1 2>/dev/null || true"
SECRETS = ("very-secret", "also-secret", STUDENT_PASSWORD, "not the password")
CLEAN = """
for unit in k3s k3s-agent; do systemctl stop $unit 2>/dev/null || true; done
umount /usr/local/bin /usr/local 2>/dev/null || true
rm -rf /etc/rancher /var/lib/rancher /etc/fake-k3s /usr/local/bin/* /usr/local/sbin/date
rm -f /etc/systemd/system/k3s*.service* /etc/systemd/system/multi-user.target.wants/k3s*
systemctl daemon-reload; systemctl reset-failed; systemctl start ssh
"""


def artifacts(folder: Path, *, padding: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    content = FAKE.read_bytes() + b"\0" * padding
    (folder / "k3s").write_bytes(content)
    (folder / "sha256sum-amd64.txt").write_text(f"{hashlib.sha256(content).hexdigest()}  k3s\n")
    return folder


@pytest.fixture
def user(bed: Bed, tmp_path: Path) -> Iterator[Labctl]:
    """A user whose hosts are clean, and stay clean for the next test; no output of theirs tells a secret."""
    made = Labctl(bed, tmp_path)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh" / "known_hosts").write_text(bed.known_hosts.read_text())
    artifacts(tmp_path / "files")
    made.write()
    with watched_arguments() as seen:
        yield made
    left, modes = "", set()
    for host in bed.hosts().values():
        left += host.shell("find / -xdev -name '*labctl-partial*'; find /var/lib -xdev -name '*labctl-partial*'")
        told = host.shell("cd /etc/rancher 2>/dev/null && grep -rlE 'very-secre[t]|also-secre[t]' . || true").split()
        modes |= {host.shell(f"stat -c %a /etc/rancher/{path}").strip() for path in told}
        host.shell(CLEAN, check=False)
    assert any("labctl" in line for line in seen)
    assert not [line for line in seen for secret in SECRETS if secret in line]
    assert left == ""
    assert modes <= {"600"}


def up(user: Labctl, *more: str, timeout: float = 60.0) -> tuple[int, str, float]:
    """`labctl up` with the fake, and how long it took."""
    begun = time.monotonic()
    status, text = user.run("up", "--artifacts", "files", "--timeout", "6", *more, timeout=timeout)
    for secret in SECRETS:
        assert secret not in text
    return status, text, time.monotonic() - begun


def untouched(bed: Bed, *names: str) -> bool:
    """Whether nothing of k3s is on the hosts."""
    script = "ls -d /etc/rancher /usr/local/bin/k3s /etc/systemd/system/k3s* 2>/dev/null || true"
    return all(bed.host(name).shell(script) == "" for name in names or STUDY)


def test_a_key_that_no_host_knows(user: Labctl, bed: Bed) -> None:
    import subprocess

    key = user.home / "own"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    user.write(ssh=f"user: ubuntu, identityFile: {key}")
    status, text, _ = up(user)
    assert status == 4
    assert "4 of 4 hosts failed" in text
    assert f"k3s-w2: ubuntu@192.168.10.102:22 does not let us in: key {key} refused" in text
    assert "ssh-copy-id" in text


def test_a_host_key_that_has_changed(user: Labctl, bed: Bed) -> None:
    lines = bed.known_hosts.read_text().splitlines()
    servers = {line.split()[1]: line.split()[2] for line in lines if line.startswith("k3s-s,")}
    swapped = [
        f"{line.split()[0]} {line.split()[1]} {servers[line.split()[1]]}" if line.startswith("k3s-w1,") else line
        for line in lines
    ]
    (user.home / ".ssh" / "known_hosts").write_text("\n".join(swapped) + "\n")
    status, text, _ = up(user)
    assert status == 4
    assert "k3s-w1: its host key has CHANGED: known is " in text
    assert text.count("SHA256:") == 2
    assert "ssh-keygen -R '192.168.10.101'" in text
    assert untouched(bed)


def test_a_wrong_sudo_password(user: Labctl, bed: Bed) -> None:
    user.environ["PW"] = "not the password"
    user.write(k3s_w3=f"user: student, identityFile: {bed.key}, sudoPassword: {{env: PW}}")
    status, text, _ = up(user)
    assert status == 4
    assert "k3s-w3: sudo refuses the password" in text
    assert untouched(bed)


def test_sudo_with_the_right_password_installs_like_any_other(user: Labctl, bed: Bed) -> None:
    user.environ["PW"] = STUDENT_PASSWORD
    user.write(hosts=["k3s-s", "k3s-w3"], k3s_w3=f"user: student, identityFile: {bed.key}, sudoPassword: {{env: PW}}")
    status, text, _ = up(user)
    assert "✔ k3s-w3: start k3s-agent" in text
    assert status == 5  # there is no API behind the fake
    assert "cannot reach the API server https://192.168.10.10:6443" in text


def test_a_host_that_is_down(user: Labctl, bed: Bed) -> None:
    bed.host("k3s-w1").shell("systemctl stop ssh.socket ssh 2>/dev/null || systemctl stop ssh")
    status, text, took = up(user)
    assert status == 4
    assert "k3s-w1: cannot connect to ubuntu@192.168.10.101:22: Connection refused" in text
    assert "is the machine up" in text
    assert took < 20
    assert untouched(bed)


def test_a_host_that_goes_away_in_mid_upload(user: Labctl, bed: Bed) -> None:
    artifacts(user.home / "files", padding=150_000_000)
    host = bed.host("k3s-w1")
    cut = threading.Thread(target=host.shell, args=(f"until ls {PARTIAL} >/dev/null 2>&1; do :; done; {UNPLUG}",))
    cut.start()
    status, text, took = up(user, timeout=120.0)
    host.shell(PLUG_IN)
    assert status == 4
    assert "k3s-w1: the connection to ubuntu@192.168.10.101:22 was lost" in text
    assert "run the same command again" in text
    assert took < 60
    cut.join()
    # sshd there still believes in the old connection: it ends with it, and what was sent goes
    host.shell(
        "for p in $(pgrep -f '[s]shd: ubuntu'); do kill $p; done; n=0\n"
        "while ls /usr/local/bin/k3s.labctl-partial* >/dev/null 2>&1 && [ $((n = n + 1)) -lt 50 ]; do sleep 0.1; done"
    )
    status, text, _ = up(user)
    assert "✔ k3s-w1: start k3s-agent: up" in text


@pytest.mark.parametrize("moment", [PARTIAL, "/etc/rancher/k3s/labctl.pending"])
def test_an_interruption_leaves_nothing_half_written_and_the_next_up_finishes(
    user: Labctl, bed: Bed, moment: str
) -> None:
    artifacts(user.home / "files", padding=60_000_000)
    child = user.start("up", "--artifacts", "files", "--timeout", "6")
    bed.host("k3s-s").shell(f"until ls {moment} >/dev/null 2>&1; do :; done")
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    text = child.communicate(timeout=30)[0]
    assert child.returncode == 130
    assert "interrupted" in text
    assert time.monotonic() - begun < 10
    for host in bed.hosts().values():
        host.shell(
            "n=0; while ls /usr/local/bin/k3s.labctl-partial* >/dev/null 2>&1 && [ $((n = n + 1)) -lt 50 ]; do sleep 0.1; done"
        )
        assert host.shell("ls /usr/local/bin/*.labctl-partial* 2>/dev/null || true") == ""
    _, text, _ = up(user)
    for name in STUDY:
        assert f"{name}: start k3s" in text
        assert bed.host(name).shell("ls /etc/rancher/k3s/labctl.pending 2>/dev/null || true") == ""
    _, text, _ = up(user)
    assert text.count("things are as wanted") == len(STUDY)


@pytest.mark.parametrize(
    ("breaking", "message", "hint"),
    [
        ("mount -t tmpfs -o size=20m none /usr/local/bin", "room in /usr/local/bin: 20 MiB free", "make room"),
        ("mount --bind /usr/local /usr/local; mount -o remount,ro,bind /usr/local", "cannot be written", "remount"),
        ("systemd-run --quiet --unit holder python3 -m http.server 6443", "ports: taken: 6443 by python3", "ss -ltnp"),
    ],
)
def test_a_server_that_is_not_fit(user: Labctl, bed: Bed, breaking: str, message: str, hint: str) -> None:
    host = bed.host("k3s-s")
    host.shell(breaking)
    if "6443" in breaking:
        deadline = time.monotonic() + 10
        while not host.listens(6443):
            assert time.monotonic() < deadline
    try:
        status, text, _ = up(user)
    finally:
        host.shell("systemctl stop holder 2>/dev/null || true")
    assert status == 4
    assert "k3s-s: " in text
    assert message in text
    assert hint in text
    assert untouched(bed, "k3s-w1", "k3s-w2", "k3s-w3")


def test_a_disk_that_fills_up_in_mid_upload(user: Labctl, bed: Bed) -> None:
    artifacts(user.home / "files", padding=140_000_000)
    bed.host("k3s-w2").shell("mount -t tmpfs -o size=120m none /usr/local/bin")
    status, text, _ = up(user)
    assert status == 4
    assert "k3s-w2: cannot write /usr/local/bin/k3s: " in text
    assert "No space left on device" in text
    assert "make room on that host's disk" in text


def test_two_hosts_with_one_name(user: Labctl, bed: Bed) -> None:
    bed.host("k3s-w2").shell("hostname k3s-w1")
    try:
        status, text, _ = up(user)
    finally:
        bed.host("k3s-w2").shell("hostname k3s-w2")
    assert status == 4
    assert "k3s-w1: hostname: k3s-w1 is that of k3s-w2 too" in text
    assert "hostnamectl set-hostname" in text


def test_a_clock_that_is_a_minute_ahead(user: Labctl, bed: Bed) -> None:
    # Hosts in containers share the machine's clock: only what `date` says there is changed.
    bed.host("k3s-w3").shell(
        'printf \'#!/bin/sh\\n/bin/date -d "now + 60 seconds" "$@"\\n\' > /usr/local/sbin/date; chmod +x /usr/local/sbin/date'
    )
    status, text, _ = up(user)
    assert status == 4
    assert "k3s-w3: clock: " in text
    assert "s ahead of this machine" in text
    assert "timedatectl set-ntp true" in text


@pytest.mark.parametrize(
    ("name", "mode", "line", "message", "exit_status"),
    [
        (
            "k3s-s",
            "crash",
            'level=fatal msg="flag provided but not defined: -nonsense"',
            "does not understand its configuration",
            4,
        ),
        ("k3s-s", "crash", "panic: something unknown", "systemd has started it", 4),
        (
            "k3s-w1",
            "stuck",
            "token CA hash does not match the Cluster CA certificate hash",
            "belongs to another cluster",
            4,
        ),
        ("k3s-w1", "stuck", "Node password rejected, duplicate hostname", "knows another node of this name", 4),
        ("k3s-w2", "stuck", "dial tcp 192.168.10.10:6443: i/o timeout", "does not reach the server's API", 5),
    ],
)
def test_a_k3s_that_does_not_come_up(
    user: Labctl, bed: Bed, name: str, mode: str, line: str, message: str, exit_status: int
) -> None:
    bed.host(name).shell(f"printf '%s\\n%s\\n' '{mode}' '{line}' > /etc/fake-k3s")
    timeout = "30" if mode == "crash" else "8"
    status, text = user.run("up", "--artifacts", "files", "--timeout", timeout)
    assert status == exit_status
    assert f"{name}: k3s" in text
    assert message in text
    assert line.partition('msg="')[2].rstrip('"') in text or line in text
    assert "hint: " in text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "k3s").write_bytes(b"cut"), "is not what its release says"),
        (lambda folder: (folder / "k3s").unlink(), "has no file k3s"),
        (
            lambda folder: (folder / "sha256sum-amd64.txt").write_text("0" * 64 + "  k3s\n"),
            "is not what its release says",
        ),
    ],
)
def test_files_that_are_damaged_are_not_sent(user: Labctl, bed: Bed, damage: object, message: str) -> None:
    assert callable(damage)
    damage(user.home / "files")
    status, text, _ = up(user)
    assert status == 4
    assert message in text
    assert untouched(bed)


def test_down_leaves_the_hosts_as_they_were(user: Labctl, bed: Bed) -> None:
    listing = (
        "find / -xdev -path /proc -prune -o -path /var/log -prune -o -path /tmp -prune -o -path /run -prune -o "
        "-path /var/lib/systemd -prune -o -printf '%p %m %U\\n' | sort; systemctl list-unit-files --no-legend | sort; "
        "find /var/lib -xdev -path /var/lib/systemd -prune -o -printf '%p %m\\n' | sort"
    )
    before = {name: bed.host(name).shell(listing) for name in STUDY}
    up(user)
    status, text = user.run("down")
    assert status == 0, text
    for name in STUDY:
        assert bed.host(name).shell(listing) == before[name]
    status, text = user.run("down")
    assert status == 0
    assert text.count("there is none") == len(STUDY)


def test_down_clears_the_hosts_that_can_be_reached_and_names_the_others(user: Labctl, bed: Bed) -> None:
    user.write(hosts=["k3s-s", "k3s-w1"])
    up(user)
    bed.host("k3s-w1").shell("systemctl stop ssh.socket ssh 2>/dev/null || systemctl stop ssh")
    status, text = user.run("down")
    assert status == 4
    assert "k3s-w1: cannot connect to" in text
    assert "✔ k3s-s: remove k3s: removed" in text
    assert untouched(bed, "k3s-s")
    bed.host("k3s-w1").shell("systemctl start ssh")
    status, text = user.run("down")
    assert status == 0
    assert untouched(bed)


def test_a_k3s_of_somebody_else_is_left_alone(user: Labctl, bed: Bed) -> None:
    host = bed.host("k3s-w1")
    host.shell("printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/k3s-agent.service")
    for command in (["up", "--artifacts", "files"], ["down"]):
        status, text = user.run(*command)
        assert status == 4
        assert "belongs to somebody else" in text
    assert "ExecStart=/bin/true" in host.shell("cat /etc/systemd/system/k3s-agent.service")
    assert processes.started(host.supervisor)
