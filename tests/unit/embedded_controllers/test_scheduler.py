from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers.scheduler.controller import explain
from labctl.embedded.controllers.scheduler.filters import Objection
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run, template

AFTERWORDS = "no new claims to deallocate, preemption: 0/4 nodes are available:"
UNHELPFUL = f"{AFTERWORDS} 4 Preemption is not helpful for scheduling."


def _pod(name: str = "p", labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], "schedulerName": "default-scheduler", **spec},
    }


def _place(cluster: Cluster, name: str = "p") -> str:
    pod = cluster.api.get("pods", "default", name)
    assert pod is not None
    node: str = pod["spec"].get("nodeName", "")
    return node


def _required(*expressions: Obj) -> Obj:
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, "4 node(s) didn't match Pod's node affinity/selector"),
        (
            {"affinity": _required({"key": "zone", "operator": "In", "values": ["z9"]})},
            "4 node(s) didn't match Pod's node affinity/selector",
        ),
        (
            {"containers": [{"name": "c", "resources": {"requests": {"cpu": "50", "memory": "500Gi"}}}]},
            "4 Insufficient cpu, 4 Insufficient memory",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_stays_pending_and_the_event_says_why(spec: Obj, reason: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("pods", _pod(**spec))
        await cluster.settle()
        assert _place(cluster) == ""
        text = f"0/4 nodes are available: {reason}. {UNHELPFUL}"
        assert cluster.events("Pod") == [f"FailedScheduling: {text}"]
        pod = cluster.api.get("pods", "default", "p")
        assert pod is not None
        condition = pod["status"]["conditions"][0]
        assert (condition["type"], condition["status"], condition["reason"]) == (
            "PodScheduled",
            "False",
            "Unschedulable",
        )
        assert condition["message"] == text

    run(scenario)


def test_anti_affinity_leaves_the_fifth_of_four_pods_pending_with_the_recorded_text() -> None:
    async def scenario(cluster: Cluster) -> None:
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "anti"}}}
        affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
        pods = template("anti")
        pods["spec"]["affinity"] = affinity
        cluster.api.create("deployments.apps", deployment("anti", 5, template=pods))
        await cluster.settle()
        places = sorted(pod["spec"].get("nodeName", "") for pod in cluster.api.list("pods"))
        assert places == ["", "k3s-s", "k3s-w1", "k3s-w2", "k3s-w3"]
        told = [event for event in cluster.events("Pod") if event.startswith("FailedScheduling")]
        assert told[0] == (
            "FailedScheduling: 0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules."
            f" {AFTERWORDS} 4 No preemption victims found for incoming pod."
        )

    run(scenario)


def test_a_cordoned_node_is_named_and_uncordoning_it_places_the_pod() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.set_spec("nodes", "", "k3s-w3", unschedulable=True)
        cluster.api.create("pods", _pod(nodeSelector={"kubernetes.io/hostname": "k3s-w3"}))
        await cluster.settle()
        assert cluster.events("Pod")[0] == (
            "FailedScheduling: 0/4 nodes are available: 1 node(s) were unschedulable, 3 node(s) didn't match Pod's"
            f" node affinity/selector. {UNHELPFUL}"
        )
        cluster.api.patch("nodes", "", "k3s-w3", lambda obj: obj["spec"].pop("unschedulable"))
        await cluster.settle()
        assert _place(cluster) == "k3s-w3"
        assert cluster.events("Pod")[-1] == "Scheduled: Successfully assigned default/p to k3s-w3"

    run(scenario)


def test_a_taint_keeps_pods_away_that_do_not_tolerate_it() -> None:
    async def scenario(cluster: Cluster) -> None:
        taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
        for name in ("k3s-s", "k3s-w1", "k3s-w2", "k3s-w3"):
            cluster.api.patch("nodes", "", name, lambda obj: obj["spec"].update(taints=[taint]))
        cluster.api.create("pods", _pod("away"))
        cluster.api.create("pods", _pod("fine", tolerations=[{"key": "gpu", "operator": "Exists"}]))
        await cluster.settle()
        assert _place(cluster, "away") == ""
        assert _place(cluster, "fine") != ""
        told = [event for event in cluster.events("Pod") if event.startswith("FailedScheduling")]
        assert told == [
            f"FailedScheduling: 0/4 nodes are available: 4 node(s) had untolerated taint {{gpu: yes}}. {UNHELPFUL}"
        ]

    run(scenario)


def test_host_ports_are_given_once_per_node_and_again_when_a_pod_goes() -> None:
    async def scenario(cluster: Cluster) -> None:
        ports = [{"containerPort": 80, "hostPort": 8080}]
        for number in range(5):
            cluster.api.create("pods", _pod(f"p{number}", containers=[{"name": "c", "ports": ports}]))
        await cluster.settle()
        assert _place(cluster, "p4") == ""
        freed = _place(cluster, "p0")
        cluster.api.delete("pods", "default", "p0")
        await cluster.settle()
        assert _place(cluster, "p4") == freed

    run(scenario)


