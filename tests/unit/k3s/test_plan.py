from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from labctl.errors import ClusterError
from labctl.k3s import layout, render
from labctl.k3s.facts import Facts, FileFact
from labctl.k3s.plan import Delete, Join, Keep, Link, Plan, Start, Upload, Wishes, Write, make_plan
from labctl.k3s.show import describe
from labctl.model.inventory import K3s, Network, Node, ProxyMode, Role
from labctl.secrets import Secret
from tests.unit.k3s.world import BINARY, SERVER, TOKEN, WISHES, WORKERS, done, empty, inventory

CLUSTER = inventory()


def paths(plan: Plan, name: str) -> list[str]:
    return [action.path for action in plan.of(name).changes if isinstance(action, (Upload, Write, Link, Delete, Join))]


def test_an_empty_host_gets_everything_and_the_token_once_the_server_is_up() -> None:
    plan = make_plan(CLUSTER, {node.name: empty(node) for node in CLUSTER.nodes}, WISHES)
    assert plan.first == SERVER
    assert paths(plan, "k3s-s") == [
        layout.BINARY,
        layout.CONFIG,
        "/etc/systemd/system/k3s.service",
        "/etc/systemd/system/k3s.service.env",
        layout.KILLALL,
        layout.UNINSTALL,
        "/usr/local/bin/kubectl",
        "/usr/local/bin/crictl",
        "/usr/local/bin/ctr",
    ]
    assert Join() in plan.of("k3s-w1").actions
    assert plan.of("k3s-w1").start == Start("k3s-agent", "it does not run", running=False)


def test_a_second_up_changes_nothing_and_every_no_op_says_why() -> None:
    plan = make_plan(CLUSTER, {node.name: done(CLUSTER, node) for node in CLUSTER.nodes}, WISHES)
    assert not plan.changes
    assert all(action.reason for node in plan.nodes for action in node.actions if isinstance(action, Keep))


def with_config(facts: Facts, path: str, text: str) -> Facts:
    return replace(facts, files={**facts.files, path: FileFact(text, 0o600)})


@pytest.mark.parametrize(
    ("path", "restarts"),
    [
        (layout.CONFIG, True),
        ("/etc/systemd/system/k3s-agent.service", True),
        ("/etc/systemd/system/k3s-agent.service.env", True),
        (layout.UNINSTALL, False),
    ],
)
def test_only_what_k3s_reads_at_its_start_restarts_it(path: str, restarts: bool) -> None:
    facts = {node.name: done(CLUSTER, node) for node in CLUSTER.nodes}
    facts["k3s-w2"] = with_config(facts["k3s-w2"], path, "something else")
    plan = make_plan(CLUSTER, facts, WISHES)
    assert paths(plan, "k3s-w2") == [path]
    assert (plan.of("k3s-w2").start is not None) is restarts
    assert not plan.of("k3s-w1").changes


def test_an_interrupted_run_is_finished_by_a_restart() -> None:
    facts = {node.name: done(CLUSTER, node) for node in CLUSTER.nodes}
    facts["k3s-s"] = with_config(facts["k3s-s"], layout.PENDING, "")
    start = make_plan(CLUSTER, facts, WISHES).of("k3s-s").start
    assert start is not None
    assert "did not come to the restart" in start.reason


def test_a_server_that_was_set_up_anew_gives_its_agents_the_new_token() -> None:
    facts = {node.name: done(CLUSTER, node) for node in CLUSTER.nodes}
    facts["k3s-s"] = replace(facts["k3s-s"], secrets={"node-token": Secret("K10new::server:x")})
    plan = make_plan(CLUSTER, facts, WISHES)
    assert paths(plan, "k3s-w1") == [layout.JOIN_TOKEN]
    assert plan.of("k3s-w1").start is not None


def test_another_release_is_only_installed_by_an_upgrade() -> None:
    facts = {node.name: done(CLUSTER, node) for node in CLUSTER.nodes}
    facts["k3s-w1"] = replace(facts["k3s-w1"], sums={layout.BINARY: "c" * 64})
    with pytest.raises(ClusterError, match=r"k3s-w1: .*another release .*v1\.30\.14\+k3s1") as caught:
        make_plan(CLUSTER, facts, WISHES)
    assert "labctl upgrade" in caught.value.hint
    plan = make_plan(CLUSTER, facts, replace(WISHES, replace_binary=True))
    assert Upload(layout.BINARY, BINARY, 0o755, "replaces another release") in plan.of("k3s-w1").actions


def test_a_half_uploaded_first_installation_is_no_other_release() -> None:
    facts = {node.name: empty(node) for node in CLUSTER.nodes}
    facts["k3s-s"] = replace(facts["k3s-s"], sums={layout.BINARY: "c" * 64})
    assert layout.BINARY in paths(make_plan(CLUSTER, facts, WISHES), "k3s-s")


