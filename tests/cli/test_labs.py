"""The main job: labs on the embedded cluster, from the command line."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections import Counter
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import Shell

NODE = "127.0.66.10"
CORE_LABS = ("path", "host", "canary", "https")


def test_a_second_up_changes_nothing_and_says_so(study: Shell) -> None:
    done = study.labctl("up")
    assert done.code == 0
    assert "= Start the embedded cluster 'study': runs already" in done.err
    assert "= Install ingress-nginx: controller 1.11.2 is installed" in done.err


@pytest.mark.parametrize("lab", CORE_LABS)
def test_the_core_labs_pass(study: Shell, lab: str) -> None:
    done = study.labctl("run", lab, "-o", "json")
    failed = [check for check in done.json["labs"][0]["checks"] if check["result"] != "passed"]
    assert not failed, failed
    assert done.code == 0, done.err


def test_all_four_in_a_row_make_room_for_each_other(study: Shell) -> None:
    done = study.labctl("run", "--keep", *CORE_LABS)
    assert done.code == 0, done.out + done.err
    assert "lab host made room for canary" in done.err
    assert "lab canary made room for https" in done.err


def test_the_report_follows_its_schema(study: Shell) -> None:
    done = study.labctl("run", "canary", "-n", "1000", "-o", "json")
    schema = json.loads(resources.files("labctl.report").joinpath("schema/report.v1.json").read_text())
    jsonschema.validate(done.json, schema)
    (weight,) = [check for check in done.json["labs"][0]["checks"] if check["name"] == "weight-10"]
    assert weight["requests"] in (1000, 2000)
    assert {hits["key"] for hits in weight["hits"]} == {"v1", "v2"}
    assert all(len(hits["pods"]) == 3 for hits in weight["hits"])
    assert all(node.startswith("k3s-") for hits in weight["hits"] for node in hits["nodes"].values())


def curl(study: Shell, *arguments: str) -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    return study.run(program, "-s", "--max-time", "5", *arguments).out


def loop(study: Shell, count: int, pattern: str, *arguments: str) -> Counter[str]:
    """The study's loop: curl so many times, and count what a pattern finds."""
    found = (re.search(pattern, curl(study, *arguments)) for _ in range(count))
    return Counter(match.group(1) if match else "none" for match in found)


def test_the_studys_path_loops_by_hand(study: Shell) -> None:
    assert study.labctl("run", "--keep", "path").code == 0
    assert "<title>Welcome to nginx!</title>" in curl(study, f"{NODE}:30080")
    guest = loop(study, 100, r"Running on: (\S+)", f"{NODE}:30080/guest")
    assert sorted(guest.values()) == [50, 50]
    admin = loop(study, 100, r"Hostname: (\S+)", f"{NODE}:30080/admin")
    assert sorted(admin.values()) == [33, 33, 34]


def test_the_studys_host_matrix_by_hand(study: Shell) -> None:
    assert study.labctl("run", "--keep", "host").code == 0

    def status(host: str, path: str) -> str:
        resolve = f"{host}:30080:{NODE}"
        return curl(study, "-o", "/dev/null", "-w", "%{http_code}", "--resolve", resolve, f"http://{host}:30080{path}")

    paths = ("/", "/gyull", "/echo", "/echo/5")
    assert [status("gyull.com", path) for path in paths] == ["200", "200", "200", "200"]
    assert [status("test.gyull.com", path) for path in paths] == ["404", "404", "200", "200"]


def test_the_studys_canary_loop_by_hand(study: Shell) -> None:
    assert study.labctl("run", "--keep", "canary").code == 0
    resolve = ("--resolve", f"gyull.com:30080:{NODE}")
    counts = loop(study, 300, r"server_version=(nginx: \S+)", *resolve, "http://gyull.com:30080/")
    assert set(counts) == {"nginx: 1.13.0", "nginx: 1.13.1"}
    assert 5 <= counts["nginx: 1.13.1"] <= 65  # 30 expected; a 10 % canary strays farther once in 10^7 runs