def test_replicas_are_spread_over_the_nodes() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 8))
        await cluster.settle()
        places = [pod["spec"]["nodeName"] for pod in cluster.api.list("pods")]
        assert {places.count(place) for place in places} == {2}

    run(scenario)


def test_a_required_spread_refuses_the_node_that_would_be_ahead() -> None:
    async def scenario(cluster: Cluster) -> None:
        constraint = {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "s"}},
        }
        for number in range(2):
            spec = {"topologySpreadConstraints": [constraint], "nodeSelector": {"kubernetes.io/hostname": "k3s-s"}}
            constraint["nodeAffinityPolicy"] = "Ignore"
            cluster.api.create("pods", _pod(f"s{number}", {"app": "s"}, **spec))
            await cluster.settle()
        assert (_place(cluster, "s0"), _place(cluster, "s1")) == ("k3s-s", "")
        assert "1 node(s) didn't match pod topology spread constraints" in cluster.events("Pod")[-1]

    run(scenario)


def test_pod_affinity_brings_pods_to_the_same_node() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("pods", _pod("db", {"app": "db"}, nodeSelector={"kubernetes.io/hostname": "k3s-w2"}))
        await cluster.settle()
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
        affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
        cluster.api.create("pods", _pod("web", affinity=affinity))
        await cluster.settle()
        assert _place(cluster, "web") == "k3s-w2"

    run(scenario)


def test_a_pod_waits_for_the_pod_it_wants_to_be_near() -> None:
    async def scenario(cluster: Cluster) -> None:
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
        affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
        cluster.api.create("pods", _pod("web", affinity=affinity))
        await cluster.settle()
        assert _place(cluster, "web") == ""
        cluster.api.create("pods", _pod("db", {"app": "db"}))
        await cluster.settle()
        assert _place(cluster, "web") == _place(cluster, "db") != ""

    run(scenario)


def test_preferred_node_affinity_wins_over_even_spread() -> None:
    async def scenario(cluster: Cluster) -> None:
        preference = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["k3s-w3"]}]}
        preferred = [{"weight": 100, "preference": preference}]
        affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
        cluster.api.create("pods", _pod(affinity=affinity))
        await cluster.settle()
        assert _place(cluster) == "k3s-w3"

    run(scenario)


def test_a_pod_with_a_missing_claim_is_told_so() -> None:
    async def scenario(cluster: Cluster) -> None:
        volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
        cluster.api.create("pods", _pod(volumes=volumes))
        await cluster.settle()
        assert cluster.events("Pod") == [
            'FailedScheduling: 0/4 nodes are available: persistentvolumeclaim "data" not found. ' + UNHELPFUL
        ]

    run(scenario)


def test_another_schedulers_pod_is_left_alone() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("pods", _pod(schedulerName="mine"))
        await cluster.settle()
        assert _place(cluster) == ""
        assert cluster.events("Pod") == []

    run(scenario)


def test_repeated_refusals_of_an_unchanged_pod_become_a_series() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("pods", _pod(containers=[{"name": "c", "resources": {"requests": {"cpu": "50"}}}]))
        await cluster.settle()
        for size in ("4", "6", "8"):
            node = cluster.api.objects["nodes"]["", "k3s-s"]
            allocatable = {**node["status"]["allocatable"], "cpu": size}
            cluster.api.update("nodes", {**node, "status": {"allocatable": allocatable}}, subresource="status")
            await cluster.settle()
        events = cluster.api.list("events")
        failed = [event for event in events if event["reason"] == "FailedScheduling"]
        assert [event.get("series", {}).get("count") for event in failed] == [None, 3]
        assert {(event["reportingComponent"], event["reportingInstance"], event["action"]) for event in failed} == {
            ("default-scheduler", "default-scheduler-k3s-s", "Scheduling")
        }

    run(scenario)


def test_a_change_that_cannot_help_a_pod_does_not_bring_it_up_again() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("pods", _pod("picky", nodeSelector={"disk": "ssd"}))
        cluster.api.create("pods", _pod("other"))
        await cluster.settle()
        cluster.api.delete("pods", "default", "other")
        cluster.api.set_spec("nodes", "", "k3s-s", unschedulable=True)
        cluster.api.set_spec("nodes", "", "k3s-s", unschedulable=False)
        await cluster.settle()
        assert len([event for event in cluster.events("Pod") if event.startswith("FailedScheduling")]) == 1
        labels = {"kubernetes.io/hostname": "k3s-w1", "disk": "ssd"}
        cluster.api.patch("nodes", "", "k3s-w1", lambda obj: obj["metadata"].update(labels=labels))
        await cluster.settle()
        assert _place(cluster, "picky") == "k3s-w1"

    run(scenario)


def test_reasons_are_counted_and_sorted_as_text() -> None:
    objections = [
        Objection(("node(s) were unschedulable",)),
        Objection(("Insufficient cpu", "Insufficient memory"), final=False),
        Objection(("Insufficient cpu",), final=False),
    ]
    assert explain(objections) == (
        "0/3 nodes are available: 1 Insufficient memory, 1 node(s) were unschedulable, 2 Insufficient cpu."
        " no new claims to deallocate, preemption: 0/3 nodes are available:"
        " 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    )
