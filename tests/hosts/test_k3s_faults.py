"""What goes wrong with a k3s that runs (the stand-in), and that a second `up` finishes what a first one could not.

What ends before there is a cluster is in test_faults.py.
"""

from __future__ import annotations

import shutil
import signal
import threading

import pytest

from tests.hosts import faults
from tests.hosts.bed import STUDY
from tests.hosts.host import Host
from tests.hosts.lab import Done, Lab

pytestmark = pytest.mark.hosts

REFUSED, LATE = 4, 5
PAIR = ("k3s-s", "k3s-w1")


def fails(done: Done, code: int, *words: str) -> None:
    """It ended with this exit code, and said all of these words; never with a traceback."""
    assert done.code == code, done.text
    assert "Traceback" not in done.text
    for word in words:
        assert word.lower() in done.text.lower(), f"no {word!r} in:\n{done.text}"


def nothing_half_written(host: Host) -> None:
    found = host.shell("find /usr/local /etc /var/lib/rancher -name '*labctl-partial*' 2>/dev/null || true")
    assert found == ""


def untouched(host: Host) -> None:
    assert host.shell("ls -A /usr/local/bin; ls -d /etc/rancher/k3s 2>/dev/null || true") == ""


def meanwhile(host: Host, condition: str, then: str) -> threading.Thread:
    """Do something to a host as soon as a condition holds there."""
    script = f"for i in $(seq 600); do if {condition}; then {then}; exit 0; fi; sleep 0.05; done"
    thread = threading.Thread(target=lambda: host.shell(script, check=False))
    thread.start()
    return thread


def test_connection_cut_in_mid_upload(lab: Lab) -> None:
    """The host's sshd drops the connection while the binary travels; the next `up` finishes."""
    host = lab.bed.host("k3s-w1")
    lab.describe(PAIR)
    cut = "ls /usr/local/bin/*labctl-partial* >/dev/null 2>&1"
    thread = meanwhile(host, cut, "pkill -KILL -f 'sshd: root@notty'")
    done = lab.up("--timeout", "30")
    thread.join()
    fails(done, done.code, "k3s-w1")
    assert done.code in (REFUSED, LATE)
    assert lab.up().code == 0
    nothing_half_written(host)


def test_connection_cut_in_mid_install(lab: Lab) -> None:
    """The same while k3s starts."""
    host = lab.bed.host("k3s-s")
    lab.describe(("k3s-s",))
    thread = meanwhile(host, "systemctl is-active k3s | grep -q activating", "pkill -KILL -f 'sshd: root@notty'")
    done = lab.up("--timeout", "30")
    thread.join()
    assert done.code in (REFUSED, LATE), done.text
    fails(done, done.code, "k3s-s")
    assert lab.up().code == 0
    nothing_half_written(host)


def _copied(lab: Lab) -> Lab:
    folder = lab.home / "release"
    shutil.copytree(lab.artifacts, folder)
    return Lab(lab.bed, lab.home, folder, lab.environ, lab.said)


def test_wrong_architecture(lab: Lab) -> None:
    changed = _copied(lab)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + (183).to_bytes(2, "little") + bytes(100)
    (changed.artifacts / "k3s").write_bytes(head)
    (changed.artifacts / "sha256sum-amd64.txt").unlink()
    lab.describe(PAIR)
    done = changed.up()
    assert done.code in (2, REFUSED)
    fails(done, done.code, "arm64", "amd64")
    untouched(lab.bed.host("k3s-s"))


def test_port_6443_taken(lab: Lab) -> None:
    faults.port_taken(lab.bed.host("k3s-s"), 6443)
    lab.describe(PAIR)
    fails(lab.up(), REFUSED, "k3s-s", "6443", "python3")


def test_clock_skew(lab: Lab) -> None:
    faults.clock_off(lab.bed.host("k3s-w1"), -60)
    lab.describe(PAIR)
    fails(lab.up("--timeout", "30"), REFUSED, "k3s-w1", "clock")


def test_token_mismatch(lab: Lab) -> None:
    """The datastore was begun with another token than the one that is given now."""
    lab.environ["TOKEN"] = "first-token-7421"
    lab.describe(("k3s-s",), k3s={"token": {"env": "TOKEN"}})
    assert lab.up().code == 0
    lab.environ["TOKEN"] = "second-token-9983"
    done = lab.up("--timeout", "30")
    fails(done, REFUSED, "k3s-s", "token")
    assert "first-token" not in done.text
    assert "second-token" not in done.text


def test_k3s_crashes_at_start(lab: Lab) -> None:
    changed = _copied(lab)
    (changed.artifacts / "k3s").write_text(
        "#!/bin/sh\ncase $1 in --version) echo 'k3s version v1.30.14+k3s1 (crash)'; exit 0;; server) "
        "echo 'level=fatal msg=\"something never seen\"' >&2; exit 1;; esac\n"
    )
    (changed.artifacts / "sha256sum-amd64.txt").unlink()
    lab.describe(("k3s-s",))
    done = changed.up("--timeout", "40")
    assert done.code in (REFUSED, LATE), done.text
    fails(done, done.code, "k3s-s", "something never seen")


def test_agent_that_never_joins(lab: Lab) -> None:
    """A firewall between agent and server."""
    faults.blocked(lab.bed.host("k3s-s"), STUDY["k3s-w1"], 6443)
    lab.describe(PAIR)
    done = lab.up("--timeout", "15")
    assert done.code in (REFUSED, LATE), done.text
    fails(done, done.code, "k3s-w1", "6443")


def test_interrupted(lab: Lab) -> None:
    """Ctrl-C while everything is under way; the next `up` finishes."""
    lab.describe(PAIR)
    process = lab.start("up", "--artifacts", str(lab.artifacts))
    host = lab.bed.host("k3s-s")
    host.shell(
        "for i in $(seq 400); do systemctl is-active k3s | grep -q activating && exit 0; sleep 0.05; done; exit 1"
    )
    process.send_signal(signal.SIGINT)
    done = lab.finish(process, 30)
    assert done.code == 130, done.text
    assert "Traceback" not in done.text
    assert lab.up().code == 0
    nothing_half_written(host)


def test_the_bed_is_what_it_was(lab: Lab) -> None:
    """Faults do not leak into other tests."""
    for host in lab.bed.hosts().values():
        untouched(host)
