"""Views of values that are no reports: a cluster, findings, labs, guides."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from labctl.env import Env
from labctl.model.cluster import Cluster, ClusterNode, HostState, Snapshot
from labctl.model.finding import Finding, Severity
from labctl.model.lab import Lab, ProbeStep
from labctl.report.write import console_width, render


def cluster_text(cluster: Cluster, form: str, warnings: Sequence[str] = (), hosts: Sequence[HostState] = ()) -> str:
    """A cluster: version, nodes, their machines, ingress endpoints, warnings."""
    document = {
        "schema": "labctl.cluster/v1",
        "name": cluster.name,
        "provider": cluster.provider.value,
        "version": cluster.version,
        "kubeconfig": str(cluster.kubeconfig),
        "nodes": [_node_document(node) for node in cluster.nodes],
        "ingress": {
            "http": [str(endpoint) for endpoint in cluster.ingress.http],
            "https": [str(endpoint) for endpoint in cluster.ingress.https],
        },
        "hosts": [asdict(host) for host in hosts],
        "warnings": list(warnings),
    }
    if form != "table":
        return structured(document, form)
    lines = [f"cluster {cluster.name} ({cluster.provider}), Kubernetes {cluster.version}"]
    lines += [f"  {line}" for line in _node_lines(cluster.nodes)]
    lines += [f"host     {_host_line(host)}" for host in hosts]
    http = ", ".join(f"http://{endpoint}" for endpoint in cluster.ingress.http)
    https = ", ".join(f"https://{endpoint}" for endpoint in cluster.ingress.https)
    lines.append(f"ingress  {http}  {https}".rstrip() if http or https else "ingress  none")
    lines.append(f"kubectl  export KUBECONFIG={cluster.kubeconfig}")
    lines += [f"warning: {warning}" for warning in warnings]
    return "\n".join(lines) + "\n"


def _host_line(host: HostState) -> str:
    if host.error:
        return host.error
    parts = [f"{host.name}: {host.service}", f"{host.restarts} restarts", f"{host.free_mb / 1000:.1f} GB free"]
    if host.certificates_until:
        parts.append(f"certificates until {host.certificates_until[:10]}")
    return ", ".join([*parts, *(["etcd member"] if host.etcd else [])])


def nodes_text(nodes: Sequence[ClusterNode], form: str) -> str:
    """The nodes alone."""
    if form != "table":
        return structured({"schema": "labctl.nodes/v1", "nodes": [_node_document(node) for node in nodes]}, form)
    return "\n".join(_node_lines(nodes)) + "\n"


def _node_document(node: ClusterNode) -> dict[str, Any]:
    return {
        "name": node.name,
        "role": node.role,
        "address": node.address,
        "ready": node.ready,
        "version": node.version,
    }


def _node_lines(nodes: Sequence[ClusterNode]) -> list[str]:
    width = max((len(node.name) for node in nodes), default=0)
    roles = max((len(node.role) for node in nodes), default=0)
    return [
        f"{node.name:<{width}}  {node.address:<15}  {'Ready' if node.ready else 'NotReady':<8}  "
        f"{node.role:<{roles}}  {node.version}".rstrip()
        for node in nodes
    ]


def snapshots_text(snapshots: Sequence[Snapshot], form: str) -> str:
    """Snapshots, one line each, oldest first."""
    if form != "table":
        document = [
            {"name": item.name, "host": item.host, "path": item.path, "bytes": item.size, "created": item.created}
            for item in snapshots
        ]
        return structured({"schema": "labctl.snapshots/v1", "snapshots": document}, form)
    if not snapshots:
        return "no snapshots\n"
    width = max(len(item.name) for item in snapshots)
    return "".join(
        f"{item.name:<{width}}  {item.created}  {item.size / 1e6:8.1f} MB  {item.host}:{item.path}\n"
        for item in snapshots
    )


def findings_text(findings: Sequence[Finding], form: str) -> str:
    """What the doctor found, worst last so that it is what the user sees."""
    if form != "table":
        document = [
            {"check": f.check, "severity": f.severity.value, "evidence": f.evidence, "remedy": f.remedy}
            for f in findings
        ]
        return structured({"schema": "labctl.doctor/v1", "findings": document}, form)
    order = list(Severity)
    lines = []
    for finding in sorted(findings, key=lambda f: order.index(f.severity)):
        lines.append(f"{finding.severity.value:<4}  {finding.check}: {finding.evidence}")
        if finding.remedy:
            lines.append(f"      → {finding.remedy}")
    return "\n".join(lines) + "\n"


def labs_text(labs: Sequence[Lab], form: str) -> str:
    """The labs, one line each."""
    if form != "table":
        document = [
            {
                "name": lab.name,
                "title": lab.title,
                "teaches": lab.teaches,
                "checks": [step.name for step in lab.steps if isinstance(step, ProbeStep)],
                "unsupported": dict(lab.unsupported),
            }
            for lab in labs
        ]
        return structured({"schema": "labctl.labs/v1", "labs": document}, form)
    width = max((len(lab.name) for lab in labs), default=0)
    return "".join(f"{lab.name:<{width}}  {lab.title}\n" for lab in labs)


def guide_view(markdown: str, env: Env, *, color: bool) -> str:
    """A guide, laid out for a terminal; as it is written for a pipe."""
    if not env.stdout.isatty():
        return markdown
    from rich.markdown import Markdown

    width = min(console_width(env.stdout), 110)
    return render(Markdown(markdown), env.stdout, color=color, width=width)


def structured(document: dict[str, Any], form: str) -> str:
    """A document as JSON or YAML text."""
    if form == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=sys.maxsize)
