"""`/healthz`, `/livez` and `/readyz`."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.embedded.api.call import Call
from labctl.embedded.api.responses import respond_text
from labctl.embedded.http.messages import Response

_CHECKS: Mapping[str, tuple[str, ...]] = {
    "healthz": ("ping", "log", "etcd"),
    "livez": ("ping", "log", "etcd"),
    "readyz": ("ping", "log", "etcd", "informer-sync"),
}
_HOOKS = (
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/aggregator-reload-proxy-client-cert",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
)
_LAST = {
    "healthz": ("autoregister-completion",),
    "livez": ("autoregister-completion",),
    "readyz": ("autoregister-completion", "shutdown"),
}
_OPENAPI = ("poststarthook/apiservice-openapi-controller", "poststarthook/apiservice-openapiv3-controller")


def checks(endpoint: str) -> list[str]:
    """The names of an endpoint's checks, in the order they are run."""
    last = [*_LAST[endpoint][:1], *_OPENAPI, *_LAST[endpoint][1:]]
    return [*_CHECKS[endpoint], *_HOOKS, *last]


def paths() -> list[str]:
    """The paths that `/` lists for them."""
    return [f"/{endpoint}{tail}" for endpoint in _CHECKS for tail in ("", *(f"/{name}" for name in checks(endpoint)))]


def answer(call: Call, endpoint: str, check: str) -> Response | None:
    """The answer of an endpoint or one of its checks; None when there is no such check.

    Everything that is checked is in this one process: it is well as long as it answers.
    """
    known = checks(endpoint)
    if check:
        return respond_text("ok") if check in known else None
    excluded = set(call.info.query.get("exclude", ()))
    if "verbose" not in call.info.query:
        return respond_text("ok")
    lines = [f"[+]{name} {'excluded: ok' if name in excluded else 'ok'}" for name in known]
    return respond_text("\n".join([*lines, f"{endpoint} check passed", ""]))
