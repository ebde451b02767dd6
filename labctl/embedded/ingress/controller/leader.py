"""Leader election by a Lease, as client-go does it: only the leader writes the status of Ingresses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from labctl.embedded.clientset import ApiError, Clientset, Obj
from labctl.embedded.ingress.controller.identity import Identity
from labctl.embedded.ingress.log import LogLine, quote

_LEASES = "leases.coordination.k8s.io"
_DURATION = 30
_RETRY = 7.5


class LeaderElection:
    """Takes the lease when nobody holds it, and renews it.

    Args:
        clientset: The API.
        identity: The controller's pod; its name is the holder's identity.
        name: Name of the Lease (`--election-id`).
        log: The controller's log.
        elected: Called when this controller becomes the leader.
    """

    def __init__(
        self,
        clientset: Clientset,
        identity: Identity,
        name: str,
        log: Callable[[LogLine], None],
        elected: Callable[[], None],
    ) -> None:
        self._clientset = clientset
        self._identity = identity
        self._name = name
        self._log = log
        self._elected = elected
        self._timer: asyncio.TimerHandle | None = None
        self._leader = ""

    @property
    def leading(self) -> bool:
        """Whether this controller is the leader."""
        return self._leader == self._identity.pod

    def start(self) -> None:
        """Try to become the leader, now and again and again."""
        lease = f"{self._identity.namespace}/{self._name}"
        self._log(LogLine("I", "leaderelection.go:250", f"attempting to acquire leader lease {lease}..."))
        self._round()

    def stop(self) -> None:
        """Let the lease run out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _round(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_RETRY, self._round)
        try:
            holder = self._try()
        except ApiError as error:
            lease = f"{self._identity.namespace}/{self._name}"
            message = f"error retrieving resource lock {lease}: {error}"
            self._log(LogLine("E", "leaderelection.go:332", message))
            return
        if holder != self._leader:
            self._leader = holder
            if self.leading:
                lease = f"{self._identity.namespace}/{self._name}"
                self._log(LogLine("I", "leaderelection.go:260", f"successfully acquired lease {lease}"))
            self._log(LogLine("I", "status.go:85", f'"New leader elected" identity={quote(holder)}'))
            if self.leading:
                self._log(LogLine("I", "status.go:64", '"I am the new leader"', 2))
                self._elected()

    def _try(self) -> str:
        """Take or renew the lease if that is possible; returns its holder."""
        now = datetime.now(UTC)
        current = self._clientset.get(_LEASES, self._identity.namespace, self._name)
        if current is None:
            metadata = {"namespace": self._identity.namespace, "name": self._name}
            spec = self._spec(now, {}, 0)
            created: Obj = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": metadata,
                "spec": spec,
            }
            self._clientset.create(_LEASES, created)
            return self._identity.pod
        spec = current.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder and holder != self._identity.pod and not self._is_over(spec, holder, now):
            return str(holder)
        transitions = int(spec.get("leaseTransitions") or 0) + (holder != self._identity.pod)
        self._clientset.update(_LEASES, {**current, "spec": self._spec(now, spec, transitions)})
        return self._identity.pod

    def _is_over(self, spec: dict[str, Any], holder: str, now: datetime) -> bool:
        """Whether the holder has not renewed in time, or is a pod that is gone, which need not be waited for."""
        if self._clientset.get("pods", self._identity.namespace, holder) is None:
            return True
        try:
            renewed = datetime.fromisoformat(str(spec.get("renewTime")).replace("Z", "+00:00"))
        except ValueError:
            return True
        return (now - renewed).total_seconds() > (spec.get("leaseDurationSeconds") or _DURATION)

    def _spec(self, now: datetime, before: dict[str, Any], transitions: int) -> dict[str, Any]:
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = before.get("holderIdentity") == self._identity.pod
        return {
            "holderIdentity": self._identity.pod,
            "leaseDurationSeconds": _DURATION,
            "acquireTime": before["acquireTime"] if mine and before.get("acquireTime") else stamp,
            "renewTime": stamp,
            "leaseTransitions": transitions,
        }
