"""A comparison with recorded behaviour as a table, as `labctl.conformance/v1`, and as one self-contained page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from labctl.env import Env
from labctl.model.conformance import Agreement, CaseReport, ConformanceReport, Mismatch

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "labctl.conformance/v1"
_SHORT = 300
_SHOWN = 3
"""Mismatches of one case that the table shows; JSON and HTML have all."""


def render_conformance(report: ConformanceReport, form: str, env: Env, *, color: bool) -> str:
    """The report as text in one of the forms table, json, html."""
    if form == "json":
        return json.dumps(conformance_document(report), indent=1, ensure_ascii=False) + "\n"
    if form == "html":
        return conformance_html(report)
    from labctl.report.write import console_width, render

    return render(conformance_view(report), env.stdout, color=color, width=console_width(env.stdout))


def conformance_document(report: ConformanceReport) -> dict[str, Any]:
    """The stable, versioned document."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "target": report.target,
        "corpus": report.corpus,
        "started": report.started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "elapsed_s": round(report.elapsed_s, 3),
        "cases": len(report.cases),
        "passed": report.count(Agreement.PASSED),
        "failed": [failure for case in _of(report, Agreement.FAILED) for failure in _failures(case)],
        "listed": [case.name for case in _of(report, Agreement.LISTED)],
        "skipped": [{"case": case.name, "reason": case.reason} for case in _of(report, Agreement.SKIPPED)],
        "partly_asked": [
            {"case": case.name, "not_asked": case.not_asked, "reason": case.reason}
            for case in report.cases
            if case.not_asked
        ],
    }
    if report.partial:
        document["partial"] = True
    return document


def _of(report: ConformanceReport, agreement: Agreement) -> list[CaseReport]:
    return [case for case in report.cases if case.agreement is agreement]


def _failures(case: CaseReport) -> list[dict[str, Any]]:
    return [
        {
            "case": case.name,
            "request": mismatch.request,
            "expected": {mismatch.what: mismatch.expected},
            "got": {mismatch.what: mismatch.got},
        }
        for mismatch in case.mismatches
    ]


# Words


def differing_parts(cases: Sequence[CaseReport]) -> list[tuple[str, int]]:
    """In how many cases each part of an answer differs, most first."""
    counts = Counter(what for case in cases for what in {_part(mismatch.what) for mismatch in case.mismatches})
    return counts.most_common()


def _part(what: str) -> str:
    return what.replace("backend_saw", "what the pod saw").replace(".", ": ", 1)


def shown(value: Any) -> str:
    """A value in a line, shortened in its middle."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 60]} … {text[-50:]}"


def header_changes(mismatch: Mismatch) -> tuple[str, str]:
    """What was expected and what came; of lists of headers only those that differ."""
    expected, got = mismatch.expected, mismatch.got
    if isinstance(expected, list) and isinstance(got, list):
        missing = [item for item in expected if item not in got]
        extra = [item for item in got if item not in expected]
        if missing or extra:
            return shown(missing), shown(extra)
        return f"the order {shown([item[0] for item in expected])}", f"the order {shown([item[0] for item in got])}"
    return shown(expected), shown(got)


def conclusion(report: ConformanceReport) -> str:
    """The whole in a line."""
    asked = len(report.cases) - report.count(Agreement.SKIPPED)
    passed = report.count(Agreement.PASSED)
    share = f" ({passed / asked:.1%})" if asked else ""
    text = f"{passed} of {asked} cases agree{share}"
    for agreement, words in ((Agreement.LISTED, "known to differ"), (Agreement.SKIPPED, "not asked here")):
        if report.count(agreement):
            text += f", {report.count(agreement)} {words}"
    return text + ("; interrupted, this is what was done until then" if report.partial else "")


# Terminal


def conformance_view(report: ConformanceReport) -> RenderableType:
    """Groups, then every case that differs, then the conclusion."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(f"Recorded ingress-nginx against {report.target}", style="bold"), Text()]
    parts.append(_groups_table(report))
    for case in _of(report, Agreement.FAILED):
        parts += [Text(), *_case_lines(case)]
    parts += [Text(), *_not_asked(report)]
    failed = report.count(Agreement.FAILED)
    parts.append(Text(f"{conclusion(report)}, {report.elapsed_s:.1f} s", style=f"bold {'red' if failed else 'green'}"))
    return Group(*parts)


def _groups_table(report: ConformanceReport) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("group")
    for name in ("cases", "agree", "differ", "listed", "not asked"):
        table.add_column(name, justify="right")
    for group, cases in report.groups().items():
        counts = Counter(case.agreement for case in cases)
        order = (Agreement.PASSED, Agreement.FAILED, Agreement.LISTED, Agreement.SKIPPED)
        table.add_row(group, str(len(cases)), *(str(counts[agreement]) for agreement in order))
    return table


def _case_lines(case: CaseReport) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    lines: list[RenderableType] = [Text(f"✘ {case.name}", style="bold red")]
    for mismatch in case.mismatches[:_SHOWN]:
        expected, got = header_changes(mismatch)
        lines.append(Padding(Text(shown(mismatch.request), "dim"), (0, 0, 0, 2)))
        lines.append(Padding(Text(f"{_part(mismatch.what)}: recorded {expected}"), (0, 0, 0, 4)))
        lines.append(Padding(Text(f"{' ' * len(_part(mismatch.what))}  here     {got}"), (0, 0, 0, 4)))
    more = len(case.mismatches) - _SHOWN
    if more > 0:
        lines.append(Padding(Text(f"and {more} more (-o json has all)", "dim"), (0, 0, 0, 2)))
    return lines


def _not_asked(report: ConformanceReport) -> list[RenderableType]:
    from rich.text import Text

    reasons = Counter(case.reason for case in _of(report, Agreement.SKIPPED))
    lines: list[RenderableType] = [
        Text(f"not asked, {count}: {reason}", "dim") for reason, count in reasons.most_common()
    ]
    return [*lines, Text()] if lines else []


# Page


def conformance_html(report: ConformanceReport) -> str:
    """One self-contained page: no scripts, no network, light and dark, printable."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["part"] = _part
    environment.filters["shown"] = shown
    environment.filters["changes"] = header_changes
    source = resources.files("labctl.report").joinpath("templates/conformance.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        report=report,
        conclusion=conclusion(report),
        parts=differing_parts(report.cases),
        Agreement=Agreement,
        counts={name: Counter(case.agreement for case in cases) for name, cases in report.groups().items()},
    )
