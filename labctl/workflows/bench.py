"""Where labs are performed: the cluster, its API, and what the command line says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from labctl.env import Env
from labctl.events import EventSink
from labctl.kube.client import KubeApi
from labctl.lab.plan import Overrides, namespace_of, variables
from labctl.model.cluster import Cluster
from labctl.model.lab import Lab
from labctl.model.report import ClusterInfo
from labctl.ssh.transport import Transport

NodeShell = Callable[[str], Transport]
"""From a node's name to a shell there; raises UsageError where nodes are no machines."""


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What the command line says about running labs.

    Attributes:
        requests: Requests per check; None takes the lab's.
        concurrency: Most in flight; None takes the lab's.
        confidence: Of statistical checks.
        ingress_class: IngressClass; None takes the cluster file's.
        namespace: Namespace of the labs' objects; None takes the labs'.
        timeout: Seconds that one wait may take.
        keep: Whether the labs' objects stay after a run.
        jobs: Labs that are performed at once.
    """

    requests: int | None = None
    concurrency: int | None = None
    confidence: float = 0.999
    ingress_class: str | None = None
    namespace: str | None = None
    timeout: float = 60.0
    keep: bool = False
    jobs: int = 1


@dataclass(slots=True)
class Bench:
    """Where labs are performed: the cluster, its API, and where events go.

    Attributes:
        started: When the command began (UTC).
        begun: The same on the monotonic clock, seconds.
        shell: Shells on the nodes.
        settle: Whether changes may be on their way to the controller, so that checks wait for the first good answers.
        halt: Set once the user pressed Ctrl-C; nothing new is begun after that.
    """

    cluster: Cluster
    api: KubeApi
    env: Env
    sink: EventSink
    options: LabOptions
    overrides: Overrides
    started: datetime
    begun: float
    shell: NodeShell
    settle: bool = True
    halt: threading.Event = field(default_factory=threading.Event)

    @property
    def interrupted(self) -> bool:
        """Whether the user pressed Ctrl-C."""
        return self.halt.is_set()

    @property
    def info(self) -> ClusterInfo:
        """The cluster, as reports name it."""
        cluster = self.cluster
        return ClusterInfo(cluster.provider.value, cluster.name, cluster.version, len(cluster.nodes))

    def for_lab(self, lab: Lab) -> Bench:
        """The same with connections of its own, for a thread, and the references that manifests may hold."""
        known = variables(self.cluster, namespace_of(lab, self.overrides))
        api = KubeApi(self.cluster.kubeconfig, self.cluster.context)
        return replace(self, api=api, overrides=replace(self.overrides, variables=known))
