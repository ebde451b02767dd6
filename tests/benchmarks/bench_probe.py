"""The request engine against the study's shell loop, hey, wrk and oha, on one local nginx: `python -m tests.benchmarks.bench_probe`.

Every ratio is the median of the ratios of alternating rounds of the same run: what disturbs a round disturbs both
sides, and absolute rates depend on the machine and on what else it does. The processor time of a request is the
sender's alone; it depends less on what else the machine does. The nginx has one worker and answers as echoserver does
(142 bytes that name a pod). The engine classifies by pod and keeps percentiles, as it always does. Takes some 80
seconds.
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
from typing import NamedTuple

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


class Round(NamedTuple):
    """What one contestant reached in one round: requests per second, and µs of its own processor time for each."""

    rate: float
    cpu: float


def main() -> None:
    """Measure and print the ratios, each with the one that is wanted."""
    missing = [tool for tool in ("nginx", "wrk", "hey", "curl") if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed")
        return
    with nginx() as url:
        measured = rates(url)
        for name, found in measured.items():
            rate, cpu = (statistics.median(each) for each in zip(*found, strict=True))
            print(f"{name:42}{rate:>10,.0f} requests/s{cpu:>10,.1f} µs of CPU each")
        print()
        for ours, peer, wanted in WANTED:
            if peer in measured:
                show(ours, peer, measured, wanted)
            else:
                print(f"{ours} / {peer}: skipped, oha is not installed (cargo install oha --locked)")
        print("\n" + many_in_a_process_of_its_own(url))


def show(ours: str, peer: str, measured: dict[str, list[Round]], wanted: float) -> None:
    """One line: the median ratio of the rounds, their range, whether it is enough, and the ratio of processor time."""
    pairs = list(zip(measured[ours], measured[peer], strict=True))
    ratios = sorted(mine.rate / other.rate for mine, other in pairs)
    middle = statistics.median(ratios)
    cpu = statistics.median(mine.cpu / other.cpu for mine, other in pairs)
    spread = f"({ratios[0]:.2f} … {ratios[-1]:.2f})"
    said = "ok" if middle >= wanted else "TOO SLOW"
    print(f"{f'{ours} / {peer}':56}{middle:8.2f}  {spread:16} wanted: {wanted:<4g} {said:9} CPU each: {cpu:.2f} times")


def rates(url: str) -> dict[str, list[Round]]:
    """What each contestant reached, one figure per alternating round."""
    contestants: dict[str, Callable[[], Round]] = {
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
    found: dict[str, list[Round]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, measure in contestants.items():
            found[name].append(measure())
    return found


def probe(url: str, count: int, connection: Connection, *, processes: int = 1) -> Round:
    """The engine itself; several processes begin together, and the slowest counts (Python's own start does not)."""
    (result,) = send([ProbePlan("bench", Request(url), count, CONCURRENCY, connection)], processes)
    if any(outcome.status != 200 or not outcome.pod for outcome in result.fold.outcomes):
        raise SystemExit(f"not every request was answered by a pod: {dict(result.fold.outcomes)}")
    return Round(count / result.elapsed, result.cpu / count * 1e6)


def wrk(url: str, *options: str) -> Round:
    """What wrk reports."""
    return _run(["wrk", "-t1", f"-c{CONCURRENCY}", f"-d{SECONDS}", *options, url])


def hey(url: str) -> Round:
    """What hey reports."""
    return _run(["hey", "-disable-keepalive", "-n", str(NEW_REQUESTS), "-c", str(CONCURRENCY), url])


def oha(url: str) -> Round:
    """What oha reports."""
    return _run(["oha", "--no-tui", "--disable-keepalive", "-n", str(NEW_REQUESTS), "-c", str(CONCURRENCY), url])


def shell_loop(url: str) -> Round:
    """The loop as the study has it, a hundred times."""
    loop = f"for i in {{1..100}}; do curl -s {url} | grep Hostname ; done | sort | uniq -c | sort -nr"
    begun, spent = time.perf_counter(), _children()
    subprocess.run(["bash", "-c", loop], capture_output=True, check=True)
    return Round(100 / (time.perf_counter() - begun), (_children() - spent) / 100 * 1e6)


def _run(command: list[str]) -> Round:
    spent = _children()
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = _children() - spent
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    if rate is None:
        raise SystemExit(f"no rate in:\n{output}")
    done = re.search(r"([0-9]+) requests in", output)  # wrk's; the others are given their number
    return Round(float(rate[1]), spent / (int(done[1]) if done else NEW_REQUESTS) * 1e6)


def _children() -> float:
    """Processor seconds of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def many_in_a_process_of_its_own(url: str) -> str:
    """A million requests, and what they took."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_probe", url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def many(url: str) -> None:
    """The million itself."""
    rate, _ = probe(url, MANY_REQUESTS, Connection.KEEP_ALIVE)
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
