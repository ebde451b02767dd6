"""What a user waits for, and what the cluster weighs: `up`, `--help`, memory, and throughput through all of it.

`python -m tests.benchmarks.bench_cli` prints ratios against a peer, measured in alternating rounds of the same run;
absolute figures are of this machine. The cluster has addresses of its own, so one that runs already is left alone.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 7
NODE = "127.68.10.10"
PLAIN, PROXY = 18099, 18098
CLUSTER = f"""\
apiVersion: labctl/v1
kind: Cluster
name: bench
nodes:
  - {{name: k3s-s, role: server, address: {NODE}}}
  - {{name: k3s-w1, role: agent, address: 127.68.10.101}}
  - {{name: k3s-w2, role: agent, address: 127.68.10.102}}
  - {{name: k3s-w3, role: agent, address: 127.68.10.103}}
network: {{clusterCidr: 127.69.0.0/16, serviceCidr: 127.70.200.0/24}}
"""
"""The study's cluster on other addresses."""
TWO_COMMANDS = """\
import typer
app = typer.Typer()
@app.command()
def one(name: str = "x"): "First."
@app.command()
def two(name: str = "x"): "Second."
app()
"""
NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream plain {{ server 127.0.0.1:{plain}; keepalive 320; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{plain}; location / {{ return 200 "Hostname: nginx\\n"; }} }}
  server {{ listen 127.0.0.1:{proxy};
    location / {{ proxy_pass http://plain; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""
"""A fixed answer, and a proxy to it that keeps its connections, as ingress-nginx does; both by one worker."""


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def labctl(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run labctl with a state directory of its own."""
    environ = dict(os.environ)
    if home is not None:
        environ |= {"LABCTL_STATE_DIR": str(home), "HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "labctl", *arguments], check=True, capture_output=True, text=True, env=environ, cwd=home
    )


def bench_help() -> None:
    """`labctl --help` against a two-command Typer app."""
    ours, peer = [], []
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "two.py"
        program.write_text(TWO_COMMANDS)
        command = [sys.executable, str(program), "--help"]
        for _ in range(ROUNDS):
            peer.append(seconds(lambda: subprocess.run(command, check=True, capture_output=True)))
            ours.append(seconds(lambda: labctl("--help")))
    took = statistics.median(ours) * 1000
    print(
        f"labctl --help            {took:7.0f} ms   {ratio(ours, peer):5.2f}× a two-command Typer app (wanted: ≤ 1.5)"
    )


def ratio(ours: list[float], peer: list[float]) -> float:
    """The median of the rounds' ratios: what disturbs a round disturbs both."""
    return statistics.median(mine / other for mine, other in zip(ours, peer, strict=True))


def memory_of(pid: int) -> float:
    """Resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found.group(1)) / 1024


@contextmanager
def nginx(program: str) -> Iterator[None]:
    """The peers."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, plain=PLAIN, proxy=PROXY))
        process = subprocess.Popen([program, "-c", str(configuration), "-p", folder], stderr=subprocess.DEVNULL)
        try:
            wait_for(PROXY)
            yield
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int) -> None:
    """Until somebody listens."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


def wrk(url: str, *headers: str) -> float:
    """Requests per second of one wrk thread with 32 connections over 2 seconds."""
    options = [option for header in headers for option in ("-H", header)]
    command = ["wrk", "-t1", "-c32", "-d2", *options, url]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if found is None or "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"{url} did not answer every request:\n{out}")
    return float(found.group(1))


def bench_up(home: Path) -> None:
    """`up` from nothing to Ready: wall time, and the processor time in it, which others on the machine disturb less."""
    times, worked = [], []
    for _ in range(ROUNDS):
        before = processor_seconds()
        times.append(seconds(lambda: labctl("up", home=home)))
        worked.append(processor_seconds() - before + processor_seconds_of(process_of(home)))
        labctl("down", home=home)
    took, busy = statistics.median(times) * 1000, statistics.median(worked) * 1000
    print(
        f"labctl up, from nothing  {took:7.0f} ms   (wanted: ≤ 1500; {min(times) * 1000:.0f} at best; {busy:.0f} of CPU)"
    )


def process_of(home: Path) -> int:
    """Process id of the cluster."""
    return int((home / "clusters" / "bench" / "lock").read_text())


def processor_seconds() -> float:
    """Of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor_seconds_of(pid: int) -> float:
    """Of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bench_cluster() -> None:
    """`up` from nothing to Ready, memory with the four labs, throughput through NodePort, ingress and pod."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "cluster.yaml").write_text(CLUSTER)
        bench_up(home)
        labctl("up", home=home)
        pid = process_of(home)
        try:
            print(f"memory, no lab yet       {memory_of(pid):7.0f} MiB")
            labctl("run", "--keep", "path", "host", "canary", "https", home=home)
            print(f"memory, four labs run    {memory_of(pid):7.0f} MiB   (wanted: ≤ 120)")
            took = seconds(lambda: labctl("probe", f"http://{NODE}:30080/admin", home=home))
            print(f"100 × /admin, keystroke to table {took:5.2f} s")
            bench_throughput()
            print(f"memory, after the load   {memory_of(pid):7.0f} MiB")
        finally:
            labctl("down", home=home)


def bench_throughput() -> None:
    """wrk through the embedded cluster against wrk on a plain nginx and on an nginx proxy."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or not shutil.which("wrk"):
        print("throughput: skipped, nginx or wrk is not installed")
        return
    places = {"cluster": f"http://{NODE}:30080/admin", "plain": f"http://127.0.0.1:{PLAIN}/"}
    places["proxy"] = f"http://127.0.0.1:{PROXY}/"
    with nginx(program):
        for name, headers in (("new connections", ("Connection: close",)), ("kept alive", ())):
            rates: dict[str, list[float]] = {place: [] for place in places}
            for _ in range(3):
                for place, url in places.items():
                    rates[place].append(wrk(url, *headers))
            print(f"NodePort → ingress → pod, {name:<16}{statistics.median(rates['cluster']):9,.0f}/s")
            for place, wanted in (("plain", 0.1), ("proxy", 0.25)):
                found, peer = ratio(rates["cluster"], rates[place]), statistics.median(rates[place])
                bar = f"   (wanted: {wanted:g})" if headers else ""
                print(f"    {found:5.2f}× wrk on nginx, {place} ({peer:,.0f}/s){bar}")


def main() -> None:
    """Everything, one after another."""
    bench_help()
    bench_cluster()


if __name__ == "__main__":
    main()
