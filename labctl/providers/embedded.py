"""Provider `embedded`: the loopback cluster in a background process."""

from __future__ import annotations

import socket
from importlib import import_module

from labctl.embedded import process
from labctl.embedded.network.holders import who_listens
from labctl.embedded.settings import EmbeddedSettings, StateDirectory
from labctl.env import Env
from labctl.errors import ClusterError, UsageError
from labctl.events import EventSink, Level, Notice, StepDone, StepStarted
from labctl.model.cluster import Cluster, HostState
from labctl.model.inventory import Inventory
from labctl.objects.manifests import Obj
from labctl.ssh.transport import Transport

FIRST_FREE_PORT = 1024
"""Ports below are for privileged users, unless the system says otherwise."""


class EmbeddedProvider:
    """Starts, finds and stops the embedded cluster."""

    def __init__(self, inventory: Inventory, env: Env) -> None:
        self._inventory = inventory
        self._env = env
        self.state = StateDirectory(env.state_dir / "clusters" / inventory.name)

    def up(self, sink: EventSink, *, timeout: float) -> Cluster:
        """Start the process unless it runs, and wait until every node is Ready."""
        settings = EmbeddedSettings.from_inventory(self._inventory)
        self._refuse_overlap(settings)
        sink(StepStarted("cluster", f"Start the embedded cluster '{self._inventory.name}'"))
        started = process.start(settings, self.state, timeout=timeout, meanwhile=_import_clients)
        if started.stale_pid:
            sink(Notice(f"an earlier process ({started.stale_pid}) ended without stopping; its objects are kept"))
        cluster = self.find()
        if started.already:
            sink(StepDone("cluster", f"runs already (process {started.pid})", changed=False))
        else:
            kept = " with the objects it had" if started.recovered else ""
            sink(StepDone("cluster", f"{len(cluster.nodes)} nodes Ready{kept}, process {started.pid}"))
        return cluster

    def plan(self, sink: EventSink) -> tuple[str, ...]:
        """The process's nodes, unless it runs."""
        if process.running_pid(self.state):
            return ("the embedded cluster runs already",)
        return tuple(f"node {node.name} ({node.role}) at {node.address}" for node in self._inventory.nodes)

    def _refuse_overlap(self, settings: EmbeddedSettings) -> None:
        """Two clusters that run at once need address ranges of their own: each address is a socket of one of them."""
        for other in sorted(self.state.path.parent.glob("*/settings.json")):
            state = StateDirectory(other.parent)
            if state.path == self.state.path or not process.running_pid(state):
                continue
            running = EmbeddedSettings.from_json(other.read_text(encoding="utf-8"))
            shared = settings.overlap(running)
            if shared:
                raise UsageError(
                    f"cluster '{running.name}' runs with the same addresses ({shared})",
                    hint="give this cluster other nodes' addresses, clusterCidr and serviceCidr in cluster.yaml, "
                    f"or stop '{running.name}'",
                )

    def find(self) -> Cluster:
        """The running cluster."""
        from labctl.kube.client import KubeApi
        from labctl.providers.describe import describe_cluster

        if not process.running_pid(self.state):
            raise ClusterError(f"the embedded cluster '{self._inventory.name}' is not up", hint="`labctl up` starts it")
        api = KubeApi(self.state.kubeconfig)
        try:
            return describe_cluster(api, self._inventory, self.state.kubeconfig, None)
        finally:
            api.close()

    def _services(self) -> list[Obj]:
        from labctl.kube.client import KubeApi

        api = KubeApi(self.state.kubeconfig)
        try:
            return api.list("v1", "Service")
        finally:
            api.close()

    def hosts(self) -> tuple[HostState, ...]:
        """None: its nodes are no machines to log in to."""
        return ()

    def limits(self) -> tuple[str, ...]:
        """Sockets that this user may not open: which Services are not reached by their own address."""
        if low_ports_allowed():
            return ()
        closed = {
            f"{service['metadata']['namespace']}/{service['metadata']['name']}:{port['port']}": None
            for service in self._services()
            for port in service["spec"].get("ports") or []
            if port["port"] < FIRST_FREE_PORT and service["spec"].get("clusterIP") not in (None, "", "None")
        }
        if not closed:
            return ()
        words = (
            f"this user may not bind ports below {FIRST_FREE_PORT}: {', '.join(closed)} answer pods, and through "
            "ingress, NodePort and port-forward, but not at their ClusterIP"
        )
        return (f"{words} (sudo sysctl net.ipv4.ip_unprivileged_port_start=80)",)

    def conflicts(self) -> tuple[str, ...]:
        """Node ports that another process holds: whoever connects there would meet that process."""
        pid = process.running_pid(self.state)
        found = []
        for service in self._services():
            for port in service["spec"].get("ports") or []:
                for node in self._inventory.nodes if port.get("nodePort") else ():
                    holder = who_listens(node.address, port["nodePort"], likely=pid)
                    if holder is not None and holder.pid != pid:
                        name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
                        found.append(f"{node.address}:{port['nodePort']}, a NodePort of {name}, is held by {holder}")
        return tuple(found)

    def transport(self, node: str) -> Transport:
        """Refused."""
        raise UsageError("the embedded cluster's nodes are no machines to log in to", hint="use provider ssh for that")

    def down(self, sink: EventSink, *, timeout: float, keep_data: bool) -> None:
        """Stop the process, and forget the objects unless they are to be kept."""
        sink(StepStarted("down", f"Stop the embedded cluster '{self._inventory.name}'"))
        stopped = process.stop(self.state, self._env.clock, timeout=timeout, keep_data=keep_data)
        if not stopped:
            sink(StepDone("down", "it is not up", changed=False))
            return
        sink(StepDone("down", "stopped; its objects are kept" if keep_data else "stopped, and its objects removed"))
        if keep_data:
            sink(Notice("`labctl up` continues with them", Level.INFO))


def low_ports_allowed() -> bool:
    """Whether this user may bind ports below 1024."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 81))
        except PermissionError:
            return False
        except OSError:  # in use: so it can be bound
            return True
    return True


def _import_clients() -> None:
    """Import what `up` goes on with: a third of a second that the starting process would otherwise be waited for."""
    import_module("labctl.ingress.install")
    import_module("labctl.kube.client")
