"""What the controllers make of recorded objects, field by field against what a real k3s made of them."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run

_DATA = Path(__file__).parent / "data" / "recorded.json"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_VOLATILE = {"uid", "resourceVersion", "creationTimestamp", "generation"}


@cache
def _recorded() -> Obj:
    found: Obj = json.loads(_DATA.read_text(encoding="utf-8"))
    return found


def _created(kind: str) -> Obj:
    """The recorded object as the API defaulted it, for a namespace of the test's own."""
    obj: Obj = copy.deepcopy(_recorded()[kind]["created"])
    metadata = obj["metadata"]
    metadata["namespace"] = "default"
    for field in ("uid", "resourceVersion", "creationTimestamp"):
        metadata.pop(field)
    obj.pop("status", None)
    return obj


def _plain(value: Any, names: dict[str, str]) -> Any:
    """Without what differs from run to run: uids, versions, times, addresses, generated parts of names."""
    if isinstance(value, dict):
        return {_plain(key, names): _plain(item, names) for key, item in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [_plain(item, names) for item in value]
    if not isinstance(value, str):
        return value
    text = _TIME.sub("<time>", value)
    for pattern, word in names.items():
        text = re.sub(pattern, word, text)
    return text


NAMES = {
    r"\b172\.16\.\d+\.\d+\b|\b10\.0\.0\.\d+\b": "<ip>",
    r"\bk3s-(s|w\d)\b": "<node>",
    r"\bapi-facts\b": "default",
    r"\bdeploy1-websrv-[a-z0-9]+-[a-z0-9]{5}\b": "<pod>",
    r"\b(ds1|job1)-[a-z0-9]{5}\b": r"\1-<random>",
    r"\b(svc1-web|svc-hl|svc-lb)-[a-z0-9]{5}\b": r"\1-<random>",
    r"\bdeploy1-websrv-[a-z0-9]{8,10}\b": "<replicaset>",
    r"\bsvclb-svc-lb-[0-9a-f]{8}\b": "svclb-svc-lb-<uid>",
    r"\b\w{8}-\w{4}-\w{4}-\w{4}-\w{12}\b": "<uid>",
    r"^[456789bcdf]{8,10}$": "<hash>",
    r"\bds1-[456789bcdf]{8,10}\b": "ds1-<hash>",
}


def _same(found: Any, expected: Any) -> None:
    assert _plain(found, NAMES) == _plain(expected, NAMES)


def _status_and_spec(obj: Obj) -> Obj:
    return {"spec": obj["spec"], "status": obj["status"]}


def _get(cluster: Cluster, resource: str, name: str) -> Obj:
    found = cluster.api.get(resource, "default", name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "resource", "name"),
    [("StatefulSet", "statefulsets.apps", "sts1"), ("DaemonSet", "daemonsets.apps", "ds1")],
)
def test_a_workload_settles_as_recorded(kind: str, resource: str, name: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create(resource, _created(kind))
        await cluster.settle()
        _same(_status_and_spec(_get(cluster, resource, name)), _status_and_spec(_recorded()[kind]["settled"]))
        revision = cluster.api.list("controllerrevisions.apps")[0]
        (expected,) = [
            entry for entry in _recorded()["ControllerRevisionList"] if entry["metadata"]["name"].startswith(name)
        ]
        _same({**revision, "apiVersion": 0, "kind": 0}, {**expected, "apiVersion": 0, "kind": 0})

    run(scenario)


def test_a_recorded_statefulset_gets_the_very_revision_it_got() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("statefulsets.apps", _created("StatefulSet"))
        await cluster.settle()
        name = _get(cluster, "statefulsets.apps", "sts1")["status"]["currentRevision"]
        assert name == _recorded()["StatefulSet"]["settled"]["status"]["currentRevision"]

    run(scenario)


def test_a_job_settles_as_recorded() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.exit_phase = lambda pod: "Succeeded"
        cluster.api.create("jobs.batch", _created("Job"))
        await cluster.settle()
        expected = _recorded()["Job"]["settled"]["status"]
        _same(_get(cluster, "jobs.batch", "job1")["status"], expected)

    run(scenario)


def _websrv() -> Obj:
    """The Deployment behind the recorded ReplicaSet, whose own POST is not among the recordings."""
    (recorded,) = _recorded()["ReplicaSetList"]
    obj = deployment("deploy1-websrv", 2, selector={"matchLabels": {"app": "websrv"}})
    template = copy.deepcopy(recorded["spec"]["template"])
    template["metadata"] = {"labels": {"app": "websrv"}}
    obj["spec"]["template"] = template
    return obj


def test_a_deployment_makes_the_recorded_replicaset_and_pods() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", _websrv())
        await cluster.settle()
        (found,) = cluster.api.list("replicasets.apps")
        (expected,) = _recorded()["ReplicaSetList"]
        _same({**found, "apiVersion": 0, "kind": 0}, {**expected, "apiVersion": 0, "kind": 0})
        pod = cluster.api.list("pods")[0]
        name = found["metadata"]["name"]
        assert pod["metadata"]["generateName"] == f"{name}-"
        assert pod["metadata"]["name"].startswith(f"{name}-")
        assert pod["metadata"]["labels"] == found["spec"]["template"]["metadata"]["labels"]

    run(scenario)


@pytest.mark.parametrize("name", ["svc1-web", "svc-hl"])
def test_endpoints_and_slices_look_as_recorded(name: str) -> None:
    kind = {"svc1-web": "Service-ClusterIP", "svc-hl": "Service-Headless"}[name]

    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", _created(kind))
        cluster.api.create("deployments.apps", _websrv())
        await cluster.settle()
        (found,) = cluster.api.list("endpointslices.discovery.k8s.io")
        (expected,) = [
            entry
            for entry in _recorded()["EndpointSliceList"]
            if entry["metadata"]["labels"]["kubernetes.io/service-name"] == name
        ]
        _same({**found, "apiVersion": 0, "kind": 0}, {**expected, "apiVersion": 0, "kind": 0})
        if name == "svc1-web":
            endpoints = _get(cluster, "endpoints", name)
            _same(endpoints["subsets"], _recorded()["Endpoints-svc1-web"]["subsets"])
            assert endpoints["metadata"]["labels"] == _recorded()["Endpoints-svc1-web"]["metadata"]["labels"]

    run(scenario)


def test_a_budget_settles_as_recorded() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", _websrv())
        await cluster.settle()
        cluster.api.create("poddisruptionbudgets.policy", _created("PDB"))
        await cluster.settle()
        found = _get(cluster, "poddisruptionbudgets.policy", "p")
        _same(found["status"], _recorded()["PDB"]["settled"]["status"])

    run(scenario)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Deployment", "ScalingReplicaSet"),
        ("ReplicaSet", "SuccessfulCreate"),
        ("StatefulSet", "SuccessfulCreate"),
        ("DaemonSet", "SuccessfulCreate"),
        ("Job", "Completed"),
        ("Service", "EnsuringLoadBalancer"),
        ("Service", "AppliedDaemonSet"),
        ("Pod", "Scheduled"),
    ],
)
def test_events_look_as_recorded(kind: str, reason: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.exit_phase = lambda pod: "Succeeded" if pod["metadata"]["name"].startswith("job") else ""
        cluster.api.create("namespaces", {"metadata": {"name": "kube-system"}})
        cluster.api.create("deployments.apps", _websrv())
        for recorded, resource in (
            ("StatefulSet", "statefulsets.apps"),
            ("DaemonSet", "daemonsets.apps"),
            ("Job", "jobs.batch"),
            ("Service-LoadBalancer", "services"),
        ):
            cluster.api.create(resource, _created(recorded))
        await cluster.settle()

        def first(events: list[Obj]) -> Obj:
            chosen = [e for e in events if e["involvedObject"]["kind"] == kind and e["reason"] == reason]
            event = min(chosen, key=lambda entry: str(entry["involvedObject"]["name"]))
            name, _, stamp = event["metadata"]["name"].rpartition(".")
            assert re.fullmatch(r"[0-9a-f]{16}", stamp)
            metadata = {"name": name, "namespace": event["metadata"]["namespace"]}
            return {**event, "metadata": metadata, "apiVersion": 0, "kind": 0}

        in_default = [event for event in cluster.api.list("events") if event["metadata"]["namespace"] == "default"]
        _same(first(in_default), first(_recorded()["events"]))

    run(scenario)
