"""k3s's flags, from the command line, config.yaml and config.yaml.d, in k3s's order (pkg/configfilearg)."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.hosts.standin.program import log

CONFIG = Path("/etc/rancher/k3s/config.yaml")
_LISTS = frozenset(
    [
        "disable",
        "node-label",
        "node-taint",
        "tls-san",
        "kubelet-arg",
        "kube-proxy-arg",
        "kube-apiserver-arg",
        "kube-controller-manager-arg",
        "kube-scheduler-arg",
        "etcd-arg",
        "cluster-cidr",
        "service-cidr",
        "node-ip",
        "node-external-ip",
    ]
)
_SWITCHES = frozenset(
    [
        "cluster-init",
        "cluster-reset",
        "debug",
        "disable-agent",
        "disable-helm-controller",
        "embedded-registry",
        "etcd-disable-snapshots",
        "prefer-bundled-bin",
        "secrets-encryption",
        "selinux",
        "with-node-id",
        "disable-network-policy",
    ]
)
_COMMON = frozenset(
    [
        "token",
        "token-file",
        "server",
        "node-name",
        "node-ip",
        "node-external-ip",
        "node-label",
        "node-taint",
        "kubelet-arg",
        "kube-proxy-arg",
        "data-dir",
        "private-registry",
        "flannel-iface",
        "resolv-conf",
        "debug",
        "selinux",
        "prefer-bundled-bin",
        "with-node-id",
        "lb-server-port",
        "system-default-registry",
        "pause-image",
        "snapshotter",
        "vlevel",
    ]
)
_SERVER = _COMMON | frozenset(
    [
        "agent-token",
        "agent-token-file",
        "cluster-init",
        "cluster-reset",
        "cluster-reset-restore-path",
        "cluster-cidr",
        "service-cidr",
        "cluster-dns",
        "cluster-domain",
        "service-node-port-range",
        "https-listen-port",
        "bind-address",
        "advertise-address",
        "tls-san",
        "datastore-endpoint",
        "datastore-cafile",
        "datastore-certfile",
        "datastore-keyfile",
        "disable",
        "disable-agent",
        "disable-helm-controller",
        "disable-network-policy",
        "flannel-backend",
        "write-kubeconfig",
        "write-kubeconfig-mode",
        "kube-apiserver-arg",
        "kube-controller-manager-arg",
        "kube-scheduler-arg",
        "etcd-arg",
        "etcd-snapshot-schedule-cron",
        "etcd-snapshot-retention",
        "etcd-snapshot-dir",
        "etcd-disable-snapshots",
        "embedded-registry",
        "secrets-encryption",
        "helm-job-image",
        "default-local-storage-path",
    ]
)
_ENVIRONMENT = {
    "K3S_TOKEN": "token",
    "K3S_TOKEN_FILE": "token-file",
    "K3S_URL": "server",
    "K3S_NODE_NAME": "node-name",
    "K3S_AGENT_TOKEN": "agent-token",
    "K3S_AGENT_TOKEN_FILE": "agent-token-file",
    "K3S_DATASTORE_ENDPOINT": "datastore-endpoint",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What k3s was started with."""

    values: dict[str, Any]
    arguments: tuple[str, ...]

    def text(self, name: str, default: str = "") -> str:
        """A flag with one value; of a list its first."""
        value = self.values.get(name, default)
        return str(value[0] if isinstance(value, list) and value else value or default)

    def texts(self, name: str) -> list[str]:
        """A flag that may be given more than once, or with commas."""
        value = self.values.get(name) or []
        entries = value if isinstance(value, list) else [value]
        return [part for entry in entries for part in str(entry).split(",") if part]

    def on(self, name: str) -> bool:
        """A switch."""
        return str(self.values.get(name, "false")).lower() == "true"

    @property
    def data(self) -> Path:
        """k3s's data directory."""
        return Path(self.text("data-dir", "/var/lib/rancher/k3s"))

    @property
    def node_name(self) -> str:
        """The node's name: the hostname in small letters unless given."""
        return self.text("node-name") or socket.gethostname().lower()

    @property
    def node_ip(self) -> str:
        """The node's address: that of the default route unless given."""
        return self.text("node-ip") or _default_address()

    def secret(self, name: str) -> str:
        """A token, given itself or by its file.

        Raises:
            FatalError: The file cannot be read.
        """
        if self.text(name):
            return self.text(name).strip()
        file = self.text(f"{name}-file")
        if not file:
            return ""
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise log.FatalError(f"open {file}: {(error.strerror or '').lower()}") from error


def load(role: str, arguments: Sequence[str]) -> Options:
    """All sources together; what comes later wins, lists of the command line are appended.

    Raises:
        FatalError: A flag that this role does not have. A server drops it from files with a warning; an agent does not.
    """
    values: dict[str, Any] = {}
    for variable, name in _ENVIRONMENT.items():
        if os.environ.get(variable):
            values[name] = os.environ[variable]
    known = _SERVER if role == "server" else _COMMON
    for name, value in _from_files().items():
        if name in known:
            values[name] = value
        elif role == "server":
            log.write("warning", f"Unknown flag --{name} found in config.yaml, skipping")
        else:
            raise log.FatalError(f"flag provided but not defined: -{name}")
    for name, value in _from_command_line(arguments, known):
        if name in _LISTS:
            before = values.get(name) or []
            values[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            values[name] = value
    return Options(values, tuple(arguments))


def _from_files() -> dict[str, Any]:
    first = Path(os.environ.get("K3S_CONFIG_FILE") or CONFIG)
    values: dict[str, Any] = {}
    for path in [first, *sorted(first.with_name(first.name + ".d").glob("*.y*ml"))]:
        if not path.exists():
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise log.FatalError(f"yaml: {error}") from error
        for key, value in content.items():
            name = str(key).rstrip("+")
            if str(key).endswith("+") and isinstance(values.get(name), list):
                values[name] = [*values[name], *(value if isinstance(value, list) else [value])]
            else:
                values[name] = value
    return values


def _from_command_line(arguments: Sequence[str], known: frozenset[str]) -> list[tuple[str, str]]:
    found = []
    left = list(arguments)
    while left:
        name, equals, value = left.pop(0).partition("=")
        name = name.lstrip("-")
        if name not in known:
            raise log.FatalError(f"flag provided but not defined: -{name}")
        if not equals:
            value = "true" if name in _SWITCHES else (left.pop(0) if left else "")
        found.append((name, value))
    return found


def _default_address() -> str:
    """The address by which packets leave; as k3s, refuses to start without a default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            raise log.FatalError('no default routes found in "/proc/net/route" or "/proc/net/ipv6_route"') from None
        return str(probe.getsockname()[0])
