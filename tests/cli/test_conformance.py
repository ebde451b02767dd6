"""`labctl conformance` as its user runs it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Shell
from tests.tools import tool

CORPUS = str(Path(__file__).parents[1] / "conformance" / "corpus")
RUN = ("conformance", "--corpus", CORPUS)


def test_the_embedded_ingress_needs_no_cluster(study: Shell) -> None:
    done = study.labctl(*RUN, "--only", "prefix-basic", "-o", "json")
    assert done.code == 0, done.err
    assert (done.json["schema"], done.json["cases"], done.json["passed"]) == ("labctl.conformance/v1", 1, 1)


def test_a_cluster_is_asked_and_left_as_it_was(study: Shell) -> None:
    assert tool("kubectl") is not None
    before = study.kubectl("get", "namespaces", "-o", "name").out
    chosen = [
        word for name in ("rewrite-", "canary-header", "server-alias", "configmap-hide") for word in ("--only", name)
    ]
    done = study.labctl(*RUN, *chosen, "--target", f"kubeconfig:{study.kubeconfig}", "--timeout", "20", "-o", "json")
    assert done.code == 0, done.out + done.err
    assert done.json["failed"] == []
    assert done.json["passed"] >= 8
    assert [skipped["reason"] for skipped in done.json["skipped"]] == ["it sets the controller's ConfigMap"]
    assert study.kubectl("get", "namespaces", "-o", "name").out == before


def test_targets_and_classes_that_do_not_exist(study: Shell) -> None:
    assert study.labctl(*RUN, "--target", "nowhere").code == 2
    done = study.labctl(*RUN, "--target", f"kubeconfig:{study.kubeconfig}", "--ingress-class", "traefik")
    assert done.code == 4
    assert "there is nginx" in done.err


def test_echoserver_has_no_tls_port(study: Shell) -> None:
    chosen = ("--only", "backend-protocol-https", "--target", f"kubeconfig:{study.kubeconfig}", "--timeout", "20")
    done = study.labctl(*RUN, *chosen, "-o", "json")
    assert done.code == 3, "a difference is an expectation that does not hold"
    assert {"status": 502} in [failure["got"] for failure in done.json["failed"]]
