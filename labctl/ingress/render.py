"""The objects of an ingress-nginx release without Helm: the same that the chart renders from the same values.

The one difference: the webhook's certificate comes from labctl instead of from Jobs, so there are no hook objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.config.decode import did_you_mean
from labctl.errors import UsageError
from labctl.ingress.chart import VERSIONS, defaults
from labctl.ingress.check import USE_HELM, check_values
from labctl.ingress.default_backend import default_backend
from labctl.ingress.rbac import access, service_account
from labctl.ingress.release import Release
from labctl.ingress.services import services
from labctl.ingress.values import coalesce
from labctl.ingress.webhook import WebhookCertificate, webhook
from labctl.ingress.workload import autoscaler, disruption_budget, workload
from labctl.objects.manifests import Obj


def render(
    values: Mapping[str, Any],
    release: str,
    namespace: str,
    chart_version: str,
    certificate: WebhookCertificate | None = None,
) -> list[Obj]:
    """The objects of a release, in an order in which they can be applied (the namespace is not among them).

    Args:
        values: Helm values; the chart's defaults are filled in.
        release: Helm's release name.
        namespace: The namespace it is installed into.
        chart_version: Version of the chart.
        certificate: What the admission webhook serves with; None leaves its Secret and the `caBundle` out.

    Raises:
        UsageError: A value that labctl does not render or of a wrong type, or a chart version it does not know.
    """
    found = prepare(values, release, namespace, chart_version)
    return [*_objects(found, certificate)]


def prepare(values: Mapping[str, Any], release: str, namespace: str, chart_version: str) -> Release:
    """A release with all its values: for the names of its objects before they are rendered.

    Raises:
        UsageError: As `render`.
    """
    if chart_version not in VERSIONS:
        near = did_you_mean(chart_version, VERSIONS)
        known = ", ".join(VERSIONS)
        raise UsageError(
            f"labctl renders the ingress-nginx chart in the versions {known}, not {chart_version}",
            hint=f"take {near or '4.11.2'}, or {USE_HELM}",
        )
    check_values(values)
    found = Release(coalesce(values, defaults(VERSIONS[chart_version])), release, namespace, chart_version)
    if found.values["rbac"]["scope"] and not found.controller["scope"]["enabled"]:
        raise UsageError(
            "rbac.scope needs controller.scope.enabled",
            hint="set both to true, so that the controller watches one namespace",
        )
    return found


def _objects(release: Release, certificate: WebhookCertificate | None) -> Iterator[Obj]:
    yield from service_account(release)
    yield from config_maps(release)
    yield from access(release)
    yield from services(release)
    yield from default_backend(release)
    yield from network_policy(release)
    yield workload(release)
    yield from autoscaler(release)
    yield from disruption_budget(release)
    yield from ingress_classes(release)
    yield from webhook(release, certificate)


def config_maps(release: Release) -> Iterator[Obj]:
    """The controller's configuration, the headers it adds, and its TCP and UDP services."""
    controller = release.controller
    data: dict[str, Any] = {"allow-snippet-annotations": controller["allowSnippetAnnotations"]}
    for key, setting, suffix in (
        ("addHeaders", "add-headers", "custom-add-headers"),
        ("proxySetHeaders", "proxy-set-headers", "custom-proxy-headers"),
    ):
        if controller.get(key):
            yield release.config_map(f"{release.fullname}-{suffix}", controller[key])
            data[setting] = f"{release.namespace}/{release.fullname}-{suffix}"
    for protocol in ("tcp", "udp"):
        if release.values.get(protocol):
            annotations = controller[protocol].get("annotations")
            yield release.config_map(f"{release.fullname}-{protocol}", release.values[protocol], annotations)
    data |= controller.get("config") or {}
    yield release.config_map(release.controller_name, data, controller.get("configAnnotations"))


def ingress_classes(release: Release) -> Iterator[Obj]:
    """The IngressClass and its aliases."""
    controller = release.controller
    resource = controller["ingressClassResource"]
    if not resource["enabled"]:
        return
    annotations = dict(resource.get("annotations") or {})
    default = {"ingressclass.kubernetes.io/is-default-class": "true"} if resource["default"] else {}
    spec: Obj = {"controller": resource["controllerValue"]}
    if resource.get("parameters"):
        spec["parameters"] = resource["parameters"]
    for name in (resource["name"], *(resource.get("aliases") or [])):
        marked = {**default, **annotations} if name == resource["name"] else annotations
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": release.metadata(name, labels=controller.get("labels"), annotations=marked, cluster_wide=True),
            "spec": spec,
        }


def network_policy(release: Release) -> Iterator[Obj]:
    """The NetworkPolicy that lets only the controller's own ports through, where it is asked for."""
    controller = release.controller
    if not controller["networkPolicy"]["enabled"]:
        return
    ports: list[Obj] = [{"protocol": "TCP", "port": port} for _, port in sorted(controller["containerPort"].items())]
    extra = [controller[section] for section in ("metrics", "admissionWebhooks")]
    ports += [{"protocol": "TCP", "port": section["port"]} for section in extra if section["enabled"]]
    for protocol in ("tcp", "udp"):
        ports += [
            {"protocol": protocol.upper(), "port": int(port)} for port in sorted(release.values.get(protocol) or {})
        ]
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": release.metadata(release.controller_name, labels=controller.get("labels")),
        "spec": {
            "podSelector": {"matchLabels": release.selector("controller")},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": ports}],
            "egress": [{}],
        },
    }


def stamp_release(objects: list[Obj], release: str, namespace: str) -> list[Obj]:
    """The objects as Helm leaves them: with the annotations that let a later `helm install` adopt them."""
    owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    stamped = []
    for obj in objects:
        metadata = obj["metadata"]
        annotations = {**(metadata.get("annotations") or {}), **owner}
        stamped.append({**obj, "metadata": {**metadata, "annotations": annotations}})
    return stamped
