"""What the cluster's DNS answers, as values and over sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.embedded.clientset import Obj
from labctl.embedded.images import dns as client
from labctl.embedded.network.dns import ClusterDns
from labctl.embedded.network.dnsmessage import Question, Rcode, Record, Reply, Type, read_question, write_reply
from labctl.embedded.network.forwarder import Forwarder
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.proxy import KubeProxy
from labctl.embedded.network.settings import NetworkSettings
from labctl.embedded.network.sockets import Sockets
from labctl.embedded.network.table import ServiceTable
from labctl.embedded.network.zone import ClusterZone
from tests.unit.embedded_network.fakes import NODES, SLICES, FakeClientset, endpoint, endpoint_slice, service, settings

BASE = "default.svc.cluster.local"


def api() -> FakeClientset:
    """A ClusterIP Service, a headless one with a StatefulSet's pods, an empty headless one, and three ExternalNames."""
    it = FakeClientset()
    it.create("namespaces", {"metadata": {"name": "default", "namespace": ""}})
    it.create("namespaces", {"metadata": {"name": "empty", "namespace": ""}})
    it.create(
        "services",
        service("web", "127.77.200.9", [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]),
    )
    it.create("services", service("sts", "None", [{"name": "http", "port": 80}]))
    it.create("services", service("none", "None", [{"port": 80}]))
    for name, target in (
        ("out", "example.test"),
        ("alias", f"web.{BASE}"),
        ("ip", "10.1.2.3"),
        ("loop", f"loop.{BASE}"),
    ):
        it.create("services", service(name, "", [], type="ExternalName", externalName=target))
    pods: list[Obj] = [
        endpoint("127.78.0.2", "k3s-s") | {"hostname": "sts-0"},
        endpoint("127.78.1.2", "k3s-w1") | {"hostname": "sts-1"},
        endpoint("127.78.1.3", "k3s-w1", ready=False) | {"hostname": "sts-2"},
        endpoint("127.78.1.4", "k3s-w1"),
    ]
    it.create(SLICES, endpoint_slice("sts", pods, 8080, port_name="http"))
    it.create(SLICES, endpoint_slice("web", [endpoint("127.78.0.9")], 8080, port_name="http"))
    return it


def zone() -> ClusterZone:
    table = ServiceTable()
    table.follow(api(), lambda _: None)
    return ClusterZone(table, NODES, "127.77.200.10")


def ask(name: str, kind: Type | int = Type.A) -> Reply | None:
    return zone().answer(name, kind, 7)


def data(name: str, kind: Type = Type.A) -> list[str]:
    reply = ask(name, kind)
    assert reply is not None
    assert reply.rcode is Rcode.NOERROR
    return [record.data for record in reply.answers]


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        (f"web.{BASE}", ["127.77.200.9"]),
        (f"WEB.{BASE.upper()}", ["127.77.200.9"]),
        (f"sts.{BASE}", ["127.78.0.2", "127.78.1.2", "127.78.1.4"]),
        (f"sts-0.sts.{BASE}", ["127.78.0.2"]),
        (f"127-78-1-4.sts.{BASE}", ["127.78.1.4"]),
        (f"127-78-0-9.web.{BASE}", ["127.78.0.9"]),
        (f"_http._tcp.web.{BASE}", ["127.77.200.9"]),
        (f"_http._tcp.sts.{BASE}", ["127.78.0.2", "127.78.1.2", "127.78.1.4"]),
        ("10-1-2-3.default.pod.cluster.local", ["10.1.2.3"]),
        ("ns.dns.cluster.local", ["127.77.200.10"]),
        ("k3s-w1", ["127.77.10.101"]),
    ],
)
def test_addresses(name: str, addresses: list[str]) -> None:
    assert data(name) == addresses


@pytest.mark.parametrize(
    "name",
    [
        f"missing.{BASE}",
        "web.missing.svc.cluster.local",
        "web.empty.svc.cluster.local",
        f"none.{BASE}",
        f"sts-2.sts.{BASE}",
        f"sts-9.sts.{BASE}",
        f"_https._tcp.web.{BASE}",
        f"_http._udp.web.{BASE}",
        f"a.b.c.web.{BASE}",
        f"ip.{BASE}",
        f"x.out.{BASE}",
        "web.default.svx.cluster.local",
        "web.default.pod.cluster.local",
        "10-1-2-3.missing.pod.cluster.local",
        "missing.svc.cluster.local",
    ],
)
def test_names_that_do_not_exist(name: str) -> None:
    reply = ask(name)
    assert reply is not None
    assert (reply.rcode, reply.answers) == (Rcode.NXDOMAIN, ())
    assert reply.authority == (
        Record("cluster.local", Type.SOA, 5, "ns.dns.cluster.local hostmaster.cluster.local 7 7200 1800 86400 5"),
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"web.{BASE}", Type.AAAA),
        (f"sts.{BASE}", Type.TXT),
        ("default.svc.cluster.local", Type.A),
        ("default.pod.cluster.local", Type.A),
        ("svc.cluster.local", Type.A),
        ("cluster.local", Type.A),
        (f"web.{BASE}", 65),
    ],
)
def test_names_without_such_a_record(name: str, kind: int) -> None:
    reply = ask(name, kind)
    assert reply is not None
    assert (reply.rcode, reply.answers, reply.authority[0].type) == (Rcode.NOERROR, (), Type.SOA)


