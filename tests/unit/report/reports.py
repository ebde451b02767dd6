"""Reports to render: one of each kind of thing that can be in them."""

from __future__ import annotations

from datetime import UTC, datetime

from labctl.model.report import (
    Check,
    ClusterInfo,
    Hits,
    LabReport,
    Latency,
    Report,
    Result,
    Verdict,
)

CANARY = Check(
    name="weight-10",
    result=Result.PASSED,
    url="http://gyull.com:30080/",
    curl="curl --resolve gyull.com:30080:127.0.10.10 http://gyull.com:30080/",
    requests=1000,
    elapsed_s=0.25,
    requests_per_s=4000.0,
    latency=Latency(3.1, 4.0, 6.2, 9.0),
    status={"200": 1000},
    by="version",
    hits=(
        Hits("v1", {"dp-v1-a": 301, "dp-v1-b": 300, "dp-v1-c": 300}, 901, 0.901, 0.9, {"dp-v1-a": "k3s-w1"}),
        Hits("v2", {"dp-v2-a": 99}, 99, 0.099, 0.1, {"dp-v2-a": "k3s-w2"}),
    ),
    verdict=Verdict(True, "binomial", "901/99 of 1000: as expected", 0.91),
    title="1000 requests at weight 10",
)
FAILED = Check(
    name="admin",
    result=Result.FAILED,
    url="http://127.0.10.10:30080/admin",
    curl="curl 'http://127.0.10.10:30080/admin'",
    requests=200,
    errors=3,
    error_kinds={"CURLE_COULDNT_CONNECT": 3},
    elapsed_s=0.1,
    requests_per_s=2000.0,
    latency=Latency(1, 2, 3, 4),
    status={"200": 190, "503": 7},
    by="pod",
    hits=(Hits("pod|<a>", {"pod|<a>": 190}, 190, 0.964, 0.5, {"pod|<a>": "k3s-w1"}), Hits("", {}, 7, 0.036)),
    verdict=Verdict(False, "exact", 'status 503 for 7 of 197 answers & "more" <here>'),
    first=Check("admin", Result.FAILED, requests=100, verdict=Verdict(False, "round-robin", "first", 0.0001)),
)
UNANSWERED = Check("silent", Result.ERROR, url="http://x/", requests=0, partial=True, notices=("5 at once, not 64",))

REPORT = Report(
    command="run",
    started=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    elapsed_s=1.9,
    result=Result.ERROR,
    labs=(
        LabReport("canary", Result.PASSED, (CANARY,), "One in ten", elapsed_s=1.0),
        LabReport("path", Result.FAILED, (FAILED, UNANSWERED), "Paths", warnings=("an annotation has no effect",)),
        LabReport("capture", Result.SKIPPED, title="Packets", reason="needs a real kernel"),
        LabReport("https", Result.ERROR, reason="cannot reach the API server", hint="is it up?"),
    ),
    cluster=ClusterInfo("embedded", "study", "v1.34.4+k3s1", 4),
    partial=True,
)
