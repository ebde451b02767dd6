"""A report as one self-contained HTML page: no scripts, no network, light and dark, printable."""

from __future__ import annotations

from importlib import resources

from labctl.model.report import Check, Report, Result
from labctl.report import charts
from labctl.report.tables import change_words, losses

SIZE_MOST = 300 * 1024
"""Bytes of a page: beyond, only checks that did not pass have pictures, then none."""
TIMELINE_LEAST = 4
"""Slots from which on a time line says something."""


def report_html(report: Report) -> str:
    """The page."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share: f"{share:.1%}"
    environment.filters["change"] = change_words
    environment.filters["losses"] = lambda check: list(losses(check))
    environment.globals["charts"] = charts
    environment.tests["coursed"] = _coursed
    source = resources.files("labctl.report").joinpath("templates/report.html").read_text(encoding="utf-8")
    through = "ingress controller" if report.cluster is not None else ""
    template = environment.from_string(source)
    everything = set(Result)
    for pictured in (everything, everything - {Result.PASSED}, set()):
        page = template.render(report=report, through=through, total=_total(report), pictured=pictured)
        if len(page.encode()) <= SIZE_MOST:
            break
    return page


def _coursed(check: Check) -> bool:
    return sum(bool(moment.hits or moment.errors) for moment in check.timeline) >= TIMELINE_LEAST


def _total(report: Report) -> dict[str, int]:
    checks = [check for lab in report.labs for check in lab.checks]
    return {
        "checks": len(checks),
        "passed": sum(check.result == "passed" for check in checks),
        "requests": sum(check.requests for check in checks),
        "errors": sum(check.errors for check in checks),
    }
