"""How the parts of the embedded cluster read and change objects: the API's own operations, without HTTP.

Everything in the process (controllers, kubelet, kube-proxy, ingress) goes through this contract, so defaulting,
validation, admission, optimistic concurrency and watch events are the same for them as for kubectl.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Obj = dict[str, Any]
"""A Kubernetes object as JSON. Objects that come out of the clientset are shared: copy before changing."""


class ChangeType(StrEnum):
    """The type field of a watch event."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One committed change, as every watcher sees it.

    Attributes:
        type: What happened.
        resource: `plural` or `plural.group`: `pods`, `deployments.apps`, `ingresses.networking.k8s.io`.
        object: The object after the change (for DELETED: its last state, with the deletion's resourceVersion).
        previous: The object before it; None for ADDED.
    """

    type: ChangeType
    resource: str
    object: Obj
    previous: Obj | None = None


class ApiError(Exception):
    """A request that the API refuses: carries the `Status` object that a client would get.

    Attributes:
        code: HTTP status, for example 404.
        reason: `metav1.StatusReason`, for example `NotFound`.
        message: The API server's own words.
        details: `status.details`.
    """

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details: dict[str, Any] = dict(details or {})

    def status(self) -> Obj:
        """The `v1.Status` body."""
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            body["details"] = self.details
        return body


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`metav1.DeleteOptions`.

    Attributes:
        grace_period_seconds: None takes the object's default; 0 deletes at once.
        propagation_policy: `Background`, `Foreground` or `Orphan`; empty takes the kind's default.
        preconditions: May hold `uid` and `resourceVersion`.
    """

    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    preconditions: Mapping[str, str] = field(default_factory=dict)


class Clientset(Protocol):
    """The API's operations. All synchronous: a call returns once the change is committed to disk.

    `resource` is `plural` or `plural.group`; cluster-scoped resources have an empty namespace.
    Every method raises ApiError with the Status that the real API server gives.
    """

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """The object, or None when there is none."""

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        """All objects of a resource (of one namespace when given), ordered by namespace and name."""

    def create(self, resource: str, obj: Obj) -> Obj:
        """Create; metadata.namespace decides the namespace. Returns the stored, defaulted object."""

    def update(self, resource: str, obj: Obj, *, subresource: str = "") -> Obj:
        """Replace the object, or only its `status` / `scale` / … with `subresource`.

        A metadata.resourceVersion that is not the stored one is a 409 Conflict; without one the update is
        unconditional. An update that changes nothing is not committed and gives no event.
        """

    def delete(self, resource: str, namespace: str, name: str, options: DeleteOptions = DeleteOptions()) -> Obj:
        """Delete, or mark for deletion when finalizers or a grace period hold the object."""

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` with every later change, in commit order, on the event loop; returns how to stop it.

        The callback runs right after the commit: it must be quick and must not write (queue the work instead).
        """
