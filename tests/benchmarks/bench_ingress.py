"""The embedded ingress: cost of compiling, latency by number of hosts, throughput beside a real nginx.

Run with `python -m tests.benchmarks.bench_ingress`; nginx and wrk are used when they are there.
"""

from __future__ import annotations

import asyncio
import copy
import re
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import uvloop

from labctl.conformance import world
from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.controller.certificates import fake_certificate
from labctl.embedded.ingress.controller.controller import Controller
from labctl.embedded.ingress.controller.flags import parse_flags
from labctl.embedded.ingress.controller.identity import Identity
from labctl.embedded.ingress.proxy.client import ClientConnection
from tests.conformance.memory import MemoryClientset

Json = dict[str, Any]
BODY = b"hello\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class NoPods:
    """A network without embedded pods: everything is dialled."""

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        raise NotImplementedError

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        raise NotImplementedError

    def close(self, uid: str, port: int) -> None:
        raise NotImplementedError

    def remove_pod(self, uid: str) -> None:
        raise NotImplementedError

    def port_at(self, ip: str, port: int) -> PodPort | None:
        del ip, port
        return None

    def is_pod(self, ip: str) -> bool:
        del ip
        return False


def ingress(number: int, paths: int = 3) -> Json:
    """An Ingress with a host of its own."""
    backend = {"service": {"name": "svc-a", "port": {"number": 80}}}
    rules = [
        {"path": f"/p{index}" if index else "/", "pathType": "Prefix", "backend": backend} for index in range(paths)
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": f"ing-{number:05d}", "namespace": "default"},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": f"host-{number}.test", "http": {"paths": rules}}]},
    }


def controller(hosts: int, upstream: tuple[str, int]) -> tuple[Controller, MemoryClientset]:
    """A controller over so many Ingresses, whose only pod is at an address."""
    clientset = MemoryClientset(lambda: "2026-01-01T00:00:00Z")
    for obj in world.standing_objects():
        clientset.apply(obj)
    for number in range(hosts):
        clientset.apply(ingress(number))
    flags = parse_flags(["--configmap=ingress-nginx/none", "--update-status=false", "--disable-leader-election"])
    identity = Identity("ingress-nginx", "bench")
    made = Controller(
        flags, identity, clientset, NoPods(), fake_certificate(), output=lambda _: None, address=lambda *_: upstream
    )
    return made, clientset


async def compile_cost(hosts: int = 2000) -> None:
    """First compilation, and one more Ingress."""
    made, clientset = controller(hosts, ("127.0.0.1", 1))
    made.store.load(clientset)
    began = time.perf_counter()
    made.compiler.compile(made.store.ingresses, made.store, made.store.take_changes())
    first = time.perf_counter() - began
    took = []
    for number in range(hosts, hosts + 20):
        made.store.ingresses = dict(made.store.ingresses)
        extra = copy.deepcopy(ingress(number))
        clientset.create("ingresses.networking.k8s.io", extra)
        stored = clientset.get("ingresses.networking.k8s.io", "default", extra["metadata"]["name"])
        assert stored is not None
        made.store._take(stored)
        began = time.perf_counter()
        made.compiler.compile(made.store.ingresses, made.store, made.store.take_changes())
        took.append(time.perf_counter() - began)
    print(
        f"compile {hosts} Ingresses x 3 paths: {first * 1000:.0f} ms; one more: {statistics.median(took) * 1000:.1f} ms"
    )


class Upstream(asyncio.Protocol):
    """Answers every request with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(RESPONSE * data.count(b"\r\n\r\n"))


async def serve(made: Controller) -> tuple[asyncio.Server, int]:
    """Listen on a free port."""
    flow = Flow(("127.0.0.1", 40000), ("127.0.0.1", 80))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientConnection(made.plane, flow, 80), "127.0.0.1", 0, backlog=4096)
    return server, server.sockets[0].getsockname()[1]


async def wrk(port: int, host: str, *, close: bool, seconds: int = 4) -> tuple[float, str]:
    """Requests per second, and the median latency."""
    headers = ["-H", f"Host: {host}", *(["-H", "Connection: close"] if close else [])]
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", *headers, f"http://127.0.0.1:{port}/",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output = (await process.communicate())[0].decode()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    median = re.search(r"50%\s+(\S+)", output)
    errors = "Non-2xx" in output or "Socket errors" in output
    assert rate is not None
    return float(rate[1]), (median[1] if median else "?") + (" (errors)" if errors else "")


async def latency_by_hosts(port: int) -> None:
    """Latency of single requests with more and more hosts."""
    for hosts in (10, 100, 1000, 10000):
        made, _ = controller(hosts, ("127.0.0.1", port))
        made.start()
        server, listening = await serve(made)
        took = await asyncio.to_thread(_latencies, listening, f"host-{hosts - 1}.test")
        print(f"{hosts:6d} hosts: median {statistics.median(took) * 1e6:.0f} us a request")
        server.close()
        made.stop()


def _latencies(port: int, host: str, count: int = 900) -> list[float]:
    request = f"GET /p1/x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    took = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            began = time.perf_counter()
            sock.sendall(request)
            answer = sock.recv(65536)
            took.append(time.perf_counter() - began)
            assert answer.startswith(b"HTTP/1.1 200"), answer
    return took


NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000;
  upstream pods {{ server 127.0.0.1:{upstream}; keepalive 320; }}
  server {{ listen 127.0.0.1:{pod} backlog=4096; location / {{ return 200 "hello\\n"; }} }}
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{
    proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""


def free_ports(count: int) -> Iterator[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    for sock in sockets:
        yield sock.getsockname()[1]
    for sock in sockets:
        sock.close()


async def nginx(folder: Path, port: int, pod: int, upstream: int) -> asyncio.subprocess.Process:
    """A real nginx: a reverse proxy, and a pod."""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, pod=pod, upstream=upstream))
    process = await asyncio.create_subprocess_exec("nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder))
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            await asyncio.sleep(0.01)
        else:
            break
    return process


async def throughput() -> None:
    """Our data plane beside nginx, both in front of the same nginx pod."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        proxy, pod, spare, pod_proxy = list(free_ports(4))
        real = await nginx(Path(first), proxy, spare, pod)
        pods = await nginx(Path(second), pod_proxy, pod, pod)
        made, _ = controller(10, ("127.0.0.1", pod))
        made.start()
        server, listening = await serve(made)
        for close, what in ((True, "new connections"), (False, "kept alive")):
            theirs, _ = await wrk(proxy, "host-1.test", close=close)
            ours, median = await wrk(listening, "host-1.test", close=close)
            print(f"{what}: nginx {theirs:.0f}/s, embedded {ours:.0f}/s ({ours / theirs:.2f}x), median {median}")
        server.close()
        made.stop()
        for process in (real, pods):
            process.terminate()
            await process.wait()


def main() -> None:
    """Everything."""
    uvloop.run(everything())


async def everything() -> None:
    """One part after the other."""
    await compile_cost()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0)
    await latency_by_hosts(server.sockets[0].getsockname()[1])
    server.close()
    if shutil.which("nginx") and shutil.which("wrk"):
        await throughput()


if __name__ == "__main__":
    main()
