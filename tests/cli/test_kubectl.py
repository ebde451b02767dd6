"""The real kubectl works on the embedded cluster unmodified, as its user would type it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Shell
from tests.tools import tool

pytestmark = pytest.mark.skipif(tool("kubectl") is None, reason="the package that carries kubectl is not installed")

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "registry.k8s.io/echoserver:1.5", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"""


class Kubectl:
    """kubectl in a namespace of its own."""

    def __init__(self, shell: Shell, namespace: str) -> None:
        self.shell = shell
        self.namespace = namespace

    def try_(self, *arguments: str) -> Done:
        return self.shell.kubectl("-n", self.namespace, *arguments)

    def __call__(self, *arguments: str) -> str:
        done = self.try_(*arguments)
        assert done.code == 0, (arguments, done.out, done.err)
        return done.out


@pytest.fixture(scope="module")
def kubectl(study: Shell) -> Iterator[Kubectl]:
    assert study.kubectl("create", "namespace", "typed").code == 0
    yield Kubectl(study, "typed")
    assert study.kubectl("delete", "namespace", "typed", "--timeout=30s").code == 0


@pytest.fixture
def web(kubectl: Kubectl, tmp_path: Path) -> Iterator[Path]:
    """The manifest, applied and rolled out."""
    file = tmp_path / "web.yaml"
    file.write_text(MANIFEST)
    kubectl("apply", "-f", str(file))
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    yield file
    kubectl("delete", "-f", str(file), "--ignore-not-found")


def test_apply_is_idempotent_and_says_what_changed(kubectl: Kubectl, web: Path) -> None:
    assert kubectl("apply", "-f", str(web)).splitlines() == ["deployment.apps/web unchanged", "service/web unchanged"]
    web.write_text(MANIFEST.replace("replicas: 2", "replicas: 3"))
    assert kubectl("apply", "-f", str(web)).splitlines() == ["deployment.apps/web configured", "service/web unchanged"]
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}") == "3"


def test_get_in_every_form(kubectl: Kubectl, web: Path) -> None:
    assert re.match(r"NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +2/2 +2 +2 ", kubectl("get", "deploy"))
    wide = kubectl("get", "pods", "-o", "wide")
    assert re.search(r"web-\S+ +1/1 +Running +0 +\S+ +127\.66\.\d\.\d+ +k3s-\S+ ", wide)
    assert json.loads(kubectl("get", "svc", "web", "-o", "json"))["spec"]["ports"][0]["targetPort"] == 8080
    assert "kind: Service" in kubectl("get", "svc", "web", "-o", "yaml")
    assert kubectl("get", "pods", "-l", "app=web", "-o", "name").count("pod/web-") == 2
    assert kubectl("get", "pods", "-l", "app!=web", "-o", "name") == ""
    assert "kube-system" in kubectl("get", "namespaces")
    assert "typed" in kubectl("get", "pods", "-A")


def test_describe(kubectl: Kubectl, web: Path) -> None:
    text = kubectl("describe", "deploy", "web")
    assert re.search(r"Replicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable", text)
    assert "Scaled up replica set web-" in text
    pod = kubectl("describe", "pods", "-l", "app=web")
    for event in ("Successfully assigned typed/web-", "Created container: web", "Started container web"):
        assert event in pod
    service = kubectl("describe", "svc", "web")
    assert len(re.findall(r"127\.66\.\d+\.\d+:8080", service)) == 2


def test_watch_shows_what_changes(kubectl: Kubectl, web: Path) -> None:
    program = tool("kubectl")
    assert program is not None
    command = [
        str(program),
        "--kubeconfig",
        str(kubectl.shell.kubeconfig),
        "-n",
        "typed",
        "get",
        "cm",
        "-w",
        "-o",
        "name",
    ]
    process = kubectl.shell.start(*command)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "configmap/kube-root-ca.crt\n"
        kubectl("create", "configmap", "seen", "--from-literal=a=b")
        assert process.stdout.readline() == "configmap/seen\n"
    finally:
        process.terminate()
        process.communicate(timeout=10)
        kubectl("delete", "configmap", "seen")


