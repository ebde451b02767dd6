"""The objects that every cluster begins with, as the API server and k3s create them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.settings import ClusterSettings

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_RBAC = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_ALL_USERS = ("system:authenticated",)
_WORKLOADS = {
    "": ("configmaps", "endpoints", "persistentvolumeclaims", "pods", "replicationcontrollers",
         "replicationcontrollers/scale", "serviceaccounts", "services"),
    "apps": ("daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
             "statefulsets/scale"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
    "policy": ("poddisruptionbudgets",),
}  # fmt: skip
_VIEW_ONLY = ("bindings", "events", "limitranges", "namespaces", "namespaces/status", "pods/log", "pods/status",
              "resourcequotas")  # fmt: skip
_EDIT_ONLY = ("pods/attach", "pods/exec", "pods/portforward", "pods/eviction", "secrets", "serviceaccounts/token")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
              "/version", "/version/")  # fmt: skip
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")


def objects(settings: ClusterSettings) -> list[tuple[str, Obj]]:
    """Resource key and object, in the order in which they can be created.

    Args:
        settings: The service range, whose first address is the `kubernetes` Service's, and the API's own address.
    """
    return [
        *(("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}) for name in NAMESPACES),
        *_kubernetes_service(settings),
        ("services", _dns_service(settings)),
        *_roles(),
        *_classes(),
    ]


def _kubernetes_service(settings: ClusterSettings) -> Iterable[tuple[str, Obj]]:
    address, port = settings.api_address
    metadata = {"name": "kubernetes", "namespace": "default"}
    skip_mirror = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    yield (
        "services",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata | {"labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {
                "clusterIP": str(ipaddress.ip_network(settings.service_cidr)[1]),
                "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
                "type": "ClusterIP",
            },
        },
    )
    yield (
        "endpoints",
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": metadata | {"labels": skip_mirror},
            "subsets": [
                {"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}
            ],
        },
    )
    yield (
        "endpointslices.discovery.k8s.io",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata | {"labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        },
    )


def _dns_service(settings: ClusterSettings) -> Obj:
    """CoreDNS's Service (k3s's manifests/coredns.yaml); its address is the tenth of the range."""
    ports = (("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP"))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "selector": {"k8s-app": "kube-dns"},
            "clusterIP": str(ipaddress.ip_network(settings.service_cidr)[10]),
            "ports": [{"name": name, "port": port, "protocol": protocol} for name, port, protocol in ports],
        },
    }


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Obj:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _paths(paths: Sequence[str]) -> Obj:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


def _rules() -> dict[str, list[Obj]]:
    """Role name → rules (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go)."""
    reviews = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")
    everything: Obj = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    view = [_rule(group, names, _READ) for group, names in _WORKLOADS.items()]
    view += [_rule("", _VIEW_ONLY, _READ), _rule("discovery.k8s.io", ("endpointslices",), _READ)]
    edit = [*view, _rule("", _EDIT_ONLY, (*_READ, *_WRITE))]
    edit += [_rule(group, names, _WRITE) for group, names in _WORKLOADS.items()]
    roles = (*_READ, *_WRITE)
    return {
        "cluster-admin": [everything, {"nonResourceURLs": ["*"], "verbs": ["*"]}],
        "admin": [
            *edit,
            _rule("authorization.k8s.io", ("localsubjectaccessreviews",), ("create",)),
            _rule(_RBAC, ("rolebindings", "roles"), roles),
        ],
        "edit": edit,
        "view": view,
        "system:basic-user": [
            _rule("authorization.k8s.io", reviews, ("create",)),
            _rule("authentication.k8s.io", ("selfsubjectreviews",), ("create",)),
        ],
        "system:discovery": [_paths(_DISCOVERY)],
        "system:public-info-viewer": [_paths(_PUBLIC)],
        "system:service-account-issuer-discovery": [_paths(("/.well-known/openid-configuration", "/openid/v1/jwks"))],
    }


_BINDINGS = {
    "cluster-admin": ("system:masters",),
    "system:basic-user": _ALL_USERS,
    "system:discovery": _ALL_USERS,
    "system:public-info-viewer": (*_ALL_USERS, "system:unauthenticated"),
    "system:service-account-issuer-discovery": ("system:serviceaccounts",),
}


def _roles() -> Iterable[tuple[str, Obj]]:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    update = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
    for name, rules in _rules().items():
        yield (
            f"clusterroles.{_RBAC}",
            {
                "apiVersion": f"{_RBAC}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name, "labels": labels, "annotations": update},
                "rules": rules,
            },
        )
    for name, groups in _BINDINGS.items():
        yield (
            f"clusterrolebindings.{_RBAC}",
            {
                "apiVersion": f"{_RBAC}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name, "labels": labels, "annotations": update},
                "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": group} for group in groups],
            },
        )


def _classes() -> Iterable[tuple[str, Obj]]:
    yield (
        "storageclasses.storage.k8s.io",
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "rancher.io/local-path",
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
    )
    for name, value, duty in (
        (
            "system-cluster-critical",
            2_000_000_000,
            "must run in the cluster, but can be moved to another node if necessary",
        ),
        ("system-node-critical", 2_000_001_000, "must not be moved from their current node"),
    ):
        yield (
            "priorityclasses.scheduling.k8s.io",
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": name},
                "value": value,
                "description": f"Used for system critical pods that {duty}.",
            },
        )
