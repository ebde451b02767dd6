"""What an installation applies: the study's values under the user's, rendered, with a webhook certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl.config.data import data_dir
from labctl.config.positions import parse, read_text
from labctl.ingress.check import check_values, check_values_file, values_of
from labctl.ingress.render import prepare, render, stamp_release
from labctl.ingress.strvals import assign
from labctl.ingress.values import Layer, Origins, Values, leaves, merge_values, note_origin, origins
from labctl.ingress.webhook import WebhookCertificate, make_webhook_certificate, webhook_hosts
from labctl.model.inventory import Ingress, Inventory
from labctl.objects.manifests import Obj

STUDY_VALUES = "ingress-nginx/values.yaml"
HOSTNAME_LABEL = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class ValueFlags:
    """`--values`, `--set` and `--set-string` of a command line."""

    files: Sequence[Path] = ()
    sets: Sequence[str] = ()
    strings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Effective:
    """The user's values as Helm would merge them, and where each came from."""

    values: Values
    origins: Origins
    layers: tuple[Layer, ...]

    def check(self, *, helm: bool) -> None:
        """Refuse what does not fit the chart, with its place.

        Args:
            helm: Helm renders the chart: everything that it has is allowed.

        Raises:
            ConfigError: In a file.
            UsageError: In a flag.
        """
        for layer in self.layers:
            if layer.document is not None:
                check_values_file(layer.document, layer.prefix, helm=helm)
        check_values(self.values, helm=helm)


def effective_values(inventory: Inventory, flags: ValueFlags | None = None, study: Layer | None = None) -> Effective:
    """The study's values, cluster.yaml's, `--values`, `--set` and `--set-string`, merged in this order.

    Args:
        inventory: The cluster.
        flags: The command line's.
        study: The lowest layer, for another controller than ingress-nginx, which cluster.yaml's values are for.

    Raises:
        UsageError: A file that is not there, or a flag that cannot be read.
        ConfigError: A file that is no YAML.
    """
    flags = flags or ValueFlags()
    below = (study,) if study else (Layer("the study", study_values(inventory)), _cluster_layer(inventory))
    return with_sets((*below, *(file_layer(path) for path in flags.files)), flags)


def with_sets(found: tuple[Layer, ...], flags: ValueFlags) -> Effective:
    """Layers merged, and the flags carried out on the result."""
    values = merge_values(*(layer.values for layer in found))
    places = origins(found)
    for flag, texts in (("--set", flags.sets), ("--set-string", flags.strings)):
        for text in texts:
            for path in assign(values, text, flag=flag):
                _note_assigned(places, values, path, f"{flag} {text}")
    return Effective(values, places, found)


def _note_assigned(places: Origins, values: Values, path: tuple[str, ...], place: str) -> None:
    value: Any = values
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not (isinstance(value, Mapping) and value):  # a mapping on the way: its parts are noted themselves
        note_origin(places, path, place)


def controller_objects(inventory: Inventory, now: datetime | None = None) -> list[Obj]:
    """What `labctl up` applies to install ingress-nginx on a cluster that has none; its namespace first.

    Args:
        inventory: Names, chart version and values; the controller runs on the first server.
        now: The time, for the webhook's certificate; None takes the present.

    Raises:
        UsageError: Values that labctl does not render.
    """
    effective = effective_values(inventory)
    effective.check(helm=False)
    return install_objects(effective.values, inventory.ingress, now or datetime.now(UTC))


def controller_node(inventory: Inventory) -> str | None:
    """The node that the study pins the controller to: the first server; None where the nodes are not known."""
    return inventory.servers[0].name if inventory.servers else None


def file_layer(path: Path) -> Layer:
    """The Helm values of a file.

    Raises:
        UsageError: There is no such file.
        ConfigError: It is no YAML, or its values are no mapping.
    """
    document = parse(read_text(path), str(path))
    return Layer(str(path), dict(values_of(document)), document)


def load_values(path: Path) -> Values:
    """The Helm values of a file, checked.

    Raises:
        UsageError: There is no such file.
        ConfigError: It is no YAML, or holds values that labctl does not render; with positions.
    """
    layer = file_layer(path)
    assert layer.document is not None
    check_values_file(layer.document)
    return dict(layer.values)


def study_values(inventory: Inventory) -> Values:
    """The study's values with its node replaced by the first server, or left to the scheduler where none is known."""
    values = dict(file_layer(data_dir("manifests") / STUDY_VALUES).values)
    server = controller_node(inventory)
    values["controller"]["nodeSelector"].pop(HOSTNAME_LABEL)
    return merge_values(values, {"controller": {"nodeSelector": {HOSTNAME_LABEL: server}}} if server else {})


def _cluster_layer(inventory: Inventory) -> Layer:
    values, source = inventory.ingress.values, inventory.source
    if source is None or not source.exists() or not any(True for _ in leaves(values)):
        return Layer("cluster.yaml", values)
    return Layer(source.name, values, parse(read_text(source), str(source)), ("ingress", "values"))


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
