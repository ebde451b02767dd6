from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.controllers.meta import rfc3339
from labctl.embedded.controllers.pods import victims
from tests.unit.embedded_controllers.cluster import Cluster, run, template

NOW = 1_800_000_000.0


def _replica_set(replicas: int = 2) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "rs", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": template("a")},
    }


def _pod(name: str, **changes: Any) -> Obj:
    age, ready_for = changes.get("age", 100.0), changes.get("ready_for", 90.0)
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(NOW - ready_for)}]
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": rfc3339(NOW - age),
            "annotations": changes.get("annotations", {}),
        },
        "spec": {"nodeName": changes.get("node", "n1")},
        "status": {
            "phase": changes.get("phase", "Running"),
            "conditions": conditions if changes.get("ready", True) else [],
            "containerStatuses": [{"restartCount": changes.get("restarts", 0)}],
        },
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"node": ""}, {}),
        ({"phase": "Pending"}, {}),
        ({"ready": False}, {}),
        ({"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}, {}),
        ({"ready_for": 2.0}, {"ready_for": 1000.0}),
        ({"restarts": 3}, {"restarts": 1}),
        ({"age": 95.0, "ready_for": 90.0}, {"age": 10_000.0, "ready_for": 90.0}),
    ],
)
def test_the_less_useful_pod_goes_first(first: Obj, second: Obj) -> None:
    one, other = _pod("b", **first), _pod("a", **second)
    assert victims([other, one], [other, one], 1, NOW) == [one]


def test_of_equal_pods_the_one_on_the_fuller_node_goes_first() -> None:
    crowd = [_pod("c1", node="n2"), _pod("c2", node="n2")]
    one, other = _pod("b", node="n2"), _pod("a", node="n1")
    assert victims([other, one], [*crowd, one, other], 1, NOW) == [one]


def test_orphans_that_the_selector_selects_are_adopted_and_count() -> None:
    async def scenario(cluster: Cluster) -> None:
        orphan = {"metadata": {"name": "mine", "namespace": "default", "labels": {"app": "a"}}, "spec": {}}
        cluster.api.create("pods", orphan)
        await cluster.settle()
        cluster.api.create("replicasets.apps", _replica_set(2))
        await cluster.settle()
        owners = [pod["metadata"]["ownerReferences"][0]["name"] for pod in cluster.api.list("pods")]
        assert owners == ["rs", "rs"]
        assert cluster.api.get("pods", "default", "mine") is not None

    run(scenario)


def test_a_pod_whose_label_changes_is_released_and_replaced() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("replicasets.apps", _replica_set(1))
        await cluster.settle()
        name = cluster.api.list("pods")[0]["metadata"]["name"]
        cluster.api.patch("pods", "default", name, lambda obj: obj["metadata"].update(labels={"app": "other"}))
        await cluster.settle()
        pods = {pod["metadata"]["name"]: pod["metadata"].get("ownerReferences") for pod in cluster.api.list("pods")}
        assert len(pods) == 2
        assert pods[name] is None

    run(scenario)


def test_a_deleted_pod_is_replaced() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("replicasets.apps", _replica_set(2))
        await cluster.settle()
        gone = cluster.api.list("pods")[0]["metadata"]["name"]
        cluster.api.delete("pods", "default", gone)
        await cluster.settle()
        names = [pod["metadata"]["name"] for pod in cluster.api.list("pods")]
        assert len(names) == 2
        assert gone not in names

    run(scenario)


def test_a_refused_pod_is_told_in_an_event_and_a_condition_and_tried_again() -> None:
    async def scenario(cluster: Cluster) -> None:
        error = ApiError(403, "Forbidden", "pods is forbidden: exceeded quota")
        allowed: list[bool] = []
        cluster.api.refusals.append(lambda resource, obj: error if resource == "pods" and not allowed else None)
        cluster.api.create("replicasets.apps", _replica_set(1))
        await cluster.settle()
        found = cluster.api.get("replicasets.apps", "default", "rs")
        assert found is not None
        condition = found["status"]["conditions"][0]
        assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
        assert condition["message"] == "pods is forbidden: exceeded quota"
        assert "FailedCreate: Error creating: pods is forbidden: exceeded quota" in cluster.events("ReplicaSet")
        allowed.append(True)
        cluster.api.patch("replicasets.apps", "default", "rs", lambda obj: obj["metadata"].update(labels={"x": "y"}))
        await cluster.settle()
        found = cluster.api.get("replicasets.apps", "default", "rs")
        assert found is not None
        assert found["status"] == {
            "replicas": 1,
            "fullyLabeledReplicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
            "observedGeneration": 1,
        }

    run(scenario)
