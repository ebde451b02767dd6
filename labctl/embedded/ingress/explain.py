"""What would happen to a request, and why: the routing table asked without sending anything.

Pure: from Kubernetes objects to words. It works as well on the objects of any other cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from labctl.embedded.clientset import Change, Obj
from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow
from labctl.embedded.http.parser import Refusal
from labctl.embedded.ingress.compiler.compiler import Compiler
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.controller.store import ObjectStore
from labctl.embedded.ingress.log import LogLine
from labctl.embedded.ingress.model import DEFAULT_BACKEND, Backend, Certificate, Configuration, Endpoint, Server
from labctl.embedded.ingress.proxy import phases
from labctl.embedded.ingress.proxy.answers import Answer
from labctl.embedded.ingress.proxy.canary import decide
from labctl.embedded.ingress.proxy.exchange import Exchange
from labctl.embedded.ingress.proxy.head import Head, HeadRules, parse_head
from labctl.embedded.ingress.proxy.plane import DataPlane, Generation
from labctl.embedded.ingress.proxy.tls import TlsSession
from labctl.model.routing import Explanation, Loser, Route

_NOBODY = Certificate("", b"", "Kubernetes Ingress Controller Fake Certificate", ("ingress.local",), "0")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A routing table made of objects.

    Attributes:
        configuration: The table.
        warnings: By Ingress (`namespace/name`), what of it has no effect here.
        log: What the controller would have logged.
    """

    configuration: Configuration
    warnings: Mapping[str, tuple[str, ...]]
    log: tuple[LogLine, ...]


_RULES = HeadRules()


class _Objects:
    """A list of objects as a Clientset that only reads."""

    def __init__(self, objects: Iterable[tuple[str, Obj]]) -> None:
        self._objects: dict[str, list[Obj]] = {}
        for resource, obj in objects:
            self._objects.setdefault(resource, []).append(obj)

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        wanted = (namespace, name)
        return next((obj for obj in self.list(resource) if _identity(obj) == wanted), None)

    def list(self, resource: str, namespace: str = "") -> list[Obj]:
        return [obj for obj in self._objects.get(resource, ()) if not namespace or _identity(obj)[0] == namespace]

    def create(self, resource: str, obj: Obj) -> Obj:
        raise NotImplementedError(resource)

    def update(self, resource: str, obj: Obj, *, subresource: str = "") -> Obj:
        raise NotImplementedError(resource)

    def delete(self, resource: str, namespace: str, name: str, options: object = None) -> Obj:
        raise NotImplementedError(resource)

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        raise NotImplementedError


class _NoPods:
    """Nothing is dialled here."""

    def add_pod(self, uid: str, node: str, *, host_network: bool = False, wanted: str = "") -> str:
        raise NotImplementedError

    def listen(self, uid: str, port: int, server: PodPort) -> None:
        raise NotImplementedError

    def close(self, uid: str, port: int) -> None:
        raise NotImplementedError

    def remove_pod(self, uid: str) -> None:
        raise NotImplementedError

    def port_at(self, ip: str, port: int) -> PodPort | None:
        raise NotImplementedError

    def is_pod(self, ip: str) -> bool:
        raise NotImplementedError


def snapshot(objects: Iterable[tuple[str, Obj]], flags: Flags = Flags()) -> Snapshot:  # noqa: B008 - frozen
    """Compile objects.

    Args:
        objects: Each with its resource (`services`, `ingresses.networking.k8s.io`, …).
        flags: The controller's flags.
    """
    log: list[LogLine] = []
    store = ObjectStore(flags, _NOBODY, log=log.append, notify=lambda *_: None, changed=lambda: None)
    store.load(_Objects(objects))
    configuration = Compiler(flags.default_backend_service).compile(store.ingresses, store, store.take_changes(), log)
    return Snapshot(configuration, store.warnings, tuple(log))


def routes(configuration: Configuration) -> list[Route]:
    """The whole routing table, server by server in nginx's order."""
    return [route for server in configuration.servers.values() for route in _routes(server, configuration)]


def _routes(server: Server, configuration: Configuration) -> Iterable[Route]:
    regex = any(
        location.annotations.rewrite.use_regex or location.annotations.rewrite.target not in {"", location.path}
        for location in server.locations
    )
    for location in server.locations:
        backend = configuration.backends.get(location.backend, Backend(location.backend))
        yield Route(
            host=server.hostname,
            path=location.path,
            match="regex" if regex else location.path_type.lower(),
            backend=location.backend,
            ingress=str(location.ingress or ""),
            canaries=tuple(_rules(configuration.backends[name]) for name in backend.alternatives[:1]),
            endpoints=len(backend.endpoints),
            tls=server.certificate.name if server.certificate is not None else "",
        )


