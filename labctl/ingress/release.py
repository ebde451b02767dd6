"""One release of the chart as a value: its settings, and the names and labels that all its objects share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.ingress.chart import CHART, VERSIONS, Version
from labctl.objects.manifests import Obj


@dataclass(frozen=True, slots=True)
class Release:
    """A release that is to be rendered.

    Attributes:
        values: All values, the chart's defaults included.
        name: Helm's release name.
        release_namespace: The namespace it is installed into.
        chart_version: Version of the chart, a key of `VERSIONS`.
    """

    values: Mapping[str, Any]
    name: str
    release_namespace: str
    chart_version: str

    @property
    def controller(self) -> Mapping[str, Any]:
        """The `controller` values."""
        section: Mapping[str, Any] = self.values["controller"]
        return section

    @property
    def version(self) -> Version:
        """The controller that the chart version installs."""
        return VERSIONS[self.chart_version]

    @property
    def chart_name(self) -> str:
        """The chart's name or its override."""
        return short(self.values.get("nameOverride") or CHART)

    @property
    def fullname(self) -> str:
        """The release's name, with the chart's unless it holds that already."""
        override = self.values.get("fullnameOverride")
        if override:
            return short(override)
        name = self.values.get("nameOverride") or CHART
        return short(self.name if name in self.name else f"{self.name}-{name}")

    @property
    def controller_name(self) -> str:
        """Name of the controller's workload, Service and ConfigMap."""
        return short(f"{self.fullname}-{self.controller['name']}")

    @property
    def webhook_name(self) -> str:
        """Name of the webhook configuration and of the Secret with its certificate."""
        return short(f"{self.fullname}-{self.controller['admissionWebhooks']['name']}")

    @property
    def default_backend_name(self) -> str:
        """Name of the default backend's objects."""
        return short(f"{self.fullname}-{self.values['defaultBackend']['name']}")

    @property
    def namespace(self) -> str:
        """The namespace of its objects."""
        return short(self.values.get("namespaceOverride") or self.release_namespace)

    @property
    def service_account(self) -> str:
        """Name of the controller's ServiceAccount."""
        account = self.values["serviceAccount"]
        return str(account.get("name") or (self.fullname if account["create"] else "default"))

    @property
    def election_id(self) -> str:
        """Name of the Lease that the leader holds."""
        return str(self.controller.get("electionID") or f"{self.fullname}-leader")

    def selector(self, component: str) -> dict[str, str]:
        """The labels that select the pods of a component."""
        return {
            "app.kubernetes.io/name": self.chart_name,
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": component,
        }

    def labels(self, component: str = "", *extra: Mapping[str, str] | None) -> dict[str, str]:
        """The labels of an object of a component; `extra` are laid over them."""
        labels = {
            "helm.sh/chart": short(f"{CHART}-{self.chart_version}".replace("+", "_")),
            "app.kubernetes.io/name": self.chart_name,
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/version": self.version.controller,
            "app.kubernetes.io/part-of": self.chart_name,
            "app.kubernetes.io/managed-by": "Helm",
            **(self.values.get("commonLabels") or {}),
        }
        if component:
            labels["app.kubernetes.io/component"] = component
        for more in extra:
            labels |= more or {}
        return labels

    def metadata(
        self,
        name: str,
        component: str = "controller",
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        cluster_wide: bool = False,
    ) -> Obj:
        """An object's metadata; `labels` are laid over the component's."""
        metadata: Obj = {"name": name, "labels": self.labels(component, labels)}
        if not cluster_wide:
            metadata["namespace"] = self.namespace
        if annotations:
            metadata["annotations"] = dict(annotations)
        return metadata

    def config_map(self, name: str, data: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> Obj:
        """A ConfigMap of the controller; values become text."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(name, labels=self.controller.get("labels"), annotations=annotations),
            "data": {key: go_text(value) for key, value in data.items()},
        }


def short(name: str) -> str:
    """A name cut to the 63 characters that DNS labels may have."""
    return name[:63].removesuffix("-")


def go_text(value: Any) -> str:
    """A value as Go's templates print it."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def given(**fields: Any) -> Obj:
    """The fields that have something in them: empty texts, lists, mappings, zero, False and None are left out."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {}, 0, False)}
