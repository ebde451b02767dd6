"""What the controller may do: its ServiceAccount, roles and bindings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labctl.ingress.release import Release
from labctl.objects.manifests import Obj

_API = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")


def service_account(release: Release) -> Iterator[Obj]:
    """The ServiceAccount, unless an existing one is used."""
    account = release.values["serviceAccount"]
    if account["create"]:
        yield {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": release.metadata(
                release.service_account,
                labels=release.controller.get("labels"),
                annotations=account.get("annotations"),
            ),
            "automountServiceAccountToken": account["automountServiceAccountToken"],
        }


def access(release: Release) -> Iterator[Obj]:
    """The roles and their bindings."""
    rbac = release.values["rbac"]
    if not rbac["create"]:
        return
    if not rbac["scope"]:
        yield _role(release, "ClusterRole", list(_cluster_rules(release)))
        yield _binding(release, "ClusterRole")
    yield _role(release, "Role", list(_rules(release)))
    yield _binding(release, "Role")


def _metadata(release: Release, *, cluster_wide: bool) -> Obj:
    component = "" if cluster_wide else "controller"
    labels = release.controller.get("labels")
    return release.metadata(release.fullname, component, labels=labels, cluster_wide=cluster_wide)


def _role(release: Release, kind: str, rules: list[Obj]) -> Obj:
    metadata = _metadata(release, cluster_wide=kind == "ClusterRole")
    return {"apiVersion": f"{_API}/v1", "kind": kind, "metadata": metadata, "rules": rules}


def _binding(release: Release, kind: str) -> Obj:
    subject = {"kind": "ServiceAccount", "name": release.service_account, "namespace": release.namespace}
    return {
        "apiVersion": f"{_API}/v1",
        "kind": f"{kind}Binding",
        "metadata": _metadata(release, cluster_wide=kind == "ClusterRole"),
        "roleRef": {"apiGroup": _API, "kind": kind, "name": release.fullname},
        "subjects": [subject],
    }


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Obj:
    rule: Obj = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    if names:
        rule["resourceNames"] = list(names)
    return rule


def _shared_rules() -> Iterator[Obj]:
    yield _rule("", ["services"], _READ)
    yield _rule("networking.k8s.io", ["ingresses"], _READ)
    yield _rule("", ["events"], ["create", "patch"])
    yield _rule("networking.k8s.io", ["ingressclasses"], _READ)
    yield _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch", "get"])


def _cluster_rules(release: Release) -> Iterator[Obj]:
    scope = release.controller["scope"]
    watched = ["configmaps", "endpoints", "nodes", "pods", "secrets"]
    yield _rule("", watched if scope["enabled"] else [*watched, "namespaces"], ["list", "watch"])
    yield _rule("coordination.k8s.io", ["leases"], ["list", "watch"])
    if scope["enabled"] and scope.get("namespace"):
        yield _rule("", ["namespaces"], ["get"], [scope["namespace"]])
    yield _rule("", ["nodes"], ["get"])
    yield from _shared_rules()
    yield _rule("networking.k8s.io", ["ingresses/status"], ["update"])


def _rules(release: Release) -> Iterator[Obj]:
    yield _rule("", ["namespaces"], ["get"])
    yield _rule("", ["configmaps", "pods", "secrets", "endpoints"], _READ)
    yield from _shared_rules()
    if (release.controller.get("extraArgs") or {}).get("update-status") != "false":
        yield _rule("networking.k8s.io", ["ingresses/status"], ["update"])
    yield _rule("coordination.k8s.io", ["leases"], ["get", "update"], [release.election_id])
    yield _rule("coordination.k8s.io", ["leases"], ["create"])
