"""Stand-ins: an API that holds what it is told, pods that say who they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from labctl.embedded.clientset import Change, ChangeType, DeleteOptions, Obj
from labctl.embedded.http.messages import Request, Response
from labctl.embedded.network.settings import NetworkSettings
from labctl.model.inventory import ProxyMode

SLICES = "endpointslices.discovery.k8s.io"
NODES = {"k3s-s": "127.77.10.10", "k3s-w1": "127.77.10.101", "k3s-w2": "127.77.10.102"}


def settings(mode: ProxyMode = ProxyMode.IPTABLES, *, whole_loopback: bool = True) -> NetworkSettings:
    """An address plan apart from the default one, so that a running cluster does not disturb tests."""
    return NetworkSettings(NODES, "127.78.0.0/16", "127.77.200.0/24", proxy_mode=mode, whole_loopback=whole_loopback)


class FakeClientset:
    """Objects in memory; changes are told at once."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Obj] = {}
        self.callbacks: list[Callable[[Change], None]] = []

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        return self.objects.get((resource, namespace, name))

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        return [o for (r, n, _), o in sorted(self.objects.items()) if r == resource and namespace in ("", n)]

    def create(self, resource: str, obj: Obj) -> Obj:
        return self._put(resource, obj, ChangeType.ADDED)

    def update(self, resource: str, obj: Obj, *, subresource: str = "") -> Obj:
        return self._put(resource, obj, ChangeType.MODIFIED)

    def delete(self, resource: str, namespace: str, name: str, options: DeleteOptions = DeleteOptions()) -> Obj:  # noqa: B008
        obj = self.objects.pop((resource, namespace, name))
        self._tell(Change(ChangeType.DELETED, resource, obj))
        return obj

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def _put(self, resource: str, obj: Obj, change: ChangeType) -> Obj:
        meta = obj["metadata"]
        self.objects[resource, meta["namespace"], meta["name"]] = obj
        self._tell(Change(change, resource, obj))
        return obj

    def _tell(self, change: Change) -> None:
        for callback in self.callbacks:
            callback(change)


def service(name: str, cluster_ip: str, ports: Iterable[dict[str, Any]], **spec: Any) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": cluster_ip, "ports": list(ports), **spec},
    }


def endpoint(address: str, node: str = "", *, ready: bool = True, **conditions: bool) -> Obj:
    return {"addresses": [address], "nodeName": node, "conditions": {"ready": ready, **conditions}}


def endpoint_slice(name: str, endpoints: list[Obj], port: int | None, *, port_name: str = "", suffix: str = "a") -> Obj:
    return {
        "metadata": {
            "name": f"{name}-{suffix}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    }


def whoami(name: str) -> Callable[[Request], Response]:
    """An application that answers its name and the addresses of the connection as it sees them."""

    def app(request: Request) -> Response:
        client, server = request.flow.client, request.flow.server
        return Response(200, [], f"{name} {client[0]} {server[0]}:{server[1]}".encode())

    return app
