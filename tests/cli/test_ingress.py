"""`labctl ingress` as its user runs it, with the real Helm and a small chart that keeps the real one's interface.

LABCTL_CHART names a folder or .tgz of the real chart, to play the same with it.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done, Shell, cluster_yaml, stop
from tests.tools import tool

pytestmark = pytest.mark.skipif(tool("helm") is None, reason="the package that carries helm is not installed")

CHART = os.environ.get("LABCTL_CHART") or str(Path(__file__).parents[1] / "charts" / "ingress-nginx")
NO_WEBHOOK = ("--set", "controller.admissionWebhooks.enabled=false")
"""The real chart's hook Jobs are another test's."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A cluster without an ingress controller."""
    home = tmp_path_factory.mktemp("bare")
    (home / "cluster.yaml").write_text(cluster_yaml(96) + "ingress:\n  install: false\n")
    program = tool("helm")
    assert program is not None
    shell = Shell(home, {"PATH": f"{program.parent.resolve()}:{os.environ.get('PATH', '')}"})
    done = shell.labctl("up")
    try:
        assert done.code == 0, done.err
        yield shell
    finally:
        stop(shell)


@pytest.fixture
def shell(bare: Shell) -> Iterator[Shell]:
    yield bare
    bare.labctl("ingress", "uninstall", "--yes")


def helm(shell: Shell, *arguments: str) -> Done:
    return shell.run("helm", "--kubeconfig", str(shell.kubeconfig), "-n", "ingress", *arguments)


def status(shell: Shell) -> Any:
    return shell.labctl("ingress", "status", "-o", "json").json


def objects(shell: Shell) -> str:
    return shell.kubectl("get", "deploy,svc,cm,secret,ingressclass,sa", "-n", "ingress", "-o", "name").out


def nothing_is_left(shell: Shell) -> bool:
    return "ingress-nginx" not in objects(shell) and "/nginx" not in objects(shell)


def path_lab_passes(shell: Shell) -> bool:
    return shell.labctl("run", "--keep", "path", "-q", "-n", "20").code == 0


def test_a_real_release_is_installed_changed_rolled_back_and_removed(shell: Shell) -> None:
    done = shell.labctl("ingress", "install", "--chart", CHART, *NO_WEBHOOK)
    assert done.code == 0, done.err
    assert "retired in March 2026" in done.err
    (release,) = json.loads(helm(shell, "list", "-o", "json").out)
    assert (release["chart"], release["status"]) == ("ingress-nginx-4.11.2", "deployed")
    assert status(shell)["via"] == "helm"
    assert path_lab_passes(shell)
    assert shell.labctl("ingress", "install", "--chart", CHART, *NO_WEBHOOK).err.count("is installed with these values")

    cluster = ("--set", "controller.service.externalTrafficPolicy=Cluster", "--set", "controller.replicaCount=2")
    refused = shell.labctl("ingress", "install", "--chart", CHART, *NO_WEBHOOK, *cluster)
    assert refused.code == 2
    assert "externalTrafficPolicy: Cluster" in refused.err
    changed = shell.labctl("ingress", "upgrade", "--chart", CHART, *NO_WEBHOOK, *cluster)
    assert changed.code == 0, changed.err
    assert "retired" not in changed.err
    assert len(status(shell)["addresses"]) == 8
    assert status(shell)["replicas"] == {"ready": 2, "wanted": 2}
    assert path_lab_passes(shell)

    assert helm(shell, "rollback", "ingress-nginx", "1", "--wait").code == 0
    assert len(status(shell)["addresses"]) == 2
    assert path_lab_passes(shell)
    by_hand = shell.labctl("ingress", "upgrade", "--chart", CHART, *NO_WEBHOOK, *cluster)
    assert by_hand.code == 2
    assert "by hand" in by_hand.err
    assert shell.labctl("ingress", "uninstall").code == 2
    taken = shell.labctl("ingress", "upgrade", "--chart", CHART, *NO_WEBHOOK, *cluster, "--yes")
    assert taken.code == 0, taken.err
    assert shell.labctl("ingress", "uninstall").code == 0
    assert json.loads(helm(shell, "list", "-a", "-o", "json").out) == []
    assert nothing_is_left(shell)


def test_without_helm_the_same_commands_work(shell: Shell) -> None:
    done = shell.labctl("ingress", "install")
    assert done.code == 0, done.err
    assert status(shell)["via"] == "manifests"
    assert path_lab_passes(shell)
    preview = shell.labctl("ingress", "upgrade", "--set", "controller.kind=DaemonSet", "--dry-run", "-o", "json").json
    changes = {(change["change"], change["object"]) for change in preview["changes"]}
    assert ("create", "DaemonSet ingress/ingress-nginx-controller") in changes
    assert ("delete", "Deployment ingress/ingress-nginx-controller") in changes
    assert shell.labctl("ingress", "upgrade", "--set", "controller.kind=DaemonSet").code == 0
    assert "deployment" not in objects(shell)
    assert shell.labctl("ingress", "upgrade").code == 0
    shell.kubectl("scale", "-n", "ingress", "deploy/ingress-nginx-controller", "--replicas=3")
    drift = shell.labctl("ingress", "upgrade", "--set", "controller.config.x=y")
    assert drift.code == 2
    assert "-  replicas: 3" in drift.err
    assert shell.labctl("ingress", "uninstall").code == 0
    assert nothing_is_left(shell)


def test_helm_takes_over_what_labctl_installed_itself(shell: Shell) -> None:
    assert shell.labctl("ingress", "install", *NO_WEBHOOK).code == 0
    done = shell.labctl("ingress", "upgrade", "--via", "helm", "--chart", CHART, *NO_WEBHOOK)
    assert done.code == 0, done.err
    assert status(shell)["via"] == "helm"
    assert "labctl.release" not in objects(shell)
    back = shell.labctl("ingress", "upgrade", "--via", "manifests")
    assert back.code == 2
    assert "Helm keeps this release" in back.err


