"""Waiting until a cluster on hosts is whole: every node Ready, cluster DNS available; else, why not."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.env import Clock
from labctl.errors import ClusterError, WaitTimeoutError
from labctl.events import EventSink, StepDone, StepFailed, StepProgress, StepStarted
from labctl.k3s import layout
from labctl.k3s.journal import cause_of, shown
from labctl.k3s.release import parse_version
from labctl.kube.client import KubeApi
from labctl.model.inventory import Inventory
from labctl.objects.manifests import Obj
from labctl.objects.readiness import readiness
from labctl.ssh.transport import HostError, Transport
from labctl.waiting import Pending, wait_for

DNS = ("apps/v1", "Deployment", "kube-system", "coredns")


def wait_nodes(
    api: KubeApi,
    inventory: Inventory,
    transports: Mapping[str, Transport],
    clock: Clock,
    sink: EventSink,
    *,
    timeout: float,
) -> None:
    """Wait until every node of the inventory is Ready and CoreDNS, where k3s deploys it, is available.

    Raises:
        WaitTimeoutError: The deadline passed; names the nodes that are not Ready, and what their logs say.
    """
    step = "ready"
    names = [node.name for node in inventory.nodes]
    begun = clock.monotonic()
    sink(StepStarted(step, f"Wait for {len(names)} nodes to be Ready"))
    waiting: list[str] = []

    def observe() -> str | Pending:
        try:
            nodes = {node["metadata"]["name"]: node for node in api.list("v1", "Node")}
            dns = api.get(*DNS)
        except ClusterError as error:  # a server that has just been restarted
            return Pending(error.message)
        waiting[:] = [name for name in names if name not in nodes or not readiness(nodes[name]).ready]
        if waiting:
            return Pending(f"not Ready: {', '.join(waiting)}")
        wanted = parse_version(inventory.k3s.version)
        old = [name for name in names if wanted is not None and parse_version(_kubelet(nodes[name])) != wanted]
        if old:
            return Pending(f"{', '.join(old)} do not say {wanted} yet")
        if dns is not None and not readiness(dns).ready:
            return Pending(f"CoreDNS: {readiness(dns).reason}")
        return f"{len(names)} nodes Ready" + (", CoreDNS available" if dns is not None else "")

    def progress(pending: Pending) -> None:
        sink(StepProgress(step, len(names) - len(waiting), len(names), pending.observed))

    try:
        seen = wait_for(
            "the nodes to be Ready", observe, timeout=timeout, clock=clock, max_interval=0.3, on_pending=progress
        )
    except WaitTimeoutError as late:
        sink(StepFailed(step, late.message))
        raise WaitTimeoutError(late.message + _logs(waiting, inventory, transports), hint=late.hint) from late
    elapsed = clock.monotonic() - begun
    sink(StepDone(step, f"{seen} after {elapsed:.1f} s" if elapsed >= 1 else seen, changed=elapsed >= 1))


def _kubelet(node: Obj) -> str:
    return str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))


def _logs(waiting: list[str], inventory: Inventory, transports: Mapping[str, Transport]) -> str:
    """The last lines of the logs of nodes that are not Ready, and the cause where it is known."""
    roles = {node.name: node.role for node in inventory.nodes}
    text = ""
    for name in waiting:
        if name not in transports:
            continue
        unit = layout.unit(roles[name])
        try:
            done = transports[name].run(f"journalctl -u {unit} -n 40 --no-pager -q -o cat", sudo=True, timeout=10)
        except HostError as error:
            text += f"\n  {error.message}"
            continue
        lines = done.text.splitlines()
        cause = cause_of(lines)
        text += f"\n  {name}{': ' + cause.words if cause else ''}:\n{shown(lines)}"
    return text
