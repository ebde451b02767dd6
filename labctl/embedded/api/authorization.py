"""Role-based access control.

Source: k8s.io/kubernetes v1.34.4 `plugin/pkg/auth/authorizer/rbac` and `pkg/apis/rbac/v1/evaluation_helpers.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from labctl.embedded.api.errors import GenericError, forbidden, quoted
from labctl.embedded.api.users import MASTERS, User
from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.resources import Resource

_GROUP = "rbac.authorization.k8s.io"
_CLUSTER_ROLES, _CLUSTER_BINDINGS = f"clusterroles.{_GROUP}", f"clusterrolebindings.{_GROUP}"
_ROLES, _BINDINGS = f"roles.{_GROUP}", f"rolebindings.{_GROUP}"


class Policies(Protocol):
    """Where roles and bindings are."""

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """See `Clientset.get`."""

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        """See `Clientset.list`."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do.

    Attributes:
        verb: `get`, `list`, `create`, …
        group: API group of the resource.
        resource: Plural of the resource; empty for a path that is no resource.
        subresource: For example `status`; else empty.
        namespace: Namespace; empty for all of them or cluster-scoped.
        name: Object name; empty for collections.
        path: The path, when it is no resource.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, and by what."""

    allowed: bool
    reason: str = ""


class Authorizer:
    """Decides by the stored roles and bindings; members of `system:masters` may do everything."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def decide(self, user: User, wanted: Attributes) -> Decision:
        """Whether the user may do it."""
        if MASTERS in user.groups:
            return Decision(True)
        for rule, reason in self.rules(user, wanted.namespace):
            if _allows(rule, wanted):
                return Decision(True, reason)
        return Decision(False)

    def rules(self, user: User, namespace: str) -> Iterator[tuple[Obj, str]]:
        """Every rule that applies to a user, cluster-wide and in a namespace, with the words that explain why."""
        for binding in self._policies.list(_CLUSTER_BINDINGS):
            yield from self._bound(binding, user, "", "ClusterRoleBinding", binding["metadata"]["name"])
        if namespace:
            for binding in self._policies.list(_BINDINGS, namespace):
                title = f"{binding['metadata']['name']}/{namespace}"
                yield from self._bound(binding, user, namespace, "RoleBinding", title)

    def _bound(self, binding: Obj, user: User, namespace: str, kind: str, title: str) -> Iterator[tuple[Obj, str]]:
        subject = next((item for item in binding.get("subjects") or () if _applies(item, user, namespace)), None)
        if subject is None:
            return
        role = binding["roleRef"]
        if role["kind"] == "ClusterRole":
            found = self._policies.get(_CLUSTER_ROLES, "", role["name"])
        else:
            found = self._policies.get(_ROLES, namespace, role["name"])
        for rule in (found or {}).get("rules") or ():
            allowed_by = f"{kind} {quoted(title)} of {role['kind']} {quoted(role['name'])}"
            yield rule, f"RBAC: allowed by {allowed_by} to {_described(subject, namespace)}"

    def require(self, user: User, wanted: Attributes, resource: Resource | None) -> None:
        """Raise the 403 of the API server unless the user may do it."""
        if self.decide(user, wanted).allowed:
            return
        if not wanted.resource:
            words = f"forbidden: User {quoted(user.name)} cannot {wanted.verb} path {quoted(wanted.path)}"
            raise GenericError(403, "Forbidden", words)
        found = resource or Resource(wanted.group, "", wanted.resource, "", "", namespaced=True)
        raise forbidden(found, wanted.name, _refusal(user, wanted))


def _refusal(user: User, wanted: Attributes) -> str:
    name = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    place = f"in the namespace {quoted(wanted.namespace)}" if wanted.namespace else "at the cluster scope"
    return (
        f"User {quoted(user.name)} cannot {wanted.verb} resource {quoted(name)} "
        f"in API group {quoted(wanted.group)} {place}"
    )


def _applies(subject: Obj, user: User, namespace: str) -> bool:
    name = subject.get("name", "")
    match subject.get("kind"):
        case "User":
            return bool(user.name == name)
        case "Group":
            return name in user.groups
        case "ServiceAccount":
            return user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return False


def _described(subject: Obj, namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        where = subject.get("namespace") or namespace
        return f"{subject['kind']} {quoted(subject['name'] + '/' + where)}"
    return f"{subject['kind']} {quoted(subject['name'])}"


def _allows(rule: Obj, wanted: Attributes) -> bool:
    verbs = rule.get("verbs") or ()
    if wanted.verb not in verbs and "*" not in verbs:
        return False
    if not wanted.resource:
        return any(_path_matches(pattern, wanted.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if wanted.group not in groups and "*" not in groups:
        return False
    names = rule.get("resourceNames") or ()
    if names and wanted.name not in names:
        return False
    return any(_resource_matches(pattern, wanted) for pattern in rule.get("resources") or ())


def _resource_matches(pattern: str, wanted: Attributes) -> bool:
    if pattern == "*":
        return True
    full = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    return pattern == full or (bool(wanted.subresource) and pattern == f"*/{wanted.subresource}")


def _path_matches(pattern: str, path: str) -> bool:
    if pattern == "*" or pattern == path:
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))
