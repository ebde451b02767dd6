from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.config.lab import load_lab
from labctl.errors import ClusterError, UsageError
from labctl.lab.catalogue import find_labs
from labctl.lab.plan import (
    MANAGED_BY,
    Overrides,
    host_paths,
    lab_label,
    lab_objects,
    probe_plan,
    resets,
    stamp,
)
from labctl.lab.targets import expand
from labctl.model.cluster import Cluster, ClusterNode, Endpoint, IngressEndpoints
from labctl.model.inventory import Provider
from labctl.model.lab import Expectation, Lab, ProbeStep, Target, TargetKind, TlsMode
from labctl.model.probe import Resolve
from labctl.model.report import Result
from labctl.workflows.labs import unfit_report

NODES = (ClusterNode("s", "control-plane", "127.0.10.10"), ClusterNode("w1", "", "127.0.10.101"))
INGRESS = IngressEndpoints((Endpoint("127.0.10.10", 30080),), (Endpoint("127.0.10.10", 30443),))
CLUSTER = Cluster("study", Provider.EMBEDDED, "v1", Path("kubeconfig"), None, NODES, INGRESS)
SERVICE: dict[str, Any] = {
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 31000}, {"port": 81}]},
}


def shipped(name: str) -> Lab:
    return load_lab(find_labs([])[name])


def probes(lab: Lab, *, changes: bool) -> list[ProbeStep]:
    steps = lab.steps if changes else lab.first_steps
    return [step for step in steps if isinstance(step, ProbeStep)]


def a_lab(*steps: ProbeStep) -> Lab:
    return Lab("mine", "T", "", Path("mine"), steps)


def test_objects_are_stamped_with_namespace_and_labels() -> None:
    objects = lab_objects(shipped("canary"), Overrides())
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in objects] == [
        ("Deployment", "dp-v1"),
        ("Service", "svc-v1"),
        ("Deployment", "dp-v2"),
        ("Service", "svc-v2"),
        ("Ingress", "ingress-canary-v1"),
        ("Ingress", "ingress-canary-v2"),
    ]
    for obj in objects:
        assert obj["metadata"]["namespace"] == "default"
        assert obj["metadata"]["labels"] == {MANAGED_BY: "labctl", lab_label("canary"): ""}


def test_namespace_and_class_can_be_overridden() -> None:
    objects = lab_objects(shipped("canary"), Overrides(namespace="other", ingress_class="traefik"))
    assert {obj["metadata"]["namespace"] for obj in objects} == {"other"}
    classes = {obj["spec"]["ingressClassName"] for obj in objects if obj["kind"] == "Ingress"}
    assert classes == {"traefik"}


def test_stamping_keeps_what_is_there_and_leaves_the_manifest_alone() -> None:
    lab = a_lab()
    obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "kept", "labels": {"a": "b"}}}
    stamped = stamp(obj, lab, Overrides(namespace="other"))
    assert stamped["metadata"]["namespace"] == "kept"
    assert stamped["metadata"]["labels"]["a"] == "b"
    assert obj["metadata"] == {"name": "x", "namespace": "kept", "labels": {"a": "b"}}


def test_cluster_wide_objects_get_no_namespace() -> None:
    obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}
    assert "namespace" not in stamp(obj, a_lab(), Overrides())["metadata"]


def test_verify_leaves_out_what_stands_behind_a_change() -> None:
    lab = shipped("canary")
    assert [step.name for step in probes(lab, changes=False)] == ["study-loop", "weight-10"]
    assert "header-always" in [step.name for step in probes(lab, changes=True)]


def test_a_probe_without_a_host_asks_the_endpoints_address() -> None:
    (step, *_) = probes(shipped("path"), changes=False)
    plan = probe_plan(shipped("path"), step, CLUSTER, Overrides())
    assert (plan.request.url, plan.resolve, plan.count, plan.timeout) == ("http://127.0.10.10:30080/", (), 100, 10.0)


