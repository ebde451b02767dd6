"""The Node object of this host, and the ports that every k3s node holds."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from labctl.embedded.kubelet.nodes import NodeSpec
from tests.hosts.standin.program import log
from tests.hosts.standin.program.options import Options
from tests.hosts.standin.program.release import VERSION

HEARTBEAT = float(os.environ.get("K3S_STANDIN_HEARTBEAT", "1"))
"""Seconds between heartbeats; k3s's is 10."""
GRACE = float(os.environ.get("K3S_STANDIN_GRACE", "6"))
"""Seconds without one until a node is NotReady; k3s's is 40 (50 since Kubernetes 1.32)."""
KUBELET_PORT, LOAD_BALANCER_PORT = 10250, 6444


def spec(options: Options, role: str, pod_cidr: str = "", *, etcd: bool = False) -> NodeSpec:
    """This host as a node."""
    labels = dict(label.partition("=")[::2] for label in options.texts("node-label"))
    server = role == "server"
    if server and int(VERSION.split(".")[1]) < 34:
        labels["node-role.kubernetes.io/master"] = "true"
    if etcd:
        labels["node-role.kubernetes.io/etcd"] = "true"
    taints = tuple(options.texts("node-taint"))
    return NodeSpec(
        options.node_name, options.node_ip, pod_cidr, server, labels, taints, (role, *options.arguments), VERSION
    )


def hold(ports: Iterable[tuple[str, int]]) -> list[socket.socket]:
    """Listen where k3s would: nobody else gets these ports, and a port that is taken is found.

    Raises:
        FatalError: One is taken.
    """
    held = []
    for address, port in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            raise log.FatalError(f"listen tcp {address}:{port}: bind: {(error.strerror or '').lower()}") from error
        listener.listen()
        held.append(listener)
    return held


def check_cgroups() -> None:
    """As k3s, refuse to start without the memory controller.

    Raises:
        FatalError: It is not there.
    """
    version_2 = Path("/sys/fs/cgroup/cgroup.controllers")
    found = version_2.read_text() if version_2.exists() else Path("/proc/cgroups").read_text()
    if "memory" not in found:
        raise log.FatalError("failed to find memory cgroup (v2)")
