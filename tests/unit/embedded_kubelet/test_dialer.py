from __future__ import annotations

import asyncio

import pytest

from labctl.embedded.http.messages import Request, Response
from labctl.embedded.http.server import http_port
from labctl.embedded.kubelet.dialer import Place, PodDialer
from tests.unit.embedded_kubelet.fakes import FakeNetwork

SERVICE, EMPTY, DROPPING = "127.10.200.7", "127.10.200.8", "127.10.200.9"


def answering(request: Request) -> Response:
    return Response(200, [], f"{request.flow.client[0]} asked {request.flow.server}".encode())


def translate(place: Place, source: str) -> tuple[Place, str]:
    if place[0] == SERVICE:
        return ("127.16.1.9", 80), source
    if place[0] == EMPTY:
        raise ConnectionRefusedError
    if place[0] == DROPPING:
        raise TimeoutError
    return place, source


def dialer() -> PodDialer:
    network = FakeNetwork()
    network.add_pod("web", "k3s-w1", wanted="127.16.1.9")
    network.listen("web", 80, http_port(answering))
    return PodDialer(network, translate)


async def asked(address: Place, source: str = "127.16.1.5") -> bytes:
    connection = await dialer().connect(source, address)
    await connection.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b""
    while piece := await connection.read():
        data += piece
    return data.partition(b"\r\n\r\n")[2]


def test_a_service_address_leads_to_an_endpoint_that_sees_the_pod() -> None:
    assert asyncio.run(asked((SERVICE, 9001))) == b"127.16.1.5 asked ('127.16.1.9', 80)"


def test_localhost_is_the_pod_itself() -> None:
    assert asyncio.run(asked(("127.0.0.1", 80), "127.16.1.9")) == b"127.0.0.1 asked ('127.0.0.1', 80)"


@pytest.mark.parametrize("address", [(EMPTY, 80), ("127.16.1.9", 81), ("127.0.0.1", 80)])
def test_where_nothing_listens_the_connection_is_refused(address: Place) -> None:
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asked(address))


def test_dropped_packets_keep_the_client_waiting() -> None:
    async def body() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked((DROPPING, 80)), 0.05)

    asyncio.run(body())


def test_without_a_dns_service_nobody_answers() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(dialer().query(b""))
