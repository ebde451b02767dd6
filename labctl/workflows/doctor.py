"""Does this machine have what the cluster needs? Each answer with its evidence and its remedy."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from labctl.embedded import process
from labctl.embedded.network.holders import who_listens
from labctl.embedded.settings import StateDirectory
from labctl.env import Env
from labctl.errors import LabctlError
from labctl.events import EventSink
from labctl.model.finding import Finding, Severity
from labctl.model.inventory import Inventory, Provider
from labctl.providers.base import provider_for
from labctl.providers.embedded import low_ports_allowed
from labctl.workflows.ingress_warnings import cluster_ingress_warnings


def examine(inventory: Inventory, env: Env, sink: EventSink) -> tuple[Finding, ...]:
    """Everything that can be looked at without changing anything, on this machine and on the cluster's hosts."""
    findings = [_python(), _curl(), _kubectl(env)]
    if inventory.provider is Provider.SSH:
        from labctl.providers.ssh import SshProvider

        findings += SshProvider(inventory, env).examine(sink)
    if inventory.provider is Provider.EMBEDDED:
        findings += _embedded(inventory, env)
    findings += _ingresses(inventory, env)
    return tuple(findings)


def _ingresses(inventory: Inventory, env: Env) -> Iterator[Finding]:
    """What the ingress controller said about Ingresses; nothing while the cluster is not up."""
    try:
        warnings = cluster_ingress_warnings(provider_for(inventory, env).find())
    except LabctlError:
        return
    for warning in warnings:
        yield Finding("ingress", Severity.WARN, warning, "docs/annotations.md says which annotations have an effect")
    if not warnings:
        yield Finding("ingress", Severity.PASS, "no Ingress has a warning")


def mend(findings: Sequence[Finding], inventory: Inventory, env: Env, sink: EventSink) -> bool:
    """Mend what is safe to mend on the cluster's hosts; whether anything was tried."""
    wanted = tuple(item for item in findings if item.fix and item.host and item.severity is not Severity.PASS)
    if not wanted or inventory.provider is not Provider.SSH:
        return False
    from labctl.providers.ssh import SshProvider

    SshProvider(inventory, env).fix(wanted, sink)
    return True


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing fails."""
    return all(finding.severity is not Severity.FAIL for finding in findings)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python", Severity.PASS, f"{version} on {sys.platform}")


def _curl() -> Finding:
    from labctl.probe.libcurl import VERSION

    return Finding("libcurl", Severity.PASS, VERSION)


def _kubectl(env: Env) -> Finding:
    path = shutil.which("kubectl", path=env.environ.get("PATH"))
    if path:
        return Finding("kubectl", Severity.PASS, path)
    return Finding(
        "kubectl",
        Severity.WARN,
        "not on PATH; labctl does not need it, the guides' commands by hand do",
        "https://kubernetes.io/docs/tasks/tools/",
    )


def _embedded(inventory: Inventory, env: Env) -> Iterator[Finding]:
    state = StateDirectory(env.state_dir / "clusters" / inventory.name)
    yield _state_directory(state.path)
    yield _loopback([node.address for node in inventory.nodes])
    pid = process.running_pid(state)
    if pid:
        yield Finding("cluster", Severity.PASS, f"process {pid} runs; its log is {state.log}")
    else:
        yield Finding("cluster", Severity.WARN, f"the embedded cluster '{inventory.name}' is not up", "labctl up")
        yield from _ports(inventory)
    yield _low_ports()


def _state_directory(path: Path) -> Finding:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return Finding("state directory", Severity.PASS, str(path))
    return Finding(
        "state directory",
        Severity.FAIL,
        f"{existing} cannot be written",
        "set LABCTL_STATE_DIR to a directory that you can write",
    )


def _loopback(addresses: Sequence[str]) -> Finding:
    missing = [address for address in addresses if _bind_error(address, 0)]
    if not missing:
        return Finding("loopback addresses", Severity.PASS, f"{', '.join(addresses)} can be used")
    return Finding(
        "loopback addresses",
        Severity.WARN,
        f"{', '.join(missing)} cannot be used on this system: node ports and the API move to 127.0.0.1",
        f"sudo ifconfig lo0 alias {missing[0]} (macOS), for each",
    )


def _ports(inventory: Inventory) -> Iterator[Finding]:
    server = inventory.servers[0].address
    for port, what in ((inventory.network.api_port, "API"), (30080, "ingress http"), (30443, "ingress https")):
        error = _bind_error(server, port)
        holder = who_listens(server, port) if error else None
        if error:
            yield Finding(
                f"port {server}:{port} ({what})",
                Severity.FAIL,
                f"{error}" + (f"; held by {holder}" if holder else ""),
                "stop that process, or choose other addresses in cluster.yaml",
            )
        else:
            yield Finding(f"port {server}:{port} ({what})", Severity.PASS, "free")


def _low_ports() -> Finding:
    if low_ports_allowed():
        return Finding("ports below 1024", Severity.PASS, "pods' and Services' own ports below 1024 get sockets")
    return Finding(
        "ports below 1024",
        Severity.WARN,
        "this user may not bind them: a pod's or Service's port 80 is reached through ingress, NodePort, port-forward "
        "and from pods, but not by its own socket",
        "sudo sysctl net.ipv4.ip_unprivileged_port_start=80",
    )


def _bind_error(address: str, port: int) -> str:
    """Why a TCP port cannot be bound; empty when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
