"""The real helm works on the embedded cluster: a chart with hooks, a Job among them, a CRD, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Shell
from tests.tools import tool

CHART = Path(__file__).parent / "chart"

pytestmark = pytest.mark.skipif(tool("helm") is None, reason="the package that carries helm is not installed")


class Helm:
    """helm and kubectl in a namespace of their own."""

    def __init__(self, shell: Shell, namespace: str) -> None:
        self.shell = shell
        self.namespace = namespace

    def try_(self, *arguments: str) -> Done:
        program = tool("helm")
        assert program is not None
        place = ("--kubeconfig", str(self.shell.kubeconfig), "--namespace", self.namespace)
        return self.shell.run(str(program), *arguments, *place)

    def __call__(self, *arguments: str) -> str:
        done = self.try_(*arguments)
        assert done.code == 0, (arguments, done.out, done.err)
        return done.out

    def kubectl(self, *arguments: str) -> str:
        done = self.shell.kubectl("-n", self.namespace, *arguments)
        assert done.code == 0, (arguments, done.out, done.err)
        return done.out


@pytest.fixture
def helm(study: Shell) -> Iterator[Helm]:
    assert study.kubectl("create", "namespace", "charts").code == 0
    yield Helm(study, "charts")
    study.kubectl("delete", "namespace", "charts", "--timeout=60s")
    study.kubectl("delete", "crd", "gadgets.chart.example.com", "--ignore-not-found", "--timeout=30s")


def test_a_release_from_install_to_uninstall(helm: Helm) -> None:
    assert "STATUS: deployed" in helm("install", "r1", str(CHART), "--wait", "--timeout", "60s")
    assert helm.kubectl("get", "deploy", "r1-web", "-o", "jsonpath={.status.readyReplicas}") == "1"
    assert "prepared" in helm.kubectl("logs", "job/r1-prepare")
    assert helm.kubectl("get", "gadgets", "r1", "-o", "jsonpath={.spec.size}") == "3"
    assert "Phase:          Succeeded" in helm("test", "r1", "--timeout", "60s")
    helm("upgrade", "r1", str(CHART), "--set", "message=changed", "--wait", "--timeout", "60s")
    assert helm.kubectl("get", "cm", "r1-web", "-o", "jsonpath={.data.message}") == "changed"
    assert helm("rollback", "r1", "1", "--wait", "--timeout", "60s").startswith("Rollback was a success!")
    assert helm.kubectl("get", "cm", "r1-web", "-o", "jsonpath={.data.message}") == "hello"
    history = helm("history", "r1").splitlines()
    assert [line.split("\t")[-1].strip() for line in history[1:]] == [
        "Install complete",
        "Upgrade complete",
        "Rollback to 1",
    ]
    assert "REVISION: 3" in helm("status", "r1")
    assert helm("get", "manifest", "r1").count("kind: ") == 4
    assert helm("uninstall", "r1", "--wait", "--timeout", "60s") == 'release "r1" uninstalled\n'
    assert helm("list", "--all", "--short") == ""
    assert helm.kubectl("get", "secrets", "-o", "name") == ""


def test_an_atomic_installation_leaves_nothing_behind(helm: Helm) -> None:
    done = helm.try_("install", "r2", str(CHART), "--atomic", "--timeout", "4s", "--set", "image=nosuch:1")
    assert done.code == 1
    assert "release r2 failed, and has been uninstalled due to atomic being set: context deadline exceeded" in done.err
    assert helm("list", "--all", "--short") == ""
    assert helm.kubectl("get", "deploy,svc", "-o", "name") == ""


def test_an_atomic_upgrade_goes_back(helm: Helm) -> None:
    helm("install", "r3", str(CHART), "--wait", "--timeout", "60s")
    done = helm.try_("upgrade", "r3", str(CHART), "--atomic", "--timeout", "4s", "--set", "image=nosuch:1")
    assert done.code == 1
    assert "release r3 failed, and has been rolled back due to atomic being set" in done.err
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert helm.kubectl("get", "deploy", "r3-web", "-o", image) == "nginx:alpine"
    assert "Rollback to 1" in helm("history", "r3")


def test_a_hook_that_fails_stops_the_release(helm: Helm) -> None:
    done = helm.try_("install", "r4", str(CHART), "--timeout", "20s", "--set-json", 'hookCommand=["false"]')
    assert done.code == 1
    assert "failed pre-install: 1 error occurred" in done.err
    assert "job r4-prepare failed: BackoffLimitExceeded" in done.err
    assert helm("list", "--all").splitlines()[1].split("\t")[4].strip() == "failed"


def test_what_is_wrong_with_the_objects_is_the_servers_word(helm: Helm) -> None:
    done = helm.try_("install", "r5", str(CHART), "--set", "replicas=-1")
    assert done.code == 1
    assert 'Deployment.apps "r5-web" is invalid: spec.replicas: Invalid value: -1' in done.err


def test_the_ingress_charts_hook_makes_a_certificate(helm: Helm) -> None:
    image = "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.4.3"
    words = ["create", "--host=a.charts.svc", "--namespace=charts", "--secret-name=made"]
    helm.kubectl("create", "job", "certs", f"--image={image}", "--", "/kube-webhook-certgen", *words)
    helm.kubectl("wait", "--for=condition=Complete", "job/certs", "--timeout=30s")
    assert helm.kubectl("get", "secret", "made", "-o", "go-template={{len .data}} {{.type}}") == "3 Opaque"
    assert "creating new secret" in helm.kubectl("logs", "job/certs")
