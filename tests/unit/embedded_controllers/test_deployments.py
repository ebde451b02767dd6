from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import ApiError, Change, ChangeType, Obj
from labctl.embedded.controllers.deployment import DeploymentController
from labctl.embedded.controllers.hashing import pod_template_hash
from labctl.embedded.controllers.meta import rfc3339
from labctl.embedded.controllers.view import Cache
from labctl.embedded.controllers.wanted import Create, Recheck, Update
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run


def _statuses(cluster: Cluster, resource: str, name: str) -> list[Obj]:
    return [
        change.object["status"]
        for change in cluster.api.log
        if change.resource == resource and change.object["metadata"]["name"].startswith(name)
    ]


def _set_image(cluster: Cluster, name: str, image: str) -> None:
    def change(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

    cluster.api.patch("deployments.apps", "default", name, change)


def _numbers(status: Obj) -> dict[str, Any]:
    return {field: value for field, value in status.items() if field != "conditions"}


def _reasons(status: Obj) -> list[str]:
    return [entry["reason"] for entry in status.get("conditions", [])]


def test_a_new_deployment_goes_through_the_statuses_that_a_watch_of_the_real_one_shows() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.holds = lambda pod: True
        cluster.api.create("deployments.apps", deployment("dp-v1"))
        await cluster.settle()
        seen = [(_numbers(status), _reasons(status)) for status in _statuses(cluster, "deployments.apps", "dp-v1")]
        assert seen == [
            ({}, []),
            ({}, ["NewReplicaSetCreated"]),
            (
                {"observedGeneration": 1, "unavailableReplicas": 2},
                ["NewReplicaSetCreated", "MinimumReplicasUnavailable"],
            ),
            (
                {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "unavailableReplicas": 2},
                ["MinimumReplicasUnavailable", "ReplicaSetUpdated"],
            ),
        ]

    run(scenario)


def test_a_deployment_completes() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 3))
        await cluster.settle()
        found = cluster.api.get("deployments.apps", "default", "web")
        assert found is not None
        assert _numbers(found["status"]) == {
            "observedGeneration": 1,
            "replicas": 3,
            "updatedReplicas": 3,
            "readyReplicas": 3,
            "availableReplicas": 3,
        }
        assert sorted(_reasons(found["status"])) == ["MinimumReplicasAvailable", "NewReplicaSetAvailable"]
        assert found["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
        nodes = {pod["spec"]["nodeName"] for pod in cluster.api.list("pods")}
        assert len(nodes) == 3

    run(scenario)


def test_a_rollout_never_leaves_the_bounds_of_surge_and_unavailability() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 4))
        await cluster.settle()
        _set_image(cluster, "web", "nginx:1.26")
        await cluster.settle()
        sizes: dict[str, int] = {}
        for change in cluster.api.log:
            if change.resource == "replicasets.apps":
                sizes[change.object["metadata"]["name"]] = change.object["spec"]["replicas"]
                assert sum(sizes.values()) <= 5
        available = [status.get("availableReplicas", 0) for status in _statuses(cluster, "deployments.apps", "web")]
        assert min(available[available.index(4) :]) >= 3
        revision = "deployment.kubernetes.io/revision"
        found = {
            entry["metadata"]["annotations"][revision]: entry["spec"]["replicas"]
            for entry in cluster.api.list("replicasets.apps")
        }
        assert found == {"1": 0, "2": 4}

    run(scenario)


def test_the_events_of_a_rollout_tell_each_step_from_one_size_to_the_next() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 4))
        await cluster.settle()
        first = cluster.api.list("replicasets.apps")[0]["metadata"]["name"]
        _set_image(cluster, "web", "nginx:1.26")
        await cluster.settle()
        second = next(
            entry["metadata"]["name"]
            for entry in cluster.api.list("replicasets.apps")
            if entry["metadata"]["name"] != first
        )
        told = [event.removeprefix("ScalingReplicaSet: Scaled ") for event in cluster.events("Deployment")]
        assert told[:4] == [
            f"up replica set {first} from 0 to 4",
            f"up replica set {second} from 0 to 1",
            f"down replica set {first} from 4 to 3",
            f"up replica set {second} from 1 to 2",
        ]
        assert told[-1] == f"down replica set {first} from 1 to 0"

    run(scenario)


