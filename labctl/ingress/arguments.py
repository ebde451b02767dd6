"""The controller's command line, from the values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.ingress.release import Release, go_text


def arguments(release: Release) -> list[str]:
    """The container's `args`, in the chart's order."""
    return ["/nginx-ingress-controller", *_identity(release), *_sources(release), *_switches(release), *_extra(release)]


def _identity(release: Release) -> Iterator[str]:
    controller, values = release.controller, release.values
    if controller["enableAnnotationValidations"]:
        yield "--enable-annotation-validation=true"
    if values["defaultBackend"]["enabled"]:
        yield f"--default-backend-service=$(POD_NAMESPACE)/{release.default_backend_name}"
    service = controller["service"]
    if controller["publishService"]["enabled"] and service["enabled"] and service["external"]["enabled"]:
        path = controller["publishService"].get("pathOverride") or f"$(POD_NAMESPACE)/{release.controller_name}"
        yield f"--publish-service={path.removesuffix('-')}"
    yield f"--election-id={release.election_id}"
    yield f"--controller-class={controller['ingressClassResource']['controllerValue']}"
    if controller.get("ingressClass"):
        yield f"--ingress-class={controller['ingressClass']}"


def _sources(release: Release) -> Iterator[str]:
    controller, values = release.controller, release.values
    yield f"--configmap={_namespace(controller)}/{release.controller_name}"
    for protocol in ("tcp", "udp"):
        if values.get(protocol):
            yield f"--{protocol}-services-configmap={_namespace(controller[protocol])}/{release.fullname}-{protocol}"
    scope = controller["scope"]
    if scope["enabled"]:
        yield f"--watch-namespace={scope.get('namespace') or '$(POD_NAMESPACE)'}"
    elif scope.get("namespaceSelector"):
        yield f"--watch-namespace-selector={scope['namespaceSelector']}"


def _namespace(section: Any) -> str:
    return section.get("configMapNamespace") or "$(POD_NAMESPACE)"


def _switches(release: Release) -> Iterator[str]:
    controller = release.controller
    if controller["reportNodeInternalIp"] and controller["hostNetwork"]:
        yield "--report-node-internal-ip-address=true"
    webhooks = controller["admissionWebhooks"]
    if webhooks["enabled"]:
        yield f"--validating-webhook=:{webhooks['port']}"
        yield f"--validating-webhook-certificate={webhooks['certificate']}"
        yield f"--validating-webhook-key={webhooks['key']}"
    if controller.get("healthCheckHost"):
        yield f"--healthz-host={controller['healthCheckHost']}"
    if controller["healthCheckPath"] != "/healthz":
        yield f"--health-check-path={controller['healthCheckPath']}"
    yield from _flags(release)


def _flags(release: Release) -> Iterator[str]:
    controller = release.controller
    if controller["ingressClassByName"]:
        yield "--ingress-class-by-name=true"
    if controller["watchIngressWithoutClass"]:
        yield "--watch-ingress-without-class=true"
    if not controller["metrics"]["enabled"]:
        yield "--enable-metrics=false"
    if controller["enableTopologyAwareRouting"]:
        yield "--enable-topology-aware-routing=true"
    if controller["disableLeaderElection"]:
        yield "--disable-leader-election=true"
    if controller.get("electionTTL"):
        yield f"--election-ttl={controller['electionTTL']}"


def _extra(release: Release) -> Iterator[str]:
    for key, value in sorted((release.controller.get("extraArgs") or {}).items()):
        yield f"--{key}" if value in ("", None) else f"--{key}={go_text(value)}"
