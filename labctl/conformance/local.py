"""One case's world: API objects, the controller, echo pods, and real sockets on loopback addresses."""

from __future__ import annotations

import asyncio
import itertools
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from labctl.conformance import world
from labctl.conformance.client import Client
from labctl.conformance.corpus import Case
from labctl.conformance.echo import EchoPods
from labctl.conformance.material import with_material
from labctl.conformance.target import View, World
from labctl.embedded.api.server import build_registry
from labctl.embedded.clientset import ApiError
from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow
from labctl.embedded.ingress.controller.certificates import fake_certificate
from labctl.embedded.ingress.controller.controller import Controller
from labctl.embedded.ingress.controller.flags import parse_flags
from labctl.embedded.ingress.controller.identity import Identity
from labctl.embedded.ingress.controller.ports import controller_ports
from labctl.embedded.ingress.controller.webhook import review
from labctl.embedded.ingress.model import Certificate
from labctl.embedded.kinds.settings import ClusterSettings
from labctl.env import Clock

Json = dict[str, Any]

_FLAGS = (
    "--controller-class=k8s.io/ingress-nginx",
    "--ingress-class=nginx",
    "--configmap=ingress-nginx/ingress-nginx-controller",
    f"--publish-status-address={world.CONTROLLER}",
    "--validating-webhook=127.0.0.1:8443",
    "--sync-rate-limit=100",
    "--enable-metrics=true",
    "--election-id=ingress-nginx-leader",
)
_KLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ (.*)")
_fake: list[Certificate] = []
_SYNC_SECONDS = 3.0
_UNSYNCED_SECONDS = 0.3
_QUIET = 0.02
_SETTLE_SECONDS = 0.5
_SLOTS = 40
_RESOURCES = {
    "ConfigMap": "configmaps",
    "EndpointSlice": "endpointslices.discovery.k8s.io",
    "Ingress": "ingresses.networking.k8s.io",
    "IngressClass": "ingressclasses.networking.k8s.io",
    "Namespace": "namespaces",
    "Node": "nodes",
    "Pod": "pods",
    "Secret": "secrets",
    "Service": "services",
}


class _NoPods:
    """A pod network in which no pod is embedded."""

    def port_at(self, ip: str, port: int) -> PodPort | None:
        del ip, port
        return None

    def is_pod(self, ip: str) -> bool:
        del ip
        return False


class _Accepted(asyncio.Protocol):
    """Finds out who connects, then hands the connection to the controller."""

    def __init__(self, port: PodPort, addresses: world.Addresses, number: int) -> None:
        self._port = port
        self._addresses = addresses
        self._number = number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        host, port = transport.get_extra_info("peername")[:2]
        flow = Flow((self._addresses.recorded(host), port), (world.CONTROLLER, self._number))
        protocol = self._port.connected(flow)
        cast(asyncio.Transport, transport).set_protocol(protocol)
        protocol.connection_made(transport)


