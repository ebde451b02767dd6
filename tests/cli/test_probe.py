"""`labctl probe` as its user runs it, against servers whose behaviour is known."""

from __future__ import annotations

import json
import signal
import sys
import time
from importlib import resources
from typing import IO, Any

import jsonschema
import pytest

from tests.cli.conftest import Shell
from tests.unit.probe.known import known_server, one_in_ten, pod

VERSIONS = ("--by", "version", "--version-pattern", "v1=dp-v1", "--version-pattern", "v2=dp-v2")


def test_what_a_command_loses_is_counted_and_dated(fresh: Shell) -> None:
    """The command tells the server to fail while it runs: every request of that time is lost, and no other."""
    failing = fresh.home / "failing"

    def behaviour(number: int) -> bytes:
        return b"" if failing.exists() else pod("a-1")

    with known_server(behaviour) as server:
        command = f"touch {failing}; sleep 0.5; rm {failing}"
        done = fresh.labctl("probe", server.url, "--during", command, "--rate", "100", "-o", "json")
        table = fresh.labctl("probe", server.url, "--during", "exit 3", "--rate", "50")
    (check,) = done.json["labs"][0]["checks"]
    assert done.code == 3
    assert set(check["error_kinds"]) == {"CURLE_GOT_NOTHING"}
    assert 35 <= check["errors"] <= 150
    slots, width = check["timeline"]["slots"], check["timeline"]["slot_s"]
    lost = [number * width for number, slot in enumerate(slots) if slot["errors"]]
    assert 0.9 <= lost[0] <= 2.5  # the command begins at 1 s and fails the server for half a second
    assert 0.3 <= lost[-1] - lost[0] <= 1.5
    assert check["change"] is not None
    assert "ended with status 3" in table.out
    assert "over time" in table.out


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_run_reports_what_was_done(fresh: Shell, word: signal.Signals, processes: int) -> None:
    with known_server(lambda number: pod("a-1")) as server:
        arguments = ("probe", server.url, "--rate", "100", "-n", "100000", "--processes", str(processes), "-o", "json")
        process = fresh.start(sys.executable, "-m", "labctl", *arguments)
        while server.asked < 40:
            time.sleep(0.01)
        process.send_signal(word)
        out, err = process.communicate(timeout=20)

    (check,) = json.loads(out)["labs"][0]["checks"]
    assert process.returncode == 130, err
    assert check["partial"]
    # The server counts a request when it arrives: those on their way at the signal have no answer to report.
    assert 20 <= check["requests"] <= server.asked
    assert "Traceback" not in err


def test_as_many_requests_as_the_sensitivity_takes(fresh: Shell) -> None:
    with known_server(one_in_ten) as server:
        done = fresh.labctl("probe", server.url, *VERSIONS, "--expect", "v1=90,v2=10", "--detect", "10%", "-o", "json")
    (check,) = done.json["labs"][0]["checks"]
    assert done.code == 0, done.err
    assert server.asked == check["requests"] + 100
    assert "with probability 0.95" in check["notices"][0]


def test_until_sure_ends_when_it_is_decided(fresh: Shell) -> None:
    with known_server(one_in_ten) as server:
        arguments = ("probe", server.url, *VERSIONS, "--until-sure", "-o", "json")
        fine = fresh.labctl(*arguments, "--expect", "v1=90,v2=10", "--detect", "10%")
        wrong = fresh.labctl(*arguments, "--expect", "v1=50,v2=50")
        undecided = fresh.labctl(*arguments, "--expect", "v1=90,v2=10", "-n", "150")
    (check,) = fine.json["labs"][0]["checks"]
    assert (fine.code, check["verdict"]["method"]) == (0, "sequential-multinomial")
    assert 150 <= check["requests"] <= 1000
    assert wrong.code == 3
    assert "refused" in wrong.json["labs"][0]["checks"][0]["verdict"]["reason"]
    assert "undecided after 150" in undecided.json["labs"][0]["checks"][0]["verdict"]["reason"]


def test_targets_share_the_requests_by_weight_and_the_document_keeps_its_schema(fresh: Shell) -> None:
    with known_server(one_in_ten) as one, known_server(one_in_ten) as two:
        done = fresh.labctl("probe", one.url, "--target", f"3={two.url}", "-n", "200", "-o", "json")
    assert (one.asked, two.asked) == (50, 150)
    assert [check["requests"] for check in done.json["labs"][0]["checks"]] == [50, 150]
    jsonschema.validate(
        done.json, json.loads(resources.files("labctl.report").joinpath("schema/report.v1.json").read_text())
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "5", "-z", "1"), "--requests and --duration do not go together"),
        (("--detect", "0"), "is no share"),
        (("--detect", "5%"), "need a spread to judge"),
        (("--target", "http://a/"), "is not understood"),
        (("--cacert", "nowhere.pem"), "there is no such file"),
        (("--version-pattern", "v1"), "is not understood"),
    ],
)
def test_options_that_make_no_sense_are_refused(fresh: Shell, arguments: tuple[str, ...], message: str) -> None:
    with known_server(one_in_ten) as server:
        done = fresh.labctl("probe", server.url, *arguments)
    assert done.code == 2, done.err
    assert message in done.err