def test_programs_of_the_hosts_own_are_left_alone() -> None:
    facts = {node.name: empty(node, {"command:kubectl": "/usr/bin/kubectl"}) for node in CLUSTER.nodes}
    plan = make_plan(CLUSTER, facts, WISHES)
    assert "/usr/local/bin/kubectl" not in paths(plan, "k3s-s")
    assert Keep("/usr/local/bin/kubectl", "the host has /usr/bin/kubectl") in plan.of("k3s-s").actions


def config(node: Node, cluster: object = CLUSTER, join: Node | None = None) -> dict[str, object]:
    assert isinstance(cluster, type(CLUSTER))
    loaded = yaml.safe_load(render.config_yaml(cluster, node, join, token=join is not None))
    assert isinstance(loaded, dict)
    return loaded


def test_the_servers_configuration_says_the_studys_networks() -> None:
    network = Network("172.16.0.0/16", "10.10.200.0/24")
    assert config(SERVER, inventory(network=network)) == {
        "node-name": "k3s-s",
        "node-ip": "192.168.10.10",
        "cluster-cidr": "172.16.0.0/16",
        "service-cidr": "10.10.200.0/24",
        "disable": ["traefik"],
        "tls-san": ["192.168.10.10"],
    }


def test_an_agents_configuration_holds_nothing_that_only_servers_know() -> None:
    cluster = inventory(
        network=Network(proxy_mode=ProxyMode.IPVS, node_ports=(30000, 31000)),
        k3s=K3s(server={"kube-apiserver-arg": ["v=2"]}, agent={"kubelet-arg": ["max-pods=50"]}),
    )
    node = replace(WORKERS[0], labels={"disk": "ssd"}, taints=("a=b:NoSchedule",))
    assert config(node, cluster, SERVER) == {
        "node-name": "k3s-w1",
        "node-ip": "192.168.10.101",
        "server": "https://192.168.10.10:6443",
        "token-file": layout.JOIN_TOKEN,
        "node-label": ["disk=ssd"],
        "node-taint": ["a=b:NoSchedule"],
        "kube-proxy-arg": ["proxy-mode=ipvs"],
        "kubelet-arg": ["max-pods=50"],
    }


HA = tuple(Node(f"s{n}", Role.SERVER, f"192.168.10.1{n}") for n in range(3))


def test_several_servers_make_an_etcd_cluster_begun_by_the_first() -> None:
    cluster = inventory(HA)
    assert config(HA[0], cluster)["cluster-init"] is True
    assert config(HA[1], cluster, HA[0])["server"] == "https://192.168.10.10:6443"
    assert "cluster-init" not in config(HA[1], cluster, HA[0])


def test_a_first_server_that_lost_its_disk_joins_the_others_and_does_not_begin_anew() -> None:
    cluster = inventory(HA)
    facts = {node.name: empty(node) for node in HA}
    facts["s1"] = empty(HA[1], {"server-data": "yes"}, secrets={"node-token": TOKEN})
    plan = make_plan(cluster, facts, WISHES)
    assert plan.first == HA[1]
    written = next(action for action in plan.of("s0").actions if isinstance(action, Write) and "config" in action.path)
    assert "server: https://192.168.10.11:6443" in written.content


def test_an_external_datastore_is_in_the_environment_file_and_shown_nowhere() -> None:
    wishes = Wishes(WISHES.artifacts, datastore=Secret("postgres://k3s:hunter2@db/k3s"))
    plan = make_plan(inventory(HA), {node.name: empty(node) for node in HA}, wishes)
    written = [action for action in plan.of("s0").actions if isinstance(action, Write) and "hunter2" in action.content]
    assert [(action.path, action.mode, action.secret) for action in written] == [
        ("/etc/systemd/system/k3s.service.env", 0o600, True)
    ]
    assert "hunter2" not in "\n".join(describe(plan))


def test_a_dry_run_shows_the_difference_of_a_changed_file() -> None:
    facts = {node.name: done(CLUSTER, node) for node in CLUSTER.nodes}
    changed = inventory(k3s=K3s(disable=("traefik", "servicelb")))
    text = "\n".join(describe(make_plan(changed, facts, WISHES)))
    assert "  ~ /etc/rancher/k3s/config.yaml (mode 600)" in text
    assert "      +- servicelb" in text
    assert "  * restart k3s: changed: config.yaml" in text
    assert "k3s-w1 (agent, 192.168.10.101): nothing to change" in text


def test_registries_that_are_no_longer_wanted_are_removed() -> None:
    facts = {node.name: done(CLUSTER, node) for node in CLUSTER.nodes}
    facts["k3s-s"] = with_config(
        facts["k3s-s"], layout.REGISTRIES, f"{layout.MARK} for cluster 'study'\nmirrors: {{}}\n"
    )
    assert paths(make_plan(CLUSTER, facts, WISHES), "k3s-s") == [layout.REGISTRIES]
    foreign = with_config(facts["k3s-s"], layout.REGISTRIES, "mirrors: {}\n")
    assert not make_plan(CLUSTER, {**facts, "k3s-s": foreign}, WISHES).changes
