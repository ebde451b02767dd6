from __future__ import annotations

import base64
import json
import subprocess

import pytest

from labctl.k3s.facts import gather, parse, script
from labctl.k3s.preflight import examine, owner_of
from labctl.model.finding import Severity
from labctl.model.inventory import Network
from labctl.ssh.local import LocalTransport
from labctl.ssh.transport import Completed, HostError, Stdin
from labctl.testing.clock import FakeClock
from tests.unit.k3s.world import SERVER, WORKERS, done, empty, inventory


class Unprivileged(LocalTransport):
    """Gathers facts as the user of the tests."""

    def run(self, command: str, *, stdin: Stdin = b"", sudo: bool = False, timeout: float = 60.0) -> Completed:
        return super().run(command, stdin=stdin, timeout=timeout)


def test_the_script_runs_on_this_machine_and_every_line_is_json() -> None:
    done_ = subprocess.run(["/bin/sh", "-s"], input=script().encode(), capture_output=True, check=True)
    facts = [json.loads(line) for line in done_.stdout.splitlines()]
    names = {fact["name"] for fact in facts if fact["fact"] == "value"}
    assert {"time", "machine", "hostname", "memory-kb", "cgroup", "end"} <= names
    assert done_.stderr == b""


def test_a_host_is_asked_in_one_round_trip() -> None:
    facts = gather("here", Unprivileged("here"), FakeClock().clock())
    assert facts.number("memory-kb") > 0


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def line(**fact: str) -> str:
    return json.dumps(fact)


def test_files_units_listeners_and_secrets_are_told_apart() -> None:
    facts = parse(
        "n",
        "\n".join(
            [
                "Welcome to the machine!",
                line(fact="value", name="time", value="100.5"),
                line(fact="file", path="/etc/x", mode="600", content=encoded("k: v\n")),
                line(fact="unit", name="k3s", load="loaded", active="active", enabled="enabled", restarts="2"),
                line(fact="listener", port="6443", holder="nginx"),
                line(fact="secret", name="node-token", content=encoded("K10x::server:s")),
                line(fact="value", name="end", value="yes"),
            ]
        ),
        100.0,
        101.0,
    )
    assert facts.files["/etc/x"].content == "k: v\n"
    assert facts.files["/etc/x"].mode == 0o600
    assert facts.runs("k3s")
    assert facts.listeners[0].holder == "nginx"
    assert facts.secrets["node-token"].reveal() == "K10x::server:s"
    assert "K10x" not in repr(facts)
    assert facts.clock_skew == 0.0


@pytest.mark.parametrize(("there", "skew"), [("99.0", -1.0), ("100.7", 0.0), ("161.0", 60.0)])
def test_a_clock_differs_by_what_the_round_trip_cannot_explain(there: str, skew: float) -> None:
    text = "\n".join([line(fact="value", name="time", value=there), line(fact="value", name="end", value="yes")])
    assert parse("n", text, 100.0, 101.0).clock_skew == pytest.approx(skew)


def test_facts_that_are_cut_off_are_not_believed() -> None:
    with pytest.raises(HostError, match="n: the facts it told are cut off"):
        parse("n", line(fact="value", name="time", value="1"), 0.0, 2.0)


CLUSTER = inventory()


