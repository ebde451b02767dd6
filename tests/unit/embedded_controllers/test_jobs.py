from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import ControllerSettings
from labctl.embedded.controllers.jobs.tracking import FINALIZER, format_indexes, parse_indexes
from tests.unit.embedded_controllers.cluster import Cluster, run

NO_DELAY = ControllerSettings(root_ca="CA", seed=1, time_scale=1e-9, node_monitor_grace_period=1e15)


def _job(**spec: Any) -> Obj:
    labels = {"job-name": "j", "batch.kubernetes.io/controller-uid": "u"}
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.28"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "default"},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "completionMode": "NonIndexed",
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            "podReplacementPolicy": "TerminatingOrFailed",
            **spec,
        },
    }


def _status(cluster: Cluster) -> Obj:
    found = cluster.api.get("jobs.batch", "default", "j")
    assert found is not None
    status: Obj = found["status"]
    return status


def _conditions(status: Obj) -> list[tuple[str, str]]:
    return [(entry["type"], entry["reason"]) for entry in status.get("conditions", [])]


def test_a_job_that_succeeds_goes_through_the_statuses_that_a_watch_shows() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.exit_phase = lambda pod: "Succeeded"
        cluster.api.create("jobs.batch", _job())
        await cluster.settle()
        seen = [
            (status.get("active", 0), status.get("succeeded", 0), [type_ for type_, _ in _conditions(status)])
            for status in (change.object["status"] for change in cluster.api.log if change.resource == "jobs.batch")
        ]
        assert seen == [
            (0, 0, []),
            (1, 0, []),
            (0, 0, ["SuccessCriteriaMet"]),
            (0, 1, ["SuccessCriteriaMet", "Complete"]),
        ]
        status = _status(cluster)
        times = {"startTime", "completionTime", "conditions"}
        assert {field: value for field, value in status.items() if field not in times} == {
            "succeeded": 1,
            "terminating": 0,
            "ready": 0,
            "uncountedTerminatedPods": {},
        }
        assert cluster.events("Job")[-1] == "Completed: Job completed"
        assert all(FINALIZER not in pod["metadata"].get("finalizers", []) for pod in cluster.api.list("pods"))

    run(scenario)


def test_completions_are_worked_off_with_the_wanted_parallelism() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.exit_phase = lambda pod: "Succeeded"
        cluster.api.create("jobs.batch", _job(completions=5, parallelism=2))
        await cluster.settle()
        assert _status(cluster)["succeeded"] == 5
        assert len(cluster.api.list("pods")) == 5
        most = max(
            change.object["status"].get("active", 0) for change in cluster.api.log if change.resource == "jobs.batch"
        )
        assert most == 2

    run(scenario)


def test_an_indexed_job_runs_each_index_once_and_again_when_it_failed() -> None:
    async def scenario(cluster: Cluster) -> None:
        failed: set[str] = set()

        def outcome(pod: Obj) -> str:
            index: str = pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
            if index == "1" and "1" not in failed:
                failed.add(index)
                return "Failed"
            return "Succeeded"

        cluster.kubelet.exit_phase = outcome
        cluster.api.create("jobs.batch", _job(completions=3, parallelism=3, completionMode="Indexed"))
        await cluster.settle()
        status = _status(cluster)
        assert (status["succeeded"], status["failed"], status["completedIndexes"]) == (3, 1, "0-2")
        pod = cluster.api.list("pods")[0]
        assert pod["spec"]["hostname"] == "j-0"
        assert pod["metadata"]["generateName"] == "j-0-"
        assert pod["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"

    run(scenario, settings=NO_DELAY)


def test_a_job_fails_after_more_failures_than_the_limit() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.exit_phase = lambda pod: "Failed"
        cluster.api.create("jobs.batch", _job(backoffLimit=2))
        await cluster.settle()
        status = _status(cluster)
        assert status["failed"] == 3
        assert _conditions(status) == [
            ("FailureTarget", "BackoffLimitExceeded"),
            ("Failed", "BackoffLimitExceeded"),
        ]
        assert cluster.events("Job")[-1] == "BackoffLimitExceeded: Job has reached the specified backoff limit"

    run(scenario, settings=NO_DELAY)


def test_the_next_pod_after_a_failure_has_to_wait() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.exit_phase = lambda pod: "Failed"
        cluster.api.create("jobs.batch", _job())
        await cluster.settle()
        assert len(cluster.api.list("pods")) == 1
        assert _status(cluster)["failed"] == 1

    run(scenario)


def test_suspending_stops_the_pods_and_resuming_starts_others() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("jobs.batch", _job())
        await cluster.settle()
        assert _status(cluster)["active"] == 1
        cluster.api.set_spec("jobs.batch", "default", "j", suspend=True)
        await cluster.settle()
        status = _status(cluster)
        assert "active" not in status
        assert "startTime" not in status
        assert _conditions(status) == [("Suspended", "JobSuspended")]
        cluster.api.set_spec("jobs.batch", "default", "j", suspend=False)
        await cluster.settle()
        assert _status(cluster)["active"] == 1
        assert "Suspended: Job suspended" in cluster.events("Job")
        assert "Resumed: Job resumed" in cluster.events("Job")

    run(scenario, settings=NO_DELAY)


def test_the_pods_of_a_deleted_job_are_let_go() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("jobs.batch", _job())
        await cluster.settle()
        cluster.api.delete("jobs.batch", "default", "j")
        await cluster.settle()
        assert cluster.api.list("pods") == []

    run(scenario)


@pytest.mark.parametrize(
    ("indexes", "text"), [(set(), ""), ({0}, "0"), ({0, 1}, "0,1"), ({0, 1, 2, 5, 7, 8, 9}, "0-2,5,7-9")]
)
def test_completed_indexes_are_written_as_ranges(indexes: set[int], text: str) -> None:
    assert format_indexes(indexes) == text
    assert parse_indexes(text) == indexes
