"""What an administrator sets on kube-apiserver's command line and the kinds' rules depend on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Flags of the API server.

    Attributes:
        service_cidr: Range of the Services' cluster IPs (`--service-cluster-ip-range`); its first address is the
            `kubernetes` Service's.
        cluster_cidr: Range of the pods' addresses.
        node_ports: First and last node port (`--service-node-port-range`), both included.
        version: The version reported by `/version`, for example `v1.34.4+k3s1`.
        api_address: Address and port the API is reached at, the endpoint of the `kubernetes` Service.
    """

    service_cidr: str = "127.10.200.0/24"
    cluster_cidr: str = "127.16.0.0/16"
    node_ports: tuple[int, int] = (30000, 32767)
    version: str = "v1.34.4+k3s1"
    api_address: tuple[str, int] = ("127.0.10.10", 6443)