def test_srv_records_name_the_service_or_its_endpoints() -> None:
    reply = ask(f"_http._tcp.web.{BASE}", Type.SRV)
    assert reply is not None
    assert [record.data for record in reply.answers] == [f"0 100 80 web.{BASE}"]
    assert reply.extra == (Record(f"web.{BASE}", Type.A, 5, "127.77.200.9"),)
    reply = ask(f"_http._tcp.sts.{BASE}", Type.SRV)
    assert reply is not None
    assert [record.data for record in reply.answers] == [
        f"0 33 8080 sts-0.sts.{BASE}",
        f"0 33 8080 sts-1.sts.{BASE}",
        f"0 33 8080 127-78-1-4.sts.{BASE}",
    ]
    assert [record.data for record in reply.extra] == ["127.78.0.2", "127.78.1.2", "127.78.1.4"]


def test_external_names() -> None:
    assert data(f"out.{BASE}") == ["example.test"]
    assert data(f"alias.{BASE}") == [f"web.{BASE}", "127.77.200.9"]
    assert data(f"alias.{BASE}", Type.CNAME) == [f"web.{BASE}"]
    assert data(f"loop.{BASE}") == []


def test_reverse_names() -> None:
    assert data("9.200.77.127.in-addr.arpa", Type.PTR) == [f"web.{BASE}"]
    assert data("2.1.78.127.in-addr.arpa", Type.PTR) == [f"sts-1.sts.{BASE}"]
    assert data("101.10.77.127.in-addr.arpa", Type.PTR) == ["k3s-w1"]
    assert ask("9.0.78.127.in-addr.arpa", Type.PTR) is None, (
        "an endpoint without a hostname is somebody else's business"
    )


def test_zone_itself() -> None:
    assert data("cluster.local", Type.NS) == ["ns.dns.cluster.local"]
    assert data("cluster.local", Type.SOA)[0].startswith("ns.dns.cluster.local hostmaster.cluster.local 7 ")
    assert data("dns-version.cluster.local", Type.TXT) == ["1.1.0"]


def test_node_names_have_no_other_records_and_foreign_names_are_forwarded() -> None:
    assert data("k3s-s", Type.AAAA) == []
    assert ask("example.test") is None
    assert ask("web.default") is None


@pytest.mark.parametrize(
    "name", [f"sts.{BASE}", f"Web.{BASE}", f"alias.{BASE}", f"missing.{BASE}", "k3s-s", "cluster.local"]
)
@pytest.mark.parametrize("kind", ["A", "SRV", "SOA", "NS"])
def test_replies_survive_the_wire(name: str, kind: str) -> None:
    message = client.query(name, kind)
    question = read_question(message)
    assert (question.name, question.type) == (name, client.TYPES[kind])
    reply = ask(name, question.type)
    assert reply is not None
    decoded = client.decode(write_reply(message, question, reply))
    assert decoded.rcode == reply.rcode.name
    assert decoded.authoritative
    assert [(r.name, r.ttl) for r in decoded.records] == [(r.name, r.ttl) for r in reply.answers]
    for got, sent in zip(decoded.records, reply.answers, strict=True):
        if sent.type is not Type.SOA:
            assert got.data.rstrip(".") == sent.data


def test_long_replies_are_truncated_over_udp() -> None:
    message = client.query(f"sts.{BASE}", "A")
    records = tuple(Record(f"sts.{BASE}", Type.A, 5, f"127.78.3.{number}") for number in range(100))
    question = read_question(message)
    whole = write_reply(message, question, Reply(Rcode.NOERROR, records))
    assert len(client.decode(whole).records) == 100
    short = write_reply(message, question, Reply(Rcode.NOERROR, records), limit=512)
    assert len(short) <= 512
    assert struct.unpack_from("!H", short, 2)[0] & 0x0200
    assert client.decode(short).records == ()


def test_edns_is_answered_with_edns() -> None:
    plain = client.query(f"web.{BASE}", "A")
    message = plain[:10] + b"\0\1" + plain[12:] + struct.pack("!B2HIH", 0, 41, 4096, 0, 0)
    question = read_question(message)
    assert question.udp_size == 4096
    reply = ask(question.name, question.type)
    assert reply is not None
    assert write_reply(message, question, reply)[-11:-8] == b"\0\0\x29"


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    try:
        question = read_question(message)
    except ValueError:
        return
    assert isinstance(question, Question)
    assert write_reply(message, question, Reply(Rcode.NXDOMAIN))


