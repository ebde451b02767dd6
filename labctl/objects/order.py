"""The order in which objects are applied and deleted: what others refer to comes first."""

from __future__ import annotations

from labctl.objects.manifests import Obj

_RANKS = (
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "StorageClass",
    "IngressClass",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "Job",
    "CronJob",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)
"""Helm's install order (pkg/releaseutil/kind_sorter.go), as far as labctl's kinds go."""


def apply_order(objects: list[Obj]) -> list[Obj]:
    """The same objects, those that others need first; equal kinds keep their order. Unknown kinds come last."""
    return sorted(objects, key=lambda obj: _RANKS.index(obj["kind"]) if obj["kind"] in _RANKS else len(_RANKS))


def delete_order(objects: list[Obj]) -> list[Obj]:
    """The reverse of `apply_order`: traffic stops before its backends go."""
    return list(reversed(apply_order(objects)))