def test_a_probe_with_a_host_resolves_it_itself() -> None:
    lab = shipped("canary")
    (step, *_) = probes(lab, changes=False)
    plan = probe_plan(lab, step, CLUSTER, Overrides())
    assert plan.request.url == "http://gyull.com:30080/"
    assert plan.resolve == (Resolve("gyull.com", 30080, "127.0.10.10"),)
    assert plan.versions == lab.versions


@pytest.mark.parametrize(
    ("endpoint", "scheme", "url"),
    [
        (Endpoint("10.0.0.1", 80), "http", "http://10.0.0.1/"),
        (Endpoint("10.0.0.1", 443), "https", "https://10.0.0.1/"),
        (Endpoint("10.0.0.1", 443), "http", "http://10.0.0.1:443/"),
        (Endpoint("fd00::1", 30080), "http", "http://[fd00::1]:30080/"),
    ],
)
def test_the_url_is_what_a_person_would_type(endpoint: Endpoint, scheme: str, url: str) -> None:
    cluster = replace(CLUSTER, ingress=IngressEndpoints((endpoint,), (endpoint,)))
    step = ProbeStep("p", Expectation(), scheme=scheme, tls=TlsMode.INSECURE)
    assert probe_plan(a_lab(step), step, cluster, Overrides()).request.url == url


def test_counts_can_be_overridden_but_not_for_single_requests() -> None:
    many, one = ProbeStep("many", Expectation(), concurrency=8), ProbeStep("one", Expectation(), count=1)
    overrides = Overrides(count=5, concurrency=50)
    plan = probe_plan(a_lab(many), many, CLUSTER, overrides)
    assert (plan.count, plan.concurrency) == (5, 5)
    assert probe_plan(a_lab(one), one, CLUSTER, overrides).count == 1


def test_the_timeout_of_the_command_line_wins_over_the_steps() -> None:
    step = ProbeStep("p", Expectation(), timeout=2.0)
    assert probe_plan(a_lab(step), step, CLUSTER, Overrides()).timeout == 2.0
    assert probe_plan(a_lab(step), step, CLUSTER, Overrides(timeout=3.0)).timeout == 3.0


def test_tls_follows_the_step() -> None:
    lab, ca = shipped("https"), Path("ca.pem")
    plans = {step.name: step for step in probes(lab, changes=False)}
    verified = probe_plan(lab, plans["verified"], CLUSTER, Overrides(), ca)
    assert (verified.tls.verify, verified.tls.ca_file, verified.request.url) == (True, ca, "https://gyull.com:30443/")
    assert not probe_plan(lab, plans["insecure"], CLUSTER, Overrides()).tls.verify
    system = probe_plan(lab, plans["untrusted"], CLUSTER, Overrides(), ca)
    assert (system.tls.verify, system.tls.ca_file) == (True, None)
    with pytest.raises(UsageError, match="secret-https is missing"):
        probe_plan(lab, plans["verified"], CLUSTER, Overrides())


def test_without_a_controller_there_is_nothing_to_ask() -> None:
    bare = replace(CLUSTER, ingress=IngressEndpoints())
    lab = shipped("path")
    unfit = unfit_report(lab, bare)
    assert unfit is not None
    assert (unfit.result, unfit.reason) == (Result.ERROR, "no ingress controller answers on this cluster")
    assert unfit_report(shipped("nodeport"), bare) is None
    with pytest.raises(ClusterError, match="no ingress controller answers http"):
        probe_plan(lab, probes(lab, changes=False)[0], bare, Overrides())


def test_a_lab_says_why_it_does_not_run_on_a_provider() -> None:
    lab = replace(a_lab(), unsupported={"embedded": "it has no kernel tables"})
    unfit = unfit_report(lab, CLUSTER)
    assert unfit is not None
    assert (unfit.result, unfit.reason) == (Result.SKIPPED, "it has no kernel tables")
    assert unfit_report(lab, replace(CLUSTER, provider=Provider.SSH)) is None


