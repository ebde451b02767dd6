"""What labs leave behind, what they refuse, and labs of one's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Shell


def left(study: Shell, namespace: str) -> list[str]:
    names = study.kubectl("get", "deploy,svc,ingress,pod", "-n", namespace, "-o", "name").out.split()
    return [name for name in names if name != "service/kubernetes"]


def test_a_lab_cleans_up_after_itself_and_keep_leaves_it(study: Shell) -> None:
    study.labctl("clean", "--all")
    assert study.labctl("run", "sslip").code == 0
    assert study.kubectl("get", "namespace", "sslip").code == 1
    assert study.labctl("run", "--keep", "sslip").code == 0
    assert "ingress.networking.k8s.io/echo-v1" in left(study, "sslip")
    assert study.labctl("verify", "sslip").code == 0
    assert study.labctl("clean", "sslip").code == 0
    assert study.kubectl("get", "namespace", "sslip").code == 1


def test_labs_run_side_by_side_and_the_report_keeps_their_order(study: Shell) -> None:
    done = study.labctl("run", "sslip", "dns", "keep-alive", "api-access", "alb", "-o", "json")
    assert done.code == 0, done.out + done.err
    results = [(lab["name"], lab["result"]) for lab in done.json["labs"]]
    assert results == [
        ("sslip", "passed"),
        ("dns", "passed"),
        ("keep-alive", "passed"),
        ("api-access", "passed"),
        ("alb", "skipped"),
    ]
    assert "Bearer ey" not in done.out + done.err
    assert "$TOKEN" in done.out


def test_names_of_somebody_else_are_refused_and_a_namespace_helps(study: Shell) -> None:
    study.labctl("clean", "--all")
    assert study.kubectl("create", "deployment", "jordy", "--image=nginx").code == 0
    try:
        refused = study.labctl("run", "keep-alive")
        assert refused.code == 4
        assert "Deployment default/jordy" in refused.out
        assert "--namespace" in refused.out
        beside = study.labctl("run", "keep-alive", "--namespace", "beside", "-o", "json")
        assert beside.code == 0, beside.out + beside.err
        assert study.kubectl("get", "namespace", "beside").code == 1
        assert (
            study.kubectl("get", "deploy", "jordy", "-o", "jsonpath={.spec.template.spec.containers[0].image}").out
            == "nginx"
        )
    finally:
        study.kubectl("delete", "deployment", "jordy")


def test_what_the_user_may_not_do_is_named_before_anything_is_changed(study: Shell, tmp_path: Path) -> None:
    assert study.kubectl("create", "serviceaccount", "weak").code == 0
    token = study.kubectl("create", "token", "weak").out.strip()
    assert (
        study.kubectl(
            "create", "clusterrolebinding", "weak", "--clusterrole=view", "--serviceaccount=default:weak"
        ).code
        == 0
    )
    config = json.loads(study.kubectl("config", "view", "--raw", "-o", "json").out)
    config["users"][0]["user"] = {"token": token}
    kubeconfig = tmp_path / "weak.json"
    kubeconfig.write_text(json.dumps(config))
    cluster = tmp_path / "weak.yaml"
    cluster.write_text(
        f"apiVersion: labctl/v1\nkind: Cluster\nname: weak\nprovider: kubeconfig\nkubeconfig: {{path: {kubeconfig}}}\n"
    )
    try:
        done = study.labctl("run", "keep-alive", "-f", str(cluster))
        assert done.code == 4, done.out + done.err
        assert (
            "create, patch, delete deployments in namespace default" in done.out + done.err
            or "nodes is forbidden" in done.err
        )
    finally:
        study.kubectl("delete", "clusterrolebinding", "weak")
        study.kubectl("delete", "serviceaccount", "weak")


def test_a_new_lab_is_whole_and_mistakes_have_places(study: Shell) -> None:
    made = study.labctl("lab", "new", "mine")
    assert made.code == 0, made.err
    try:
        assert study.labctl("lab", "new", "mine").code == 2
        checked = study.labctl("lab", "check", "labs/mine")
        assert checked.code == 0, checked.err
        assert "no mistakes" in checked.out
        assert study.labctl("run", "mine").code == 0
        lab = study.home / "labs" / "mine" / "lab.yaml"
        lab.write_text(lab.read_text().replace("podsOf", "podOf").replace("${", "$ {"))
        broken = study.labctl("lab", "check", "labs/mine")
        assert broken.code == 2
        assert "lab.yaml:18:" in broken.err
        assert "did you mean 'podsOf'" in broken.err
        assert "mine" in study.labctl("list").err
        assert study.labctl("list").code == 0
        assert study.labctl("run", "sslip").code == 0
        assert study.labctl("clean", "--all").code == 0
        assert study.labctl("run", "mine").code == 2
    finally:
        shutil.rmtree(study.home / "labs")


@pytest.mark.parametrize("lab", ["path", "clusterip", "alb"])
def test_show_draws_the_way(study: Shell, lab: str) -> None:
    done = study.labctl("show", lab)
    assert done.code == 0, done.err
    if lab == "alb":
        assert "instance" in done.out
    else:
        assert "## The packet's way, as observed on cluster study" in done.out
    if lab == "path":
        assert "127.0.66.10:30080" in done.out
        assert "DNAT to the controller's pod" in done.out


def test_an_annotation_without_effect_is_said_with_the_lab(study: Shell) -> None:
    assert study.labctl("lab", "new", "mine").code == 0
    try:
        ingress = study.home / "labs" / "mine" / "mine.yaml"
        objects = list(yaml.safe_load_all(ingress.read_text()))
        annotations = {"nginx.ingress.kubernetes.io/enable-modsecurity": "true"}
        for obj in objects:
            if obj["kind"] == "Ingress":
                obj["metadata"]["annotations"] = annotations
        ingress.write_text(yaml.safe_dump_all(objects))
        done = study.labctl("run", "mine", "-o", "json")
        assert done.code == 0, done.out + done.err
        (warning,) = done.json["labs"][0]["warnings"]
        assert "enable-modsecurity" in warning
        assert "Ingress mine/" in warning
    finally:
        shutil.rmtree(study.home / "labs")
