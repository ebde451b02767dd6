from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.inventory import load_inventory, parse_inventory
from labctl.config.template import cluster_yaml
from labctl.errors import ConfigError, Problem
from labctl.model.inventory import (
    Node,
    Provider,
    ProxyMode,
    Role,
    SecretRef,
    SshOptions,
    default_inventory,
)

HEAD = "apiVersion: labctl/v1\nkind: Cluster\n"
ONE_NODE = "nodes:\n  - {name: s, role: server, address: 192.168.10.10}\n"


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_inventory(text, "cluster.yaml")
    return caught.value.problems


def only(text: str) -> Problem:
    (problem,) = problems(text)
    return problem


def test_the_shortest_file_is_the_embedded_default() -> None:
    assert parse_inventory(HEAD, "cluster.yaml") == default_inventory()


@pytest.mark.parametrize("provider", list(Provider))
def test_the_template_of_every_provider_is_valid_and_says_what_it_is(provider: Provider) -> None:
    inventory = parse_inventory(cluster_yaml(provider, "mine"), "cluster.yaml")
    assert (inventory.name, inventory.provider) == ("mine", provider)


def test_the_embedded_template_is_the_default_cluster() -> None:
    assert parse_inventory(cluster_yaml(Provider.EMBEDDED), "cluster.yaml") == default_inventory()


def test_the_template_lists_the_nodes_it_is_given() -> None:
    nodes = (Node("one", Role.SERVER, "10.0.0.1"), Node("another", Role.AGENT, "10.0.0.2"))
    inventory = parse_inventory(cluster_yaml(Provider.SSH, nodes=nodes, user="me"), "cluster.yaml")
    assert inventory.nodes == nodes
    assert inventory.ssh.user == "me"


def test_everything_of_an_ssh_cluster_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(
        HEAD
        + """
name: lab1
provider: ssh
nodes:
  - name: s
    role: server
    address: 192.168.10.10
    labels: {disk: ssd}
    taints: ["node-role.kubernetes.io/control-plane=true:NoSchedule"]
    ssh: {user: root, port: 2222, identityFile: keys/id, proxyJump: jump, password: {env: PW}}
  - {name: w, role: agent, address: worker.example.com}
ssh: {user: ubuntu, sudoPassword: {file: secret.txt}}
network: {clusterCidr: 172.20.0.0/16, serviceCidr: 10.9.0.0/24, apiPort: 7443, proxyMode: ipvs, nodePorts: 31000-31999}
ingress: {chartVersion: v4.11.3, values: {controller: {replicaCount: 2}}}
k3s: {version: v1.30.4+k3s1, datastore: {endpoint: {env: LAB_DB}}, server: {tls-san: [lab.example]}}
""",
        encoding="utf-8",
    )
    inventory = load_inventory(path)
    server, worker = inventory.nodes
    assert server.labels == {"disk": "ssd"}
    assert server.taints == ("node-role.kubernetes.io/control-plane=true:NoSchedule",)
    assert worker.address == "worker.example.com"
    own = inventory.node_ssh["s"]
    assert (own.user, own.port, own.identity_file, own.proxy_jump) == ("root", 2222, tmp_path / "keys/id", "jump")
    assert own.password == SecretRef(env="PW")
    assert inventory.ssh.sudo_password == SecretRef(file=tmp_path / "secret.txt")
    assert inventory.network.proxy_mode is ProxyMode.IPVS
    assert inventory.network.node_ports == (31000, 31999)
    assert inventory.ingress.chart_version == "4.11.3"
    assert inventory.ingress.values == {"controller": {"replicaCount": 2}}
    assert inventory.k3s.version == "v1.30.4+k3s1"
    assert inventory.k3s.datastore_endpoint == SecretRef(env="LAB_DB")
    assert inventory.k3s.server == {"tls-san": ["lab.example"]}
    assert inventory.source == path


def test_the_address_plan_defaults_to_the_studys_on_real_hosts() -> None:
    network = parse_inventory(f"{HEAD}provider: ssh\n{ONE_NODE}", "cluster.yaml").network
    assert (network.cluster_cidr, network.service_cidr) == ("172.16.0.0/16", "10.10.200.0/24")


