"""A report as plain data: the stable, versioned document `labctl.report/v1` (docs/report-json.md)."""

from __future__ import annotations

import json
from typing import Any

from labctl.model.report import Check, Hits, LabReport, Latency, Report, Verdict

SCHEMA = "labctl.report/v1"

Document = dict[str, Any]


def report_document(report: Report) -> Document:
    """The document; every number rounded to what was measured."""
    document: Document = {
        "schema": SCHEMA,
        "command": report.command,
        "started": report.started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "elapsed_s": round(report.elapsed_s, 3),
        "result": report.result.value,
    }
    if report.partial:
        document["partial"] = True
    if report.cluster is not None:
        cluster = report.cluster
        document["cluster"] = {
            "provider": cluster.provider,
            "name": cluster.name,
            "version": cluster.version,
            "nodes": cluster.nodes,
        }
    document["labs"] = [_lab(lab) for lab in report.labs]
    return document


def report_json(report: Report) -> str:
    """The document as JSON text."""
    return json.dumps(report_document(report), indent=2, ensure_ascii=False) + "\n"


def report_yaml(report: Report) -> str:
    """The same document as YAML."""
    import yaml

    return yaml.safe_dump(report_document(report), sort_keys=False, allow_unicode=True, width=120)


def _lab(lab: LabReport) -> Document:
    document: Document = {"name": lab.name, "title": lab.title, "result": lab.result.value}
    document["elapsed_s"] = round(lab.elapsed_s, 3)
    for key in ("reason", "hint"):
        if getattr(lab, key):
            document[key] = getattr(lab, key)
    if lab.warnings:
        document["warnings"] = list(lab.warnings)
    document["checks"] = [_check(check) for check in lab.checks]
    return document


def _check(check: Check) -> Document:
    document: Document = {
        "name": check.name,
        "title": check.title,
        "result": check.result.value,
        "url": check.url,
        "curl": check.curl,
        "requests": check.requests,
        "errors": check.errors,
        "error_kinds": dict(check.error_kinds),
        "elapsed_s": round(check.elapsed_s, 4),
        "requests_per_s": round(check.requests_per_s, 1),
        "latency_ms": None,
        "status": dict(check.status),
        "by": check.by,
        "hits": [_hits(hits) for hits in check.hits],
        "verdict": _verdict(check.verdict) if check.verdict else None,
    }
    if check.latency is not None:
        latency = check.latency
        document["latency_ms"] = _latency(latency)
    document |= _course(check)
    if check.notices:
        document["notices"] = list(check.notices)
    if check.first is not None:
        document["first_round"] = _check(check.first)
    if check.partial:
        document["partial"] = True
    return document


def _course(check: Check) -> Document:
    """What only some checks have: phases, the time line, the histogram."""
    document: Document = {}
    if check.phases:
        document["phases_ms"] = {name: _latency(took) for name, took in check.phases.items()}
    if check.cpu_us:
        document["cpu_us_per_request"] = round(check.cpu_us, 1)
    if check.histogram:
        document["latency_histogram"] = [[low, count] for low, count in check.histogram.items()]
    if len(check.timeline) > 1:
        document["timeline"] = {
            "slot_s": check.slot_s,
            "slots": [{"hits": dict(each.hits), "errors": dict(each.errors)} for each in check.timeline],
        }
    if check.change is not None:
        change = check.change
        document["change"] = {
            "at_s": round(change.at_s, 3),
            "p_value": change.p_value,
            "before": {key: round(share, 4) for key, share in change.before.items()},
            "after": {key: round(share, 4) for key, share in change.after.items()},
        }
    return document


def _latency(latency: Latency) -> Document:
    return {name: round(getattr(latency, name), 3) for name in ("p50", "p90", "p95", "p99", "p999", "max")}


def _hits(hits: Hits) -> Document:
    document: Document = {
        "key": hits.key,
        "pods": dict(hits.pods),
        "nodes": dict(hits.nodes),
        "hits": hits.hits,
        "share": round(hits.share, 6),
        "expected": None if hits.expected is None else round(hits.expected, 6),
    }
    if hits.band is not None:
        document["band"] = [round(hits.band[0], 6), round(hits.band[1], 6)]
    return document


def _verdict(verdict: Verdict) -> Document:
    return {
        "passed": verdict.passed,
        "method": verdict.method,
        "p_value": verdict.p_value,
        "confidence": verdict.confidence,
        "reason": verdict.reason,
    }
