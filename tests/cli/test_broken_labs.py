"""Every lab notices when the one thing that it teaches is broken: `verify` fails, with a reason that names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from labctl.config.inventory import load_inventory
from labctl.config.lab import load_lab
from labctl.env import system_env
from labctl.lab.catalogue import find_labs
from labctl.lab.targets import expand
from labctl.model.actions import ApplyStep, CertificateStep
from labctl.model.lab import Lab
from labctl.model.report import LabReport, Result
from labctl.objects.versions import api_version
from labctl.providers.describe import describe_cluster
from labctl.providers.embedded import EmbeddedProvider
from labctl.testing.sink import RecordingSink
from labctl.workflows.actions import Actions
from labctl.workflows.bench import Bench, LabOptions
from labctl.workflows.clean import clean_up
from labctl.workflows.ownership import prepare_namespace
from labctl.workflows.run import open_bench
from labctl.workflows.verify import verify_lab
from tests.cli.conftest import Shell


@dataclass(frozen=True, slots=True)
class Break:
    """What is done to the cluster (a merge patch, or a deletion without one), and what the reason must say."""

    lab: str
    kind: str
    name: str
    reason: str
    patch: dict[str, Any] = field(default_factory=dict)
    namespace: str = ""
    undo: dict[str, Any] = field(default_factory=dict)


def annotation(**values: str | None) -> dict[str, Any]:
    names = {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in values.items()}
    return {"metadata": {"annotations": names}}


NOBODY = {"spec": {"selector": {"app": "nobody"}}}
LOCAL, CLUSTER = ({"spec": {"externalTrafficPolicy": policy}} for policy in ("Local", "Cluster"))

BREAKS = (
    Break("path", "Service", "svc2-guest", "503.*no ready endpoint", NOBODY),
    Break("host", "Ingress", "ingress-2", "404", {"spec": {"rules": [{"host": "other.example.com"}]}}),
    Break("canary", "Ingress", "ingress-canary-v2", "v2", annotation(canary_weight="40")),
    Break("https", "Secret", "secret-https", "certificate"),
    Break(
        "balance",
        "Ingress",
        "ingress-1",
        "all 100 from|apart|never answered",
        annotation(upstream_hash_by="$remote_addr"),
    ),
    Break("multi-host", "Service", "scappy-node-port-svc", "503", NOBODY),
    Break("multi-path", "Service", "scappy-node-port-svc", "503", NOBODY),
    Break("default-backend", "Ingress", "everything-else", "404"),
    Break("nodeport", "Service", "jordy-node-port-svc", "never answered|CURLE_OPERATION_TIMEDOUT|not answer", LOCAL),
    Break(
        "keep-alive",
        "Service",
        "jordy-node-port-svc",
        "never answered|0 of|/0",
        {"spec": {"sessionAffinity": "ClientIP"}},
    ),
    Break("bypass", "Ingress", "ingress-1", "502|apart|never answered", annotation(service_upstream="true")),
    Break(
        "xff",
        "Service",
        "ingress-nginx-controller",
        "spec.externalTrafficPolicy of .* is Cluster, expected Local.*x-forwarded-for",
        CLUSTER,
        "ingress",
        LOCAL,
    ),
    Break("clusterip", "Service", "redis", "PONG", {"spec": {"selector": {"tier": "nobody"}}}),
    Break("loadbalancer", "Service", "counter-lb", "loadBalancer.*not set", {"spec": {"type": "ClusterIP"}}),
    Break("headless", "Service", "sample-headless", "has nothing for|nothing in the output", NOBODY),
    Break("dns", "Service", "web", "Service dns/web"),
    Break("sslip", "Ingress", "echo-v1", "404"),
    Break(
        "reload",
        "Ingress",
        "reload",
        "nothing in the output matches .*server_name",
        {"spec": {"ingressClassName": "other"}},
    ),
    Break("nginx-conf", "Ingress", "ingress-1", "nothing in the output matches .*svc3.admin"),
    Break(
        "controller-ha",
        "Lease",
        "ingress-nginx-leader",
        "spec.holderIdentity of Lease .* is nobody",
        {"spec": {"holderIdentity": "nobody"}},
        "ingress",
    ),
)


@pytest.fixture(scope="module")
def bench(study: Shell) -> Iterator[Bench]:
    """The shared cluster, as the workflows see it, without a process for each command."""
    assert study.labctl("clean", "--all").code == 0
    env = system_env()
    inventory = load_inventory(study.home / "cluster.yaml")
    from labctl.kube.client import KubeApi

    api = KubeApi(study.kubeconfig)
    cluster = describe_cluster(api, inventory, study.kubeconfig, None)
    api.close()
    options = LabOptions(timeout=20)
    found = open_bench(
        cluster, EmbeddedProvider(inventory, env), inventory, env=env, sink=RecordingSink(), options=options
    )
    yield found
    found.api.close()


def shipped(name: str) -> Lab:
    return load_lab(find_labs([])[name])


def prepared(bench: Bench, lab: Lab) -> None:
    """The lab as its first manifests make it, and once seen to be well."""
    prepare_namespace(bench, lab)
    actions = Actions(bench, lab)
    for step in lab.first_steps:
        if isinstance(step, (ApplyStep, CertificateStep)):
            actions.perform(step)


def words(report: LabReport) -> str:
    verdicts = [check.verdict.reason for check in report.checks if check.verdict and not check.verdict.passed]
    return " ".join((report.reason, *report.warnings, *verdicts))


@pytest.mark.parametrize("broken", BREAKS, ids=[broken.lab for broken in BREAKS])
def test_verify_names_what_is_broken(bench: Bench, broken: Break) -> None:
    lab = shipped(broken.lab)
    mine = bench.for_lab(lab)
    mine.settle = True
    prepared(mine, expand(lab, mine.cluster))
    try:
        well = verify_lab(mine, lab)
        assert well.result is Result.PASSED, words(well)
        _break(mine, broken, lab)
        mine.settle = False
        report = _failing(mine, lab)
        assert report.result in (Result.FAILED, Result.ERROR)
        assert re.search(broken.reason, words(report), re.DOTALL), words(report)
    finally:
        if broken.undo:
            mine.api.merge_patch("v1", broken.kind, broken.namespace, broken.name, broken.undo)
        clean_up(mine, lab.name)
        mine.api.close()


def _break(bench: Bench, broken: Break, lab: Lab) -> None:
    version, namespace = api_version(broken.kind), broken.namespace or lab.namespace
    if broken.patch:
        bench.api.merge_patch(version, broken.kind, namespace, broken.name, broken.patch)
    else:
        found = bench.api.get(version, broken.kind, namespace, broken.name)
        assert found is not None
        bench.api.delete(found)


def _failing(bench: Bench, lab: Lab) -> LabReport:
    """The first report that does not pass: a change takes a moment to reach controller and kube-proxy."""
    deadline = bench.env.clock.monotonic() + 10
    while True:
        report = verify_lab(bench, lab)
        if report.result is not Result.PASSED or bench.env.clock.monotonic() > deadline:
            return report


def test_every_lab_that_runs_here_is_broken_once() -> None:
    labs = {name: load_lab(path) for name, path in find_labs([]).items()}
    runnable = {name for name, lab in labs.items() if not lab.reference and "embedded" not in lab.unsupported}
    assert runnable == {broken.lab for broken in BREAKS} | {"api-access"}


def test_api_access_notices_permission_that_nobody_should_have(bench: Bench) -> None:
    lab = shipped("api-access")
    mine = bench.for_lab(lab)
    mine.settle = False
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "too-much"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    }
    prepared(mine, lab)
    try:
        assert verify_lab(mine, lab).result is Result.PASSED
        mine.api.apply(binding)
        report = verify_lab(mine, lab)
        assert report.result is Result.FAILED
        assert "1 × 200" in words(report) or "200" in words(report)
        assert "403" in words(report)
    finally:
        mine.api.delete(binding)
        clean_up(mine, lab.name)
        mine.api.close()
