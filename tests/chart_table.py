"""docs/ingress-chart.md: labctl's objects beside the real chart's, value set by value set.

    python -m tests.chart_table CHART     writes the document; CHART is a folder or .tgz of ingress-nginx 4.11.2

`tests/unit/ingress/test_ingress_chart.py` holds the document to what this prints, wherever LABCTL_CHART names a chart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from labctl.ingress.install import install_objects
from labctl.ingress.values import merge_values
from labctl.model.inventory import Ingress
from labctl.objects.manifests import Obj
from tests.tools import tool

DOCUMENT = Path(__file__).parents[1] / "docs" / "ingress-chart.md"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOOK = "helm.sh/hook"
HEAD = """\
# labctl's objects and the chart's

`labctl ingress install --via manifests` (and `labctl up`) renders the objects of ingress-nginx's chart 4.11.2 itself. This
table compares them with what the real Helm makes of the real chart from the same values, field by field: kinds, names,
labels, arguments, ports, selectors, RBAC. It is written by `python -m tests.chart_table CHART`, and a test holds it
current.

| values over the study's | objects equal | only the chart | only labctl | fields that differ |
|---|---|---|---|---|
"""
TAIL = """
What remains, and why:

- The chart makes the webhook's certificate with two **hook Jobs** (and the ServiceAccount, roles and bindings that they
  run with). labctl makes the certificate itself, in the Secret of the same name, so those are missing.
- Therefore `clientConfig.caBundle` of the webhook is there from the beginning; the chart's second Job adds it later.
- A Namespace is among labctl's objects; Helm makes it by `--create-namespace`.
- Both carry `meta.helm.sh/release-name` and `-namespace` on the cluster (Helm adds them when it installs, which
  `helm template` does not show; left out here), so a later `labctl ingress upgrade --via helm` adopts the objects.
- RBAC rules are compared as the permissions they grant: their grouping into rules is not the chart's.
"""


def document(chart: str, cases: dict[str, dict[str, Any]], study: dict[str, Any]) -> str:
    """The whole document."""
    rows = [row(name, merge_values(study, values), values, chart) for name, values in cases.items()]
    return HEAD + "".join(rows) + TAIL


def row(name: str, values: dict[str, Any], over: dict[str, Any], chart: str) -> str:
    """One line of the table."""
    from tests.unit.ingress.test_ingress_chart import keyed

    ours = keyed([_plain(obj) for obj in install_objects(values, Ingress(), NOW)])
    theirs = keyed(by_helm(chart, values))
    equal = [key for key in ours if theirs.get(key) == ours[key]]
    differ = [
        f"{key.replace('None/', '')}: {_fields(ours[key], theirs[key])}"
        for key in ours
        if key in theirs and key not in equal
    ]
    shown = ", ".join(f"`{path}`" for path in _paths(over)) or "(none)"
    only = (_kinds(set(theirs) - set(ours)), _kinds(set(ours) - set(theirs)))
    return f"| {name}: {shown} | {len(equal)} | {only[0]} | {only[1]} | {'; '.join(differ) or '–'} |\n"


def by_helm(chart: str, values: dict[str, Any]) -> list[Obj]:
    """Everything that Helm makes of the chart, hooks too."""
    helm = tool("helm")
    assert helm is not None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "values.yaml")
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        command = [str(helm), "template", "ingress-nginx", chart, "-n", "ingress", "-f", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def _plain(obj: Obj) -> Obj:
    """Without the annotations that Helm too adds only when it installs."""
    metadata = obj["metadata"]
    kept = {k: v for k, v in (metadata.get("annotations") or {}).items() if not k.startswith("meta.helm.sh/")}
    return {**obj, "metadata": {**metadata, "annotations": kept}}


def _kinds(keys: set[str]) -> str:
    counted = Counter(key.split()[0] for key in keys)
    return ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in sorted(counted.items())) or "–"


def _fields(ours: Any, theirs: Any, path: str = "") -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [
            _fields(ours.get(key), theirs.get(key), f"{path}.{key}")
            for key in sorted({*ours, *theirs})
            if ours.get(key) != theirs.get(key)
        ]
        return ", ".join(found)
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return ", ".join(_fields(a, b, f"{path}[{index}]") for index, (a, b) in pairs if a != b)
    return f"`{path.removeprefix('.')}`"


def _paths(values: dict[str, Any], path: str = "") -> list[str]:
    found: list[str] = []
    for key, value in values.items():
        here = f"{path}.{key}".removeprefix(".")
        found += _paths(value, here) if isinstance(value, dict) and value and here.count(".") < 2 else [here]
    return found


def main() -> None:
    """Write the document."""
    from tests.unit.ingress.test_ingress_chart import STUDY, TABLE

    chart = sys.argv[1] if len(sys.argv) > 1 else os.environ["LABCTL_CHART"]
    DOCUMENT.write_text(document(chart, TABLE, STUDY), encoding="utf-8")


if __name__ == "__main__":
    main()
