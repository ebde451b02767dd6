"""One case on a real cluster: a namespace with its objects, and requests from outside."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.conformance import world
from labctl.conformance.client import Client
from labctl.conformance.corpus import Case
from labctl.conformance.echoed import seen_by_echoserver
from labctl.conformance.material import with_material
from labctl.conformance.translate import Translation
from labctl.kube.client import ApiRefusedError, KubeApi
from labctl.model.cluster import IngressEndpoints

Json = dict[str, Any]
_POLL = 0.05
_TICK = 1.1
_UNSYNCED_SECONDS = 5.0
_OWN_PORTS = "the controller's own ports cannot be asked from outside"
_REFUSED_ACTIONS = {
    "admission": "the validating webhook cannot be asked by itself",
    "config": "it sets the controller's ConfigMap",
    "curl": "curl is not run here",
    "echo": "the echo pods cannot be steered",
    "events": "events carry the controller's own names",
    "get": "it reads what the recording's controller was told to publish",
    "http": _OWN_PORTS,
}


@dataclass(slots=True)
class Cluster:
    """What all cases of a run share.

    Attributes:
        api: The cluster's API.
        ingress: Where its controller answers.
        ingress_class: The controller's class.
        run: The run's identity.
        timeout: Seconds that a route may take to appear.
        addresses: By recorded pod name, the pod's address.
        client: The client's address as the controller sees it, once it is known.
    """

    api: KubeApi
    ingress: IngressEndpoints
    ingress_class: str
    run: str
    timeout: float
    addresses: Mapping[str, str] = field(default_factory=dict)
    client: str = ""


class RemoteClient(Client):
    """Sends requests to the controller, and says what came in the recording's words."""

    translation: Translation

    async def send(self, request: Json) -> Json:
        """See Client."""
        observed = await Client.send(self, request)
        body = observed.get("body")
        seen = seen_by_echoserver(body) if isinstance(body, str) else None
        if seen is not None:
            observed["pod"], observed["backend_saw"] = seen
            del observed["body"], observed["body_len"]
        told: Json = self.translation.observed(observed)
        return told


