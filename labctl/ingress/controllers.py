"""The ingress controllers that labctl installs: where their charts are, the study's values for them, what they lack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from labctl.ingress.install import HOSTNAME_LABEL, study_values
from labctl.ingress.values import Layer, merge_values
from labctl.ingress.versions import RETIRED
from labctl.model.inventory import Inventory
from labctl.objects.manifests import Obj

PREFIX = "nginx.ingress.kubernetes.io/"


class ControllerName(StrEnum):
    """What `--controller` takes."""

    NGINX = "ingress-nginx"
    TRAEFIK = "traefik"


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller that serves Ingresses with ingress-nginx's annotations.

    Attributes:
        name: Its name, which is its chart's too.
        repository: The chart's repository.
        study: The study's values for it; None for ingress-nginx's own.
        notice: What must be known before it is installed; empty for nothing.
        lacks: Annotations of ingress-nginx that it does not support, without their prefix.
        default_version: Version of its chart; empty takes cluster.yaml's.
        selector: Labels of its workloads and pods beside the release's own.
    """

    name: ControllerName
    repository: str
    study: Callable[[Inventory], Layer] | None = None
    notice: str = ""
    lacks: frozenset[str] = frozenset()
    default_version: str = ""
    selector: str = ""

    def release(self, inventory: Inventory) -> str:
        """Name of its Helm release."""
        return inventory.ingress.release if self.name is ControllerName.NGINX else self.name.value

    def version(self, inventory: Inventory) -> str:
        """Version of its chart unless another is asked for."""
        return self.default_version or inventory.ingress.chart_version

    def workload_selector(self, inventory: Inventory) -> str:
        """Labels of its workloads, Services and pods."""
        if self.name is ControllerName.NGINX:
            return f"app.kubernetes.io/instance={self.release(inventory)},{self.selector}"
        return self.selector


def unsupported(controller: Controller, ingresses: list[Obj]) -> dict[str, list[str]]:
    """Annotations of Ingresses that a controller does not support, by `namespace/name`."""
    found: dict[str, list[str]] = {}
    for obj in ingresses:
        metadata = obj["metadata"]
        names = [key.removeprefix(PREFIX) for key in metadata.get("annotations") or {} if key.startswith(PREFIX)]
        lacking = sorted(set(names) & controller.lacks)
        if lacking:
            found[f"{metadata.get('namespace', '')}/{metadata['name']}"] = lacking
    return found


def _ingress_class(name: str) -> Obj:
    """The class whose Ingresses are served; the provider looks for ingress-nginx's controller name in it."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }


def _traefik_values(inventory: Inventory) -> Layer:
    """The study's ports and node for Traefik, and its provider for Ingresses of ingress-nginx alone.

    Source: Traefik's documentation, "Kubernetes Ingress NGINX provider", and its chart's values.
    """
    study = study_values(inventory)["controller"]
    node_ports = study["service"]["nodePorts"]
    values: dict[str, Any] = {
        "providers": {
            "kubernetesCRD": {"enabled": False},
            "kubernetesIngress": {"enabled": False},
            "kubernetesIngressNGINX": {"enabled": True, "ingressClass": inventory.ingress.ingress_class},
        },
        "ingressClass": {"enabled": False},
        "extraObjects": [_ingress_class(inventory.ingress.ingress_class)],
        "service": {
            "spec": {
                "type": study["service"]["type"],
                "externalTrafficPolicy": study["service"]["externalTrafficPolicy"],
            }
        },
        "ports": {"web": {"nodePort": node_ports["http"]}, "websecure": {"nodePort": node_ports["https"]}},
    }
    pinned = (study.get("nodeSelector") or {}).get(HOSTNAME_LABEL)
    return Layer("the study", merge_values(values, {"nodeSelector": {HOSTNAME_LABEL: pinned}} if pinned else {}))


_TRAEFIK_LACKS = """
auth-cache-duration auth-cache-key auth-keepalive auth-keepalive-requests auth-keepalive-share-vars
auth-keepalive-timeout auth-proxy-set-headers auth-tls-error-page auth-tls-match-cn connection-proxy-header
denylist-source-range disable-proxy-intercept-errors enable-modsecurity enable-opentelemetry
enable-opentracing enable-owasp-core-rules enable-rewrite-log global-rate-limit
global-rate-limit-ignored-cidrs global-rate-limit-key global-rate-limit-window limit-rate limit-rate-after
limit-whitelist mirror-host mirror-request-body mirror-target modsecurity-snippet modsecurity-transaction-id
opentelemetry-trust-incoming-span opentracing-trust-incoming-span preserve-trailing-slash proxy-cookie-domain
proxy-cookie-path proxy-redirect-from proxy-redirect-to proxy-ssl-ciphers proxy-ssl-protocols
proxy-ssl-verify-depth satisfy session-cookie-change-on-failure session-cookie-conditional-samesite-none
ssl-ciphers ssl-prefer-server-ciphers stream-snippet
"""
"""As its documentation lists them for v3.7, which the chart version below installs."""

CONTROLLERS: Mapping[ControllerName, Controller] = {
    ControllerName.NGINX: Controller(
        name=ControllerName.NGINX,
        repository="https://kubernetes.github.io/ingress-nginx",
        notice=RETIRED,
        selector="app.kubernetes.io/component=controller",
    ),
    ControllerName.TRAEFIK: Controller(
        name=ControllerName.TRAEFIK,
        repository="https://traefik.github.io/charts",
        study=_traefik_values,
        lacks=frozenset(_TRAEFIK_LACKS.split()),
        default_version="41.3.0",
        selector="app.kubernetes.io/name=traefik",
    ),
}
"""By name."""
