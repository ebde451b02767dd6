from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

from labctl.embedded.cri import ContainerContext
from labctl.embedded.http.server import http_port
from labctl.embedded.images import dns
from labctl.embedded.images.catalogue import Catalogue
from labctl.embedded.images.filesystem import File, FileSystem, Volume
from labctl.embedded.images.standard import standard_catalogue
from labctl.embedded.kubelet.dialer import Place, PodDialer
from tests.unit.embedded_images.fakes import context
from tests.unit.embedded_images.running import Result, run_in
from tests.unit.embedded_kubelet.fakes import FakeNetwork

RECORDS = {"web.default.svc.cluster.local": "10.10.200.7", "gone.default.svc.cluster.local": "10.10.200.9"}
RESOLV = b"search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.10.200.10\noptions ndots:5\n"


async def answer(message: bytes) -> bytes:
    """A DNS server that knows two names."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    question = message[12 : at + 5]
    kind = struct.unpack_from("!H", message, at + 1)[0]
    address = RECORDS.get(".".join(labels))
    rcode = 0 if address else 3
    count = 1 if address and kind == 1 else 0
    head = message[:2] + struct.pack("!5H", 0x8580 | rcode, 1, count, 0, 0)
    record = b""
    if count and address:
        data = bytes(int(part) for part in address.split("."))
        record = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 5, 4) + data
    return head + question + record


class Pods:
    """Two pods on one network: `client`, and a server behind the Service web (10.10.200.7)."""

    def __init__(self, image: str, client: str = "nicolaka/netshoot") -> None:
        self.catalogue: Catalogue = standard_catalogue(http_port)
        self.network = FakeNetwork()
        self.server = self._context(image, "server")
        self.client = self._context(client, "client")
        self.lines: list[str] = []

    def _context(self, image: str, name: str) -> ContainerContext:
        made = context(image)
        ip = self.network.add_pod(name, "k3s-w1")
        pulled = self.catalogue.pull(image)
        made = replace(
            made,
            uid=name,
            pod=name,
            hostname=name,
            pod_ip=ip,
            network=self.network,
            files=FileSystem(Volume(base=pulled.content.rootfs)),
            env={**made.env, "HOSTNAME": name},
            client=PodDialer(self.network, self._translate, answer),
        )
        made.files.install("/etc/hosts", File(f"127.0.0.1\tlocalhost\n{ip}\t{name}\n".encode()))
        made.files.install("/etc/resolv.conf", File(RESOLV))
        return made

    def _translate(self, place: Place, source: str) -> tuple[Place, str]:
        if place[0] == "10.10.200.7":
            return (self.server.pod_ip, place[1] - 9001 + self._port()), source
        if place[0] == "10.10.200.9":
            raise ConnectionRefusedError(111, "Connection refused")
        return place, source

    def _port(self) -> int:
        return min(port for ip, port in self.network.ports if ip == self.server.pod_ip)

    async def start(self) -> None:
        self.catalogue.pull(self.server.image).content.image.start(self.server)

    async def client_runs(self, *command: str, stdin: bytes = b"") -> Result:
        return await run_in(self.client, *command, stdin=stdin)


def run(image: str, body: Callable[[Pods], Awaitable[None]], client: str = "nicolaka/netshoot") -> None:
    async def main() -> None:
        pods = Pods(image, client)
        await pods.start()
        await body(pods)

    asyncio.run(main())


def test_curl_reaches_a_service_by_its_short_name() -> None:
    async def body(pods: Pods) -> None:
        result = await pods.client_runs("curl", "-s", "web:9001")
        assert result.code == 0
        assert "Hostname: server\n" in result.out
        assert f"client_address={pods.client.pod_ip}\n" in result.out
        assert "\trequest_uri=http://web:8080/\n" in result.out
        assert "\thost=web:9001\n\tuser-agent=curl/7.88.1\n" in result.out
        full = await pods.client_runs("curl", "-s", "http://web.default.svc.cluster.local:9001/x?y=1")
        assert "\treal path=/x?y=1\n" in full.out

    run("registry.k8s.io/echoserver:1.5", body)


def test_curl_options_of_the_study_work() -> None:
    async def body(pods: Pods) -> None:
        code = await pods.client_runs("curl", "-o", "/dev/null", "-s", "-w", "%{http_code}\\n", "web:9001/nosuch")
        assert code == Result("404\n", "", 0)
        head = await pods.client_runs("curl", "-sI", "web:9001")
        assert head.out.startswith("HTTP/1.1 200 OK\r\n")
        assert "Content-Length: 615\r\n" in head.out
        failed = await pods.client_runs("curl", "-fsS", "web:9001/nosuch")
        assert failed == Result("", "curl: (22) The requested URL returned error: 404\n", 22)
        saved = await pods.client_runs("sh", "-c", "curl -s web:9001 -o /tmp/i; grep -c title /tmp/i")
        assert saved.out == "1\n"

    run("nginx", body)


def test_curl_fails_with_its_own_codes_and_words() -> None:
    async def body(pods: Pods) -> None:
        unknown = await pods.client_runs("curl", "nosuch")
        assert unknown == Result("", "curl: (6) Could not resolve host: nosuch\n", 6)
        refused = await pods.client_runs("curl", "-sS", "gone:80")
        assert refused.code == 7
        assert refused.err.startswith("curl: (7) Failed to connect to gone port 80 after ")
        assert refused.err.endswith(" ms: Couldn't connect to server\n")
        closed = await pods.client_runs("curl", "-s", f"{pods.server.pod_ip}:81")
        assert closed == Result("", "", 7)

    run("nginx", body)


def test_curl_posts_and_sets_fields() -> None:
    async def body(pods: Pods) -> None:
        result = await pods.client_runs(
            "curl", "-s", "-d", "a=1", "-H", "Host: gyull.com", "-H", "X-A: b", "web:9001/p"
        )
        assert "\tmethod=POST\n" in result.out
        assert "\tcontent-type=application/x-www-form-urlencoded\n\thost=gyull.com\n" in result.out
        assert "\tx-a=b\n" in result.out
        assert result.out.endswith("\nRequest Body:\na=1\n\n")

    run("registry.k8s.io/echoserver:1.6", body)


def test_busybox_wget_speaks_as_busybox() -> None:
    async def body(pods: Pods) -> None:
        quiet = await pods.client_runs("wget", "-qO-", "web:9001")
        assert quiet.out == "Hello Kubernetes bootcamp! | Running on: server | v=1\n"
        bad = await pods.client_runs("wget", "-q", "-O-", "http://nosuch")
        assert bad == Result("", "wget: bad address 'nosuch'\n", 1)
        refused = await pods.client_runs("wget", "-O-", "-T", "2", "gone:80")
        assert refused.err == (
            "Connecting to gone:80 (10.10.200.9:80)\n"
            "wget: can't connect to remote host (10.10.200.9): Connection refused\n"
        )

    run("gcr.io/google-samples/kubernetes-bootcamp:v1", body, client="busybox")


def test_localhost_is_the_pod_itself() -> None:
    async def body(pods: Pods) -> None:
        own = await run_in(pods.server, "curl", "-s", "localhost:8080")
        assert "client_address=127.0.0.1\n" in own.out
        other = await pods.client_runs("curl", "-s", "localhost:8080")
        assert other.code == 7

    run("registry.k8s.io/echoserver:1.5", body)


def test_lookups_show_the_cluster_dns() -> None:
    async def body(pods: Pods) -> None:
        found = await pods.client_runs("nslookup", "web")
        assert found.out == (
            "Server:\t\t10.10.200.10\nAddress:\t10.10.200.10#53\n\n"
            "Name:\tweb.default.svc.cluster.local\nAddress: 10.10.200.7\n\n"
        )
        missing = await pods.client_runs("nslookup", "nosuch")
        assert missing.code == 1
        assert "** server can't find nosuch: NXDOMAIN\n" in missing.out
        short = await pods.client_runs("dig", "+short", "+search", "web")
        assert short.out == "10.10.200.7\n"
        full = await pods.client_runs("dig", "web.default.svc.cluster.local")
        assert ";; ->>HEADER<<- opcode: QUERY, status: NOERROR" in full.out
        assert "web.default.svc.cluster.local. 5\tIN\tA\t10.10.200.7\n" in full.out
        assert (await pods.client_runs("getent", "hosts", "client")).out.split()[0] == pods.client.pod_ip

    run("nginx", body)


def test_nc_tells_open_from_closed() -> None:
    async def body(pods: Pods) -> None:
        opened = await pods.client_runs("nc", "-zv", "web", "9001")
        assert opened == Result("", "web (10.10.200.7:9001) open\n", 0)
        assert (await pods.client_runs("nc", "-z", "-w", "1", "gone", "80")).code == 1
        said = await pods.client_runs("nc", "web", "9001", stdin=b"PING\r\nQUIT\r\n")
        assert said.out == "+PONG\r\n+OK\r\n"

    run("redis", body)


def test_redis_counts_and_the_counter_counts_with_it() -> None:
    async def body(pods: Pods) -> None:
        cli = "/usr/local/bin/redis-cli"
        assert (await run_in(pods.server, cli, "SET", "k", "v w")).out == "OK\n"
        assert (await run_in(pods.server, cli, "GET", "k")).out == "v w\n"
        assert (await run_in(pods.server, cli, "INCR", "n")).out == "1\n"
        assert (await run_in(pods.server, cli, "INCR", "k")).out == "ERR value is not an integer or out of range\n"
        assert "redis_version:" in (await run_in(pods.server, cli, "INFO", "server")).out
        counting = replace(pods.client, image="ghcr.io/subicura/counter:latest", uid="client")
        counting = replace(counting, env={**counting.env, "REDIS_HOST": "web", "REDIS_PORT": "9001"})
        rootfs = pods.catalogue.pull(counting.image).content.rootfs
        counting = replace(counting, files=FileSystem(Volume(base=rootfs)))
        counting.files.install("/etc/resolv.conf", File(RESOLV))
        pods.catalogue.pull(counting.image).content.image.start(counting)
        first = await pods.client_runs("curl", "-s", "localhost:3000")
        second = await pods.client_runs("curl", "-s", "localhost:3000")
        assert (first.out, second.out) == ("1\n", "2\n")

    run("redis", body)


def test_names_and_messages_survive_the_wire_format() -> None:
    message = dns.query("web.default", "SRV")
    assert message[12:] == b"\x03web\x07default\x00\x00\x21\x00\x01"
    assert dns.reverse_name("10.10.200.7") == "7.200.10.10.in-addr.arpa"
    try:
        dns.decode(b"\x00\x01")
    except ValueError:
        return
    raise AssertionError("a cut message was taken")