class RemoteWorld:
    """See `target.World`.

    Args:
        case: The case.
        cluster: Where.
        namespace: An empty namespace of the case's own.
    """

    def __init__(self, case: Case, cluster: Cluster, namespace: str) -> None:
        self._case = case
        self._cluster = cluster
        self._translation = Translation(namespace, cluster.ingress_class, cluster.addresses, cluster.client)
        self._ingresses: dict[str, Json] = {}
        self._secrets: dict[str, Json] = {}
        self._sentinels = itertools.count(1)
        self.client = RemoteClient(self._dial, world.Addresses(), bind=False)
        self.client.translation = self._translation

    async def start(self) -> None:
        """The standing Services that the case refers to."""
        text = str(self._case.data)
        for obj in world.standing_objects():
            name = obj["metadata"]["name"].removesuffix("-1")
            if obj["kind"] in {"Service", "EndpointSlice"} and (name == "svc-a" or f"'{name}'" in text):
                self._write(obj)
        if not self._cluster.client:
            await self._learn_client()

    async def _learn_client(self) -> None:
        """Find out as whom the controller sees us: allow lists and forwarded addresses are compared by it."""
        if await self.synced(expected=True):
            host = self._sentinel_host(1)
            answer = await self.client.send({"host": host, "path": "/"})
            headers = dict((answer.get("backend_saw") or {}).get("headers") or ())
            self._cluster.client = str(headers.get("x-forwarded-for", "")).split(",")[0].strip()
            self._translation.client = self._cluster.client

    async def stop(self) -> None:
        """Delete the Ingresses first, so that the next case cannot meet them; the namespace goes with the run."""
        await self.client.close()
        if self._secrets:
            # ingress-nginx keeps the certificate of a host that goes, unless its secret goes first.
            for obj in self._secrets.values():
                self._cluster.api.delete(obj)
            await self.settle()
        for obj in self._ingresses.values():
            self._cluster.api.delete(obj)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._translation.namespace}}
        self._cluster.api.delete(namespace)

    def _dial(self, port: int) -> tuple[str, int]:
        endpoints = self._cluster.ingress.https if port == 443 else self._cluster.ingress.http
        if not endpoints:
            raise ConnectionRefusedError(f"the controller has no port for {port}")
        return endpoints[0].address, endpoints[0].port

    def refuses(self, entry: Json) -> str:
        """What needs the recording's own machines."""
        if "action" in entry:
            return _REFUSED_ACTIONS.get(entry["action"], "")
        request = entry["request"]
        if int(request.get("port") or 80) not in {80, 443}:
            return _OWN_PORTS
        vary = request.get("vary") or {}
        if request.get("from", world.CLIENT) != world.CLIENT or vary.get("what") == "from":
            return "it is sent from several addresses"
        headers = request.get("headers") or {}
        names = [str(name).lower() for name in (headers if isinstance(headers, dict) else dict(headers))]
        if any(name.startswith("x-echo-") for name in names) or "x-echo-" in str(request.get("raw", "")).lower():
            return "it steers the recording's echo pods"
        if "first_ws_message" in entry["observed"]:
            return "the echo image speaks no WebSocket"
        return ""

    # Objects

    async def tick(self) -> None:
        """Let the clock go on: a creationTimestamp counts whole seconds."""
        await asyncio.sleep(_TICK)

    def apply(self, obj: Json) -> int:
        """See World."""
        try:
            self._write(obj)
        except ApiRefusedError as error:
            return error.code
        return 201

    def _write(self, obj: Json) -> None:
        written = self._translation.obj(with_material(obj))
        self._cluster.api.apply(written)
        if written["kind"] == "Ingress":
            self._ingresses[written["metadata"]["name"]] = written
        elif written.get("type") == "kubernetes.io/tls":
            self._secrets[written["metadata"]["name"]] = written

    def delete(self, obj: Json) -> int:
        """See World."""
        written = self._translation.obj(obj)
        self._ingresses.pop(written["metadata"]["name"], None) if written["kind"] == "Ingress" else None
        return 200 if self._cluster.api.delete(written) else 404

    def scale(self, service: str, pods: Sequence[str]) -> int:
        """See World."""
        return self.apply(world.endpoint_slice(service, [(world.pod_address(pod), True) for pod in pods]))

    def configure(self, data: Json) -> int:
        """Never: the controller is not this run's."""
        raise NotImplementedError

    def admit(self, obj: Json) -> Json | None:
        """Cannot be asked by itself."""
        del obj
        return None

    def read(self, path: str) -> Json | None:
        """Never asked."""
        raise NotImplementedError(path)

    def events(self, names: Sequence[str]) -> list[list[str]]:
        """Never asked."""
        raise NotImplementedError

    async def echo(self, path: str) -> str:
        """Never asked."""
        raise NotImplementedError(path)

    def reloads(self) -> int:
        """Cannot be seen."""
        return 0

    def log_mark(self) -> int:
        """Cannot be seen."""
        return 0

    def log_lines(self, start: int) -> list[str]:
        """Cannot be seen."""
        del start
        return []

    # Waiting

    def _sentinel_host(self, number: int) -> str:
        return f"sentinel-{number}.{self._translation.namespace}.test"

    async def synced(self, *, expected: bool) -> bool:
        """Whether an Ingress created now answers within the timeout."""
        number = next(self._sentinels)
        host = self._sentinel_host(number)
        self._write(world.sentinel(f"zzz-sentinel-{number}", host))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._cluster.timeout if expected else _UNSYNCED_SECONDS)
        while loop.time() < deadline:
            answer = await self.client.send({"host": host, "path": "/"})
            if answer.get("status") == 200 and "pod" in answer:
                return True
            await asyncio.sleep(_POLL)
        return False

    async def settle(self) -> None:
        """A change that follows has been taken in once a sentinel after it answers."""
        await self.synced(expected=True)
