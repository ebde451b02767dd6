"""What an installation applies: the study's values under the user's, rendered, with a webhook certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.config.data import data_dir
from labctl.config.positions import parse, read_text
from labctl.ingress.check import check_values_file
from labctl.ingress.render import prepare, render, stamp_release
from labctl.ingress.values import Layer, Values, merge_values, parse_set
from labctl.ingress.webhook import WebhookCertificate, make_webhook_certificate, webhook_hosts
from labctl.model.inventory import Ingress, Inventory
from labctl.objects.manifests import Obj

STUDY_VALUES = "ingress-nginx/values.yaml"
HOSTNAME_LABEL = "kubernetes.io/hostname"


def controller_objects(inventory: Inventory, now: datetime | None = None) -> list[Obj]:
    """What `labctl up` applies to install ingress-nginx on a cluster that has none; its namespace first.

    Args:
        inventory: Names, chart version and values; the controller runs on the first server.
        now: The time, for the webhook's certificate; None takes the present.

    Raises:
        UsageError: Values that labctl does not render.
    """
    found = layers(load_values(data_dir("manifests") / STUDY_VALUES), inventory.ingress, controller_node(inventory))
    values = merge_values(*(layer.values for layer in found))
    return install_objects(values, inventory.ingress, now or datetime.now(UTC))


def controller_node(inventory: Inventory) -> str | None:
    """The node that the study pins the controller to: the first server; None where the nodes are not known."""
    return inventory.servers[0].name if inventory.servers else None


def load_values(path: Path) -> Values:
    """The Helm values of a file, checked.

    Raises:
        UsageError: There is no such file.
        ConfigError: It is no YAML, or holds values that labctl does not render; with positions.
    """
    document = parse(read_text(path), str(path))
    check_values_file(document)
    return dict(document.data or {})


def study_layer(values: Mapping[str, Any], server: str | None) -> Layer:
    """The study's values with its node replaced.

    Args:
        values: What `manifests/ingress-nginx/values.yaml` holds.
        server: The node that is to run the controller; None leaves the choice to the scheduler.
    """
    selector = {HOSTNAME_LABEL: server} if server else {HOSTNAME_LABEL: None}
    return Layer("the study", merge_values(values, {"controller": {"nodeSelector": selector}}))


def layers(
    study: Mapping[str, Any], ingress: Ingress, server: str | None, files: Sequence[Path] = (), sets: Sequence[str] = ()
) -> tuple[Layer, ...]:
    """Every layer of values, from the lowest: the study, cluster.yaml, `--values`, `--set`."""
    return (
        study_layer(study, server),
        Layer("cluster.yaml", ingress.values),
        *(Layer(str(path), load_values(path)) for path in files),
        *(Layer(f"--set {text}", parse_set(text)) for text in sets),
    )


def install_objects(
    values: Mapping[str, Any], ingress: Ingress, now: datetime, certificate: WebhookCertificate | None = None
) -> list[Obj]:
    """Everything an installation applies, its namespace first.

    Args:
        values: The merged Helm values.
        ingress: Names and chart version.
        now: The time, for a new certificate.
        certificate: The webhook certificate that is installed already; None makes a new one.

    Raises:
        UsageError: As `render`.
    """
    release = prepare(values, ingress.release, ingress.namespace, ingress.chart_version)
    if certificate is None and release.controller["admissionWebhooks"]["enabled"]:
        certificate = make_webhook_certificate(webhook_hosts(release.controller_name, release.namespace), now)
    objects = render(values, ingress.release, ingress.namespace, ingress.chart_version, certificate)
    namespace: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": release.namespace}}
    return [namespace, *stamp_release(objects, ingress.release, ingress.namespace)]
