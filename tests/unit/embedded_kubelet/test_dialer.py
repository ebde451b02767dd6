from __future__ import annotations

import asyncio

import pytest

from labctl.embedded.http.messages import Request, Response
from labctl.embedded.http.server import http_port
from labctl.embedded.kubelet.dialer import PodDialer, through_services
from labctl.embedded.network.plan import plan_service
from labctl.embedded.network.routing import Router
from labctl.embedded.network.settings import NetworkSettings
from tests.unit.embedded_kubelet.fakes import FakeNetwork

SETTINGS = NetworkSettings(nodes={"k3s-s": "127.0.10.10", "k3s-w1": "127.0.10.101"})
SERVICE = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"type": "ClusterIP", "clusterIP": "127.10.200.7", "ports": [{"port": 9001, "targetPort": 80}]},
}


def answering(request: Request) -> Response:
    return Response(200, [], f"{request.flow.client[0]} asked {request.flow.server}".encode())


def dialer(*, endpoints: bool) -> tuple[PodDialer, FakeNetwork]:
    network = FakeNetwork()
    ip = network.add_pod("web", "k3s-w1", wanted="127.16.1.9")
    network.listen("web", 80, http_port(answering))
    router = Router(SETTINGS, lambda: 0.0)
    entry = {
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}, "nodeName": "k3s-w1"}] if endpoints else [],
        "ports": [{"port": 80, "protocol": "TCP"}],
    }
    for server in plan_service(SERVICE, [entry], SETTINGS):
        router.put(server)
    return PodDialer(network, through_services(router)), network


async def asked(connecting: PodDialer, address: tuple[str, int]) -> bytes:
    connection = await connecting.connect("127.16.1.5", address)
    await connection.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b""
    while piece := await connection.read():
        data += piece
    return data.partition(b"\r\n\r\n")[2]


def test_a_service_address_leads_to_an_endpoint_that_sees_the_pod() -> None:
    client, _ = dialer(endpoints=True)
    answer = asyncio.run(asked(client, ("127.10.200.7", 9001)))
    assert answer == b"127.16.1.5 asked ('127.16.1.9', 80)"


def test_a_service_without_endpoints_refuses() -> None:
    client, _ = dialer(endpoints=False)
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asked(client, ("127.10.200.7", 9001)))


def test_a_pod_refuses_where_nothing_listens() -> None:
    client, _ = dialer(endpoints=True)
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asked(client, ("127.16.1.9", 81)))


def test_without_a_dns_service_nobody_answers() -> None:
    client, _ = dialer(endpoints=True)
    with pytest.raises(TimeoutError):
        asyncio.run(client.query(b""))
