"""Which API version a kind is served in, for the kinds that labs name without one."""

from __future__ import annotations

_GROUPS = {
    "apps/v1": ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"),
    "batch/v1": ("Job", "CronJob"),
    "coordination.k8s.io/v1": ("Lease",),
    "discovery.k8s.io/v1": ("EndpointSlice",),
    "networking.k8s.io/v1": ("Ingress", "IngressClass", "NetworkPolicy"),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
}
_VERSIONS = {kind: version for version, kinds in _GROUPS.items() for kind in kinds}
CLUSTER_WIDE = frozenset(
    {
        "Namespace",
        "Node",
        "PersistentVolume",
        "ClusterRole",
        "ClusterRoleBinding",
        "IngressClass",
        "StorageClass",
        "PriorityClass",
        "CustomResourceDefinition",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    }
)
"""Kinds without a namespace that manifests of labs may hold."""


def api_version(kind: str) -> str:
    """The apiVersion of a well-known kind; `v1` for all others."""
    return _VERSIONS.get(kind, "v1")
