"""What k3s deploys by itself; of it the stand-in has CoreDNS (the cluster's DNS itself is labctl's embedded one)."""

from __future__ import annotations

from typing import Any

from labctl.embedded.clientset import Clientset
from tests.hosts.standin.program.options import Options

_LABELS = {"k8s-app": "kube-dns"}
_COREDNS: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {**_LABELS, "kubernetes.io/name": "CoreDNS"}},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": _LABELS},
        "template": {
            "metadata": {"labels": _LABELS},
            "spec": {
                "containers": [{"name": "coredns", "image": "rancher/mirrored-coredns-coredns:1.12.1"}],
                "tolerations": [{"operator": "Exists"}],
            },
        },
    },
}

_NODES: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "standin:nodes"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}],
}
"""In the place of the node authorizer, which the embedded API does not have: every node may what nodes may."""


def addons(clientset: Clientset, options: Options) -> None:
    """Create what is missing."""
    if clientset.get("clusterrolebindings.rbac.authorization.k8s.io", "", _NODES["metadata"]["name"]) is None:
        clientset.create("clusterrolebindings.rbac.authorization.k8s.io", _NODES)
    if "coredns" in options.texts("disable"):
        return
    if clientset.get("deployments.apps", "kube-system", "coredns") is None:
        clientset.create("deployments.apps", _COREDNS)