def test_going_back_to_an_earlier_template_reuses_its_replicaset_with_a_new_revision() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web"))
        await cluster.settle()
        for image in ("nginx:1.26", "nginx:1.25"):
            _set_image(cluster, "web", image)
            await cluster.settle()
        sets = cluster.api.list("replicasets.apps")
        notes = {entry["spec"]["replicas"]: entry["metadata"]["annotations"] for entry in sets}
        assert notes[2]["deployment.kubernetes.io/revision"] == "3"
        assert notes[2]["deployment.kubernetes.io/revision-history"] == "1"
        assert notes[0]["deployment.kubernetes.io/revision"] == "2"
        found = cluster.api.get("deployments.apps", "default", "web")
        assert found is not None
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"

    run(scenario)


def test_recreate_starts_no_new_pod_before_the_last_old_one_has_gone() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 2, strategy={"type": "Recreate"}))
        await cluster.settle()
        _set_image(cluster, "web", "nginx:1.26")
        await cluster.settle()
        images: dict[str, str] = {}
        for change in cluster.api.log:
            if change.resource == "pods":
                place = change.object["metadata"]["name"]
                images[place] = change.object["spec"]["containers"][0]["image"]
                if change.type == "DELETED":
                    del images[place]
                assert len(set(images.values())) <= 1
        assert set(images.values()) == {"nginx:1.26"}

    run(scenario)


def test_a_paused_deployment_keeps_its_pods_and_follows_its_size_only() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web"))
        await cluster.settle()

        def pause(obj: Obj) -> None:
            obj["spec"]["paused"] = True
            obj["spec"]["replicas"] = 3
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:1.26"

        cluster.api.patch("deployments.apps", "default", "web", pause)
        await cluster.settle()
        assert [pod["spec"]["containers"][0]["image"] for pod in cluster.api.list("pods")] == ["nginx:1.25"] * 3
        found = cluster.api.get("deployments.apps", "default", "web")
        assert found is not None
        assert "DeploymentPaused" in _reasons(found["status"])
        assert "updatedReplicas" not in found["status"]

    run(scenario)


def test_a_rollout_that_does_not_come_up_stops_at_its_bounds_and_keeps_the_old_pods() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 4))
        await cluster.settle()
        cluster.kubelet.healthy = lambda pod: pod["spec"]["containers"][0]["image"] == "nginx:1.25"
        _set_image(cluster, "web", "broken:1")
        await cluster.settle()
        sizes = sorted(entry["spec"]["replicas"] for entry in cluster.api.list("replicasets.apps"))
        assert sizes == [2, 3]

    run(scenario)


def test_scaling_during_a_rollout_divides_the_new_size_in_proportion() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 10))
        await cluster.settle()
        cluster.kubelet.healthy = lambda pod: pod["spec"]["containers"][0]["image"] == "nginx:1.25"
        _set_image(cluster, "web", "broken:1")
        await cluster.settle()
        before = sorted(entry["spec"]["replicas"] for entry in cluster.api.list("replicasets.apps"))
        assert before == [5, 8]
        cluster.api.set_spec("deployments.apps", "default", "web", replicas=15)
        await cluster.settle()
        after = sorted(entry["spec"]["replicas"] for entry in cluster.api.list("replicasets.apps"))
        # 19 pods may exist (15 + 25 % rounded up): 5 of 13 and 8 of 13 of them.
        assert after == [7, 12]

    run(scenario)


