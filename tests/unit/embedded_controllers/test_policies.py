"""Budgets, autoscalers, quotas, claims and aggregated roles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import ControllerSettings
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run

NO_DELAY = ControllerSettings(root_ca="CA", seed=1, autoscaler_period=0.0)


def _get(cluster: Cluster, resource: str, name: str) -> Obj:
    found = cluster.api.get(resource, "default", name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 1}, (3, 1, 2)),
        ({"minAvailable": "50%"}, (3, 2, 1)),
        ({"maxUnavailable": 1}, (3, 2, 1)),
        ({"maxUnavailable": "50%"}, (3, 1, 2)),
        ({"minAvailable": 4}, (3, 4, 0)),
    ],
)
def test_a_budget_counts_what_may_be_missing(spec: Obj, expected: tuple[int, int, int]) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 3))
        selector = {"matchLabels": {"app": "web"}}
        budget = {"metadata": {"name": "b", "namespace": "default"}, "spec": {**spec, "selector": selector}}
        cluster.api.create("poddisruptionbudgets.policy", budget)
        await cluster.settle()
        status = _get(cluster, "poddisruptionbudgets.policy", "b")["status"]
        healthy, desired, allowed = expected
        assert (status["currentHealthy"], status["desiredHealthy"], status["disruptionsAllowed"]) == expected
        condition = status["conditions"][0]
        assert condition["reason"] == ("SufficientPods" if allowed else "InsufficientPods")
        assert (healthy, desired) == (3, status["desiredHealthy"])

    run(scenario)


def _autoscaler(**spec: Any) -> Obj:
    target = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    return {
        "metadata": {"name": "hpa", "namespace": "default"},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": metric}],
            **spec,
        },
    }


def test_an_autoscaler_without_metrics_says_what_is_missing() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 1))
        cluster.api.create("horizontalpodautoscalers.autoscaling", _autoscaler())
        await cluster.settle()
        status = _get(cluster, "horizontalpodautoscalers.autoscaling", "hpa")["status"]
        error = (
            "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource"
            " metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
        )
        found = [(c["type"], c["status"], c["reason"], c["message"]) for c in status.pop("conditions")]
        assert found == [
            (
                "AbleToScale",
                "True",
                "SucceededGetScale",
                "the HPA controller was able to get the target's current scale",
            ),
            (
                "ScalingActive",
                "False",
                "FailedGetResourceMetric",
                f"the HPA was unable to compute the replica count: {error}",
            ),
        ]
        invalid = "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value"
        assert status == {"currentReplicas": 1, "desiredReplicas": 0, "currentMetrics": [{"type": ""}]}
        assert cluster.events("HorizontalPodAutoscaler") == [
            f"FailedGetResourceMetric: {error}",
            f"FailedComputeMetricsReplicas: {invalid}: {error}",
        ]

    run(scenario, settings=NO_DELAY)


def test_an_autoscaler_brings_its_target_within_the_bounds() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 1))
        cluster.api.create("horizontalpodautoscalers.autoscaling", _autoscaler(minReplicas=2))
        await cluster.settle()
        assert _get(cluster, "deployments.apps", "web")["spec"]["replicas"] == 2
        told = cluster.events("HorizontalPodAutoscaler")
        assert told[0] == "SuccessfulRescale: New size: 2; reason: Current number of replicas below Spec.MinReplicas"

    run(scenario, settings=NO_DELAY)


def test_a_quota_counts_what_is_used() -> None:
    async def scenario(cluster: Cluster) -> None:
        pods = deployment("web", 2)
        resources = {"requests": {"cpu": "10m"}, "limits": {"memory": "128Mi"}}
        pods["spec"]["template"]["spec"]["containers"][0]["resources"] = resources
        cluster.api.create("deployments.apps", pods)
        hard = {"pods": "10", "requests.cpu": "2", "limits.memory": "2Gi", "count/deployments.apps": "5"}
        quota = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard}}
        cluster.api.create("resourcequotas", quota)
        await cluster.settle()
        assert _get(cluster, "resourcequotas", "q")["status"] == {
            "hard": hard,
            "used": {"pods": "2", "requests.cpu": "20m", "limits.memory": "256Mi", "count/deployments.apps": "1"},
        }
        cluster.api.set_spec("deployments.apps", "default", "web", replicas=1)
        await cluster.settle()
        assert _get(cluster, "resourcequotas", "q")["status"]["used"]["requests.cpu"] == "10m"

    run(scenario)


def _claim(**spec: Any) -> Obj:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"metadata": {"name": "data", "namespace": "default"}, "spec": wanted, "status": {"phase": "Pending"}}


def _volume(name: str, size: str) -> Obj:
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "storageClassName": "manual"}
    return {"metadata": {"name": name}, "spec": spec, "status": {}}


def test_a_claim_takes_the_smallest_volume_that_fits() -> None:
    async def scenario(cluster: Cluster) -> None:
        for name, size in (("big", "10Gi"), ("small", "512Mi"), ("right", "2Gi")):
            cluster.api.create("persistentvolumes", _volume(name, size))
        cluster.api.create("persistentvolumeclaims", _claim(storageClassName="manual"))
        await cluster.settle()
        claim = _get(cluster, "persistentvolumeclaims", "data")
        assert (claim["spec"]["volumeName"], claim["status"]["phase"]) == ("right", "Bound")
        assert claim["status"]["capacity"] == {"storage": "2Gi"}
        phases = {
            entry["metadata"]["name"]: entry["status"]["phase"] for entry in cluster.api.list("persistentvolumes")
        }
        assert phases == {"big": "Available", "small": "Available", "right": "Bound"}

    run(scenario)


def test_a_claim_of_a_delayed_class_waits_for_its_pod_and_then_for_a_provisioner() -> None:
    async def scenario(cluster: Cluster) -> None:
        local = {
            "metadata": {"name": "local-path"},
            "provisioner": "rancher.io/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
        cluster.api.create("storageclasses.storage.k8s.io", local)
        cluster.api.create("persistentvolumeclaims", _claim(storageClassName="local-path"))
        await cluster.settle()
        told = cluster.events("PersistentVolumeClaim")
        assert told == ["WaitForFirstConsumer: waiting for first consumer to be created before binding"]
        volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
        pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": volumes, "containers": []}}
        cluster.api.create("pods", pod)
        await cluster.settle()
        claim = _get(cluster, "persistentvolumeclaims", "data")
        assert claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].startswith("k3s-")
        assert "nodeName" not in _get(cluster, "pods", "p")["spec"]
        assert cluster.events("PersistentVolumeClaim")[-1].startswith(
            "ExternalProvisioning: Waiting for a volume to be created either by the external provisioner"
            " 'rancher.io/local-path' or manually by the system administrator."
        )

    run(scenario)


def test_a_claim_that_waits_is_looked_at_again_and_says_for_which_pods() -> None:
    async def scenario(cluster: Cluster) -> None:
        volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
        for name in ("p", "q"):
            spec = {"volumes": volumes, "containers": [], "schedulingGates": [{"name": "later"}]}
            cluster.api.create("pods", {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        local = {"metadata": {"name": "later"}, "provisioner": "x", "volumeBindingMode": "WaitForFirstConsumer"}
        cluster.api.create("storageclasses.storage.k8s.io", local)
        cluster.api.create("persistentvolumeclaims", _claim(storageClassName="later"))
        for _ in range(1000):
            await cluster.settle()
            (event,) = [
                event
                for event in cluster.api.list("events")
                if event["involvedObject"]["kind"] == "PersistentVolumeClaim"
            ]
            if event.get("count", 1) >= 3:
                break
            await asyncio.sleep(0.005)
        assert event["count"] >= 3
        assert event["message"] == "waiting for pods p,q to be scheduled"

    run(scenario, settings=ControllerSettings(root_ca="CA", seed=1, time_scale=1e-3))


def test_a_claim_that_a_pod_uses_is_deleted_when_the_pod_has_gone() -> None:
    async def scenario(cluster: Cluster) -> None:
        claim = _claim(storageClassName="manual")
        claim["metadata"]["finalizers"] = ["kubernetes.io/pvc-protection"]
        cluster.api.create("persistentvolumes", _volume("v", "1Gi"))
        cluster.api.create("persistentvolumeclaims", claim)
        volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
        pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"volumes": volumes, "containers": []}}
        await cluster.settle()
        cluster.api.create("pods", pod)
        await cluster.settle()
        assert _get(cluster, "pods", "p")["spec"]["nodeName"]
        cluster.api.delete("persistentvolumeclaims", "default", "data")
        await cluster.settle()
        assert "deletionTimestamp" in _get(cluster, "persistentvolumeclaims", "data")["metadata"]
        cluster.api.delete("pods", "default", "p")
        await cluster.settle()
        assert cluster.api.get("persistentvolumeclaims", "default", "data") is None

    run(scenario)


def test_an_aggregated_role_has_the_rules_of_those_it_selects() -> None:
    async def scenario(cluster: Cluster) -> None:
        roles = "clusterroles.rbac.authorization.k8s.io"
        pods, jobs = {"resources": ["pods"], "verbs": ["get"]}, {"resources": ["jobs"], "verbs": ["get"]}
        selector = {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}
        cluster.api.create(roles, {"metadata": {"name": "all"}, "aggregationRule": selector, "rules": []})
        cluster.api.create(roles, {"metadata": {"name": "b", "labels": {"to": "all"}}, "rules": [pods, jobs]})
        cluster.api.create(roles, {"metadata": {"name": "a", "labels": {"to": "all"}}, "rules": [jobs]})
        cluster.api.create(roles, {"metadata": {"name": "c"}, "rules": [{"resources": ["secrets"], "verbs": ["*"]}]})
        await cluster.settle()
        found = cluster.api.get(roles, "", "all")
        assert found is not None
        assert found["rules"] == [jobs, pods]

    run(scenario)
