"""The HTML report in a real Chromium, which is asked what it made of the page."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.model.lab import Distribution, Expectation, Split
from labctl.model.probe import CountBy, KeyKind, ProbePlan, ProbeResult, Request, Sample
from labctl.model.report import LabReport, Report, Result
from labctl.probe.codes import probe_error
from labctl.report.html import report_html
from labctl.verdict.judge import Directory, build_check
from tests.unit.report.reports import REPORT

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def canary_lab(requests: int = 1000) -> LabReport:
    """A run of weight 10 with a burst of lost requests."""
    error = probe_error(7, "refused")
    samples = tuple(
        Sample(n, n * 0.002, 0.001 + (n % 17) * 0.0004, 0, error=error)
        if 400 <= n < 430
        else Sample(
            n,
            n * 0.002,
            0.001 + (n % 17) * 0.0004,
            200,
            f"dp-v{2 if n % 10 == 9 else 1}-{n % 3}",
            f"v{2 if n % 10 == 9 else 1}",
        )
        for n in range(requests)
    )
    plan = ProbePlan("weight-10", Request("http://gyull.com:30080/"), requests, by=CountBy(KeyKind.VERSION))
    split = Expectation(split=Split(Distribution.WEIGHTED, {"v1": 90, "v2": 10}))
    check = build_check(ProbeResult(plan, samples, (), requests * 0.002), split, Directory({"dp-v1-0": "k3s-w1"}))
    return LabReport("canary", check.result, (check,), "One in ten")


def canary_page() -> str:
    return report_html(Report("run", REPORT.started, 2.0, Result.FAILED, (canary_lab(),), REPORT.cluster))


def test_the_page_shows_band_course_latency_and_the_way() -> None:
    page = canary_page()
    assert page.count("<svg") == 3
    assert 'class="band"' in page
    assert "ingress controller" in page
    assert "30 requests lost" in page
    assert "Lost in second 0: 30 × CURLE_COULDNT_CONNECT" in page
    labels = re.findall(r'<svg[^>]*aria-label="([^"]+)"', page)
    assert len(labels) == 3
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\(|@import|<script""", page)


def test_a_page_of_many_checks_stays_small() -> None:
    """Beyond 300 KiB only what failed has pictures."""
    failed = canary_lab()
    (check,) = failed.checks
    passed = LabReport("many", Result.PASSED, (replace(check, result=Result.PASSED),) * 60)
    page = report_html(replace(REPORT, labs=(failed, passed)))
    assert len(page.encode()) <= 300 * 1024
    assert page.count("<article>") == 61
    assert page.count("<svg") == 3


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1100, 390])
def test_chromium_draws_it_without_asking_anybody(width: int, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    source = tmp_path / "page.html"
    # The page reports on itself: overflow would need scrolling sideways, and a fetched resource would be listed.
    report = (
        "<script>addEventListener('load', () => { document.title = [document.documentElement.scrollWidth <= innerWidth,"
        "performance.getEntriesByType('resource').length, document.querySelectorAll('svg').length].join(' ') })</script>"
    )
    source.write_text(canary_page().replace("</body>", report + "</body>"), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
        f"--window-size={width},2000",
    ]
    picture = tmp_path / "page.png"
    dumped = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", f"file://{source}"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "<title>true 0 3</title>" in dumped.stdout
    subprocess.run(
        [CHROMIUM, *options, f"--screenshot={picture}", f"file://{source}"], capture_output=True, timeout=60, check=True
    )
    assert struct.unpack(">II", picture.read_bytes()[16:24])[0] == width
