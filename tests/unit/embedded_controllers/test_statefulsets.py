from __future__ import annotations

from typing import Any

from labctl.embedded.clientset import Obj
from tests.unit.embedded_controllers.cluster import Cluster, run, template


def _stateful_set(replicas: int = 3, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "serviceName": "web",
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("web"),
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **spec,
        },
    }


def _moves(cluster: Cluster) -> list[str]:
    """Creations and deletions of pods in order, as `+web-0` and `-web-0`."""
    return [
        ("+" if change.type == "ADDED" else "-") + change.object["metadata"]["name"]
        for change in cluster.api.log
        if change.resource == "pods" and change.type in ("ADDED", "DELETED")
    ]


def _set_image(cluster: Cluster, image: str) -> None:
    def change(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

    cluster.api.patch("statefulsets.apps", "default", "web", change)


def _get(cluster: Cluster, resource: str, name: str) -> Obj:
    found = cluster.api.get(resource, "default", name)
    assert found is not None
    return found


def test_pods_start_one_after_another_and_know_their_name() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("statefulsets.apps", _stateful_set())
        await cluster.settle()
        assert _moves(cluster) == ["+web-0", "+web-1", "+web-2"]
        ready_before_next = [
            change.object["metadata"]["name"]
            for change in cluster.api.log
            if change.resource == "pods" and (change.type == "ADDED" or change.object["status"].get("podIP"))
        ]
        assert ready_before_next == ["web-0", "web-0", "web-1", "web-1", "web-2", "web-2"]
        pod = _get(cluster, "pods", "web-1")
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-1", "web")
        revision = cluster.api.list("controllerrevisions.apps")[0]["metadata"]["name"]
        assert pod["metadata"]["labels"] == {
            "app": "web",
            "apps.kubernetes.io/pod-index": "1",
            "controller-revision-hash": revision,
            "statefulset.kubernetes.io/pod-name": "web-1",
        }
        assert _get(cluster, "statefulsets.apps", "web")["status"] == {
            "observedGeneration": 1,
            "replicas": 3,
            "readyReplicas": 3,
            "currentReplicas": 3,
            "updatedReplicas": 3,
            "currentRevision": revision,
            "updateRevision": revision,
            "collisionCount": 0,
            "availableReplicas": 3,
        }
        assert cluster.events("StatefulSet") == [
            f"SuccessfulCreate: create Pod web-{number} in StatefulSet web successful" for number in range(3)
        ]

    run(scenario)


def test_a_pod_that_is_not_ready_keeps_the_next_one_from_starting_unless_the_set_is_parallel() -> None:
    async def ordered(cluster: Cluster) -> None:
        cluster.kubelet.healthy = lambda pod: False
        cluster.api.create("statefulsets.apps", _stateful_set())
        await cluster.settle()
        assert _moves(cluster) == ["+web-0"]

    async def parallel(cluster: Cluster) -> None:
        cluster.kubelet.healthy = lambda pod: False
        cluster.api.create("statefulsets.apps", _stateful_set(podManagementPolicy="Parallel"))
        await cluster.settle()
        assert _moves(cluster) == ["+web-0", "+web-1", "+web-2"]

    run(ordered)
    run(parallel)


def test_scaling_down_removes_the_highest_ordinals_one_after_another() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("statefulsets.apps", _stateful_set())
        await cluster.settle()
        cluster.api.set_spec("statefulsets.apps", "default", "web", replicas=1)
        await cluster.settle()
        assert _moves(cluster)[3:] == ["-web-2", "-web-1"]

    run(scenario)


def test_an_update_replaces_pods_from_the_highest_ordinal_and_a_partition_stops_it() -> None:
    async def scenario(cluster: Cluster) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        cluster.api.create("statefulsets.apps", _stateful_set(updateStrategy=strategy))
        await cluster.settle()
        _set_image(cluster, "nginx:1.26")
        await cluster.settle()
        assert _moves(cluster)[3:] == ["-web-2", "+web-2", "-web-1", "+web-1"]
        images = [pod["spec"]["containers"][0]["image"] for pod in cluster.api.list("pods")]
        assert images == ["nginx:1.25", "nginx:1.26", "nginx:1.26"]
        status = _get(cluster, "statefulsets.apps", "web")["status"]
        assert (status["currentReplicas"], status["updatedReplicas"]) == (1, 2)
        assert status["currentRevision"] != status["updateRevision"]

    run(scenario)


def test_a_pod_below_the_partition_comes_back_with_its_old_template() -> None:
    async def scenario(cluster: Cluster) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        cluster.api.create("statefulsets.apps", _stateful_set(updateStrategy=strategy))
        await cluster.settle()
        _set_image(cluster, "nginx:1.26")
        await cluster.settle()
        cluster.api.delete("pods", "default", "web-0")
        await cluster.settle()
        assert _get(cluster, "pods", "web-0")["spec"]["containers"][0]["image"] == "nginx:1.25"

    run(scenario)


def test_on_delete_waits_for_the_user() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("statefulsets.apps", _stateful_set(2, updateStrategy={"type": "OnDelete"}))
        await cluster.settle()
        _set_image(cluster, "nginx:1.26")
        await cluster.settle()
        assert _moves(cluster) == ["+web-0", "+web-1"]
        cluster.api.delete("pods", "default", "web-1")
        await cluster.settle()
        images = [pod["spec"]["containers"][0]["image"] for pod in cluster.api.list("pods")]
        assert images == ["nginx:1.25", "nginx:1.26"]

    run(scenario)


def test_going_back_to_an_earlier_template_raises_its_revision_instead_of_making_another() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("statefulsets.apps", _stateful_set(1))
        await cluster.settle()
        first = cluster.api.list("controllerrevisions.apps")[0]["metadata"]["name"]
        for image in ("nginx:1.26", "nginx:1.25"):
            _set_image(cluster, image)
            await cluster.settle()
        numbers = {
            entry["metadata"]["name"]: entry["revision"] for entry in cluster.api.list("controllerrevisions.apps")
        }
        assert sorted(numbers.values()) == [2, 3]
        assert numbers[first] == 3

    run(scenario)


def test_each_pod_gets_its_own_claim_for_each_template() -> None:
    async def scenario(cluster: Cluster) -> None:
        claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
        cluster.api.create("statefulsets.apps", _stateful_set(2, volumeClaimTemplates=[claim]))
        await cluster.settle()
        claims = [entry["metadata"]["name"] for entry in cluster.api.list("persistentvolumeclaims")]
        assert claims[:1] == ["data-web-0"]
        pod = _get(cluster, "pods", "web-0")
        assert pod["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]
        assert "SuccessfulCreate: create Claim data-web-0 Pod web-0 in StatefulSet web success" in cluster.events()

    run(scenario)