class HighPorts(Sockets):
    """Port 53 becomes a high one, so that the tests need no privileges."""

    def __init__(self, plan: NetworkSettings) -> None:
        super().__init__(plan)
        self.plan = plan

    def bind_datagram(self, place: tuple[str, int], what: str) -> socket.socket | None:
        return super().bind_datagram((place[0], 15353), what)

    def listen(self, place: tuple[str, int], what: str, accepted: object) -> None:
        super().listen((place[0], 15353), what, accepted)  # type: ignore[arg-type]  # passed on as it came

    def close(self, place: tuple[str, int]) -> None:
        super().close((place[0], 15353))


def with_dns(tmp_path: Path, body: Callable[[ClusterDns, LoopbackNetwork, FakeClientset], Awaitable[None]]) -> None:
    async def main() -> None:
        plan, clientset = settings(), api()
        network = LoopbackNetwork(plan, HighPorts(plan))
        dns = ClusterDns(clientset, network, Forwarder(tmp_path / "resolv.conf", timeout=0.2))
        await dns.start()
        try:
            await body(dns, network, clientset)
        finally:
            dns.stop()
            await asyncio.sleep(0)

    asyncio.run(main())


def test_answers_over_udp_and_tcp_and_follows_the_api(tmp_path: Path) -> None:
    def over_udp(message: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.sendto(message, ("127.77.200.10", 15353))
            return sock.recv(65535)

    async def body(dns: ClusterDns, network: LoopbackNetwork, clientset: FakeClientset) -> None:
        message = client.query(f"sts.{BASE}", "A")
        answer = client.decode(await asyncio.to_thread(over_udp, message))
        assert sorted(record.data for record in answer.records) == ["127.78.0.2", "127.78.1.2", "127.78.1.4"]
        reader, writer = await asyncio.open_connection("127.77.200.10", 15353)
        writer.write((struct.pack("!H", len(message)) + message) * 2)
        for _ in range(2):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            assert len(client.decode(await reader.readexactly(length)).records) == 3
        writer.close()
        await writer.wait_closed()
        clientset.delete("services", "default", "sts")
        assert client.decode(await dns.exchange(message)).rcode == "NXDOMAIN"
        refused = client.decode(await asyncio.to_thread(over_udp, b"rubbish that is no query"))
        assert (refused.id, refused.rcode) == (int.from_bytes(b"ru"), "FORMERR")

    with_dns(tmp_path, body)


def test_kube_dns_service_with_pods_does_not_take_the_address_away(tmp_path: Path) -> None:
    async def body(dns: ClusterDns, network: LoopbackNetwork, clientset: FakeClientset) -> None:
        proxy = KubeProxy(clientset, network)
        proxy.start()
        ports = [{"name": "dns-tcp", "port": 53}]
        clientset.create("services", service("kube-dns", "127.77.200.10", ports))
        clientset.create(SLICES, endpoint_slice("kube-dns", [endpoint("127.78.0.2")], 53, port_name="dns-tcp"))
        proxy.sync()
        assert proxy.router.server_at(("127.77.200.10", 53)) is None
        proxy.stop()

    with_dns(tmp_path, body)


def test_foreign_names_without_a_resolver_fail(tmp_path: Path) -> None:
    async def body(dns: ClusterDns, network: LoopbackNetwork, clientset: FakeClientset) -> None:
        (tmp_path / "resolv.conf").write_text("nameserver 127.77.99.99\noptions ndots:1\n")
        assert client.decode(await dns.exchange(client.query("example.test", "A"))).rcode == "SERVFAIL"
        answer = client.decode(await dns.exchange(client.query(f"out.{BASE}", "A")))
        assert [(record.type, record.data) for record in answer.records] == [("CNAME", "example.test.")]

    with_dns(tmp_path, body)


def test_broken_queries_get_an_error_or_nothing(tmp_path: Path) -> None:
    async def body(dns: ClusterDns, network: LoopbackNetwork, clientset: FakeClientset) -> None:
        query = client.query(f"web.{BASE}", "A")
        assert client.decode(await dns.exchange(query[:-3])).rcode == "FORMERR"
        assert await dns.exchange(b"short") == b""
        assert await dns.exchange(query[:2] + b"\x80\0" + query[4:]) == b"", "a reply is never replied to"
        assert client.decode(await dns.exchange(query[:2] + b"\x28\0" + query[4:])).rcode == "NOTIMP"
        assert client.decode(await dns.exchange(query[:-2] + b"\0\3")).rcode == "REFUSED"

    with_dns(tmp_path, body)