class LocalWorld:
    """Everything that one case needs, started and stopped together.

    Args:
        flags: Controller flags in addition to the base set.
        config: Data of the controller's ConfigMap.
        slot: Tells worlds apart that exist at the same time.
        seed: For the data plane's random numbers.
    """

    def __init__(self, flags: Sequence[str], config: Json, *, slot: int = 0, seed: int | None = None) -> None:
        self.addresses = world.Addresses(slot)
        self.lines: list[str] = []
        self._now = datetime(2026, 11, 21, 2, tzinfo=UTC)
        # The recording's machine had two processors, so two workers unless a case says otherwise.
        self._config = {"worker-processes": "2", **config}
        self._flags = parse_flags([*_FLAGS, *flags])
        self._folder = tempfile.TemporaryDirectory(prefix="labctl-conformance-")
        database = Path(self._folder.name) / "objects.db"
        self._clientset = build_registry(database, ClusterSettings(), Clock(now=lambda: self._now))
        self._echo = EchoPods(self.addresses)
        self._servers: list[asyncio.Server] = []
        self._ports: dict[int, tuple[str, int]] = {}
        self._seed = seed
        self._sentinels = itertools.count(1)
        self.controller: Controller
        self.client = Client(self._dial, self.addresses)

    async def start(self) -> None:
        """Bring everything up."""
        for obj in world.standing_objects():
            self.apply(obj)
        self.configure(self._config)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "ingress-nginx-controller-0", "namespace": "ingress-nginx"},
            "spec": {"containers": [{"name": "controller", "image": "controller"}]},
        }
        self.apply(pod)
        if not _fake:
            _fake.append(fake_certificate())
        identity = Identity("ingress-nginx", "ingress-nginx-controller-0", ip=world.CONTROLLER)
        self.controller = Controller(
            self._flags,
            identity,
            self._clientset,
            _Network(),
            _fake[0],
            output=self._log,
            address=self._endpoint,
            seed=self._seed,
        )
        await self._echo.start()
        self.controller.start()
        for number, port in controller_ports(self.controller).items():
            await self._listen(number, port)

    async def stop(self) -> None:
        """Take everything down."""
        await self.client.close()
        for server in self._servers:
            server.close()
        self.controller.stop()
        await self._echo.stop()
        self._clientset.store.close()
        self._folder.cleanup()

    async def _listen(self, number: int, port: PodPort) -> None:
        def accept(port: PodPort = port, number: int = number) -> asyncio.Protocol:
            return _Accepted(port, self.addresses, number)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(accept, self.addresses.local(world.CONTROLLER), 0)
        self._servers.append(server)
        self._ports[number] = server.sockets[0].getsockname()[:2]

    def _dial(self, port: int) -> tuple[str, int]:
        return self._ports[port]

    def _endpoint(self, host: str, port: int) -> tuple[str, int]:
        return self.addresses.local(host), port

    def _log(self, line: str) -> None:
        self.lines.append(line)

    # Actions

    async def tick(self) -> None:
        """Let objects created from now on be a second younger."""
        self._now += timedelta(seconds=1)

    def apply(self, obj: Json) -> int:
        """Create or update; returns the API's status."""
        prepared = with_material(obj)
        resource, metadata = _RESOURCES[prepared["kind"]], prepared["metadata"]
        known = self._clientset.get(resource, metadata.get("namespace", ""), metadata["name"])
        try:
            if known is None:
                self._clientset.create(resource, prepared)
            else:
                self._clientset.update(resource, _replacing(known, prepared))
        except ApiError as error:
            return error.code
        return 201 if known is None else 200

    def delete(self, obj: Json) -> int:
        """Delete; returns the API's status."""
        metadata = obj["metadata"]
        try:
            self._clientset.delete(_RESOURCES[obj["kind"]], metadata.get("namespace", ""), metadata["name"])
        except ApiError as error:
            return error.code
        return 200

    def configure(self, data: Json) -> int:
        """Replace the ConfigMap's data."""
        return self.apply(self._config_map(data))

    def scale(self, service: str, pods: Sequence[str]) -> int:
        """Replace a Service's endpoints."""
        addresses = [(world.pod_address(pod), True) for pod in pods]
        return self.apply(world.endpoint_slice(service, addresses))

    async def echo(self, path: str) -> str:
        """Steer the echo pods."""
        return await self._echo.control(path)

    def admit(self, obj: Json) -> Json:
        """Ask the validating webhook."""
        answer = review(self.controller, with_material(obj))
        result: Json = {"allowed": answer.allowed}
        if answer.message:
            result["message"] = answer.message
        if answer.warnings:
            result["warnings"] = list(answer.warnings)
        return result

    def read(self, path: str) -> Json | None:
        """GET an object by its API path."""
        words = path.strip("/").split("/")
        name, resource = words[-1], words[-2]
        namespace = words[words.index("namespaces") + 1] if "namespaces" in words else ""
        group = f".{words[1]}" if words[0] == "apis" else ""
        return self._clientset.get(f"{resource}{group}", namespace, name)

    def events(self, names: Sequence[str]) -> list[list[str]]:
        """Events about objects of these names."""
        found = [event for event in self._clientset.list("events") if event["involvedObject"]["name"] in names]
        return [[event["type"], event["reason"], event["message"], event["involvedObject"]["name"]] for event in found]

    def _serves(self, host: str) -> bool:
        """Whether the data plane has a server of that name."""
        configuration = self.controller.configuration
        return configuration is not None and host in configuration.servers

    def refuses(self, entry: Json) -> str:
        """Nothing but what only the recording's own tools did."""
        return "" if entry.get("action") != "curl" else "curl is not run here"

    async def settle(self) -> None:
        """Wait until the controller has taken all changes in."""
        await asyncio.sleep(_QUIET)
        await self._until(lambda: self.controller.idle, _SETTLE_SECONDS)

    async def synced(self, *, expected: bool) -> bool:
        """Whether an Ingress created now becomes routable."""
        number = next(self._sentinels)
        host = f"sentinel-{number}.test"
        self.apply(world.sentinel(f"zzz-sentinel-{number}", host))
        return await self._until(lambda: self._serves(host), _SYNC_SECONDS if expected else _UNSYNCED_SECONDS)

    def log_mark(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    def reloads(self) -> int:
        """How often the configuration has been reloaded."""
        return self.controller.reloads

    def log_lines(self, start: int) -> list[str]:
        """The controller's own lines since line `start`, without time and process."""
        matches = (_KLOG.fullmatch(line) for line in self.lines[start:])
        return [match[1] for match in matches if match is not None]

    def _config_map(self, data: Json) -> Json:
        metadata = {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    async def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait for something; False when it has not happened in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not done():
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.002)
        return True


def _replacing(known: Json, new: Json) -> Json:
    """The new object with what the API had filled in, as a PUT of a client that read it first."""
    if new["kind"] != "Service":
        return new
    given = {name: known["spec"][name] for name in ("clusterIP", "clusterIPs") if name in known["spec"]}
    return {**new, "spec": {**given, **new["spec"]}}


class _Network(_NoPods):
    """Completes the pod network for the type checker; the controller only looks pods up."""

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        raise NotImplementedError

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        raise NotImplementedError

    def close(self, uid: str, port: int) -> None:
        raise NotImplementedError

    def remove_pod(self, uid: str) -> None:
        raise NotImplementedError


class LocalTarget:
    """The embedded controller, with an API, pods and sockets of its own for each case; no cluster has to be up."""

    view = View()
    slots = _SLOTS

    def describe(self) -> str:
        """What it is."""
        return "the embedded ingress"

    async def prepare(self, cases: Sequence[Case]) -> None:
        """Nothing: each case brings its own."""

    def refuses(self, case: Case) -> str:
        """Nothing is refused."""
        del case
        return ""

    def world(self, case: Case, slot: int) -> World:
        """The case's own cluster."""
        return LocalWorld(case.data.get("controller_flags") or (), case.data.get("configmap") or {}, slot=slot)

    async def close(self) -> None:
        """Nothing is left."""
