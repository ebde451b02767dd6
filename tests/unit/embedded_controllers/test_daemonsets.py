from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from tests.unit.embedded_controllers.cluster import Cluster, node, run, template


def _daemon_set(**spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": "ds1",
            "namespace": "default",
            "annotations": {"deprecated.daemonset.template.generation": "1"},
        },
        "spec": {
            "selector": {"matchLabels": {"app": "ds1"}},
            "template": template("ds1"),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "revisionHistoryLimit": 10,
            **spec,
        },
    }


def _on(cluster: Cluster) -> dict[str, str]:
    """Image of the pod on each node."""
    return {pod["spec"]["nodeName"]: pod["spec"]["containers"][0]["image"] for pod in cluster.api.list("pods")}


def _change(cluster: Cluster, **pod_spec: Any) -> None:
    cluster.api.patch("daemonsets.apps", "default", "ds1", lambda obj: obj["spec"]["template"]["spec"].update(pod_spec))


def test_every_node_gets_one_pod_and_the_status_counts_them() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("daemonsets.apps", _daemon_set())
        await cluster.settle()
        assert set(_on(cluster)) == {"k3s-s", "k3s-w1", "k3s-w2", "k3s-w3"}
        found = cluster.api.get("daemonsets.apps", "default", "ds1")
        assert found is not None
        assert found["status"] == {
            "currentNumberScheduled": 4,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 4,
            "numberReady": 4,
            "observedGeneration": 1,
            "updatedNumberScheduled": 4,
            "numberAvailable": 4,
        }
        revision = cluster.api.list("controllerrevisions.apps")[0]
        labels = cluster.api.list("pods")[0]["metadata"]["labels"]
        number = revision["metadata"]["labels"]["controller-revision-hash"]
        assert revision["metadata"]["name"] == f"ds1-{number}"
        assert labels == {"app": "ds1", "controller-revision-hash": number, "pod-template-generation": "1"}

    run(scenario)


def test_a_new_node_gets_a_pod_and_a_cordoned_one_keeps_its_own() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("daemonsets.apps", _daemon_set())
        await cluster.settle()
        cluster.api.create("nodes", node("k3s-w4"))
        cluster.api.set_spec("nodes", "", "k3s-w1", unschedulable=True)
        await cluster.settle()
        assert set(_on(cluster)) == {"k3s-s", "k3s-w1", "k3s-w2", "k3s-w3", "k3s-w4"}

    run(scenario)


def test_pods_leave_nodes_that_the_selector_no_longer_selects() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("daemonsets.apps", _daemon_set())
        await cluster.settle()
        _change(cluster, nodeSelector={"kubernetes.io/hostname": "k3s-w2"})
        await cluster.settle()
        assert set(_on(cluster)) == {"k3s-w2"}

    run(scenario)


@pytest.mark.parametrize(("effect", "left"), [("NoSchedule", 4), ("NoExecute", 3)])
def test_only_a_no_execute_taint_drives_a_daemon_pod_away(effect: str, left: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("daemonsets.apps", _daemon_set())
        await cluster.settle()
        taint = {"key": "gpu", "effect": effect}
        cluster.api.set_spec("nodes", "", "k3s-w1", taints=[taint])
        await cluster.settle()
        assert len(_on(cluster)) == left

    run(scenario)


def test_a_rollout_replaces_one_pod_at_a_time() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("daemonsets.apps", _daemon_set())
        await cluster.settle()
        start = len(cluster.api.log)
        _change(cluster, containers=[{"name": "c", "image": "nginx:1.26"}])
        await cluster.settle()
        ready = {
            change.object["status"]["numberReady"]
            for change in cluster.api.log[start:]
            if change.resource == "daemonsets.apps"
        }
        assert ready == {3, 4}
        assert set(_on(cluster).values()) == {"nginx:1.26"}

    run(scenario)


def test_a_rollout_with_surge_keeps_every_node_served() -> None:
    async def scenario(cluster: Cluster) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        cluster.api.create("daemonsets.apps", _daemon_set(updateStrategy=strategy))
        await cluster.settle()
        start = len(cluster.api.log)
        _change(cluster, containers=[{"name": "c", "image": "nginx:1.26"}])
        await cluster.settle()
        live: dict[str, str] = {}
        for change in cluster.api.log:
            if change.resource == "pods" and "podIP" in change.object["status"]:
                name = change.object["metadata"]["name"]
                live[name] = change.object["spec"]["nodeName"]
                if change.type == "DELETED":
                    del live[name]
                    assert len(set(live.values())) == 4
        assert len(cluster.api.log) > start
        assert set(_on(cluster).values()) == {"nginx:1.26"}

    run(scenario)


def test_a_broken_rollout_stops_after_the_first_pod() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("daemonsets.apps", _daemon_set())
        await cluster.settle()
        cluster.kubelet.healthy = lambda pod: pod["spec"]["containers"][0]["image"] == "nginx:1.25"
        _change(cluster, containers=[{"name": "c", "image": "broken:1"}])
        await cluster.settle()
        assert sorted(_on(cluster).values()) == ["broken:1", "nginx:1.25", "nginx:1.25", "nginx:1.25"]

    run(scenario)
