"""The whole life of a cluster on four hosts, as the study lives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.arguments import watched_arguments
from tests.hosts.bed import STUDY, Bed
from tests.hosts.host import Host
from tests.hosts.lab import Lab
from tests.hosts.recipe import STUDENT_PASSWORD

pytestmark = pytest.mark.hosts


def picture(host: Host) -> str:
    """Every file of the host that k3s or labctl could have to do with, and its units."""
    files = host.shell(
        "cd /; find etc usr var opt root home -xdev ! -path 'root/.ssh*' -printf '%p %m %u %s %l\\n' | sort"
    )
    units = host.shell("systemctl list-unit-files --no-legend --plain | awk '{ print $1, $2 }' | sort")
    kept = [line for line in files.splitlines() if not line.startswith(_MOVING)]
    return "\n".join(
        [
            *kept,
            units,
            host.shell("iptables-save | grep -v '^#' || true"),
            host.shell("ls /run | grep -v -x -e motd.dynamic -e sudo | sort"),
        ]
    )


# What changes by itself: logs, ages of caches, directories’ sizes; and in /run what PAM and sudo leave of a login.
_MOVING = ("var/log/", "var/cache/", "var/tmp/", "var/lib/systemd/", "var ", "etc ", "usr ", "opt ", "root ", "home ")


def node_token(bed: Bed) -> str:
    return bed.host("k3s-s").shell("cat /var/lib/rancher/k3s/server/node-token").strip().rpartition(":")[2]


def ready(lab: Lab) -> dict[str, str]:
    nodes = lab.labctl("node", "list", "-o", "json").json
    rows = nodes["nodes"] if isinstance(nodes, dict) else nodes
    return {row["name"]: str(row.get("ready", row.get("status"))) for row in rows}


def test_life(lab: Lab, newer: Path) -> None:
    """up, labs, up again, one node out and in, another release, down: as the hosts were, and no secret told."""
    before = {name: picture(host) for name, host in lab.bed.hosts().items()}
    lab.environ["SUDO_PASSWORD"] = STUDENT_PASSWORD
    lab.describe(list(STUDY), ssh={"user": "student", "sudoPassword": {"env": "SUDO_PASSWORD"}}, ingress=True)

    with watched_arguments() as arguments:
        up = lab.up()
        assert up.code == 0, up.text
        token = node_token(lab.bed)
        ran = lab.labctl("run", "path", "host", "canary", "https", "-o", "json")
    assert ran.code == 0, ran.text
    assert ran.json["result"] == "passed"

    again = lab.up("-v")
    assert again.code == 0, again.text
    assert "✔" not in again.err, again.err
    assert modes(lab.bed) == []

    removed = lab.labctl("node", "remove", "k3s-w3")
    assert removed.code == 0, removed.text
    assert picture(lab.bed.host("k3s-w3")) == before["k3s-w3"]
    assert "k3s-w3" not in ready(lab)
    added = lab.labctl("node", "add", "k3s-w3", "--artifacts", str(lab.artifacts))
    assert added.code == 0, added.text
    assert set(ready(lab)) == set(STUDY)

    upgraded = lab.labctl("upgrade", "--version", "v1.31.13+k3s1", "--artifacts", str(newer))
    assert upgraded.code == 0, upgraded.text
    for host in lab.bed.hosts().values():
        assert "v1.31.13+k3s1" in host.run("k3s", "--version")

    down = lab.labctl("down")
    assert down.code == 0, down.text
    for name, host in lab.bed.hosts().items():
        assert picture(host) == before[name], name
    for secret in (token, STUDENT_PASSWORD):
        assert not [text for text in lab.said if secret in text]
        assert not [words for words in arguments if secret in words]


def modes(bed: Bed) -> list[str]:
    """Files with secrets that others than root could read."""
    found = []
    for host in bed.hosts().values():
        found += host.shell(
            "find /etc/rancher/k3s /etc/rancher/node /var/lib/rancher/k3s/server -type f -perm /077 2>/dev/null "
            "| grep -v -e '\\.crt$' -e /db/ || true; grep -l -r K10 /etc/systemd /usr/local/bin/*.sh 2>/dev/null || true"
        ).split()
    return found


def test_an_agent_that_dies_is_not_ready_and_comes_back(lab: Lab) -> None:
    lab.describe(("k3s-s", "k3s-w1"))
    assert lab.up().code == 0
    host = lab.bed.host("k3s-w1")
    host.shell("systemctl kill --signal=KILL k3s-agent; systemctl stop k3s-agent")
    server = lab.bed.host("k3s-s")
    wait = "for i in $(seq 150); do k3s kubectl get --raw /api/v1/nodes/k3s-w1 | grep -q '%s' && exit 0; sleep 0.2; done; exit 1"
    server.shell(wait % "Kubelet stopped posting")
    host.shell("systemctl start k3s-agent")
    server.shell(wait % "kubelet is posting ready status")
