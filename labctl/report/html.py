"""A report as one self-contained HTML page: no scripts, no network, light and dark, printable."""

from __future__ import annotations

from importlib import resources

from labctl.model.report import Report


def report_html(report: Report) -> str:
    """The page."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share: f"{share:.1%}"
    source = resources.files("labctl.report").joinpath("templates/report.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(report=report)
