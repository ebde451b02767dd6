"""The bed itself: hosts as the tests on hosts rely on them, and nothing left when it is gone."""

from __future__ import annotations

import subprocess

import pytest

from tests.hosts import network, processes
from tests.hosts.bed import STUDY, Bed
from tests.hosts.recipe import STUDENT_PASSWORD

pytestmark = pytest.mark.hosts


def ssh(bed: Bed, destination: str, *command: str) -> str:
    options = ["-i", str(bed.key), "-o", f"UserKnownHostsFile={bed.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    done = subprocess.run(
        bed.client("ssh", "-F", "none", "-o", "BatchMode=yes", *options, destination, *command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_each_host_is_a_machine_of_its_own(bed: Bed) -> None:
    hosts = bed.hosts()
    assert {name: host.address for name, host in hosts.items()} == STUDY
    seen = [ssh(bed, f"root@{host.address}", "hostname; cat /etc/machine-id") for host in hosts.values()]
    assert [text.split()[0] for text in seen] == list(STUDY)
    assert len({text.split()[1] for text in seen}) == len(STUDY)
    keys = {line.split()[2] for line in bed.known_hosts.read_text().splitlines()}
    assert len(keys) == 3 * len(STUDY)


def test_systemd_runs_with_control_groups_of_its_own(bed: Bed) -> None:
    host = bed.host("k3s-w1")
    host.shell("systemd-run --quiet --wait --property=MemoryMax=64M --property=Delegate=yes true")
    assert "memory" in host.shell("cat /proc/cgroups")
    assert host.shell("systemctl --failed --plain --no-legend").strip() == ""


def test_users(bed: Bed) -> None:
    address = STUDY["k3s-w2"]
    assert ssh(bed, f"ubuntu@{address}", "sudo -n id -u") == "0"
    assert ssh(bed, f"student@{address}", "sudo -n true 2>/dev/null || echo asks") == "asks"
    assert ssh(bed, f"student@{address}", f"echo '{STUDENT_PASSWORD}' | sudo -S -p '' id -u") == "0"


def test_hosts_reach_each_other_and_nothing_else(bed: Bed) -> None:
    host = bed.host("k3s-w3")
    host.shell(f"ping -c1 -W2 {STUDY['k3s-s']} && ping -c1 -W2 {network.CLIENT}")
    assert "default via 192.168.10.1" in host.shell("ip route")
    assert host.shell("ping -c1 -W1 192.0.2.1 >/dev/null && echo out || echo alone").strip() == "alone"


def test_a_host_keeps_its_files_over_a_power_cut(bed: Bed) -> None:
    before = bed.host("k3s-w3")
    before.shell("echo kept > /etc/kept; echo kept > /var/lib/kept; sync")
    bed.stop("k3s-w3")
    assert not before.running
    assert processes.started(before.supervisor) == 0
    after = bed.start("k3s-w3")
    after.wait_booted(60)
    assert after.shell("cat /etc/kept /var/lib/kept; rm /etc/kept /var/lib/kept").split() == ["kept", "kept"]


def test_a_bed_leaves_nothing_behind(bed: Bed) -> None:
    other = Bed("leftovers")
    with other.locked():
        other.up(count=1)
        host = other.host("k3s-s")
        child = int(host.shell("sleep 1000 >/dev/null 2>&1 & echo $!"))
        assert child
        other.down()
    assert processes.started(host.supervisor) == 0
    assert not network.path("leftovers").exists()
    assert not other.directory.exists()
    groups = subprocess.run(
        ["find", "/sys/fs/cgroup", "-name", "labctl-hosts-leftovers-*"], capture_output=True, text=True
    )
    assert groups.stdout == ""