def test_an_existing_cluster_gets_no_controller_unless_asked() -> None:
    assert not parse_inventory(f"{HEAD}provider: kubeconfig\n", "cluster.yaml").ingress.install
    asked = parse_inventory(f"{HEAD}provider: kubeconfig\ningress: {{install: true}}\n", "cluster.yaml")
    assert asked.ingress.install


def test_every_problem_of_a_file_is_reported_at_once_in_its_order() -> None:
    found = problems(
        """\
apiVersion: labctl/v1
kind: Cluster
provder: embedded
name: My Lab
nodes:
  - {name: a, role: sever, address: 127.0.10.10}
  - {name: a, role: server, address: 10.0.0.1}
  - name: c
    role: agent
    adress: 127.0.10.10
network: {apiPort: "6443"}
"""
    )
    places = [(problem.position.line, problem.position.column) for problem in found]
    assert places == [(3, 1), (4, 7), (6, 21), (7, 12), (7, 38), (8, 5), (10, 5), (11, 20)]
    hints = [problem.hint for problem in found]
    assert hints[0] == "did you mean 'provider'?"
    assert hints[2] == "did you mean 'server'?"
    assert "127.0.10.10" in hints[4]
    assert hints[6] == "did you mean 'address'?"
    assert found[7].line_text == 'network: {apiPort: "6443"}'


@pytest.mark.parametrize(
    ("body", "line", "message", "hint"),
    [
        ("provider: embeded\n", 3, "'embeded' is not one of embedded, ssh or kubeconfig", "did you mean 'embedded'?"),
        ("provider: vagrant\n", 3, "'vagrant' is not one of", "choose one of"),
        ("cluster_name: x\n", 3, "unknown key 'cluster_name'", "known here"),
        ("name: no\n", 3, "must be text, not a boolean (false)", "quote it"),
        ("name:\n", 3, "must be text, not nothing", "give it a value"),
        ("nodes: []\n", 3, "there are no nodes", "role: server"),
        ("nodes: [{name: a, role: agent, address: 127.0.0.9}]\n", 3, "no node has `role: server`", "control plane"),
        ("nodes: [x]\n", 3, "must be a mapping, not text", ""),
        ("nodes: {name: a}\n", 3, "must be a list, not a mapping", ""),
        ("nodes: [{name: a, role: server, address: 300.1.1.1}]\n", 3, "300.1.1.1 is not a loopback address", "ssh"),
        ("network: {clusterCidr: 127.16.0.0/99}\n", 3, "'127.16.0.0/99' is not an IPv4 CIDR", "172.16.0.0/16"),
        ("network: {clusterCidr: 127.16.0.1/16}\n", 3, "bits set behind its prefix", "'127.16.0.0/16'"),
        ("network: {serviceCidr: 127.16.3.0/24}\n", 3, "overlap", "ranges of their own"),
        (
            "network: {clusterCidr: 127.0.0.0/16}\n",
            3,
            "the default nodes lie inside it: k3s-s 127.0.10.10",
            "of their own",
        ),
        ("network: {clusterCidr: 127.16.0.0/23}\n", 3, "has room for 2 nodes", "/16"),
        ("network: {clusterCidr: 172.16.0.0/16}\n", 3, "is not inside 127.0.0.0/8", "loopback"),
        ("network: {nodePorts: 32000-30000}\n", 3, "no range of ports", "lower port first"),
        ("network: {nodePorts: 30080}\n", 3, "must be text, not a number", "quote"),
        ("network: {apiPort: 0}\n", 3, "0 is too small: at least 1", ""),
        ("network: {apiPort: true}\n", 3, "must be a whole number, not a boolean", ""),
        ("network: {proxyMode: nftables}\n", 3, "'nftables' is not one of iptables or ipvs", ""),
        ("ingress: {chartVersion: latest}\n", 3, "'latest' is not a chart version", ""),
        ("ingress: {values: [1]}\n", 3, "must be a mapping, not a list", ""),
        ("ssh: {user: me}\n", 3, "'ssh' does not go with provider embedded", "provider: ssh"),
        ("kubeconfig: {path: x}\n", 3, "labctl writes its kubeconfig itself", "provider: kubeconfig"),
        ("provider: kubeconfig\nnodes: [{name: a, role: server, address: 1.2.3.4}]\n", 4, "'nodes' does not go", ""),
        ("provider: ssh\n", 1, "the key 'nodes' is missing", ""),
        ("provider: ssh\nnodes: [{name: a, role: server, address: '-x'}]\n", 4, "neither an IP address nor a", ""),
        ("nodes: [{name: a, role: server, address: 127.0.0.9, labels: {'a b': c}}]\n", 3, "not a valid label", ""),
        ("nodes: [{name: a, role: server, address: 127.0.0.9, taints: [x]}]\n", 3, "'x' is not a taint", "NoSchedule"),
        ("nodes: [{name: a, role: server, address: 127.0.0.9, ssh: {user: me}}]\n", 3, "uses no SSH", "provider: ssh"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_hint(body: str, line: int, message: str, hint: str) -> None:
    problem = only(HEAD + body)
    assert problem.position.line == line
    assert message in problem.message
    assert hint in problem.hint


def test_a_node_inside_the_pod_network_is_refused() -> None:
    problem = only(f"{HEAD}nodes: [{{name: a, role: server, address: 127.16.3.4}}]\n")
    assert problem.message == "127.16.3.4 (a) lies inside clusterCidr 127.16.0.0/16"


def test_two_nodes_on_one_address_are_refused() -> None:
    nodes = "nodes:\n  - {name: a, role: server, address: 127.0.0.9}\n  - {name: b, role: agent, address: 127.0.0.9}\n"
    problem = only(HEAD + nodes)
    assert problem.position.line == 5
    assert "127.0.0.9 is also the address of a" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "must be a mapping, not nothing"),
        ("- a\n", 1, "must be a mapping, not a list"),
        ("kind: Cluster\n", 1, "the key 'apiVersion' is missing"),
        ("apiVersion: labctl/v2\nkind: Cluster\n", 1, "'labctl/v2' is not known to this labctl"),
        ("apiVersion: labctl/v1\nkind: Lab\n", 2, "this is a 'Lab', and a 'Cluster' was expected"),
        (f"{HEAD}network: {{a: 1}}\n\tname: x\n", 4, "tab"),
    ],
)
def test_a_file_of_another_kind_is_refused(text: str, line: int, message: str) -> None:
    found = problems(text)
    assert (found[0].position.line, message in found[0].message) == (line, True)


