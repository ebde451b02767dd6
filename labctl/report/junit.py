"""A report as JUnit XML: a test suite per lab, a test case per check."""

from __future__ import annotations

from xml.etree import ElementTree

from labctl.model.report import Check, LabReport, Report, Result


def report_junit(report: Report) -> str:
    """JUnit XML in the form that Jenkins, GitLab and GitHub actions read (the `junit-10` schema)."""
    suites = ElementTree.Element("testsuites", name="labctl", time=f"{report.elapsed_s:.3f}")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for lab in report.labs:
        suite = _suite(lab, report)
        suites.append(suite)
        for name in totals:
            totals[name] += int(suite.get(name, "0"))
    for name, value in totals.items():
        if name != "skipped":
            suites.set(name, str(value))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _suite(lab: LabReport, report: Report) -> ElementTree.Element:
    cases = [_case(lab, check) for check in lab.checks]
    if not cases or (lab.result is Result.ERROR and lab.reason):
        cases.append(_lab_case(lab))
    kinds = [case.find(kind) is not None for case in cases for kind in ("failure", "error", "skipped")]
    return _with_children(
        ElementTree.Element(
            "testsuite",
            name=lab.name,
            tests=str(len(cases)),
            failures=str(sum(kinds[0::3])),
            errors=str(sum(kinds[1::3])),
            skipped=str(sum(kinds[2::3])),
            time=f"{lab.elapsed_s:.3f}",
            timestamp=report.started.strftime("%Y-%m-%dT%H:%M:%S"),
        ),
        cases,
    )


def _with_children(parent: ElementTree.Element, children: list[ElementTree.Element]) -> ElementTree.Element:
    parent.extend(children)
    return parent


def _case(lab: LabReport, check: Check) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=f"labctl.{lab.name}", name=check.name, time=f"{check.elapsed_s:.3f}"
    )
    reason = check.verdict.reason if check.verdict else ""
    _outcome(case, check.result, reason or "could not be checked")
    hits = "\n".join(f"{hits.key}: {hits.hits} ({hits.share:.1%})" for hits in check.hits)
    ElementTree.SubElement(case, "system-out").text = f"{check.curl}\n{reason}\n{hits}"
    return case


def _lab_case(lab: LabReport) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"labctl.{lab.name}", name=lab.name, time=f"{lab.elapsed_s:.3f}")
    _outcome(case, lab.result, lab.reason)
    return case


def _outcome(case: ElementTree.Element, result: Result, message: str) -> None:
    tags = {Result.FAILED: "failure", Result.ERROR: "error", Result.SKIPPED: "skipped"}
    if result in tags:
        element = ElementTree.SubElement(case, tags[result], message=message)
        if result is not Result.SKIPPED:
            element.set("type", result.value)
            element.text = message
