"""An Ingress reduced to what routing needs, in ingress-nginx's order of precedence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.annotations.values import IngressAnnotations
from labctl.embedded.ingress.model import DEFAULT_SERVER, ROOT, IngressRef


@dataclass(frozen=True, slots=True)
class RulePath:
    """A path of a rule, or the default backend of an Ingress.

    Attributes:
        path: As the Ingress has it; `/` when it has none.
        path_type: `Exact` or `Prefix`: ImplementationSpecific means Prefix.
        backend: Name of the backend, `namespace-service-port`.
        service: `namespace/name` of the Service.
        port: Port number or name, as text.
        routed: Whether it names a Service at all, not a resource.
    """

    path: str
    path_type: str
    backend: str
    service: str
    port: str
    routed: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of an Ingress; `host` is `_` when it has none, `has_http` whether it has paths at all."""

    host: str
    has_http: bool
    paths: tuple[RulePath, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ParsedIngress:
    """An Ingress that the controller has taken.

    Attributes:
        created: `creationTimestamp`, which has a resolution of one second.
        tls: For each entry its hosts and the name of its Secret.
    """

    ref: IngressRef
    uid: str
    created: str
    annotations: IngressAnnotations
    rules: tuple[Rule, ...]
    tls: tuple[tuple[tuple[str, ...], str], ...]
    default_backend: RulePath | None

    def all_paths(self) -> Iterable[RulePath]:
        """Its default backend and the paths of all its rules, those that name a Service."""
        if self.default_backend is not None:
            yield self.default_backend
        for rule in self.rules:
            for path in rule.paths:
                if path.routed:
                    yield path


def in_order(ingresses: Iterable[ParsedIngress]) -> list[ParsedIngress]:
    """Oldest first; those of the same second by `namespace/name` backwards, which is what ingress-nginx does."""
    by_name = sorted(ingresses, key=lambda ingress: f"{ingress.ref.namespace}/{ingress.ref.name}", reverse=True)
    return sorted(by_name, key=lambda ingress: ingress.created)


def parse_ingress(ingress: Obj, annotations: IngressAnnotations) -> ParsedIngress:
    """Reduce an Ingress and what its annotations say."""
    metadata, spec = ingress["metadata"], ingress.get("spec") or {}
    namespace: str = metadata.get("namespace", "")
    default = spec.get("defaultBackend")
    return ParsedIngress(
        ref=IngressRef(namespace, metadata["name"]),
        uid=metadata.get("uid", ""),
        created=metadata.get("creationTimestamp") or "",
        annotations=annotations,
        rules=tuple(_rule(namespace, rule) for rule in spec.get("rules") or ()),
        tls=tuple((tuple(tls.get("hosts") or ()), tls.get("secretName", "")) for tls in spec.get("tls") or ()),
        default_backend=_path(namespace, {"backend": default}) if default and default.get("service") else None,
    )


def _rule(namespace: str, rule: dict[str, Any]) -> Rule:
    http = rule.get("http")
    paths = tuple(_path(namespace, path) for path in (http or {}).get("paths") or ())
    return Rule(rule.get("host") or DEFAULT_SERVER, http is not None, paths)


def _path(namespace: str, path: dict[str, Any]) -> RulePath:
    service = path["backend"].get("service")
    path_type = "Exact" if path.get("pathType") == "Exact" else "Prefix"
    text = path.get("path") or ROOT
    if not service:
        return RulePath(text, path_type, "", "", "", routed=False)
    port = service.get("port") or {}
    shown = str(port["number"]) if port.get("number") else port.get("name", "")
    name = f"{namespace}-{service['name']}-{shown}" if shown else f"{namespace}-INVALID"
    return RulePath(text, path_type, name, f"{namespace}/{service['name'] if shown else ''}", shown)
