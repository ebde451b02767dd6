"""The embedded HTTP server and network against a real nginx in the same run: `python -m tests.benchmarks.bench_network`.

Each figure is a rate of wrk (one thread, 32 connections) and its ratio to nginx (one worker, a fixed answer), measured in
alternating rounds of which the median counts. The server runs in a process of its own on uvloop, as the cluster does.
Wanted on a quiet machine: 14,000 new connections/s and 60,000 kept-alive requests/s. Takes about 35 seconds.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from labctl.embedded.http.messages import Request, Response
from labctl.embedded.http.parser import RequestParser
from labctl.embedded.http.server import HttpServer, http_port
from labctl.embedded.network.dns import ClusterDns
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.proxy import KubeProxy
from labctl.embedded.network.sockets import Sockets
from tests.unit.embedded_network.fakes import NODES, SLICES, FakeClientset, endpoint, endpoint_slice, service, settings

ROUNDS = 3
SECONDS = 2
BODY = b"Hostname: dp-v1-8684d45558-fzdt4\n" * 4
NODE = NODES["k3s-s"]
PLACES = {
    "server": ("127.77.55.1", 18080),
    "NodePort": (NODE, 31080),
    "ClusterIP": ("127.77.200.9", 9001),
}
NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.77.55.1:18081; location / {{ return 200 "{body}"; }} }} }}
"""


def main() -> None:
    """Measure and print."""
    parsing()
    changes()
    if shutil.which("wrk") is None or shutil.which("nginx") is None:
        print("rates: skipped, wrk or nginx not installed")
        return
    with nginx(), serving():
        rates()


def parsing() -> None:
    """Microseconds for one usual request head in one piece."""
    head = b"GET /admin?x=1 HTTP/1.1\r\nHost: gyull.com:30080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
    parser = RequestParser()

    def once() -> None:
        parser.feed(head)
        parser.next()

    number = 50_000
    best = min(timeit.repeat(once, number=number, repeat=5)) / number
    print(f"{'request head of curl, parsed':42}{best * 1e6:>10.1f} µs")


def changes() -> None:
    """Milliseconds until a change of one Service among two thousand is in the tables."""

    async def body() -> None:
        api = FakeClientset()
        network = LoopbackNetwork(settings(), Unbinding(settings()))
        for number in range(2000):
            address = f"127.77.{201 + number // 200}.{number % 200 + 1}"
            ports = [{"port": 80, "nodePort": 30000 + number}]
            api.create("services", service(f"web-{number:04}", address, ports, type="NodePort"))
            ends = [endpoint(f"127.78.1.{pod}", "k3s-w1") for pod in range(2, 5)]
            api.create(SLICES, endpoint_slice(f"web-{number:04}", ends, 8080))
        proxy = KubeProxy(api, network)
        begun = time.perf_counter()
        proxy.start()
        print(f"{'2,000 Services × 3 endpoints, taken in':42}{(time.perf_counter() - begun) * 1e3:>10.1f} ms")
        begun = time.perf_counter()
        for _ in range(100):
            api.update(SLICES, endpoint_slice("web-1000", [endpoint("127.78.1.9", "k3s-w1")], 8080))
            proxy.sync()
        print(f"{'one of them changed':42}{(time.perf_counter() - begun) * 10:>10.2f} ms")
        begun = time.perf_counter()
        for _ in range(20_000):
            proxy.router.route((NODE, 31000), "127.0.0.1")
        print(f"{'an endpoint chosen':42}{(time.perf_counter() - begun) / 20_000 * 1e6:>10.1f} µs")
        dns = ClusterDns(api, network)
        await dns.start()
        message = b"\0\1\1\0\0\1\0\0\0\0\0\0\x08web-1000\x07default\x03svc\x07cluster\x05local\0\0\1\0\1"
        begun = time.perf_counter()
        for _ in range(5000):
            await dns.exchange(message)
        print(f"{'a name resolved':42}{(time.perf_counter() - begun) / 5000 * 1e6:>10.1f} µs")
        dns.stop()
        proxy.stop()

    asyncio.run(body())


class Unbinding(Sockets):
    """No sockets: the tables alone are measured."""

    def listen(self, place: tuple[str, int], what: str, accepted: object) -> None:
        """Nothing."""

    def bind_datagram(self, place: tuple[str, int], what: str) -> socket.socket | None:
        """Nothing."""
        return None


def rates() -> None:
    """Requests per second over real sockets."""
    for title, extra in (("new connections", ["-H", "Connection: close"]), ("kept alive", [])):
        measured: dict[str, list[float]] = {name: [] for name in ("nginx", *PLACES)}
        for _ in range(ROUNDS):
            measured["nginx"].append(wrk("127.77.55.1", 18081, extra))
            for name, place in PLACES.items():
                measured[name].append(wrk(*place, extra))
        peer = statistics.median(measured["nginx"])
        for name, found in measured.items():
            rate = statistics.median(found)
            print(f"{f'{name}, {title}':42}{rate:>10,.0f} requests/s{rate / peer:>8.2f} of nginx")


def wrk(address: str, port: int, extra: list[str]) -> float:
    """Requests per second."""
    command = ["wrk", "-t1", "-c32", f"-d{SECONDS}", *extra, f"http://{address}:{port}/"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in said, said
    found = re.search(r"Requests/sec: +([0-9.]+)", said)
    assert found is not None
    return float(found[1])


@contextmanager
def nginx() -> Iterator[None]:
    """The peer."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, body=BODY.decode().replace("\n", "\\n")))
        process = subprocess.Popen(["nginx", "-p", folder, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            wait_for(18081)
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def serving() -> Iterator[None]:
    """The server, in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.bench_network", "serve"])
    try:
        wait_for(PLACES["server"][1])
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    """Until somebody listens."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.77.55.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


async def serve() -> None:
    """A plain server, and three pods behind a Service."""

    def app(request: Request) -> Response:
        return Response(200, [("Content-Type", "text/plain")], BODY)

    api = FakeClientset()
    network = LoopbackNetwork(settings())
    proxy = KubeProxy(api, network)
    proxy.start()
    ends = []
    for uid in ("a", "b", "c"):
        ends.append(endpoint(network.add_pod(uid, "k3s-w1"), "k3s-w1"))
        network.listen(uid, 8080, http_port(app))
    ports = [{"port": 9001, "nodePort": 31080}]
    api.create("services", service("web", "127.77.200.9", ports, type="NodePort"))
    api.create(SLICES, endpoint_slice("web", ends, 8080))
    server = await asyncio.get_running_loop().create_server(HttpServer(app), *PLACES["server"], backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        uvloop.run(serve())
    else:
        main()