def test_the_client_s_address_follows_the_traffic_policy(shell: Shell) -> None:
    assert shell.labctl("ingress", "install").code == 0
    assert _forwarded_for(shell) == {"127.0.96.101"}
    done = shell.labctl("ingress", "upgrade", "--set", "controller.service.externalTrafficPolicy=Cluster")
    assert done.code == 0, done.err
    assert "127.0.96.101" not in _forwarded_for(shell)


def _forwarded_for(shell: Shell) -> set[str]:
    """The X-Forwarded-For that a pod sees for a client at 127.0.96.101."""
    assert path_lab_passes(shell)
    curl = ("curl", "-s", "--interface", "127.0.96.101", "http://127.0.96.10:30080/admin")
    body = shell.run(*curl).out
    headers = (line.strip().partition("=") for line in body.splitlines())
    return {value for name, _, value in headers if name == "x-forwarded-for"}


def test_an_interrupted_release_is_mended(shell: Shell) -> None:
    assert shell.labctl("ingress", "install", "--chart", CHART, *NO_WEBHOOK).code == 0
    _make_pending(shell)
    early = shell.labctl("ingress", "upgrade", "--chart", CHART, *NO_WEBHOOK)
    assert early.code == 4
    assert "pending-install" in early.err
    mended = shell.labctl("ingress", "upgrade", "--chart", CHART, *NO_WEBHOOK, "--yes")
    assert mended.code == 0, mended.err
    assert "its remains are removed" in mended.err
    assert status(shell)["status"] == "deployed"


def _make_pending(shell: Shell) -> None:
    """Leave the release as a Helm that was killed leaves it."""
    name = "sh.helm.release.v1.ingress-nginx.v1"
    secret = json.loads(shell.kubectl("get", "secret", "-n", "ingress", name, "-o", "json").out)
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    release["info"]["status"] = "pending-install"
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    patch = {"data": {"release": packed}, "metadata": {"labels": {"status": "pending-install"}}}
    done = shell.kubectl("patch", "secret", "-n", "ingress", name, "--type=merge", "-p", json.dumps(patch))
    assert done.code == 0, done.err


BAD: list[tuple[tuple[str, ...], int, str]] = [
    (("--set", "controller.replicaCount=many"), 2, "must be a whole number"),
    (("--set", "controller.replicaCuont=2"), 2, "did you mean controller.replicaCount"),
    (("--set", "nonsense"), 2, "has no value"),
    (("--via", "helm", "--chart", "."), 2, "is no chart"),
    (("--chart", "missing.tgz"), 2, "no such chart"),
    (("--chart", CHART, "--version", "4.0.0"), 2, "is version 4.11.2, not 4.0.0"),
    (("--via", "manifests", "--version", "4.12.0"), 2, "not 4.12.0"),
    (("--values", "missing.yaml"), 2, "no such file"),
    (("--controller", "traefik"), 2, "real clusters only"),
    (("--set", r"controller.nodeSelector.kubernetes\.io/hostname=nowhere"), 4, "k3s-w1"),
    (("--set", "controller.service.nodePorts.http=99"), 4, "nothing of it is left"),
    (("--chart", CHART, *NO_WEBHOOK, "--set", "controller.service.nodePorts.http=99"), 4, "nothing of it is left"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD)
def test_bad_input_leaves_nothing_half_installed(
    bare: Shell, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = bare.labctl("ingress", "install", "-q", *arguments)
    assert done.code == code, done.err
    assert words in done.err
    assert nothing_is_left(bare)


def test_a_node_port_that_is_taken_is_found_first(bare: Shell) -> None:
    made = bare.kubectl("create", "service", "nodeport", "web", "--tcp=80", "--node-port=30080")
    assert made.code == 0, made.err
    try:
        done = bare.labctl("ingress", "install", "-q")
        assert done.code == 4
        assert "nodePort 30080 is taken by Service default/web" in done.err
        assert nothing_is_left(bare)
    finally:
        bare.kubectl("delete", "service", "web")


def test_no_helm_and_no_internet_is_said(bare: Shell) -> None:
    away = {"PATH": "/usr/bin:/bin", "LABCTL_HELM_SITE": "http://127.0.0.1:9", "LABCTL_CACHE_DIR": str(bare.home / "c")}
    done = Shell(bare.home, away).labctl("ingress", "install", "-q", "--via", "helm")
    assert done.code == 4
    assert "no helm 3 on PATH" in done.err
    assert "--via manifests" in done.err


def test_values_say_where_they_come_from(bare: Shell) -> None:
    (bare.home / "mine.yaml").write_text("controller:\n  metrics:\n    enabled: false\n")
    found = bare.labctl(
        "ingress", "values", "--values", "mine.yaml", "--set", "controller.replicaCount=2", "-o", "json"
    )
    origins = found.json["origins"]
    assert origins["controller.metrics.enabled"] == "mine.yaml:3"
    assert origins["controller.replicaCount"] == "--set controller.replicaCount=2"
    assert origins["controller.service.type"] == "the study"
    everything = bare.labctl("ingress", "values", "--all", "-o", "json").json
    assert everything["origins"]["controller.image.tag"] == "chart"


def test_the_log_at_level_3_shows_endpoints(shell: Shell) -> None:
    assert shell.labctl("ingress", "install", "--set", "controller.extraArgs.v=3").code == 0
    assert path_lab_passes(shell)
    log = shell.labctl("ingress", "logs").out
    assert "Endpoints found" in log or "Getting Endpoints" in log
    assert "PRIVATE KEY" not in log