@pytest.mark.parametrize(
    ("values", "check", "severity", "remedy"),
    [
        ({"machine": "ppc64le"}, "architecture", Severity.FAIL, "amd64"),
        ({"systemd": ""}, "systemd", Severity.FAIL, "systemd"),
        ({"cgroup-controllers": "cpu pids"}, "cgroups", Severity.FAIL, "cgroup_enable=memory"),
        ({"default-route": ""}, "default route", Severity.FAIL, "ip route add default"),
        ({"iptables": ""}, "iptables", Severity.WARN, "prefer-bundled-bin"),
        ({"read-only:/usr/local/bin": "yes"}, "/usr/local/bin", Severity.FAIL, "remount"),
        ({"free-kb:/var/lib/rancher/k3s": "1000"}, "room in /var/lib/rancher/k3s", Severity.FAIL, "make room"),
        ({"noexec": "yes"}, "/usr/local/bin", Severity.FAIL, "exec"),
        ({"swap-kb": "2097152"}, "swap", Severity.WARN, "swapoff"),
        ({"ufw": "active"}, "ufw", Severity.WARN, "6443/tcp"),
        ({"selinux": "Enforcing"}, "SELinux", Severity.FAIL, "k3s-selinux"),
        ({"apparmor": "yes"}, "AppArmor", Severity.FAIL, "apparmor"),
        ({"nm-cloud-setup": "enabled"}, "nm-cloud-setup", Severity.FAIL, "disable"),
        ({"memory-kb": "1000000"}, "memory", Severity.WARN, "1855 MiB"),
        ({"routes": "172.16.3.0/24|eth0 "}, "routes", Severity.FAIL, "network.clusterCidr"),
        ({"other:microk8s": "/snap/bin/microk8s"}, "other Kubernetes", Severity.WARN, "remove"),
    ],
)
def test_what_k3s_would_stumble_over_is_found(
    values: dict[str, str], check: str, severity: Severity, remedy: str
) -> None:
    cluster = inventory(network=Network("172.16.0.0/16", "10.10.200.0/24"))
    found = examine(cluster, {"k3s-s": empty(SERVER, values)})["k3s-s"]
    bad = [finding for finding in found if finding.severity is not Severity.PASS]
    assert [(finding.check, finding.severity) for finding in bad] == [(check, severity)]
    assert remedy in bad[0].remedy


def test_a_fit_host_has_nothing_to_complain_of() -> None:
    found = examine(CLUSTER, {node.name: empty(node) for node in CLUSTER.nodes})
    assert all(item.severity is Severity.PASS for findings in found.values() for item in findings)


@pytest.mark.parametrize(("skew", "severity"), [(-3.0, Severity.WARN), (60.0, Severity.FAIL)])
def test_clocks_that_differ(skew: float, severity: Severity) -> None:
    found = examine(CLUSTER, {"k3s-s": empty(SERVER, clock_skew=skew)})["k3s-s"]
    clock = next(item for item in found if item.check == "clock")
    assert clock.severity is severity
    assert f"{abs(skew):.1f} s" in clock.evidence


def test_a_taken_port_is_named_with_its_holder_unless_k3s_holds_it() -> None:
    from labctl.k3s.facts import Listener

    taken = (Listener(6443, "nginx"), Listener(8080, "other"))
    found = examine(CLUSTER, {"k3s-s": empty(SERVER, listeners=taken)})["k3s-s"]
    ports = next(item for item in found if item.check == "ports")
    assert (ports.severity, ports.evidence) == (Severity.FAIL, "taken: 6443 by nginx")
    assert not [item for item in examine(CLUSTER, {"k3s-s": done(CLUSTER, SERVER)})["k3s-s"] if item.check == "ports"]


def test_two_hosts_with_one_name_are_both_refused() -> None:
    facts = {node.name: empty(node, {"hostname": "clone"}) for node in WORKERS[:2]}
    for name, other in (("k3s-w1", "k3s-w2"), ("k3s-w2", "k3s-w1")):
        twin = next(item for item in examine(CLUSTER, facts)[name] if item.check == "hostname")
        assert twin.severity is Severity.FAIL
        assert other in twin.evidence


def test_whose_k3s_it_is() -> None:
    from labctl.k3s import layout
    from labctl.k3s.facts import FileFact

    assert owner_of(empty(SERVER)) == ""
    assert owner_of(done(CLUSTER, SERVER)) == "study"
    unit = FileFact("[Unit]\n", 0o644)
    assert owner_of(empty(SERVER, files={"/etc/systemd/system/k3s.service": unit})) == "somebody else"
    mine = FileFact(f"{layout.MARK} for cluster 'other'; …", 0o600)
    facts = empty(SERVER, files={layout.CONFIG: mine})
    assert any(item.check == "k3s" for item in examine(CLUSTER, {"k3s-s": facts})["k3s-s"])
