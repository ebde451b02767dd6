"""Views of an ingress controller's installation: its values, what would change, its state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from labctl.report.values import structured

Row = tuple[str, Any, str]


def values_text(values: Mapping[str, Any], rows: Sequence[Row], form: str) -> str:
    """Helm values: each with where it came from; as JSON or YAML the values, and the origins by path.

    Args:
        values: The values as Helm would get them.
        rows: Path, value and origin of each.
        form: `table`, `json` or `yaml`.
    """
    if form != "table":
        origins = {path: origin for path, _, origin in rows}
        return structured({"schema": "labctl.values/v1", "values": values, "origins": origins}, form)
    shown = [(path, _value(value), origin) for path, value, origin in rows]
    path_width = max((len(path) for path, _, _ in shown), default=0)
    value_width = min(max((len(value) for _, value, _ in shown), default=0), 40)
    return "".join(f"{path:<{path_width}}  {value:<{value_width}}  {origin}\n" for path, value, origin in shown)


def _value(value: Any) -> str:
    if value is None:
        return "null (removes the chart's)"
    return (
        value if isinstance(value, str) and value and value.strip() == value else json.dumps(value, ensure_ascii=False)
    )


def changes_text(title: str, changes: Sequence[tuple[str, str, Sequence[str]]], form: str) -> str:
    """What an installation would change: kind of change, object, and the lines of its diff."""
    if form != "table":
        document = [{"change": change, "object": name, "diff": list(lines)} for change, name, lines in changes]
        return structured({"schema": "labctl.changes/v1", "title": title, "changes": document}, form)
    text = [f"{title}\n"]
    if not changes:
        text.append("nothing would change\n")
    for change, name, lines in changes:
        text.append(f"{change} {name}\n")
        if change == "update":
            text += [f"    {line}\n" for line in lines]
    return "".join(text)


def ingress_status_text(document: Mapping[str, Any], form: str) -> str:
    """The controller's state, from a plain document (`labctl.ingress/v1`)."""
    if form != "table":
        return structured(dict(document), form)
    lines = [f"{label:<10} {text}" for label, text in _summary(document)]
    for pod in document["pods"]:
        state = "Ready" if pod["ready"] else "NotReady"
        reloads = "" if pod["reloads"] is None else f"  {pod['reloads']} reloads"
        lines.append(f"pod        {pod['name']}  {pod['node'] or '-'}  {state}{reloads}")
        if pod["problem"]:
            lines.append(f"           {pod['problem']}")
    lines += [f"warning: {text}" for text in document["warnings"]]
    return "\n".join(lines) + "\n"


def _summary(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    replicas = document["replicas"]
    classes = ", ".join(f"{entry['name']} ({entry['controller']})" for entry in document["classes"])
    installed = f"{document['controller']} {document['version'] or '?'}"
    if document["chart"]:
        installed += f" (chart {document['chart']}, via {document['via']}, {document['status']})"
    return [
        ("controller", installed),
        ("replicas", f"{replicas['ready']} of {replicas['wanted']} ready"),
        ("leader", document["leader"] or "none"),
        ("addresses", ", ".join(document["addresses"]) or "none from outside"),
        ("classes", f"{classes or 'none'}; {document['ingresses']} Ingresses"),
    ]