def test_two_runs_side_by_side(fresh: Shell) -> None:
    def half(number: int) -> bytes:
        return pod("dp-v2-a" if number % 2 else "dp-v1-a")

    with known_server(one_in_ten) as one, known_server(half) as two:
        for name, server in (("a", one), ("again", one), ("b", two)):
            arguments = ("-n", "400", *VERSIONS, "-o", "json", "--output-file", f"{name}.json")
            assert fresh.labctl("probe", server.url, *arguments).code == 0
    done = fresh.labctl("compare", "a.json", "b.json", "--strict")
    assert done.code == 3
    assert "v1 90 %, v2 10 %" in done.out
    assert "changed, p = " in done.out
    shares = fresh.labctl("compare", "a.json", "again.json", "-o", "json").json["differences"]
    assert [each["significant"] for each in shares if each["what"] == "shares"] == [False]
    (fresh.home / "c.json").write_text("{}")
    assert fresh.labctl("compare", "a.json", "c.json").code == 2


def test_a_report_that_cannot_be_written_is_printed(fresh: Shell) -> None:
    with known_server(one_in_ten) as server:
        command = f"rm -rf {fresh.home}/there"
        (fresh.home / "there").mkdir()
        done = fresh.labctl("probe", server.url, "--during", command, "-o", "json", "--output-file", "there/r.json")
    assert done.code == 2
    assert "was printed instead" in done.err
    assert done.json["labs"][0]["checks"][0]["requests"] > 0


CLIENT = """\
apiVersion: v1
kind: Pod
metadata: {name: probe-client, namespace: default}
spec:
  containers: [{name: curl, image: "curlimages/curl:8.10.1", command: [sleep, "3600"]}]
"""


def test_requests_come_from_a_pod_and_from_jobs_on_the_nodes(study: Shell) -> None:
    """From inside the cluster; the API answers, if only that it does not know who asks."""
    (study.home / "client.yaml").write_text(CLIENT)
    assert study.kubectl("apply", "-f", "client.yaml").code == 0
    try:
        assert study.kubectl("wait", "--for=condition=Ready", "pod/probe-client", "--timeout=30s").code == 0
        arguments = ("probe", "https://127.0.66.10:6443/readyz", "-k", "--by", "status", "-o", "json")
        one = study.labctl(*arguments, "-n", "23", "--from", "pod:default/probe-client")
        many = study.labctl(*arguments, "-n", "32", "--from", "cluster", "--workers", "3")
        left = study.kubectl("get", "jobs", "-o", "name")
        nowhere = study.labctl(*arguments, "--from", "pod:default/nobody")
        no_machine = study.labctl(*arguments, "--from", "node:k3s-w1")
    finally:
        study.kubectl("delete", "pod", "probe-client", "--now")
    for done, count in ((one, 23), (many, 32)):
        (check,) = done.json["labs"][0]["checks"]
        assert (done.code, check["requests"], check["status"]) == (0, count, {"401": count}), done.err
    assert "sent by 3 workers on " in check["notices"][0]
    assert left.out == ""
    assert nowhere.code == 4
    assert "nobody" in nowhere.err
    assert no_machine.code == 2
    assert "Traceback" not in nowhere.err + no_machine.err


def test_watching_checks_again_when_endpoints_change(study: Shell) -> None:
    """With an interval of ten minutes only a change can bring the second report."""
    assert study.labctl("run", "nodeport", "--keep", "-q").code == 0
    arguments = ("verify", "nodeport", "--watch", "--interval", "600", "-o", "json")
    process = study.start(sys.executable, "-m", "labctl", *arguments)
    try:
        assert process.stdout is not None
        first = _document(process.stdout)
        assert study.kubectl("create", "service", "clusterip", "new", "--tcp=80").code == 0
        second = _document(process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        study.kubectl("delete", "service", "new")
        study.labctl("clean", "nodeport", "-q")
    assert first["result"] == "passed"
    assert second["started"] > first["started"]
    assert "Traceback" not in err
    assert process.returncode in (0, 3)


def _document(stream: IO[str]) -> Any:
    """The next JSON document: it ends with a brace alone on its line."""
    lines = []
    for line in stream:
        lines.append(line)
        if line == "}\n":
            return json.loads("".join(lines))
    raise AssertionError("".join(lines))
