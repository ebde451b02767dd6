"""The objects that every cluster begins with, as the API server and k3s create them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import bootstrap_roles, k3s
from labctl.embedded.kinds.settings import ClusterSettings

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def objects(settings: ClusterSettings) -> list[tuple[str, Obj]]:
    """Resource key and object, in the order in which they can be created.

    Args:
        settings: The service range, whose first address is the `kubernetes` Service's, and the API's own address.
    """
    return [
        *(("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}) for name in NAMESPACES),
        *kubernetes_service(settings),
        ("services", _dns_service(settings)),
        *_roles(),
        *_classes(),
        *(("customresourcedefinitions.apiextensions.k8s.io", item) for item in k3s.definitions()),
    ]


def kubernetes_service(settings: ClusterSettings) -> Iterable[tuple[str, Obj]]:
    """Service, Endpoints and EndpointSlice of the API server itself, each with its resource key."""
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


def _roles() -> Iterable[tuple[str, Obj]]:
    for role in bootstrap_roles.cluster_roles():
        yield f"clusterroles.{bootstrap_roles.GROUP}", role
    for binding in bootstrap_roles.cluster_role_bindings():
        yield f"clusterrolebindings.{bootstrap_roles.GROUP}", binding


def _classes() -> Iterable[tuple[str, Obj]]:
    yield (
        "storageclasses.storage.k8s.io",
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "local-path",
                "annotations": {"defaultVolumeType": "local", "storageclass.kubernetes.io/is-default-class": "true"},
            },
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
