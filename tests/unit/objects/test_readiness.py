from __future__ import annotations

from typing import Any

import pytest

from labctl.objects.readiness import pod_problem, readiness


def deployment(wanted: int, generation: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 1, **status},
    }


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        (deployment(3, generation=2), "the controller has not seen the change yet"),
        (deployment(3, updatedReplicas=1), "1 of 3 new replicas updated"),
        (deployment(3, updatedReplicas=3, replicas=4), "1 old replicas are still there"),
        (deployment(3, updatedReplicas=3, replicas=3, availableReplicas=2), "2 of 3 replicas available"),
        (
            deployment(1, conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "m"}]),
            "rollout is stuck: m",
        ),
        ({"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, "node is not Ready"),
        ({"kind": "Job", "status": {"conditions": [{"type": "Failed", "status": "True"}]}}, "the job failed"),
        ({"kind": "Pod", "status": {"phase": "Pending"}}, "phase Pending"),
    ],
)
def test_what_is_missing_is_said(obj: dict[str, Any], reason: str) -> None:
    seen = readiness(obj)
    assert not seen.ready
    assert seen.reason == reason


@pytest.mark.parametrize(
    "obj",
    [
        deployment(3, updatedReplicas=3, replicas=3, availableReplicas=3),
        deployment(0),
        {"kind": "ConfigMap"},
        {"kind": "Pod", "status": {"phase": "Succeeded"}},
        {"kind": "Pod", "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
    ],
)
def test_ready(obj: dict[str, Any]) -> None:
    assert readiness(obj).ready


def test_a_pods_problem_is_its_first_bad_container_or_the_scheduler() -> None:
    waiting = {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    creating = {"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}}
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/4 nodes are available"}
    assert pod_problem({"status": {"containerStatuses": [waiting]}}) == "container web: ImagePullBackOff: no such image"
    assert pod_problem({"status": {"containerStatuses": [creating]}}) == ""
    assert pod_problem({"status": {"conditions": [unscheduled]}}) == "not scheduled: 0/4 nodes are available"
