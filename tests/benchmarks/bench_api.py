"""The embedded API at size, and under attack: `python -m tests.benchmarks.bench_api`.

5,000 objects and 200 watchers: lists, how long after a write the last watcher hears of it, memory, and the start with
those objects stored. Then 100 kills while a client writes (nothing acknowledged may be lost), and 10,000 requests with
broken bodies, paths, queries and headers (no 500, no hang, no dead process). Takes about three minutes.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import signal
import ssl
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.sessions.place import Place

OBJECTS = 5_000
WATCHERS = 200
WRITES = 50
KILLS = 100
REQUESTS = 10_000
MAPS = "/api/v1/namespaces/default/configmaps"
_JUNK: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**30, "", "x", [], {}, [None], {"a": None}, {"": ""}, "é\u0000")
_PATHS = ("/api/v1/pods", MAPS, "/apis/apps/v1/namespaces/default/deployments", "/api/v1/namespaces", "/openapi/v3")
_QUERIES = ("", "?limit=-1", "?continue=zz", "?fieldSelector==", "?labelSelector=a%20in", "?watch=x")
_TYPES = ("application/json", "application/yaml", "text/plain", "application/apply-patch+yaml", "application/x", "")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="labctl-bench-") as home:
        place = Place(Path(home), 126)
        place.up(pace=0.0, ingress=False)
        try:
            _size(place)
            _attack(place)
            _kills(place)
        finally:
            place.down()


class Api:
    """One kept-alive connection as the administrator."""

    def __init__(self, place: Place) -> None:
        self.place = place
        environ = place.environment("default", place.home)
        self.host = environ["S"]
        self.context = ssl.create_default_context(cafile=environ["CA"])
        self.context.load_cert_chain(environ["CRT"], environ["KEY"])
        self.connection = http.client.HTTPSConnection(self.host, 6443, context=self.context, timeout=20)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        self.connection.request(method, path, data, {**kind, **headers})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def again(self) -> None:
        """A new connection."""
        self.connection.close()
        self.connection = http.client.HTTPSConnection(self.host, 6443, context=self.context, timeout=20)


def _map(name: str) -> Any:
    return {"metadata": {"name": name, "labels": {"bench": "yes"}}, "data": {"key": "value" * 20}}


def _size(place: Place) -> None:
    api = Api(place)
    begun = time.perf_counter()
    for number in range(OBJECTS):
        status, body = api("POST", MAPS, _map(f"map-{number:05}"))
        assert status == 201, body
    print(f"{OBJECTS} ConfigMaps created one after another: {OBJECTS / (time.perf_counter() - begun):.0f}/s")
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        status, body = api("GET", MAPS)
        times.append(time.perf_counter() - begun)
        assert status == 200
    print(f"list of all of them ({len(body) / 1e6:.1f} MB): {statistics.median(times) * 1000:.0f} ms")
    asyncio.run(_watch(place, api))
    print(f"memory of the process: {_memory(place) / 1024:.0f} MiB")
    place.end()
    begun = time.perf_counter()
    place.start()
    status, body = Api(place)("GET", f"{MAPS}?limit=1")
    assert status == 200
    print(f"start with {OBJECTS} stored objects: {time.perf_counter() - begun:.2f} s (wanted: at most 3)")


async def _watch(place: Place, api: Api) -> None:
    """How long after the request was sent the last of the watchers hears of a change."""
    _, body = api("GET", f"{MAPS}?limit=1")
    version = json.loads(body)["metadata"]["resourceVersion"]
    streams = [await _watcher(api, version) for _ in range(WATCHERS)]
    heard: list[float] = []
    for number in range(WRITES):
        change = {**_map(f"map-{number:05}"), "data": {"n": str(number)}}
        begun = time.perf_counter()
        await asyncio.to_thread(api, "PUT", f"{MAPS}/map-{number:05}", change)
        wanted = f'"n":"{number}"'.encode()
        await asyncio.gather(*(_until(reader, wanted) for reader, _ in streams))
        heard.append((time.perf_counter() - begun) * 1000)
    for _, writer in streams:
        writer.transport.abort()
    heard.sort()
    p99 = heard[int(len(heard) * 0.99)]
    print(
        f"{WATCHERS} watchers, change to the last of them: median {statistics.median(heard):.0f} ms, p99 {p99:.0f} ms"
    )


async def _watcher(api: Api, version: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(api.host, 6443, ssl=api.context, limit=1 << 24)
    writer.write(f"GET {MAPS}?watch=1&resourceVersion={version} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def _until(reader: asyncio.StreamReader, wanted: bytes) -> None:
    while wanted not in await asyncio.wait_for(reader.readline(), 20):
        pass


def _memory(place: Place) -> int:
    """Resident KiB of the cluster's process."""
    text = Path(f"/proc/{place.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])


def _attack(place: Place) -> None:
    source = random.Random(9)
    api, codes = Api(place), dict[int, int]()
    begun = time.perf_counter()
    for _ in range(REQUESTS):
        body = json.dumps(_broken(source, _map("x"))).encode()
        if source.random() < 0.2:
            body = body[: source.randrange(len(body))]
        path = source.choice(_PATHS) + source.choice(("", "", "/x", "/%2e%2e/%2e%2e/etc", "/x/status"))
        method = source.choice(("GET", "POST", "PUT", "PATCH", "DELETE"))
        headers = {"Content-Type": source.choice(_TYPES), "Accept": source.choice((*_TYPES, "*/*;q=z"))}
        if path == "/api/v1/namespaces" and method == "DELETE":
            continue
        status, answer = api(method, path + source.choice(_QUERIES), body, **headers)
        codes[status] = codes.get(status, 0) + 1
        assert status < 500 or status == 504, (method, path, body, answer)
    shown = ", ".join(f"{count} × {status}" for status, count in sorted(codes.items()))
    print(f"{REQUESTS} broken requests in {time.perf_counter() - begun:.0f} s: {shown}; no 500")
    assert api("GET", "/readyz")[0] == 200


def _broken(source: random.Random, value: Any) -> Any:
    if source.random() < 0.15:
        return source.choice(_JUNK)
    if isinstance(value, dict):
        return {key: _broken(source, item) for key, item in value.items()}
    return value


def _kills(place: Place) -> None:
    """kill -9 at any moment while a client writes: what was acknowledged is there after the next start."""
    source, acknowledged = random.Random(7), dict[str, int]()
    for kill in range(KILLS):
        api, name = Api(place), f"kill-{kill:03}"
        until = time.perf_counter() + source.uniform(0.0, 0.1)
        number = 0
        while time.perf_counter() < until or not number:
            status, _ = api("PUT" if number else "POST", f"{MAPS}/{name}" if number else MAPS, _counted(name, number))
            assert status in (200, 201)
            acknowledged[name] = number
            number += 1
        os.kill(place.pid, signal.SIGKILL)
        place.end()
        place.start()
    api = Api(place)
    for name, last in acknowledged.items():
        _, body = api("GET", f"{MAPS}/{name}")
        assert int(json.loads(body)["data"]["n"]) >= last, name
    print(f"{KILLS} kills while writing: nothing that was acknowledged is lost")


def _counted(name: str, number: int) -> Any:
    return {"metadata": {"name": name}, "data": {"n": str(number)}}


if __name__ == "__main__":
    main()