def _rules(canary: Backend) -> str:
    shaping = canary.shaping
    rules = []
    if shaping.header:
        value = shaping.header_value or shaping.header_pattern or "always"
        rules.append(f"header {shaping.header}: {value}")
    if shaping.cookie:
        rules.append(f"cookie {shaping.cookie}")
    if shaping.weight:
        rules.append(f"weight {shaping.weight} of {max(100, shaping.weight_total)}")
    return f"{canary.name} ({', '.join(rules) or 'never'})"


def explain(
    configuration: Configuration, url: str, *, method: str = "GET", headers: Sequence[tuple[str, str]] = ()
) -> Explanation:
    """Follow one request.

    Args:
        configuration: The routing table.
        url: For example `http://gyull.com/guest?x=1`; its host is the Host header unless `headers` have one.
        method: Its method.
        headers: Its headers.

    Raises:
        ValueError: nginx would not take such a request at all; the message says why.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    head = _head(method, parts.path or "/", parts.query, parts.netloc, headers)
    plane = DataPlane(configuration, _NoPods(), seed=0)
    generation = plane.generation
    port = 443 if secure else 80
    flow = Flow(("127.0.0.1", 40000), ("127.0.0.1", port))
    tls = TlsSession.assumed(parts.hostname or "") if secure else None
    exchange = Exchange(head, generation.pick_worker(), flow, port, tls)
    found = generation.hosts.find(head.host)
    answer = phases.run(exchange, generation)
    name = found.redirect.hostname if found.redirect is not None else found.server.hostname if found.server else ""
    return _told(exchange, generation, answer, Explanation(name, found.reason))


def _head(method: str, path: str, query: str, host: str, headers: Sequence[tuple[str, str]]) -> Head:
    target = f"{path}?{query}" if query else path
    lines = [f"{method} {target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    head = parse_head("\r\n".join([*lines, "", ""]), _RULES)
    if isinstance(head, Refusal):
        raise ValueError(f"nginx answers {head.status}: {head.reason}")
    return head


def _told(exchange: Exchange, generation: Generation, answer: Answer | None, begun: Explanation) -> Explanation:
    told = begun
    plan = exchange.plan
    if plan is not None and exchange.server is not None:
        location, server = plan.location, exchange.server
        found = server.table.find(exchange.uri)
        told = replace(
            told,
            location=location.path,
            location_reason=found.reason if found is not None else "",
            ingress=str(location.ingress or ""),
            losers=tuple(Loser(str(lost.ingress), lost.path, lost.backend, lost.reason) for lost in server.server.lost),
            backend=location.backend,
        )
    if answer is not None:
        target = answer.location or next((value for name, value in answer.headers if name == "Location"), "")
        return replace(told, status=answer.status, redirect=target)
    return _balanced(exchange, generation, told)


def _balanced(exchange: Exchange, generation: Generation, told: Explanation) -> Explanation:
    backends = generation.configuration.backends
    backend = backends.get(exchange.upstream_name, Backend(exchange.upstream_name))
    reason = ""
    if backend.alternatives and backend.alternatives[0] in backends:
        canary = backends[backend.alternatives[0]]
        _, reason = decide(canary.shaping, exchange, exchange.worker.random)
        weight, total = canary.shaping.weight, max(100, canary.shaping.weight_total)
        if reason.startswith("weight") and 0 < weight < total:
            exchange.alternative = ""
            reason = f"{canary.name} by chance, {reason}"
    chosen = backends.get(exchange.alternative, backend)
    algorithm = chosen.hash_by.by and f"hash of {chosen.hash_by.by}"
    if chosen.affinity.type == "cookie":
        algorithm = f"cookie {chosen.affinity.cookie.name}"
    return replace(
        told,
        canary=exchange.alternative,
        canary_reason=reason,
        balancer=algorithm or chosen.load_balance or "round_robin",
        path_to_pod=exchange.uri + (f"?{exchange.args}" if exchange.args else ""),
        next_pods=() if chosen.name == DEFAULT_BACKEND else tuple(_pod(entry) for entry in chosen.endpoints),
    )


def _pod(endpoint: Endpoint) -> str:
    return f"{endpoint.pod} ({endpoint.peer})" if endpoint.pod else endpoint.peer


def _identity(obj: Obj) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
