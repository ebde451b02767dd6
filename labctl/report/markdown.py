"""A report as Markdown, for a CI job's summary."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.model.report import Check, LabReport, Report, Result

_SIGNS = {Result.PASSED: "✅", Result.FAILED: "❌", Result.ERROR: "⚠️", Result.SKIPPED: "⏭️"}


def report_markdown(report: Report) -> str:
    """One heading per lab, one table per check."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    where = f" on {report.cluster.name} ({report.cluster.version})" if report.cluster else ""
    yield f"# {_SIGNS[report.result]} labctl {report.command}{where}: {report.result.value}"
    if report.partial:
        yield "\n**Interrupted**: this is what was done until then."
    for lab in report.labs:
        yield from _lab(lab)


def _lab(lab: LabReport) -> Iterator[str]:
    title = f": {_text(lab.title)}" if lab.title else ""
    yield f"\n## {_SIGNS[lab.result]} {_text(lab.name)}{title}"
    if lab.reason:
        yield f"\n{lab.result.value}: {_text(lab.reason)}"
    if lab.hint:
        yield f"\nHint: {_text(lab.hint)}"
    for warning in lab.warnings:
        yield f"\nWarning: {_text(warning)}"
    for check in lab.checks:
        yield from _check(check)


def _check(check: Check) -> Iterator[str]:
    yield f"\n### {_SIGNS[check.result]} {_text(check.name)}"
    if check.verdict is not None:
        yield f"\n{_text(check.verdict.reason)}"
    for notice in check.notices:
        yield f"\nNote: {_text(notice)}"
    if check.curl:
        yield f"\n`{check.curl}`"
    if check.hits:
        yield f"\n| {_text(check.by)} | hits | share | expected | pods |\n|---|--:|--:|--:|---|"
    for hits in check.hits:
        expected = "" if hits.expected is None else f"{hits.expected:.1%}"
        pods = ", ".join(f"{_text(pod)} {count}" for pod, count in hits.pods.items())
        yield f"| {_text(hits.key)} | {hits.hits} | {hits.share:.1%} | {expected} | {pods} |"


def _text(value: str) -> str:
    """Text that Markdown and its tables leave alone."""
    for character in "\\|*_`<>[]":
        value = value.replace(character, f"\\{character}")
    return value.replace("\n", " ")