def test_the_studys_https_by_hand(study: Shell, tmp_path: Path) -> None:
    assert study.labctl("run", "--keep", "https").code == 0
    certificate = study.kubectl(
        "get", "secret", "secret-https", "-o", 'go-template={{index .data "tls.crt" | base64decode}}'
    )
    ca = tmp_path / "ca.pem"
    ca.write_text(certificate.out)
    resolve = ("--resolve", f"gyull.com:30443:{NODE}", "--resolve", f"gyull.com:30080:{NODE}")
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert curl(study, *code, *resolve, "--cacert", str(ca), "https://gyull.com:30443/") == "200"
    assert curl(study, *code, *resolve, "-k", "https://gyull.com:30443/") == "200"
    assert curl(study, *code, *resolve, "https://gyull.com:30443/") == "000"
    assert curl(study, *code, *resolve, "http://gyull.com:30080/") == "308"


def test_verify_tells_what_is_wrong(study: Shell) -> None:
    assert study.labctl("run", "--keep", "canary").code == 0
    assert study.labctl("verify", "canary").code == 0
    assert study.kubectl("scale", "deploy", "dp-v2", "--replicas=0").code == 0
    try:
        done = study.labctl("verify", "canary")
        assert done.code == 3
        assert "v2" in done.out
        assert "Service default/svc-v2 has no ready pod behind it" in done.out
        assert re.search(r"v2\b.* 0 +0\.0% +10\.0%", done.out)
    finally:
        assert study.kubectl("scale", "deploy", "dp-v2", "--replicas=3").code == 0
        assert study.kubectl("rollout", "status", "deploy/dp-v2", "--timeout=30s").code == 0


def test_probe_needs_no_cluster_file(study: Shell) -> None:
    assert study.labctl("run", "--keep", "path").code == 0
    done = study.labctl("probe", f"http://{NODE}:30080/guest", "--expect", "round-robin", "-o", "json")
    assert done.code == 0, done.err
    assert [hits["hits"] for hits in done.json["labs"][0]["checks"][0]["hits"]] == [50, 50]
    done = study.labctl("probe", f"http://{NODE}:30080/nosuch", "--expect", "200")
    assert done.code == 3
    assert "404" in done.out


def test_clean_removes_what_run_applied(study: Shell) -> None:
    assert study.labctl("run", "--keep", "path").code == 0
    assert study.labctl("clean", "--all").code == 0
    left = study.kubectl("get", "deploy,svc,ingress,pod", "-o", "name").out.split()
    assert [name for name in left if "kubernetes" not in name] == []
    again = study.labctl("clean", "path")
    assert again.code == 0
    assert "nothing of it is there" in again.err


def test_objects_of_others_are_never_touched(study: Shell) -> None:
    study.labctl("clean", "--all")
    assert study.kubectl("create", "deployment", "deploy1-websrv", "--image=nginx").code == 0
    try:
        done = study.labctl("run", "path")
        assert done.code == 4
        assert "Deployment default/deploy1-websrv" in done.out
        assert study.kubectl("get", "svc", "svc1-web").code == 1
    finally:
        study.kubectl("delete", "deployment", "deploy1-websrv")


def test_interrupting_a_run_reports_what_was_done(study: Shell) -> None:
    import sys

    assert study.labctl("run", "--keep", "canary").code == 0
    process = study.start(sys.executable, "-m", "labctl", "run", "--keep", "canary", "-n", "200000", "-o", "json", "-v")
    assert process.stderr is not None
    for line in process.stderr:
        if "weight-10" in line or "1000 requests at weight 10" in line or "study" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["partial"] is True
    assert json.loads(out)["result"] == "error"
    assert study.labctl("verify", "canary").code == 0


def test_manifests_that_the_api_refuses_are_named(study: Shell) -> None:
    lab = study.home / "labs" / "broken"
    lab.mkdir(parents=True)
    (lab / "lab.yaml").write_text(
        "apiVersion: labctl/v1\nkind: Lab\ntitle: Broken\nsteps:\n"
        "- {name: apply, apply: [service.yaml]}\n- {name: ask, probe: {path: /}, expect: {status: 200}}\n"
    )
    (lab / "service.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {type: NodePort, ports: [{port: 80, nodePort: 80}]}\n"
    )
    try:
        done = study.labctl("run", "broken")
        assert done.code == 4
        assert "Service default/bad" in done.out
        assert "The range of valid ports is 30000-32767" in done.out
    finally:
        shutil.rmtree(study.home / "labs")


def test_verify_of_a_lab_that_is_not_there_names_what_is_missing(study: Shell) -> None:
    study.labctl("clean", "--all")
    done = study.labctl("verify", "canary")
    assert done.code == 3
    assert "warning: not on the cluster: Deployment default/dp-v1" in done.out
    assert "`labctl run --keep canary`" in done.out
