"""The kinds that k3s itself adds to a cluster (its helm-controller's and its deploy controller's).

Source: `kubectl get crd` on k3s v1.34.4; https://docs.k3s.io/add-ons/helm
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labctl.embedded.clientset import Obj

_TEXT: Obj = {"type": "string"}
_FLAG: Obj = {"type": "boolean"}
_OPEN = "x-kubernetes-preserve-unknown-fields"
_CHART = {
    "targetNamespace": _TEXT,
    "createNamespace": _FLAG,
    "chart": _TEXT,
    "version": _TEXT,
    "repo": _TEXT,
    "valuesContent": _TEXT,
    "bootstrap": _FLAG,
    "failurePolicy": {**_TEXT, "default": "reinstall", "enum": ["abort", "reinstall"]},
}
_CHART_COLUMNS = (
    ("Repository", "string", ".spec.repo"),
    ("Chart", "string", ".spec.chart"),
    ("Version", "string", ".spec.version"),
    ("TargetNamespace", "string", ".spec.targetNamespace"),
    ("Bootstrap", "boolean", ".spec.bootstrap"),
)
_SNAPSHOT_COLUMNS = (
    ("SnapshotName", "string", ".spec.snapshotName"),
    ("Node", "string", ".spec.nodeName"),
    ("Location", "string", ".spec.location"),
    ("Size", "string", ".status.size"),
    ("CreationTime", "date", ".status.creationTime"),
)

_Columns = Iterable[tuple[str, str, str]]


def definitions() -> Iterable[Obj]:
    """The CustomResourceDefinitions that every k3s has."""
    addon = {"source": _TEXT, "checksum": _TEXT}
    columns = (("Source", "string", ".spec.source"), ("Checksum", "string", ".spec.checksum"))
    yield _definition("k3s.cattle.io", "Addon", "addons", addon, columns)
    yield _definition("k3s.cattle.io", "ETCDSnapshotFile", "etcdsnapshotfiles", {}, _SNAPSHOT_COLUMNS, "Cluster")
    yield _definition("helm.cattle.io", "HelmChart", "helmcharts", _CHART, _CHART_COLUMNS, status=True)
    configured = {name: _CHART[name] for name in ("valuesContent", "failurePolicy")}
    yield _definition("helm.cattle.io", "HelmChartConfig", "helmchartconfigs", configured, ())


def _definition(
    group: str,
    kind: str,
    plural: str,
    spec: Mapping[str, Obj],
    columns: _Columns,
    scope: str = "Namespaced",
    *,
    status: bool = False,
) -> Obj:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": dict(spec), _OPEN: True},
            "status": {"type": "object", _OPEN: True},
        },
    }
    version: Obj = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    shown = [{"name": name, "type": form, "jsonPath": path} for name, form, path in columns]
    version |= {"additionalPrinterColumns": shown} if shown else {}
    version |= {"subresources": {"status": {}}} if status else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }
