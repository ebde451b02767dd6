"""kube-proxy: watches Services and EndpointSlices, and lets their places lead to endpoints."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import cast

from labctl.embedded.clientset import Change, Clientset
from labctl.embedded.http.messages import Flow
from labctl.embedded.network.plan import Endpoint, Place, Rule, service_rules
from labctl.embedded.network.pods import LoopbackNetwork, hand_over
from labctl.embedded.network.relay import RelayClient
from labctl.model.inventory import ProxyMode

SERVICES = "services"
SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"

ServiceKey = tuple[str, str]


class KubeProxy:
    """Keeps the listening sockets of Services in step with the API."""

    def __init__(self, clientset: Clientset, network: LoopbackNetwork) -> None:
        self._clientset = clientset
        self._network = network
        self._random = random.Random()  # noqa: S311 - load balancing, not secrecy
        self._rules: dict[Place, Rule] = {}
        self._places: dict[ServiceKey, set[Place]] = {}
        self._dirty: set[ServiceKey] = set()
        self._turns: dict[Place, int] = {}
        self._affinity: dict[tuple[Place, str], tuple[Endpoint, float]] = {}
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Open what the API lists now, and follow it."""
        self._unsubscribe = self._clientset.subscribe(self._changed)
        for service in self._clientset.list(SERVICES):
            self._sync((service["metadata"]["namespace"], service["metadata"]["name"]))

    def stop(self) -> None:
        """Close every Service's sockets."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        for place in list(self._rules):
            self._network.sockets.close(place)
        self._rules.clear()

    def _changed(self, change: Change) -> None:
        metadata = change.object["metadata"]
        if change.resource == SERVICES:
            key = (metadata["namespace"], metadata["name"])
        elif change.resource == SLICES:
            key = (metadata["namespace"], metadata.get("labels", {}).get(SERVICE_NAME, ""))
        else:
            return
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._sync_dirty)
        self._dirty.add(key)

    def _sync_dirty(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            self._sync(key)

    def _sync(self, key: ServiceKey) -> None:
        service = self._clientset.get(SERVICES, *key)
        wanted: dict[Place, Rule] = {}
        if service is not None:
            slices = [
                found
                for found in self._clientset.list(SLICES, key[0])
                if found["metadata"].get("labels", {}).get(SERVICE_NAME) == key[1]
            ]
            wanted = service_rules(service, slices, self._network.settings.nodes)
        places = self._places.get(key, set())
        for place in places - wanted.keys():
            self._rules.pop(place, None)
            self._turns.pop(place, None)
            self._network.sockets.close(place)
        for place, rule in wanted.items():
            self._put(place, rule)
        self._places[key] = set(wanted)

    def _put(self, place: Place, rule: Rule) -> None:
        before = self._rules.get(place)
        self._rules[place] = rule
        if before is not None and before.drop == rule.drop:
            return
        sockets = self._network.sockets
        if before is not None:
            sockets.close(place)
        if rule.drop:
            sockets.silence(place)
        else:
            sockets.listen(place, lambda: _Arrival(self, place))

    def choose(self, place: Place, client: str) -> tuple[Rule, Endpoint] | None:
        """The endpoint for one new connection; None when there is none any more."""
        rule = self._rules.get(place)
        if rule is None or not rule.endpoints:
            return None
        if rule.affinity_seconds:
            return rule, self._sticky(place, rule, client)
        return rule, self._pick(place, rule)

    def _pick(self, place: Place, rule: Rule) -> Endpoint:
        if self._network.settings.proxy_mode is ProxyMode.IPVS:
            turn = self._turns.get(place, 0)
            self._turns[place] = turn + 1
            return rule.endpoints[turn % len(rule.endpoints)]
        return self._random.choice(rule.endpoints)

    def _sticky(self, place: Place, rule: Rule, client: str) -> Endpoint:
        now = time.monotonic()
        endpoint, until = self._affinity.get((place, client), (None, 0.0))
        if endpoint is None or until < now or endpoint not in rule.endpoints:
            endpoint = self._pick(place, rule)
        self._affinity[place, client] = (endpoint, now + rule.affinity_seconds)
        return endpoint

    def connect(self, place: Place, connection: asyncio.Transport) -> None:
        """Lead an accepted connection to an endpoint: to the pod itself, or through a relay to other addresses."""
        client: tuple[str, int] = connection.get_extra_info("peername")[:2]
        chosen = self.choose(place, client[0])
        if chosen is None:
            connection.abort()
            return
        rule, endpoint = chosen
        server = self._network.port_at(endpoint.ip, endpoint.port)
        if server is not None:
            source = client if rule.keep_source else (self._translated(rule, endpoint), client[1])
            hand_over(connection, server, Flow(source, (endpoint.ip, endpoint.port)))
        elif self._network.is_pod(endpoint.ip):
            connection.abort()  # a pod that does not listen there: connection refused
        else:
            relay = RelayClient(endpoint.ip, endpoint.port)
            connection.set_protocol(relay)
            relay.connection_made(connection)

    def _translated(self, rule: Rule, endpoint: Endpoint) -> str:
        """The source address after masquerading: the bridge for a pod of the same node, flannel's for another's."""
        settings = self._network.settings
        node = rule.node or next(iter(settings.nodes))
        return settings.cni0(node) if endpoint.node == node else settings.flannel(node)


class _Arrival(asyncio.Protocol):
    """A connection that has just been accepted on a Service's address."""

    def __init__(self, proxy: KubeProxy, place: Place) -> None:
        self._proxy = proxy
        self._place = place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._proxy.connect(self._place, cast(asyncio.Transport, transport))