@pytest.mark.parametrize(
    "body",
    [
        "ssh: {password: hunter2}\n",
        "ssh: {sudoPassword: hunter2}\n",
        "k3s: {token: hunter2}\n",
        "k3s: {datastore: {endpoint: 'postgres://k3s:hunter2@db/k3s'}}\n",
        "k3s: {agent: {kubelet-arg: [{joinToken: hunter2}]}}\n",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(body: str) -> None:
    problem = only(f"{HEAD}provider: ssh\n{ONE_NODE}{body}")
    assert problem.position.line == 6
    assert "env: NAME" in problem.hint
    assert "hunter2" not in repr(problem)


def test_a_secret_names_exactly_one_source() -> None:
    both = f"{HEAD}provider: ssh\n{ONE_NODE}ssh: {{password: {{env: A, file: b}}}}\n"
    assert "one source" in only(both).message


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("k3s: {disable: [trefik]}\n", "k3s has no component 'trefik'", "did you mean 'traefik'?"),
        ("k3s: {server: {cluster-cidr: 10.0.0.0/8}}\n", "labctl writes 'cluster-cidr' itself", "network.clusterCidr"),
        ("k3s: {agent: {tls-san: [x]}}\n", "agents do not know 'tls-san'", "k3s.server"),
        ("k3s: {version: 1.30.4}\n", "'1.30.4' is not a release such as v1.30.14+k3s1", ""),
    ],
)
def test_k3s_settings_that_would_not_start_are_refused(body: str, message: str, hint: str) -> None:
    problem = only(f"{HEAD}provider: ssh\n{ONE_NODE}{body}")
    assert message in problem.message
    assert hint in problem.hint


def test_a_nodes_ssh_options_lie_over_the_clusters() -> None:
    cluster = SshOptions(user="ubuntu", port=2222)
    assert SshOptions(user="root").over(cluster) == SshOptions(user="root", port=2222)
