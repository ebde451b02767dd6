from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml

from labctl.env import Env
from labctl.errors import UsageError
from labctl.model.report import LabReport, Report, Result
from labctl.report.write import render_report, write_text
from tests.unit.report.reports import REPORT


def env(stdout: StringIO | None = None) -> Env:
    here = Path("/nonexistent")
    return Env(stdout or StringIO(), StringIO(), {}, here, here, here, here)


def rendered(form: str, report: Report = REPORT) -> str:
    return render_report(report, form, env(), color=True)


def schema() -> dict[str, object]:
    text = resources.files("labctl.report").joinpath("schema/report.v1.json").read_text()
    loaded: dict[str, object] = json.loads(text)
    return loaded


def test_json_follows_its_published_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    document = json.loads(rendered("json"))
    jsonschema.validate(document, schema(), cls=jsonschema.Draft202012Validator)
    assert document["schema"] == "labctl.report/v1"
    assert document["started"] == "2026-01-02T03:04:05.678Z"
    check = document["labs"][0]["checks"][0]
    assert check["hits"][1] == {
        "key": "v2",
        "pods": {"dp-v2-a": 99},
        "nodes": {"dp-v2-a": "k3s-w2"},
        "hits": 99,
        "share": 0.099,
        "expected": 0.1,
    }
    assert document["labs"][1]["checks"][0]["first_round"]["requests"] == 100


def test_the_schema_refuses_what_is_not_documented() -> None:
    document = json.loads(rendered("json"))
    document["labs"][0]["checks"][0]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


def test_yaml_is_the_same_document() -> None:
    assert yaml.safe_load(rendered("yaml")) == json.loads(rendered("json"))


def test_junit_counts_what_it_holds() -> None:
    root = ElementTree.fromstring(rendered("junit").encode())
    suites = {suite.get("name"): suite for suite in root}
    assert [suites["path"].get(k) for k in ("tests", "failures", "errors", "skipped")] == ["2", "1", "1", "0"]
    assert suites["capture"].get("skipped") == "1"
    assert suites["https"].find("testcase/error") is not None
    assert root.get("tests") == str(len(root.findall(".//testcase")))
    failure = suites["path"].find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == 'status 503 for 7 of 197 answers & "more" <here>'


def test_markdown_escapes_what_would_break_its_tables() -> None:
    text = rendered("markdown")
    assert "| pod\\|\\<a\\> | 190 | 96.4% | 50.0% |" in text
    assert "# ⚠️ labctl run on study (v1.34.4+k3s1): error" in text


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_self_contained_and_escaped() -> None:
    page = _Page()
    page.feed(rendered("html"))
    assert [link for link in page.links if not link.startswith("#")] == []
    assert "script" not in page.tags
    assert "pod|<a>" in page.text
    assert "here" not in page.tags


def test_a_pipe_gets_plain_text() -> None:
    text = rendered("table")
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "gyull.com" in text
    assert "first round of 100: first" in text
    assert "skipped: needs a real kernel" in text
    assert "interrupted, this is what was done until then" in text


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [80, 140])
def test_tables_keep_within_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = render_report(REPORT, "table", env(_Terminal()), color=False)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "█" in text


def test_a_file_is_written_whole_or_the_result_is_printed(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    write_text("text\n", target, StringIO())
    assert target.read_text() == "text\n"
    stdout = StringIO()
    with pytest.raises(UsageError, match="was printed instead"):
        write_text("text\n", tmp_path / "none" / "report.json", stdout)
    assert stdout.getvalue() == "text\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json"]


@pytest.mark.parametrize("form", ["table", "json", "yaml", "junit", "markdown", "html"])
def test_an_empty_report_renders(form: str) -> None:
    empty = replace(REPORT, labs=(LabReport("x", Result.SKIPPED),), cluster=None, partial=False)
    assert rendered(form, empty)


@pytest.mark.parametrize("form", ["table", "json", "yaml", "markdown", "html"])
def test_notices_are_shown(form: str) -> None:
    assert "5 at once, not 64" in rendered(form)
