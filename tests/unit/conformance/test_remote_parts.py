"""What the comparison with a real cluster is made of, without one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from labctl.conformance.compare import Comparison
from labctl.conformance.corpus import Case, load
from labctl.conformance.echoed import seen_by_echoserver
from labctl.conformance.target import View
from labctl.conformance.translate import Translation
from labctl.errors import UsageError
from labctl.model.conformance import Agreement, CaseReport, ConformanceReport, Mismatch
from labctl.report.conformance import conformance_document, conformance_html
from labctl.workflows.conformance import choose, read_listed

ECHO = (
    "\n\nHostname: a1\n\nPod Information:\n\t-no pod information available-\n\nServer values:\n\tserver_version=nginx: 1.13.3\n\n"
    "Request Information:\n\tclient_address=10.42.0.5\n\tmethod=GET\n\treal path=/x?y=1\n\tquery=y=1\n\trequest_version=1.1\n"
    "\trequest_uri=http://h.test:8080/x?y=1\n\nRequest Headers:\n\taccept=*/*\n\thost=h.test\n\tx-a=1=2\n\n"
    "Request Body:\n\t-no body in request-\n\n"
)


def test_an_answer_of_echoserver_is_taken_apart() -> None:
    told = seen_by_echoserver(ECHO)
    assert told is not None
    pod, seen = told
    assert pod == "a1"
    assert (seen["method"], seen["path"], seen["proto"], seen["host"]) == ("GET", "/x?y=1", "HTTP/1.1", "h.test")
    assert ["x-a", "1=2"] in seen["headers"]
    assert seen["body_len"] is None


def test_another_page_is_no_echo() -> None:
    assert seen_by_echoserver("<html>Hostname: a1</html>") is None


def test_objects_are_written_for_the_cluster() -> None:
    translation = Translation("ns-1", "traefik", {"a1": "10.42.0.9", "refuse": "10.42.0.7"}, client="192.168.0.5")
    ingress: dict[str, Any] = {
        "kind": "Ingress",
        "metadata": {
            "name": "i",
            "namespace": "default",
            "annotations": {
                "nginx.ingress.kubernetes.io/auth-secret": "default/users",
                "nginx.ingress.kubernetes.io/whitelist-source-range": "172.16.0.20/32",
                "nginx.ingress.kubernetes.io/auth-url": "http://svc-a.default.svc.cluster.local/ok",
            },
        },
        "spec": {"ingressClassName": "nginx"},
    }
    written = translation.obj(ingress)
    assert written["metadata"]["namespace"] == "ns-1"
    assert written["spec"]["ingressClassName"] == "traefik"
    assert list(written["metadata"]["annotations"].values()) == [
        "ns-1/users",
        "192.168.0.5/32",
        "http://svc-a.ns-1.svc.cluster.local/ok",
    ]
    slice_ = {"kind": "EndpointSlice", "metadata": {"name": "s"}, "endpoints": ["172.16.1.1", "172.16.8.2"]}
    assert translation.obj(slice_)["endpoints"] == ["10.42.0.9", "10.42.0.7"]
    assert ingress["metadata"]["namespace"] == "default", "the recording itself is not touched"


def test_what_came_is_told_in_the_recordings_words() -> None:
    translation = Translation("ns-1", "nginx", {}, client="10.0.0.1")
    assert translation.observed({"headers": [["X-Forwarded-For", "10.0.0.1"], ["X", "10.0.0.12 ns-1-svc-a-80"]]}) == {
        "headers": [["X-Forwarded-For", "172.16.0.20"], ["X", "10.0.0.12 default-svc-a-80"]]
    }


def _case() -> Case:
    return Case("g", {"name": "c", "manifests": [], "results": [], "apply": [], "synced": True})


def _answer(**changes: object) -> dict[str, object]:
    seen = {"method": "GET", "path": "/", "proto": "HTTP/1.1", "host": "h", "headers": [["Host", "h"], ["X-A", "1"]]}
    return {
        "status": 200,
        "reason": "Echo",
        "headers": [["Content-Type", "application/json"], ["B", "2"], ["A", "1"]],
        "pod": "a1",
        "backend_saw": seen,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"reason": "OK"}, []),
        ({"headers": [["a", "1"], ["content-type", "text/plain"], ["b", "2"]]}, []),
        ({"headers": [["a", "1"], ["content-type", "text/plain"]]}, ["headers"]),
        ({"status": 503}, ["status"]),
        ({"pod": "b1"}, ["pod"]),
        ({"backend_saw": {"path": "/other", "headers": [["host", "h"], ["x-a", "1"]]}}, ["backend_saw.path"]),
        ({"backend_saw": {"path": "/", "headers": [["host", "h"]]}}, ["backend_saw.headers"]),
    ],
)
def test_a_cluster_is_compared_as_far_as_it_can_be_seen(changes: dict[str, object], parts: list[str]) -> None:
    entry = {"request": {}, "observed": _answer()}
    found = Comparison(_case(), View(wire=False)).result(entry, _answer(**changes))
    assert [what for what, *_ in found] == parts


def test_a_directory_without_cases_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no"):
        list(load(tmp_path))
    (tmp_path / "x.json").write_text('{"group": "g", "cases": [{"name": "c"}]}')
    with pytest.raises(UsageError, match="a case without apply, manifests, results, synced"):
        list(load(tmp_path))


def test_cases_are_chosen_by_name_or_group() -> None:
    cases = [_case()]
    assert choose(cases, ["g"]) == cases
    with pytest.raises(UsageError, match="no case is called other"):
        choose(cases, ["other"])


def test_listed_cases_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "listed.txt").write_text("# known\nc: it: differs\n\n")
    assert read_listed(tmp_path) == {"c": "it: differs"}


def test_the_report_tells_all_mismatches() -> None:
    mismatch = Mismatch('{"path": "/<b>"}', "status", 200, 404)
    cases = (
        CaseReport("g", "good", Agreement.PASSED),
        CaseReport("g", "bad", Agreement.FAILED, (mismatch, mismatch)),
        CaseReport("g", "known", Agreement.LISTED, (mismatch,), "a reason"),
        CaseReport("h", "no", Agreement.SKIPPED, reason="it sets the controller's ConfigMap"),
    )
    report = ConformanceReport("https://c", "corpus", datetime(2026, 1, 1, tzinfo=UTC), 1.0, cases)
    document = conformance_document(report)
    assert (document["cases"], document["passed"], document["listed"]) == (4, 1, ["known"])
    assert (
        document["failed"]
        == [{"case": "bad", "request": '{"path": "/<b>"}', "expected": {"status": 200}, "got": {"status": 404}}] * 2
    )
    page = conformance_html(report)
    assert "/&lt;b&gt;" in page
    assert "1 of 3 cases agree (33.3%), 1 known to differ, 1 not asked here" in page
    assert "http" not in page.replace("https://c", ""), "nothing is loaded from elsewhere"
