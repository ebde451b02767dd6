"""Provider `kubeconfig`: a cluster that exists already. Nothing is built and nothing is removed."""

from __future__ import annotations

from pathlib import Path

from labctl.env import Env
from labctl.errors import UsageError
from labctl.events import EventSink, StepDone, StepStarted
from labctl.kube.client import KubeApi
from labctl.model.cluster import Cluster, HostState
from labctl.model.inventory import Inventory
from labctl.providers.describe import describe_cluster
from labctl.ssh.transport import Transport


class KubeconfigProvider:
    """Finds the cluster that a kubeconfig's context names."""

    def __init__(self, inventory: Inventory, env: Env) -> None:
        self._inventory = inventory
        self._path = _kubeconfig_path(inventory, env)

    def up(self, sink: EventSink, *, timeout: float) -> Cluster:
        """Nothing to build: the cluster is there, or this fails."""
        sink(StepStarted("cluster", f"Reach the cluster of {self._path}"))
        cluster = self.find()
        sink(StepDone("cluster", f"{cluster.version}, {len(cluster.nodes)} nodes; it exists already", changed=False))
        return cluster

    def plan(self, sink: EventSink) -> tuple[str, ...]:
        """Nothing: the cluster is there."""
        return (f"nothing is built: the cluster of {self._path} is used",)

    def find(self) -> Cluster:
        """The cluster as its API describes it."""
        context = self._inventory.kubeconfig.context
        api = KubeApi(self._path, context)
        try:
            return describe_cluster(api, self._inventory, self._path, context)
        finally:
            api.close()

    def hosts(self) -> tuple[HostState, ...]:
        """None: its nodes are no machines to log in to."""
        return ()

    def limits(self) -> tuple[str, ...]:
        """None that labctl knows of."""
        return ()

    def conflicts(self) -> tuple[str, ...]:
        """None that labctl could see."""
        return ()

    def transport(self, node: str) -> Transport:
        """Refused."""
        raise UsageError(
            "labctl does not know how to log in to the machines of a cluster that exists already",
            hint="describe them with provider ssh for that",
        )

    def down(self, sink: EventSink, *, timeout: float, keep_data: bool) -> None:
        """Refused: labctl did not make this cluster."""
        raise UsageError(
            "labctl did not build this cluster and does not remove it",
            hint="`labctl clean --all` removes the labs' objects",
        )


def _kubeconfig_path(inventory: Inventory, env: Env) -> Path:
    """The file to use: cluster.yaml's, else $KUBECONFIG's first, else ~/.kube/config, as kubectl does."""
    if inventory.kubeconfig.path is not None:
        return inventory.kubeconfig.path
    for entry in env.environ.get("KUBECONFIG", "").split(":"):
        if entry:
            return Path(entry)
    return env.home / ".kube" / "config"
