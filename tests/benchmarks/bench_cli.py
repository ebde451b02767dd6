"""What a user waits for, and what the cluster weighs: `up`, `--help`, memory, and throughput through all of it.

`python -m tests.benchmarks.bench_cli` prints ratios against a peer in the same run; absolute figures are of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 7
NODE = "127.0.10.10"
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
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "Hostname: nginx\\n"; }} }} }}
"""


def seconds(action: Callable[[], object]) -> float:
    """Median wall time of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


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
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "two.py"
        program.write_text(TWO_COMMANDS)
        peer = seconds(lambda: subprocess.run([sys.executable, program, "--help"], check=True, capture_output=True))
    ours = seconds(lambda: labctl("--help"))
    print(f"labctl --help            {ours * 1000:7.0f} ms   {ours / peer:5.2f}× a two-command Typer app")


def memory_of(pid: int) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found.group(1)) / 1024


@contextmanager
def plain_nginx(port: int) -> Iterator[bool]:
    """A plain nginx with one worker; False when there is none on this machine."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield False
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, port=port))
        process = subprocess.Popen([program, "-c", str(configuration), "-p", folder], stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield True
        finally:
            process.terminate()
            process.wait()


def wrk(url: str, *headers: str) -> float:
    """Requests per second of one wrk thread with 32 connections over 3 seconds."""
    options = [option for header in headers for option in ("-H", header)]
    out = subprocess.run(
        ["wrk", "-t1", "-c32", "-d3", *options, url], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found
    return float(found.group(1))


def bench_cluster() -> None:
    """`up` from nothing to Ready, memory with the four labs, throughput through NodePort, ingress and pod."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            labctl("up", home=home)
            times.append(time.perf_counter() - begun)
            labctl("down", home=home)
        print(f"labctl up, from nothing  {statistics.median(times) * 1000:7.0f} ms")
        labctl("up", home=home)
        pid = int((home / "clusters" / "study" / "lock").read_text())
        try:
            labctl("run", "path", "host", "canary", "https", home=home)
            print(f"memory, four labs run    {memory_of(pid):7.0f} MB")
            begun = time.perf_counter()
            labctl("probe", f"http://{NODE}:30080/admin", home=home)
            print(f"100 × /admin, keystroke to table {time.perf_counter() - begun:5.2f} s")
            bench_throughput()
        finally:
            labctl("down", home=home)


def bench_throughput() -> None:
    """wrk through the embedded cluster against wrk on a plain nginx."""
    with plain_nginx(18099) as there:
        if not there or not shutil.which("wrk"):
            print("throughput: skipped, nginx or wrk is not installed")
            return
        for name, headers in (("new connections", ("Connection: close",)), ("kept alive", ())):
            ours = wrk(f"http://{NODE}:30080/admin", *headers)
            peer = wrk("http://127.0.0.1:18099/", *headers)
            print(
                f"through ingress, {name:<16} {ours:9.0f}/s   {ours / peer:5.2f}× wrk on a plain nginx ({peer:.0f}/s)"
            )


def main() -> None:
    """Everything, one after another."""
    bench_help()
    bench_cluster()


if __name__ == "__main__":
    main()