def test_a_node_port_is_asked_on_every_node() -> None:
    lab = expand(shipped("nodeport"), CLUSTER)
    plans = [probe_plan(lab, step, CLUSTER, Overrides()) for step in probes(lab, changes=False)]
    assert [(plan.name, plan.request.url) for plan in plans] == [
        ("node@s", "http://127.0.10.10:30000/"),
        ("node@w1", "http://127.0.10.101:30000/"),
        ("counter", "http://127.0.10.10:31000/"),
    ]


def test_other_nodes_are_those_that_are_no_ingress_endpoint() -> None:
    step = ProbeStep("p", Expectation(), target=Target(node="others"))
    lab = expand(a_lab(step), CLUSTER)
    (found,) = probes(lab, changes=False)
    assert found.name == "p@w1"
    assert probe_plan(lab, found, CLUSTER, Overrides()).request.url == "http://127.0.10.101:30080/"


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (Target(TargetKind.NODE_PORT, "web"), "http://127.0.10.10:31000/"),
        (Target(TargetKind.NODE_PORT, "web", "http", "w1"), "http://127.0.10.101:31000/"),
        (Target(TargetKind.NODE_PORT, "web", "80"), "http://127.0.10.10:31000/"),
    ],
)
def test_a_service_is_asked_by_its_node_port(target: Target, url: str) -> None:
    step = ProbeStep("p", Expectation(), target=target)
    assert probe_plan(a_lab(step), step, CLUSTER, Overrides(), services=[SERVICE]).request.url == url


def test_a_load_balancer_is_asked_by_its_external_address() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "10.1.1.1"}]}}
    step = ProbeStep("p", Expectation(), target=Target(TargetKind.LOAD_BALANCER, "web"))
    plan = probe_plan(a_lab(step), step, CLUSTER, Overrides(), services=[{**SERVICE, "status": status}])
    assert plan.request.url == "http://10.1.1.1/"


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (Target(TargetKind.NODE_PORT, "nope"), ClusterError, "no Service nope"),
        (Target(TargetKind.NODE_PORT, "web", "https"), ClusterError, "has no port https"),
        (Target(TargetKind.NODE_PORT, "web", "81"), ClusterError, "has no node port"),
        (Target(TargetKind.NODE_PORT, "web", node="w9"), UsageError, "no node 'w9'"),
        (Target(TargetKind.LOAD_BALANCER, "web"), ClusterError, "no external address"),
    ],
)
def test_a_target_that_is_not_there_is_named(target: Target, error: type[Exception], words: str) -> None:
    step = ProbeStep("p", Expectation(), target=target)
    with pytest.raises(error, match=words):
        probe_plan(a_lab(step), step, CLUSTER, Overrides(), services=[SERVICE])


def test_claims_are_hosts_and_paths_and_canaries_make_none() -> None:
    claims = host_paths(obj for obj in lab_objects(shipped("canary"), Overrides()) if obj["kind"] == "Ingress")
    assert {key: obj["metadata"]["name"] for key, obj in claims.items()} == {("gyull.com", "/"): "ingress-canary-v1"}


def test_a_default_backend_without_rules_claims_everything_that_is_left() -> None:
    objects = lab_objects(shipped("default-backend"), Overrides())
    claims = host_paths(obj for obj in objects if obj["kind"] == "Ingress")
    assert set(claims) == {("sample.jordy.com", "/jordy"), ("", "/")}


def test_what_a_lab_patches_can_be_brought_back_to_its_manifest() -> None:
    ((obj, patch),) = resets(shipped("canary"), Overrides())
    prefix = "nginx.ingress.kubernetes.io/canary-"
    assert obj["metadata"]["name"] == "ingress-canary-v2"
    assert patch == {
        "metadata": {
            "annotations": {
                f"{prefix}weight": "10",
                f"{prefix}weight-total": None,
                f"{prefix}by-header": None,
                f"{prefix}by-header-pattern": None,
                f"{prefix}by-header-value": None,
                f"{prefix}by-cookie": None,
            }
        }
    }
