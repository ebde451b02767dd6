"""Who makes a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labctl.embedded.clientset import Obj

AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"
SERVICE_ACCOUNTS = "system:serviceaccounts"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated user.

    Attributes:
        name: For example `system:admin` or `system:serviceaccount:default:default`.
        groups: Without duplicates, in the order they were given.
        uid: Of a service account; else empty.
        extra: Further attributes, for example the credential's id.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def info(self) -> Obj:
        """As `authentication.k8s.io/v1 UserInfo`."""
        result: Obj = {"username": self.name}
        if self.uid:
            result["uid"] = self.uid
        if self.groups:
            result["groups"] = list(self.groups)
        if self.extra:
            result["extra"] = {key: list(values) for key, values in sorted(self.extra.items())}
        return result


def service_account(namespace: str, name: str, uid: str, extra: Mapping[str, tuple[str, ...]]) -> User:
    """The user that a service account's token stands for."""
    groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid, extra)
