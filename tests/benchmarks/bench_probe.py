"""The request engine against the study's shell loop, hey and wrk, on one local nginx: `python -m tests.benchmarks.bench_probe`.

Every ratio is the median of the ratios of alternating rounds of the same run: what disturbs a round disturbs both
sides, and absolute rates depend on the machine and on what else it does. The nginx has one worker and answers as echoserver does (142
bytes that name a pod). The engine classifies by pod and keeps percentiles, as it always does. Takes about 70 seconds.
"""

from __future__ import annotations

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

from labctl.model.probe import Connection, ProbePlan, Request
from labctl.probe.workers import send

NEW, KEPT = "labctl probe, new connections", "labctl probe, kept alive"
WRK_NEW, WRK_KEPT = "wrk -t1, new connections", "wrk -t1, kept alive"
HEY, LOOP = "hey -disable-keepalive", "the study's shell loop"
TWO, OHA = "labctl probe --processes 2, new", "oha --disable-keepalive"
WANTED = ((NEW, LOOP, 100), (NEW, HEY, 1), (NEW, WRK_NEW, 0.6), (KEPT, WRK_KEPT, 0.4), (TWO, OHA, 1))
CONCURRENCY = 16
ROUNDS = 5
SECONDS = 1
NEW_REQUESTS = 12_000
KEPT_REQUESTS = 60_000
MANY_REQUESTS = 1_000_000
BODY = (
    "Hostname: dp-v1-8684d45558-fzdt4\\n\\nPod Information:\\n\\t-no pod information available-\\n\\n"
    "Server values:\\n\\tserver_version=nginx: 1.13.0 - lua: 10008\\n"
)


def main() -> None:
    """Measure and print the ratios, each with the one that is wanted."""
    missing = [tool for tool in ("nginx", "wrk", "hey", "curl") if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed")
        return
    with nginx() as url:
        measured = rates(url)
        for name, found in measured.items():
            print(f"{name:42}{statistics.median(found):>10,.0f} requests/s")
        print()
        for ours, peer, wanted in WANTED:
            if peer in measured:
                show(ours, peer, measured, wanted)
            else:
                print(f"{ours} / {peer}: skipped, oha is not installed (cargo install oha --locked)")
        print("\n" + many_in_a_process_of_its_own(url))


def show(ours: str, peer: str, measured: dict[str, list[float]], wanted: float) -> None:
    """One line: the median ratio of the rounds, their range, and whether it is enough."""
    ratios = sorted(mine / other for mine, other in zip(measured[ours], measured[peer], strict=True))
    middle = statistics.median(ratios)
    spread = f"({ratios[0]:.2f} … {ratios[-1]:.2f})"
    said = "ok" if middle >= wanted else "TOO SLOW"
    print(f"{f'{ours} / {peer}':56}{middle:8.2f}  {spread:20} wanted: {wanted:<5g}{said}")


def rates(url: str) -> dict[str, list[float]]:
    """Requests per second of each contestant, one figure per alternating round."""
    contestants: dict[str, Callable[[], float]] = {
        NEW: lambda: probe(url, NEW_REQUESTS, Connection.NEW),
        WRK_NEW: lambda: wrk(url, "-H", "Connection: close"),
        HEY: lambda: hey(url),
        KEPT: lambda: probe(url, KEPT_REQUESTS, Connection.KEEP_ALIVE),
        WRK_KEPT: lambda: wrk(url),
        LOOP: lambda: shell_loop(url),
        TWO: lambda: probe(url, NEW_REQUESTS, Connection.NEW, processes=2),
    }
    if shutil.which("oha"):
        contestants[OHA] = lambda: oha(url)
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, measure in contestants.items():
            found[name].append(measure())
    return found


def probe(url: str, count: int, connection: Connection, *, processes: int = 1) -> float:
    """The engine itself; several processes begin together, and the slowest counts."""
    (result,) = send([ProbePlan("bench", Request(url), count, CONCURRENCY, connection)], processes)
    if any(outcome.status != 200 or not outcome.pod for outcome in result.fold.outcomes):
        raise SystemExit(f"not every request was answered by a pod: {dict(result.fold.outcomes)}")
    return count / result.elapsed


def wrk(url: str, *options: str) -> float:
    """Requests per second as wrk reports them."""
    command = ["wrk", "-t1", f"-c{CONCURRENCY}", f"-d{SECONDS}", *options, url]
    return _reported(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def hey(url: str) -> float:
    """Requests per second as hey reports them."""
    command = ["hey", "-disable-keepalive", "-n", str(NEW_REQUESTS), "-c", str(CONCURRENCY), url]
    return _reported(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def oha(url: str) -> float:
    """Requests per second as oha reports them."""
    command = ["oha", "--no-tui", "--disable-keepalive", "-n", str(NEW_REQUESTS), "-c", str(CONCURRENCY), url]
    return _reported(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _reported(output: str) -> float:
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    if found is None:
        raise SystemExit(f"no rate in:\n{output}")
    return float(found[1])


def shell_loop(url: str) -> float:
    """The loop as the study has it, a hundred times."""
    loop = f"for i in {{1..100}}; do curl -s {url} | grep Hostname ; done | sort | uniq -c | sort -nr"
    begun = time.perf_counter()
    subprocess.run(["bash", "-c", loop], capture_output=True, check=True)
    return 100 / (time.perf_counter() - begun)


def many_in_a_process_of_its_own(url: str) -> str:
    """A million requests, and what they took."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_probe", url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def many(url: str) -> None:
    """The million itself."""
    rate = probe(url, MANY_REQUESTS, Connection.KEEP_ALIVE)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = (used.ru_utime + used.ru_stime) / MANY_REQUESTS * 1e6
    print(
        f"{MANY_REQUESTS:,} requests kept alive: {rate:,.0f} requests/s, {cpu:.1f} µs CPU each, "
        f"{used.ru_maxrss / 1024:.0f} MiB of memory at most (wanted: at most 150)"
    )


@contextmanager
def nginx() -> Iterator[str]:
    """An nginx of its own, with everything in a temporary folder; yields its URL and stops it by its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="labctl-bench-") as name:
        folder = Path(name)
        config = folder / "nginx.conf"
        temporary = "\n".join(
            f"  {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(
            f"worker_processes 1;\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
            f"events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n  keepalive_requests 1000000000;\n"
            f"{temporary}\n  server {{\n    listen 127.0.0.1:{port} backlog=4096;\n    location / {{\n"
            f'      default_type text/plain;\n      return 200 "{BODY}";\n    }}\n  }}\n}}\n'
        )
        process = subprocess.Popen(["nginx", "-c", str(config), "-e", str(folder / "error.log")])
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


if __name__ == "__main__":
    many(sys.argv[1]) if len(sys.argv) > 1 else main()