def test_revisions_beyond_the_limit_are_deleted() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 1, revisionHistoryLimit=1))
        await cluster.settle()
        for minor in range(26, 30):
            _set_image(cluster, "web", f"nginx:1.{minor}")
            await cluster.settle()
        revisions = sorted(
            entry["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            for entry in cluster.api.list("replicasets.apps")
        )
        assert revisions == ["4", "5"]

    run(scenario)


NOW = 1_800_000_000.0


def _stuck(progress_age: float, reason: str = "ReplicaSetUpdated") -> Cache:
    """A Deployment whose rollout last progressed some time ago."""
    web = deployment("web", 1)
    stamp = rfc3339(NOW - progress_age)
    verdict = "False" if reason == "ProgressDeadlineExceeded" else "True"
    progressing = {"type": "Progressing", "status": verdict, "lastUpdateTime": stamp, "lastTransitionTime": stamp}
    waiting = {"type": "Available", "status": "False", "lastUpdateTime": stamp, "lastTransitionTime": stamp}
    web["metadata"] |= {
        "uid": "d1",
        "generation": 1,
        "resourceVersion": "1",
        "annotations": {"deployment.kubernetes.io/revision": "1"},
    }
    web["status"] = {
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "unavailableReplicas": 1,
        "conditions": [
            {**waiting, "reason": "MinimumReplicasUnavailable", "message": "x"},
            {**progressing, "reason": reason, "message": "x"},
        ],
    }
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d1", "controller": True}
    prefix = "deployment.kubernetes.io/"
    notes = {f"{prefix}revision": "1", f"{prefix}desired-replicas": "1", f"{prefix}max-replicas": "2"}
    replicas = {
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "uid": "r1",
            "generation": 1,
            "labels": {"app": "web"},
            "annotations": notes,
            "ownerReferences": [owner],
        },
        "spec": {"replicas": 1, "template": web["spec"]["template"]},
        "status": {"replicas": 1, "observedGeneration": 1},
    }
    view = Cache()
    for resource, obj in (("deployments.apps", web), ("replicasets.apps", replicas)):
        view.observe(Change(ChangeType.ADDED, resource, obj))
    return view


@pytest.mark.parametrize("age", [0.0, 599.0])
def test_a_rollout_without_progress_is_looked_at_again_at_its_deadline(age: float) -> None:
    plan = DeploymentController().reconcile(_stuck(age), ("default", "web"), NOW)
    assert list(plan) == [Recheck(NOW - age + 601)]


def test_after_the_deadline_the_rollout_has_timed_out() -> None:
    (update,) = DeploymentController().reconcile(_stuck(601.0), ("default", "web"), NOW)
    assert isinstance(update, Update)
    condition = update.object["status"]["conditions"][-1]
    assert (condition["status"], condition["reason"], condition["message"]) == (
        "False",
        "ProgressDeadlineExceeded",
        'ReplicaSet "web-1" has timed out progressing.',
    )


def test_a_timed_out_rollout_is_left_alone() -> None:
    assert (
        list(DeploymentController().reconcile(_stuck(900.0, "ProgressDeadlineExceeded"), ("default", "web"), NOW)) == []
    )


def test_a_taken_name_is_counted_as_a_collision_and_changes_the_hash() -> None:
    web = deployment("web", 1)
    web["metadata"] |= {"uid": "d1", "resourceVersion": "1"}
    number = pod_template_hash(web["spec"]["template"], None)
    foreign = {"metadata": {"name": f"web-{number}", "namespace": "default", "uid": "x", "labels": {}}, "spec": {}}
    view = Cache()
    for resource, obj in (("deployments.apps", web), ("replicasets.apps", foreign)):
        view.observe(Change(ChangeType.ADDED, resource, obj))
    taken = ApiError(409, "AlreadyExists", "taken")
    (update,) = DeploymentController().failed(view, ("default", "web"), NOW, taken)
    assert isinstance(update, Update)
    assert update.object["status"]["collisionCount"] == 1
    view.observe(Change(ChangeType.MODIFIED, "deployments.apps", update.object, web))
    create = DeploymentController().reconcile(view, ("default", "web"), NOW)[0]
    assert isinstance(create, Create)
    assert create.object["metadata"]["name"] != f"web-{number}"


def test_pods_become_available_only_after_the_minimum_time_ready() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 1, minReadySeconds=3600))
        await cluster.settle()
        found = cluster.api.get("deployments.apps", "default", "web")
        assert found is not None
        assert found["status"]["readyReplicas"] == 1
        assert "availableReplicas" not in found["status"]
        assert cluster.api.list("replicasets.apps")[0]["spec"]["minReadySeconds"] == 3600

    run(scenario)
