"""What labctl writes on a host: k3s's configuration, its service, and the scripts that take it away again."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from labctl.k3s import layout
from labctl.model.inventory import Inventory, Node, ProxyMode, Role
from labctl.secrets import Secret

DEFAULT_NODE_PORTS = (30000, 32767)
DEFAULT_API_PORT = 6443


def mark(inventory: Inventory) -> str:
    """First line of every file: whose it is."""
    return f"{layout.MARK} for cluster '{inventory.name}'; the next `labctl up` overwrites changes.\n"


def config_yaml(inventory: Inventory, node: Node, join: Node | None, *, token: bool) -> str:
    """/etc/rancher/k3s/config.yaml: keys are k3s's flags, secrets are in files of their own.

    Args:
        inventory: The cluster.
        node: The node it is for.
        join: The server it joins; None for the first server.
        token: Whether a token file is used.
    """
    keys: dict[str, Any] = {"node-name": node.name}
    if _is_address(node.address):
        keys["node-ip"] = node.address
    if join is not None:
        keys["server"] = server_url(inventory, join)
    if token:
        keys["token-file"] = layout.JOIN_TOKEN
    if node.role is Role.SERVER:
        keys |= _server_keys(inventory, node, first=join is None)
    if node.labels:
        keys["node-label"] = [f"{key}={value}" for key, value in node.labels.items()]
    if node.taints:
        keys["node-taint"] = list(node.taints)
    if inventory.network.proxy_mode is ProxyMode.IPVS:
        keys["kube-proxy-arg"] = ["proxy-mode=ipvs"]
    further = [inventory.k3s.agent] + ([inventory.k3s.server] if node.role is Role.SERVER else [])
    for section in further:
        keys = _joined(keys, section)
    return mark(inventory) + yaml.safe_dump(keys, sort_keys=False, default_flow_style=False)


def _server_keys(inventory: Inventory, node: Node, *, first: bool) -> dict[str, Any]:
    network = inventory.network
    keys: dict[str, Any] = {"cluster-cidr": network.cluster_cidr, "service-cidr": network.service_cidr}
    if network.node_ports != DEFAULT_NODE_PORTS:
        keys["service-node-port-range"] = f"{network.node_ports[0]}-{network.node_ports[1]}"
    if network.api_port != DEFAULT_API_PORT:
        keys["https-listen-port"] = network.api_port
    if inventory.k3s.disable:
        keys["disable"] = list(inventory.k3s.disable)
    keys["tls-san"] = [node.address]
    if first and len(inventory.servers) > 1 and inventory.k3s.datastore_endpoint is None:
        keys["cluster-init"] = True
    return keys


def _joined(keys: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Lists are appended to, everything else is replaced, as k3s does with several sources."""
    result = dict(keys)
    for key, value in more.items():
        old = result.get(key)
        if isinstance(old, list):
            result[key] = [*old, *(value if isinstance(value, list) else [value])]
        else:
            result[key] = value
    return result


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def server_url(inventory: Inventory, server: Node) -> str:
    """Where a server's API is."""
    host = f"[{server.address}]" if ":" in server.address else server.address
    return f"https://{host}:{inventory.network.api_port}"


def registries_yaml(inventory: Inventory) -> str:
    """/etc/rancher/k3s/registries.yaml; empty when nothing is asked for."""
    if not inventory.k3s.registries:
        return ""
    return mark(inventory) + yaml.safe_dump(dict(inventory.k3s.registries), sort_keys=False)


def environment(inventory: Inventory, datastore: Secret | None) -> str:
    """The service's environment file: what must not stand in an argument list."""
    lines = [mark(inventory).rstrip("\n")]
    if datastore is not None:
        lines.append(f"K3S_DATASTORE_ENDPOINT='{datastore.reveal()}'")
    return "\n".join(lines) + "\n"


def unit_file(inventory: Inventory, role: Role) -> str:
    """The systemd service, with the settings that k3s needs (its installer's, and systemd.service(5)).

    `TimeoutStartSec=0`, because labctl itself watches the start and has a deadline; `KillMode=process`, because pods
    live on while k3s is restarted; `modprobe` may fail, because containers have no modules to load.
    """
    return mark(inventory) + _UNIT.format(
        what="server" if role is Role.SERVER else "agent", unit=layout.unit(role), binary=layout.BINARY
    )


_UNIT = """\
[Unit]
Description=Lightweight Kubernetes ({what})
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/{unit}
EnvironmentFile=-/etc/sysconfig/{unit}
EnvironmentFile=-/etc/systemd/system/{unit}.service.env
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart={binary} {what}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
"""


def killall_script(inventory: Inventory) -> str:
    """k3s-killall.sh: stops k3s and its pods, and takes its network away."""
    return _script(inventory, "killall.sh")


def uninstall_script(inventory: Inventory) -> str:
    """k3s-uninstall.sh: removes k3s from the host; `labctl down` runs the same."""
    return _script(inventory, "uninstall.sh")


def _script(inventory: Inventory, name: str) -> str:
    text = resources.files("labctl.k3s").joinpath("scripts", name).read_text(encoding="utf-8")
    for word in ("KILLALL", "UNINSTALL", "BINARY", "BEFORE", "DATA", "SERVER_DATA"):
        text = text.replace(f"@{word}@", getattr(layout, word))
    text = text.replace("@TRACES@", " ".join(layout.TRACES)).replace("@ALIASES@", " ".join(layout.ALIASES))
    return "#!/bin/sh\n" + mark(inventory) + text
