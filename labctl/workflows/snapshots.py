"""`labctl snapshot save | list | restore`."""

from __future__ import annotations

from labctl.env import Env
from labctl.errors import ClusterError, UsageError
from labctl.events import EventSink, StepDone, StepStarted
from labctl.k3s import snapshots
from labctl.k3s.plan import Start, first_server
from labctl.k3s.service import begin, wait_active
from labctl.model.cluster import Snapshot
from labctl.model.inventory import Inventory, Node
from labctl.providers.ssh import SshProvider, Survey
from labctl.ssh.fleet import each


def save_snapshot(
    provider: SshProvider, inventory: Inventory, env: Env, sink: EventSink, name: str, *, timeout: float
) -> Snapshot:
    """Make a snapshot on the first server, named by the time unless a name is given."""
    chosen = name or env.clock.now().strftime("labctl-%Y%m%d-%H%M%S")
    snapshots.check_name(chosen)
    with provider.survey(sink, inventory.servers) as survey:
        server = _server(inventory, survey)
        transport, facts = survey.transports[server.name], survey.facts[server.name]
        sink(StepStarted("snapshot", "save a snapshot", server.name))
        made = snapshots.save(transport, facts, chosen, timeout=timeout)
        if not facts.value("etcd"):
            wait_active(transport, "k3s", "today", env.clock, timeout=timeout)
        sink(StepDone("snapshot", f"{made.path}, {made.size / 1e6:.1f} MB"))
        return made


def list_snapshots(provider: SshProvider, inventory: Inventory, sink: EventSink) -> tuple[Snapshot, ...]:
    """The snapshots on every server, oldest first."""
    with provider.survey(sink, inventory.servers) as survey:
        found = each(
            {node.name: node for node in inventory.servers},
            lambda node: snapshots.listing(survey.transports[node.name], survey.facts[node.name]),
        ).all()
    return tuple(sorted((item for items in found.values() for item in items), key=lambda item: item.created))


def restore_snapshot(
    provider: SshProvider, inventory: Inventory, env: Env, sink: EventSink, name: str, *, timeout: float
) -> None:
    """Put the cluster's state back to a snapshot.

    Every server is stopped, the one with the snapshot is restored and started, the others join it again.

    Raises:
        UsageError: There is no such snapshot.
    """
    with provider.survey(sink, inventory.servers) as survey:
        found = [
            item
            for node in inventory.servers
            for item in snapshots.listing(survey.transports[node.name], survey.facts[node.name])
        ]
        chosen = next((item for item in found if item.name == name), None)
        if chosen is None:
            known = ", ".join(item.name for item in found) or "none"
            raise UsageError(f"there is no snapshot {name!r}", hint=f"snapshots: {known}")
        others = [node.name for node in inventory.servers if node.name != chosen.host]
        sink(StepStarted("restore", f"restore {name}", chosen.host))
        etcd = bool(survey.facts[chosen.host].value("etcd"))
        for other in others if etcd else ():
            snapshots.forget_data(survey.transports[other])
        transport = survey.transports[chosen.host]
        snapshots.restore_here(transport, survey.facts[chosen.host], chosen, timeout=timeout)
        for host in (chosen.host, *others):
            target = survey.transports[host]
            since = begin(target, Start("k3s", "restored", running=False))
            wait_active(target, "k3s", since, env.clock, timeout=timeout)
        sink(StepDone("restore", f"the cluster is as it was at {chosen.created}"))
        provider.wait_ready(survey, sink, timeout=timeout)


def _server(inventory: Inventory, survey: Survey) -> Node:
    server = first_server(inventory, survey.facts)
    if not survey.facts[server.name].has_server_data:
        raise ClusterError(f"{server.name} has no datastore of its own", hint="an external one has its own backups")
    return server
