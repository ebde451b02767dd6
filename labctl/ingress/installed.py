"""What of an ingress controller is on a cluster: Helm's release, labctl's own, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from labctl.ingress.helm import DESCRIPTION
from labctl.ingress.helm_release import HelmRelease, decode, selector
from labctl.ingress.record import read_record, record_name
from labctl.kube.client import KubeApi
from labctl.objects.manifests import Obj


class Via(StrEnum):
    """How the controller's objects get onto the cluster."""

    AUTO = "auto"
    HELM = "helm"
    MANIFESTS = "manifests"


@dataclass(frozen=True, slots=True)
class Installed:
    """An installation that is there.

    Attributes:
        via: Who keeps its record; AUTO for objects without one, which neither Helm nor labctl installed.
        chart_version: Version of the chart; empty when not known.
        app_version: Version of the controller.
        values: The user's values.
        objects: What was installed.
        status: Helm's word for its state; labctl's are `deployed` and `interrupted`.
        by_labctl: Whether labctl made the newest revision.
        updated: When it was last changed.
        history: Helm's revisions, the newest first.
    """

    via: Via
    chart_version: str = ""
    app_version: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    objects: Sequence[Obj] = ()
    status: str = "deployed"
    by_labctl: bool = True
    updated: datetime | None = None
    history: tuple[HelmRelease, ...] = ()

    @property
    def last_deployed(self) -> HelmRelease | None:
        """The revision to go back to: the newest that was wholly installed."""
        return next((release for release in self.history if release.status in ("deployed", "superseded")), None)


def find_installed(api: KubeApi, release: str, namespace: str, labels: str) -> Installed | None:
    """What is installed under a release's name, or None.

    Args:
        api: The cluster's API.
        release: The release's name.
        namespace: Its namespace.
        labels: Selector of the controller's workloads.

    Raises:
        ClusterError: The cluster does not answer, or a record cannot be read.
    """
    history = decode(api.list("v1", "Secret", namespace, selector=selector(release)))
    history = tuple(found for found in history if found.status != "uninstalled")
    if history:
        return _by_helm(history, [placed(api, obj, namespace) for obj in history[0].objects])
    secret = api.get("v1", "Secret", namespace, record_name(release))
    if secret is not None:
        record = read_record(secret)
        return Installed(
            Via.MANIFESTS,
            chart_version=record.chart_version,
            app_version=_app_version(record.objects),
            values=record.values,
            objects=record.objects,
            status="deployed" if record.complete else "interrupted",
            updated=record.updated,
        )
    found = workloads(api, namespace, labels)
    return Installed(Via.AUTO, app_version=_app_version(found), by_labctl=False) if found else None


def _by_helm(history: tuple[HelmRelease, ...], objects: list[Obj]) -> Installed:
    newest = history[0]
    return Installed(
        Via.HELM,
        chart_version=newest.chart_version,
        app_version=newest.app_version,
        values=newest.values,
        objects=objects,
        status=newest.status,
        by_labctl=newest.description.startswith(DESCRIPTION),
        updated=newest.updated,
        history=history,
    )


def placed(api: KubeApi, obj: Obj, namespace: str) -> Obj:
    """An object of a chart with the namespace that Helm puts it into, where the chart leaves that open."""
    if obj["metadata"].get("namespace") or not api.resource(obj["apiVersion"], obj["kind"]).namespaced:
        return obj
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def workloads(api: KubeApi, namespace: str, labels: str) -> list[Obj]:
    """The Deployments and DaemonSets with these labels."""
    return [
        obj for kind in ("Deployment", "DaemonSet") for obj in api.list("apps/v1", kind, namespace, selector=labels)
    ]


def _app_version(objects: Sequence[Obj]) -> str:
    for obj in objects:
        version = (obj["metadata"].get("labels") or {}).get("app.kubernetes.io/version")
        if version:
            return str(version)
    return ""
