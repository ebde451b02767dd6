"""`labctl init` for hosts: nodes from flags, and how they are reached from an ssh_config (Vagrant prints one)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from labctl.errors import UsageError
from labctl.model.inventory import Node, Role, SshOptions


def nodes_of(servers: Sequence[str], agents: Sequence[str]) -> tuple[Node, ...]:
    """Nodes from `NAME=ADDRESS` words.

    Raises:
        UsageError: A word is written otherwise.
    """
    given = [(Role.SERVER, word) for word in servers] + [(Role.AGENT, word) for word in agents]
    nodes = []
    for role, word in given:
        name, equals, address = word.partition("=")
        if not (name and equals and address):
            raise UsageError(f"{word!r} is no NAME=ADDRESS", hint="for example k3s-s=192.168.10.10")
        nodes.append(Node(name, role, address))
    return tuple(nodes)


def hosts_of(text: str, home: Path) -> dict[str, SshOptions]:
    """Host → how it is reached, from the text of an ssh_config(5) file such as `vagrant ssh-config` prints.

    Patterns (`Host *`) are no hosts. Paths with `~` are taken from the home folder.
    """
    found: dict[str, dict[str, str]] = {}
    current: list[dict[str, str]] = []
    for line in text.splitlines():
        key, _, value = line.strip().replace("=", " ", 1).partition(" ")
        value = value.strip().strip('"')
        if key.lower() == "host":
            current = [found.setdefault(name, {}) for name in value.split() if not set(name) & set("*?!")]
        elif key and not key.startswith("#"):
            for host in current:
                host.setdefault(key.lower(), value)
    return {name: _options(name, keys, home) for name, keys in found.items()}


def _options(name: str, keys: dict[str, str], home: Path) -> SshOptions:
    identity = keys.get("identityfile")
    return SshOptions(
        host=keys.get("hostname", name),
        user=keys.get("user"),
        port=int(keys["port"]) if keys.get("port", "").isdigit() else None,
        identity_file=Path(identity.replace("~", str(home), 1)) if identity else None,
        proxy_jump=keys.get("proxyjump"),
    )


def from_hosts(nodes: Sequence[Node], hosts: dict[str, SshOptions]) -> tuple[tuple[Node, ...], dict[str, SshOptions]]:
    """The nodes of a new cluster.yaml: those given, else every host of the file, the first as the server.

    Raises:
        UsageError: A host's address is this machine's own (a forwarded port), which other nodes cannot reach.
    """
    chosen = list(nodes)
    if not chosen:
        for index, (name, options) in enumerate(hosts.items()):
            chosen.append(Node(name, Role.AGENT if index else Role.SERVER, options.host or name))
        loopback = [node.name for node in chosen if _is_loopback(node.address)]
        if loopback:
            raise UsageError(
                f"{', '.join(loopback)}: SSH reaches it through a port of this machine, the other nodes do not",
                hint="give the nodes' own addresses: --server NAME=ADDRESS --agent NAME=ADDRESS …",
            )
    ssh = {node.name: hosts[node.name] for node in chosen if node.name in hosts}
    return tuple(chosen), ssh


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
