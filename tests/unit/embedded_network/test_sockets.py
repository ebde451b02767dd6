"""Services as a client on this machine meets them: real connections to real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from labctl.embedded.http.server import http_port
from labctl.embedded.network.listener import PortUnavailableError, bound_socket
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.proxy import KubeProxy
from labctl.embedded.network.sockets import Sockets
from labctl.model.inventory import ProxyMode
from tests.unit.embedded_network.fakes import (
    NODES,
    SLICES,
    FakeClientset,
    endpoint,
    endpoint_slice,
    service,
    settings,
    whoami,
)

S, W1, W2 = NODES.values()


class Bed:
    """A network with three nodes and the pods a (on k3s-s), b and c (on k3s-w1), each on port 8080."""

    def __init__(self, mode: ProxyMode = ProxyMode.IPTABLES, sockets: Sockets | None = None) -> None:
        self.api = FakeClientset()
        self.network = LoopbackNetwork(settings(mode), sockets)
        self.proxy = KubeProxy(self.api, self.network)
        self.proxy.start()
        self.pods = {
            name: self.network.add_pod(name, node) for name, node in (("a", "k3s-s"), ("b", "k3s-w1"), ("c", "k3s-w1"))
        }
        for name in self.pods:
            self.network.listen(name, 8080, http_port(whoami(name)))

    def slice(self, *names: str) -> None:
        nodes = {"a": "k3s-s", "b": "k3s-w1", "c": "k3s-w1"}
        self.api.create(SLICES, endpoint_slice("web", [endpoint(self.pods[n], nodes[n]) for n in names], 8080))
        self.proxy.sync()

    def service(self, **spec: object) -> None:
        ports = [{"port": 80 + 9000, "targetPort": 8080, "nodePort": 31080}]
        self.api.create("services", service("web", "127.77.200.9", ports, type="NodePort", **spec))
        self.proxy.sync()

    def close(self) -> None:
        self.proxy.stop()
        self.network.sockets.close_all()
        for name in self.pods:
            self.network.remove_pod(name)


@asynccontextmanager
async def bed(mode: ProxyMode = ProxyMode.IPTABLES, sockets: Sockets | None = None) -> AsyncIterator[Bed]:
    it = Bed(mode, sockets)
    try:
        yield it
    finally:
        it.close()
        for _ in range(5):  # let both ends of every connection notice
            await asyncio.sleep(0.002)


async def ask(address: str, port: int) -> str:
    """What the pod says that answers a new connection."""
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer.partition(b"\r\n\r\n")[2].decode()


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await body()

    asyncio.run(main())


def test_node_port_answers_on_every_node_and_reaches_every_pod() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service()
            it.slice("a", "b", "c")
            for node in (S, W1, W2):
                hits = Counter([(await ask(node, 31080))[0] for _ in range(60)])
                assert set(hits) == {"a", "b", "c"}

    run(body)


def test_source_is_cni0_for_local_pods_and_flannel_for_remote_ones() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service()
            it.slice("a")
            assert await ask(S, 31080) == f"a 127.78.0.1 {it.pods['a']}:8080"
            assert await ask(W1, 31080) == f"a 127.78.1.0 {it.pods['a']}:8080"
            assert await ask("127.77.200.9", 9080) == f"a 127.78.0.1 {it.pods['a']}:8080"

    run(body)


def test_local_policy_keeps_the_source_and_drops_where_no_endpoint_is() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service(externalTrafficPolicy="Local")
            it.slice("b", "c")
            said = await ask(W1, 31080)
            assert said.split()[1] == "127.0.0.1"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.open_connection(S, 31080)
            it.slice("a", "b")  # the node gets an endpoint: the very next connection is served
            await asyncio.sleep(0)
            assert (await ask(S, 31080)).startswith("a 127.0.0.1 ")

    run(body)


def test_service_without_endpoints_refuses() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service()
            it.slice()
            for address, port in ((S, 31080), ("127.77.200.9", 9080)):
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(address, port)

    run(body)


def test_pod_that_stops_listening_refuses_through_its_service_and_comes_back() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service()
            it.slice("a")
            assert (await ask(S, 31080)).startswith("a")
            it.network.close("a", 8080)
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(S, 31080)
            it.network.listen("a", 8080, http_port(whoami("again")))
            await asyncio.sleep(0)
            assert (await ask(S, 31080)).startswith("again")

    run(body)


def test_deleted_service_and_changed_node_port_close_their_sockets() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service()
            it.slice("a")
            assert (await ask(S, 31080)).startswith("a")
            ports = [{"port": 9080, "targetPort": 8080, "nodePort": 31081}]
            it.api.update("services", service("web", "127.77.200.9", ports, type="NodePort"))
            await asyncio.sleep(0)
            assert (await ask(S, 31081)).startswith("a")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(S, 31080)
            it.api.delete("services", "default", "web")
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(S, 31081)

    run(body)


def test_ipvs_goes_round() -> None:
    async def body() -> None:
        async with bed(ProxyMode.IPVS) as it:
            it.service()
            it.slice("a", "b", "c")
            said = "".join([(await ask(S, 31080))[0] for _ in range(9)])
            assert said in ("abc" * 3, "bca" * 3, "cab" * 3)

    run(body)


def test_client_affinity_keeps_a_client_with_its_pod() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service(sessionAffinity="ClientIP")
            it.slice("a", "b", "c")
            assert len({(await ask(S, 31080))[0] for _ in range(20)}) == 1

    run(body)


def test_pod_answers_on_its_own_address() -> None:
    async def body() -> None:
        async with bed() as it:
            assert await ask(it.pods["a"], 8080) == f"a 127.78.0.1 {it.pods['a']}:8080"
            assert await ask(it.pods["b"], 8080) == f"b 127.78.0.0 {it.pods['b']}:8080"

    run(body)


def test_removed_pod_cuts_its_connections_and_gives_its_port_back() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service()
            it.slice("a")
            reader, writer = await asyncio.open_connection(S, 31080)
            writer.write(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            it.network.remove_pod("a")
            async with asyncio.timeout(2):
                assert b"HTTP" not in await reader.read()
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(it.pods["a"], 8080)

    run(body)


def test_endpoint_that_is_no_pod_is_reached_by_a_connection_of_its_own() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(100)
        writer.write(data + b" from " + writer.get_extra_info("peername")[0].encode())
        await writer.drain()
        writer.close()

    async def body() -> None:
        server = await asyncio.start_server(echo, "127.77.99.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with bed() as it:
            it.service()
            it.api.create(SLICES, endpoint_slice("web", [endpoint("127.77.99.1")], port))
            it.proxy.sync()
            reader, writer = await asyncio.open_connection(W1, 31080)
            writer.write(b"hello")
            async with asyncio.timeout(2):
                assert await reader.read() == b"hello from 127.77.10.101"
            writer.close()
        server.close()

    run(body)


def test_foreign_endpoint_that_refuses_resets_the_client() -> None:
    async def body() -> None:
        async with bed() as it:
            it.service()
            it.api.create(SLICES, endpoint_slice("web", [endpoint("127.77.99.1")], 1))
            it.proxy.sync()
            with pytest.raises(ConnectionError):
                assert not await ask(S, 31080)

    run(body)


def test_port_of_somebody_else_is_listed_with_the_process_that_has_it() -> None:
    async def body() -> None:
        with socket.create_server((W2, 31080)):
            async with bed() as it:
                it.service()
                it.slice("a")
                await asyncio.sleep(0)
                assert (await ask(S, 31080)).startswith("a")
                (missing,) = it.network.unbound()
                assert (missing.address, missing.port) == (W2, 31080)
                assert missing.what == "NodePort of Service default/web"
                assert "in use by python" in missing.reason
                assert "(process " in missing.reason

    run(body)


def test_port_is_taken_as_soon_as_its_holder_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.embedded.network.sockets.RETRY_INTERVAL", 0.01)

    async def body() -> None:
        holder = socket.create_server((W2, 31080))
        async with bed() as it:
            it.service()
            it.slice("a")
            assert len(it.network.unbound()) == 1
            await asyncio.sleep(0.03)
            assert "in use by" in it.network.unbound()[0].reason
            holder.close()
            async with asyncio.timeout(2):
                while it.network.unbound():  # noqa: ASYNC110 - the timer tells nobody
                    await asyncio.sleep(0.005)
            assert (await ask(W2, 31080)).startswith("a")

    run(body)


def test_privileged_port_is_listed_and_still_served_inside() -> None:
    def refusing(address: str, port: int) -> socket.socket:
        if port < 1024:
            denied = PermissionError(errno.EACCES, "Permission denied")
            raise PortUnavailableError(f"this user may not bind {address}:{port}", hint="sysctl") from denied
        return bound_socket(address, port)

    async def body() -> None:
        async with bed(sockets=Sockets(settings(), refusing)) as it:
            it.network.listen("a", 80, http_port(whoami("a")))
            assert [(entry.address, entry.port, entry.hint) for entry in it.network.unbound()] == [
                (it.pods["a"], 80, "sysctl")
            ]
            assert it.network.port_at(it.pods["a"], 80) is not None

    run(body)
