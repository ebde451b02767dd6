"""What an administrator sets on kube-controller-manager's and kube-scheduler's command lines."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.embedded.clientset import Obj


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Times and names the controllers work with. All durations in seconds.

    Attributes:
        server: Name of the node the control plane runs on; the host part of some events.
        root_ca: PEM of the API's certificate authority, published as ConfigMap `kube-root-ca.crt` in every namespace.
        kept: The API server's own objects, with their resources; deleted ones are created again.
        time_scale: Factor on every waiting time that stands for slowness of real machines (node grace period, eviction
            delay, retry of a failed Job); 1 is as slow as Kubernetes.
        node_monitor_grace_period: Without a renewed lease for this long, a node is NotReady
            (`--node-monitor-grace-period`).
        autoscaler_period: How long after its creation a HorizontalPodAutoscaler is first looked at
            (`--horizontal-pod-autoscaler-sync-period`).
        event_ttl: How long events are kept (`--event-ttl`).
        garbage_delay: How long after its owner a dependent is deleted. The real collector follows a client's requests
            at a distance too: what one `kubectl delete -f` names goes first, then what depended on it.
        turn: How long the controllers may work before everything else on the event loop has its turn.
        seed: Seed of the scheduler's choice among equally good nodes; None takes the system's randomness.
    """

    server: str = "k3s-s"
    root_ca: str = ""
    kept: tuple[tuple[str, Obj], ...] = ()
    time_scale: float = 1.0
    node_monitor_grace_period: float = 50.0
    autoscaler_period: float = 15.0
    event_ttl: float = 3600.0
    garbage_delay: float = 0.03
    turn: float = 0.004
    seed: int | None = None
