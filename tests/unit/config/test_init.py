from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.inventory import parse_inventory
from labctl.config.template import cluster_yaml
from labctl.errors import UsageError
from labctl.model.inventory import Node, Provider, Role
from labctl.workflows.init import from_hosts, hosts_of, nodes_of

VAGRANT = """\
Host k3s-s
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  IdentityFile "/home/me/lab/.vagrant/machines/k3s-s/virtualbox/private_key"
Host k3s-w1
  HostName 127.0.0.1
  User vagrant
  Port 2200
  IdentityFile ~/.ssh/w1
Host *
  User nobody
"""


def test_vagrants_hosts_and_the_flags_make_a_valid_cluster_yaml() -> None:
    hosts = hosts_of(VAGRANT, Path("/home/me"))
    nodes, ssh = from_hosts(nodes_of(["k3s-s=192.168.10.10"], ["k3s-w1=192.168.10.101"]), hosts)
    inventory = parse_inventory(cluster_yaml(Provider.SSH, nodes=nodes, node_ssh=ssh), "cluster.yaml")
    assert inventory.nodes == (
        Node("k3s-s", Role.SERVER, "192.168.10.10"),
        Node("k3s-w1", Role.AGENT, "192.168.10.101"),
    )
    reached = inventory.ssh_of("k3s-w1")
    assert (reached.host, reached.user, reached.port) == ("127.0.0.1", "vagrant", 2200)
    assert reached.identity_file == Path("/home/me/.ssh/w1")


def test_forwarded_ports_need_the_nodes_own_addresses() -> None:
    with pytest.raises(UsageError, match="k3s-s, k3s-w1: SSH reaches it through a port of this machine") as caught:
        from_hosts((), hosts_of(VAGRANT, Path("/")))
    assert "--server NAME=ADDRESS" in caught.value.hint


def test_a_plain_ssh_config_needs_no_flags() -> None:
    hosts = hosts_of("Host a\n  HostName 10.0.0.1\nHost b\n  HostName=10.0.0.2\n", Path("/"))
    nodes, _ = from_hosts((), hosts)
    assert nodes == (Node("a", Role.SERVER, "10.0.0.1"), Node("b", Role.AGENT, "10.0.0.2"))


def test_a_word_without_an_address() -> None:
    with pytest.raises(UsageError, match="'k3s-s' is no NAME=ADDRESS"):
        nodes_of(["k3s-s"], [])
