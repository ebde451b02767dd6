"""The kubelet's timing, every delay scaled by one factor."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Settings:
    """What a kubelet's flags and configuration say, with the defaults of Kubernetes 1.34.

    Attributes:
        backoff_scale: Factor on every back-off and retry delay (crash loops, image pulls, mounts); 1 is real time.
        backoff_initial: First back-off of a crash or a pull in seconds; it doubles with every one.
        backoff_max: Longest back-off in seconds.
        sync_retry: Seconds until a failed sync is tried again, to which up to half is added at random.
        eager_probes: Ask containers already during `initialDelaySeconds`: then only a success counts.
        pace: Seconds that it takes to make a pod's sandbox, and to take it down; 0 is as quick as can be. A real node
            needs about one, which is what makes rollouts and watches show their steps.
        heartbeat_interval: Seconds between renewals of a node's Lease.
        lease_duration: `leaseDurationSeconds` of that Lease.
        cluster_dns: Address of the cluster's DNS service, for /etc/resolv.conf.
        cluster_domain: The cluster's DNS domain.
        now: Wall clock.
        jitter: A random number from 0 to 1.
    """

    backoff_scale: float = 1.0
    backoff_initial: float = 10.0
    backoff_max: float = 300.0
    sync_retry: float = 10.0
    eager_probes: bool = False
    pace: float = 0.0
    heartbeat_interval: float = 10.0
    lease_duration: int = 40
    cluster_dns: str = "127.10.200.10"
    cluster_domain: str = "cluster.local"
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    jitter: Callable[[], float] = random.random

    def timestamp(self) -> str:
        """`metav1.Time` of now: RFC 3339 in whole seconds."""
        return rfc3339(self.now())

    def retry_delay(self) -> float:
        """Seconds until a failed sync is tried again (wait.Jitter(backOffPeriod, 0.5) of pod_workers.go)."""
        return self.sync_retry * (1 + self.jitter() / 2) * self.backoff_scale


def rfc3339(moment: datetime) -> str:
    """`metav1.Time`: `2026-11-21T02:50:30Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(moment: datetime) -> str:
    """`metav1.MicroTime`: `2026-11-21T02:50:25.430162Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
