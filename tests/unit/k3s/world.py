"""Hosts, facts and files for the tests of k3s."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.k3s import layout, render
from labctl.k3s.artifacts import Artifact, Artifacts
from labctl.k3s.facts import Facts, FileFact, UnitFact
from labctl.k3s.plan import Wishes
from labctl.model.inventory import Inventory, Node, Provider, Role
from labctl.secrets import Secret

SERVER = Node("k3s-s", Role.SERVER, "192.168.10.10")
WORKERS = tuple(Node(f"k3s-w{n}", Role.AGENT, f"192.168.10.10{n}") for n in (1, 2, 3))
TOKEN = Secret("K10abc::server:secret")
BINARY = Artifact(Path("/files/k3s"), "b" * 64, 82_000_000)
WISHES = Wishes(Artifacts({"amd64": BINARY}))


def inventory(nodes: tuple[Node, ...] = (SERVER, *WORKERS), **changes: Any) -> Inventory:
    return Inventory("study", Provider.SSH, nodes, **changes)


VALUES = {
    "machine": "x86_64",
    "systemd": "yes",
    "os": "Debian GNU/Linux 12 (bookworm)",
    "cgroup": "2",
    "cgroup-controllers": "cpuset cpu io memory pids",
    "default-route": "eth0",
    "iptables": "iptables v1.8.9 (nf_tables)",
    "memory-kb": "4000000",
    "module:br_netfilter": "yes",
    "module:overlay": "yes",
    "module:vxlan": "yes",
}


def empty(node: Node, values: Mapping[str, str] | None = None, **changes: Any) -> Facts:
    """A host without k3s."""
    names = {"hostname": node.name, "machine-id": f"id-{node.name}"}
    return Facts(
        node.name, {**VALUES, **names, **(values or {})}, units=dict.fromkeys(("k3s", "k3s-agent"), GONE), **changes
    )


GONE = UnitFact("not-found", "inactive", "", 0)
UP = UnitFact("loaded", "active", "enabled", 0)


def done(cluster: Inventory, node: Node, first: Node = SERVER, token: Secret = TOKEN) -> Facts:
    """A host exactly as `up` leaves it."""
    join = None if node == first else first
    unit = layout.unit_file(node.role)
    texts = {
        layout.CONFIG: (render.config_yaml(cluster, node, join, token=join is not None), 0o600),
        unit: (render.unit_file(cluster, node.role), 0o644),
        f"{unit}.env": (render.environment(cluster, None), 0o600),
        layout.KILLALL: (render.killall_script(cluster), 0o755),
        layout.UNINSTALL: (render.uninstall_script(cluster), 0o755),
        layout.BEFORE: ("", 0o600),
    }
    links = {f"link:{name}": "k3s" for name in layout.ALIASES}
    is_server = node.role is Role.SERVER
    secrets = {"node-token": token, "kubeconfig": Secret("kind: Config")} if is_server else {}
    return Facts(
        node.name,
        {
            **VALUES,
            **links,
            "hostname": node.name,
            "machine-id": f"id-{node.name}",
            "k3s-version": "k3s version v1.30.14+k3s1 (abc)",
            **({"server-data": "yes"} if is_server else {}),
        },
        files={path: FileFact(text, mode) for path, (text, mode) in texts.items()},
        sums={layout.BINARY: BINARY.sha256},
        units={layout.unit(node.role): UP},
        secrets=secrets if join is None else {**secrets, "join-token": token},
    )
