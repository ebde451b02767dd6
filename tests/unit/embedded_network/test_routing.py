"""Where connections go, and the source addresses that are seen there."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
from collections import Counter

import pytest

from labctl.embedded.network.balance import ClientAffinity, RoundRobin, UniformRandom
from labctl.embedded.network.ipam import HostLocal
from labctl.embedded.network.masquerade import entry_node, source_seen
from labctl.embedded.network.plan import Endpoint, Kind, VirtualServer
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.proxy import KubeProxy
from labctl.embedded.network.settings import socket_address
from tests.unit.embedded_network.fakes import (
    NODES,
    SLICES,
    FakeClientset,
    endpoint,
    endpoint_slice,
    service,
    settings,
)

S, W1, W2 = NODES.values()
POD_S, POD_W1, POD_W1B = "127.78.0.5", "127.78.1.5", "127.78.1.6"
HOST = "127.0.0.1"
PLAN = settings()


def server(kind: Kind, *, node: str = "", local: bool = False) -> VirtualServer:
    address = NODES[node] if node else "127.77.200.9"
    return VirtualServer(address, 80, kind, "default/web", node=node, local=local)


@pytest.mark.parametrize(
    ("virtual", "client", "target", "seen"),
    [
        # from outside to a node port: recorded on a real k3s
        (server(Kind.NODE_PORT, node="k3s-s"), HOST, POD_S, "127.78.0.1"),
        (server(Kind.NODE_PORT, node="k3s-s"), HOST, POD_W1, "127.78.0.0"),
        (server(Kind.NODE_PORT, node="k3s-w1"), HOST, POD_W1, "127.78.1.1"),
        (server(Kind.NODE_PORT, node="k3s-s", local=True), HOST, POD_S, HOST),
        (server(Kind.LOAD_BALANCER, node="k3s-w1", local=True), HOST, POD_W1, HOST),
        # the node itself: kube-proxy's --src-type LOCAL
        (server(Kind.NODE_PORT, node="k3s-s", local=True), S, POD_S, "127.78.0.1"),
        (server(Kind.NODE_PORT, node="k3s-s", local=True), W1, POD_S, W1),
        # a pod
        (server(Kind.CLUSTER_IP), POD_S, POD_W1, POD_S),
        (server(Kind.CLUSTER_IP), POD_S, POD_S, "127.78.0.1"),
        (server(Kind.NODE_PORT, node="k3s-w1"), POD_S, POD_W1, "127.78.1.1"),
        (server(Kind.NODE_PORT, node="k3s-w1", local=True), POD_S, POD_W1, POD_S),
        # from outside to a ClusterIP enters at the first node
        (server(Kind.CLUSTER_IP), HOST, POD_S, "127.78.0.1"),
        (server(Kind.CLUSTER_IP), HOST, POD_W1, "127.78.0.0"),
        (server(Kind.CLUSTER_IP), W1, POD_W1, "127.78.1.1"),
        # endpoints with a node's address
        (server(Kind.NODE_PORT, node="k3s-s"), HOST, W1, S),
        (server(Kind.CLUSTER_IP), POD_W1, S, W1),
        (server(Kind.CLUSTER_IP), POD_W1, W1, POD_W1),
        # pods without a Service
        (None, POD_S, POD_W1, POD_S),
        (None, HOST, POD_W1, "127.78.0.0"),
        (None, W1, POD_W1, "127.78.1.1"),
        (None, W1, POD_S, "127.78.1.0"),
        # a pod with host networking
        (None, HOST, W1, HOST),
        (None, POD_S, W1, S),
        (None, POD_W1, W1, POD_W1),
    ],
)
def test_source_seen(virtual: VirtualServer | None, client: str, target: str, seen: str) -> None:
    entry = entry_node(PLAN, client, virtual)
    assert source_seen(PLAN, virtual, client, entry, Endpoint(target, 8080)) == seen


def test_random_is_uniform_and_reaches_all() -> None:
    ends = tuple(Endpoint(f"127.78.0.{number}", 80) for number in range(2, 5))
    draws = iter([0.0, 0.34, 0.67, 0.999999])
    choose = UniformRandom(lambda: next(draws))
    assert [choose(ends).address[-1] for _ in range(4)] == ["2", "3", "4", "4"]


def test_round_robin_survives_a_change_of_endpoints() -> None:
    choose = RoundRobin()
    ends = tuple(Endpoint(f"127.78.0.{number}", 80) for number in range(2, 5))
    assert [choose(ends).address[-1] for _ in range(5)] == ["2", "3", "4", "2", "3"]
    assert {choose(ends[:1]).address for _ in range(3)} == {"127.78.0.2"}


def test_affinity_ends_after_silence_or_with_its_endpoint() -> None:
    now = [0.0]
    affinity = ClientAffinity(lambda: now[0])
    ends = tuple(Endpoint(f"127.78.0.{number}", 80) for number in range(2, 5))
    choose = RoundRobin()
    first = affinity.pick(HOST, 10, ends, choose)
    now[0] = 9
    assert affinity.pick(HOST, 10, ends, choose) == first
    now[0] = 18
    assert affinity.pick(HOST, 10, ends, choose) == first, "each connection begins the time anew"
    assert affinity.pick("127.0.0.2", 10, ends, choose) != first
    assert affinity.pick(HOST, 10, ends[1:], choose) != first
    now[0] = 40
    kept = affinity.pick(HOST, 10, ends, choose)
    assert affinity.pick(HOST, 10, ends, choose) == kept


def test_addresses_are_given_in_turn_and_not_reused_at_once() -> None:
    pool = HostLocal(ipaddress.IPv4Network("127.78.3.0/24"))
    assert [pool.allocate() for _ in range(3)] == ["127.78.3.2", "127.78.3.3", "127.78.3.4"]
    pool.release("127.78.3.2")
    assert pool.allocate() == "127.78.3.5"
    assert pool.allocate("127.78.3.2") == "127.78.3.2"
    assert pool.allocate("127.78.3.2") == "127.78.3.6", "a wanted address that somebody has is not given twice"
    assert pool.allocate("127.78.3.1") == "127.78.3.7", "cni0's own is not given"
    rest = [pool.allocate() for _ in range(247)]
    assert rest[-1] == "127.78.3.254"
    with pytest.raises(RuntimeError, match="no IP addresses available in range set"):
        pool.allocate()
    pool.release("127.78.3.9")
    assert pool.allocate() == "127.78.3.9"


def test_address_plan_where_the_whole_loopback_range_exists() -> None:
    assert PLAN.pod_range("k3s-w2") == ipaddress.IPv4Network("127.78.2.0/24")
    assert PLAN.dns_address == "127.77.200.10"
    assert socket_address(PLAN, W1, 31080) == (W1, 31080)
    assert socket_address(PLAN, POD_S, 8080) == (POD_S, 8080)
    assert socket_address(PLAN, "192.0.2.1", 80) is None


def test_address_plan_where_only_127_0_0_1_exists() -> None:
    plan = settings(whole_loopback=False)
    ports = [socket_address(plan, address, 30080) for address in (S, W1, W2)]
    assert ports == [("127.0.0.1", 30080), ("127.0.0.1", 32848), ("127.0.0.1", 35616)]
    assert len({socket_address(plan, node, port) for node in (S, W1, W2) for port in range(30000, 32768)}) == 3 * 2768
    assert socket_address(plan, S, 6443) == ("127.0.0.1", 6443)
    assert socket_address(plan, POD_S, 8080) is None
    assert socket_address(plan, "127.77.200.9", 80) is None
    assert socket_address(plan, W2, 65000) is None


def test_translation_for_pods() -> None:
    async def body() -> None:
        network = LoopbackNetwork(PLAN)
        a, b = network.add_pod("a", "k3s-s"), network.add_pod("b", "k3s-w1")
        api = FakeClientset()
        proxy = KubeProxy(api, network)
        ports = [{"port": 9080, "nodePort": 31080}]
        api.create("services", service("web", "127.77.200.9", ports, type="NodePort", externalTrafficPolicy="Local"))
        api.create(SLICES, endpoint_slice("web", [endpoint(a, "k3s-s"), endpoint(b, "k3s-w1")], 8080))
        api.create("services", service("empty", "127.77.200.11", [{"port": 9080}]))
        proxy.start()
        try:
            check_translation(proxy, a, b)
        finally:
            proxy.stop()

    asyncio.run(body())


def check_translation(proxy: KubeProxy, a: str, b: str) -> None:
    hits = Counter(proxy.translate(("127.77.200.9", 9080), b) for _ in range(100))
    assert set(hits) == {((a, 8080), b), ((b, 8080), "127.78.1.1")}, "a pod that reaches itself is masqueraded"
    assert len({proxy.translate((W2, 31080), a)[0] for _ in range(60)}) == 2, "a pod may go in at any node"
    assert proxy.translate((b, 8080), a) == ((b, 8080), a)
    assert proxy.translate((S, 6443), a) == ((S, 6443), a)
    with pytest.raises(ConnectionRefusedError):
        proxy.translate(("127.77.200.11", 9080), a)
    with pytest.raises(TimeoutError):
        proxy.translate((W2, 31080), HOST)
    with pytest.raises(TimeoutError):
        proxy.translate(("127.77.200.9", 81), a)
    with pytest.raises(OSError, match="No route to host") as caught:
        proxy.translate(("127.78.2.99", 80), a)
    assert caught.value.errno == errno.EHOSTUNREACH