def test_change_in_every_way(kubectl: Kubectl, web: Path) -> None:
    kubectl("label", "svc", "web", "tier=front")
    kubectl("annotate", "svc", "web", "note=x")
    kubectl("patch", "svc", "web", "-p", '{"spec":{"sessionAffinity":"ClientIP"}}')
    kubectl("patch", "svc", "web", "--type=json", "-p", '[{"op":"remove","path":"/metadata/annotations/note"}]')
    kubectl("patch", "svc", "web", "--type=merge", "-p", '{"metadata":{"labels":{"more":"y"}}}')
    found = json.loads(kubectl("get", "svc", "web", "-o", "json"))
    assert found["metadata"]["labels"] == {"tier": "front", "more": "y"}
    assert "note" not in found["metadata"]["annotations"]
    assert found["spec"]["sessionAffinity"] == "ClientIP"


def test_edit(kubectl: Kubectl, web: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/port: 80$/port: 81/' \"$1\"\n")
    editor.chmod(0o755)
    shell = Shell(kubectl.shell.home, {"KUBE_EDITOR": str(editor)})
    done = shell.kubectl("-n", "typed", "edit", "svc", "web")
    assert done.out == "service/web edited\n", done.err
    assert kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[0].port}") == "81"


def test_rollout_restart_and_undo(kubectl: Kubectl, web: Path) -> None:
    before = set(kubectl("get", "pods", "-l", "app=web", "-o", "name").split())
    kubectl("rollout", "restart", "deploy/web")
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    kubectl("wait", "--for=delete", *before, "--timeout=40s")
    assert not before & set(kubectl("get", "pods", "-l", "app=web", "-o", "name").split())
    kubectl("set", "image", "deploy/web", "web=registry.k8s.io/echoserver:1.6")
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    kubectl("rollout", "undo", "deploy/web")
    kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    image = kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert image == "registry.k8s.io/echoserver:1.5"


def test_scale_and_wait(kubectl: Kubectl, web: Path) -> None:
    kubectl("scale", "deploy", "web", "--replicas=0")
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=40s")
    assert kubectl("get", "endpoints", "web", "-o", "jsonpath={.subsets}") == ""
    kubectl("scale", "deploy", "web", "--replicas=1")
    kubectl("wait", "--for=condition=Available", "deploy/web", "--timeout=30s")


def test_logs(kubectl: Kubectl) -> None:
    kubectl("run", "talker", "--image=busybox", "--restart=Never", "--", "sh", "-c", "echo one; echo two")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/talker", "--timeout=30s")
    assert kubectl("logs", "talker") == "one\ntwo\n"
    assert kubectl("logs", "talker", "--tail=1") == "two\n"
    kubectl("delete", "pod", "talker")


def test_create_things_by_command(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("create", "deployment", "made", "--image=nginx", "--replicas=2")
    kubectl("expose", "deploy", "made", "--port=80", "--type=NodePort")
    port = int(kubectl("get", "svc", "made", "-o", "jsonpath={.spec.ports[0].nodePort}"))
    assert 30000 <= port <= 32767
    done = kubectl.shell.run("openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", str(tmp_path / "k"),
                             "-out", str(tmp_path / "c"), "-subj", "/CN=x", "-days", "1")  # fmt: skip
    if done.code == 0:
        kubectl("create", "secret", "tls", "made", f"--cert={tmp_path / 'c'}", f"--key={tmp_path / 'k'}")
        assert kubectl("get", "secret", "made", "-o", "jsonpath={.type}") == "kubernetes.io/tls"
        kubectl("delete", "secret", "made")
    kubectl("delete", "svc,deploy", "made")


def test_facts_about_the_cluster(kubectl: Kubectl) -> None:
    version = json.loads(kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"] == "v1.34.4+k3s1"
    assert "https://127.0.66.10:6443" in kubectl("cluster-info")
    resources = kubectl("api-resources", "-o", "name").split()
    assert {"pods", "deployments.apps", "ingresses.networking.k8s.io", "leases.coordination.k8s.io"} <= set(resources)
    assert len(kubectl("get", "nodes", "-o", "name").split()) == 4


def test_what_the_api_refuses_is_said_as_the_real_one_says_it(kubectl: Kubectl, tmp_path: Path) -> None:
    assert "not found" in kubectl.try_("get", "svc", "nothing").err
    file = tmp_path / "bad.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 80}], typ: NodePort}\n"
    )
    done = kubectl.try_("apply", "-f", str(file))
    assert done.code == 1
    assert 'strict decoding error: unknown field "spec.typ"' in done.err
    file.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {type: NodePort, ports: [{port: 80, nodePort: 99}]}\n"
    )
    done = kubectl.try_("apply", "-f", str(file))
    assert (
        'The Service "bad" is invalid: spec.ports[0].nodePort: Invalid value: 99: provided port is not in the valid '
        "range. The range of valid ports is 30000-32767"
    ) in done.err
