from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from labctl.embedded.clientset import DeleteOptions, Obj
from tests.unit.embedded_kubelet.cluster import Cluster, run
from tests.unit.embedded_kubelet.fakes import eventually, pod


def shell(name: str, script: str, **spec: Any) -> Obj:
    """A busybox pod that runs a script."""
    container = {"command": ["sh", "-c", script], **spec.pop("container", {})}
    return pod(name, "busybox:1.28", container=container, **spec)


def test_a_finished_pod_succeeds_in_the_recorded_steps() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("done", "echo line1; echo line2 >&2", restartPolicy="Never"))
        await eventually(lambda: cluster.phase("done") == "Succeeded")
        phases = [
            (status["phase"], next(iter(status["containerStatuses"][0]["state"])))
            for status in cluster.api.statuses("done")
            if "containerStatuses" in status
        ]
        assert phases == [
            ("Pending", "waiting"),
            ("Running", "running"),
            ("Running", "terminated"),
            ("Succeeded", "terminated"),
        ]
        assert cluster.ended("done")["reason"] == "Completed"
        assert cluster.condition("done", "Ready")["reason"] == "PodCompleted"
        assert cluster.condition("done", "Initialized")["reason"] == "PodCompleted"
        assert cluster.condition("done", "PodReadyToStartContainers")["status"] == "False"
        assert cluster.kubelet.logs("default", "done", "c") == b"line1\nline2\n"
        assert cluster.pod("done")["status"]["podIP"]

    run(body)


def test_a_failed_pod_fails_with_its_exit_code() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("err", "exit 3", restartPolicy="Never"))
        await eventually(lambda: cluster.phase("err") == "Failed")
        assert (cluster.ended("err")["exitCode"], cluster.ended("err")["reason"]) == (3, "Error")
        assert cluster.condition("err", "Ready")["reason"] == "PodFailed"

    run(body)


def test_a_crash_restarts_at_once_and_then_backs_off() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("crash", "echo x; exit 1"))
        await eventually(lambda: cluster.container("crash").get("restartCount", 0) >= 3)
        history = [status for status in cluster.api.statuses("crash") if "containerStatuses" in status]
        looping = [item for item in history if _waiting_reason(item) == "CrashLoopBackOff"]
        status = looping[0]["containerStatuses"][0]
        assert status["restartCount"] == 1
        assert status["lastState"]["terminated"]["exitCode"] == 1
        assert status["containerID"] == status["lastState"]["terminated"]["containerID"]
        full_name = f"crash_default({cluster.pod('crash')['metadata']['uid']})"
        message = f"back-off 10s restarting failed container=c pod={full_name}"
        assert status["state"]["waiting"]["message"] == message
        assert f"BackOff: Back-off restarting failed container c in pod {full_name}" in cluster.messages("crash")
        assert looping[0]["phase"] == "Running"
        ready = next(item for item in looping[0]["conditions"] if item["type"] == "Ready")
        assert ready["message"] == "containers with unready status: [c]"

    run(body)


def test_of_crashed_containers_only_the_last_is_kept() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("crash", "echo x; exit 1"))
        await eventually(lambda: cluster.container("crash").get("restartCount") == 1 and cluster.ended("crash"))
        status = cluster.container("crash")
        gone = status["lastState"]["terminated"]["containerID"]
        regret = f"unable to retrieve container logs for {gone}\n"
        assert cluster.kubelet.logs("default", "crash", "c", previous=True) == regret.encode()
        assert cluster.kubelet.logs("default", "crash", "c") == b"x\n"
        await eventually(lambda: cluster.waiting("crash") == "CrashLoopBackOff")
        assert cluster.kubelet.logs("default", "crash", "c", previous=True) == b"x\n"

    run(body, backoff_scale=0.02)


def _waiting_reason(status: Obj) -> str:
    return str(status["containerStatuses"][0]["state"].get("waiting", {}).get("reason", ""))


def test_a_container_that_succeeds_is_restarted_only_under_always() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("always", "true"))
        cluster.api.create("pods", shell("onfail", "true", restartPolicy="OnFailure"))
        await eventually(lambda: cluster.phase("onfail") == "Succeeded")
        await eventually(lambda: cluster.container("always").get("restartCount", 0) >= 1)
        assert cluster.container("onfail")["restartCount"] == 0

    run(body)


def test_an_unknown_command_is_a_start_error() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("badcmd", "nginx:alpine", container={"command": ["nosuchcmd"]}))
        await eventually(lambda: cluster.container("badcmd").get("restartCount", 0) >= 1)
        seen = [
            status["containerStatuses"][0]["state"].get("waiting", {}).get("reason")
            for status in cluster.api.statuses("badcmd")
            if "containerStatuses" in status
        ]
        assert "RunContainerError" in seen
        last = cluster.container("badcmd")["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (128, "StartError")
        assert any(
            message.startswith("Failed: Error: failed to create containerd task: ")
            and message.endswith('exec: "nosuchcmd": executable file not found in $PATH')
            for message in cluster.messages("badcmd")
        )

    run(body)


def test_a_missing_config_map_is_waited_for() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("nocm", container={"envFrom": [{"configMapRef": {"name": "nope"}}]}))
        await eventually(lambda: cluster.waiting("nocm") == "CreateContainerConfigError")
        assert 'Failed: Error: configmap "nope" not found' in cluster.messages("nocm")
        assert cluster.pod("nocm")["status"]["phase"] == "Pending"
        config = {"metadata": {"name": "nope", "namespace": "default"}, "data": {"A": "1"}}
        cluster.api.create("configmaps", config)
        await eventually(lambda: cluster.ready("nocm"))

    run(body)


def test_a_missing_volume_holds_the_pod_back() -> None:
    async def body(cluster: Cluster) -> None:
        volumes = [{"name": "v", "configMap": {"name": "nope"}}]
        mounts = [{"name": "v", "mountPath": "/v"}]
        cluster.api.create("pods", pod("novol", volumes=volumes, container={"volumeMounts": mounts}))
        text = 'FailedMount: MountVolume.SetUp failed for volume "v" : configmap "nope" not found'
        await eventually(lambda: text in cluster.messages("novol"))
        assert cluster.waiting("novol") == "ContainerCreating"
        assert "podIP" not in cluster.pod("novol")["status"]
        cluster.api.create("configmaps", {"metadata": {"name": "nope", "namespace": "default"}, "data": {"k": "v1"}})
        await eventually(lambda: cluster.ready("novol"))

    run(body)


def test_init_containers_run_one_after_another() -> None:
    async def body(cluster: Cluster) -> None:
        inits = [
            {"name": "i1", "image": "busybox", "command": ["sh", "-c", "echo first; sleep 0.05"]},
            {"name": "i2", "image": "busybox", "command": ["true"]},
        ]
        cluster.api.create("pods", pod("ini", initContainers=inits))
        await eventually(lambda: "running" in cluster.container("ini", 0, "initContainerStatuses").get("state", {}))
        assert cluster.waiting("ini") == "PodInitializing"
        incomplete = cluster.condition("ini", "Initialized")["message"]
        assert incomplete == "containers with incomplete status: [i1 i2]"
        await eventually(lambda: cluster.ready("ini"))
        first = cluster.container("ini", 0, "initContainerStatuses")
        assert (first["ready"], first["started"]) == (True, False)
        assert first["state"]["terminated"]["reason"] == "Completed"
        assert cluster.kubelet.logs("default", "ini", "i1") == b"first\n"

    run(body)


def test_a_failing_init_container_backs_off_or_fails_the_pod() -> None:
    async def body(cluster: Cluster) -> None:
        inits = [{"name": "i1", "image": "busybox", "command": ["false"]}]
        cluster.api.create("pods", pod("initnever", restartPolicy="Never", initContainers=inits))
        cluster.api.create("pods", pod("initfail", initContainers=inits))
        await eventually(lambda: cluster.phase("initnever") == "Failed")
        assert cluster.waiting("initnever") == "PodInitializing"

        def reason() -> str:
            state = cluster.container("initfail", 0, "initContainerStatuses").get("state", {})
            return str(state.get("waiting", {}).get("reason", ""))

        await eventually(lambda: reason() == "CrashLoopBackOff")
        assert cluster.phase("initfail") == "Pending"

    run(body)


def test_a_sidecar_runs_beside_and_does_not_hold_the_pod_open() -> None:
    async def body(cluster: Cluster) -> None:
        sidecar = {"name": "s1", "image": "busybox", "restartPolicy": "Always", "command": ["sleep", "1000"]}
        spec: Any = {"initContainers": [sidecar], "terminationGracePeriodSeconds": 0, "restartPolicy": "Never"}
        cluster.api.create("pods", shell("side", "sleep 0.05", **spec))
        await eventually(lambda: cluster.ready("side"))
        assert cluster.container("side", 0, "initContainerStatuses")["started"] is True
        await eventually(lambda: cluster.phase("side") == "Succeeded")
        assert "terminated" in cluster.container("side", 0, "initContainerStatuses")["state"]

    run(body)


def test_the_active_deadline_fails_the_pod() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("adl", activeDeadlineSeconds=0.05))
        await eventually(lambda: cluster.phase("adl") == "Failed")
        status = cluster.pod("adl")["status"]
        assert status["reason"] == "DeadlineExceeded"
        assert status["message"] == "Pod was active on the node longer than the specified deadline"

    run(body)


def test_deletion_runs_the_pre_stop_hook_and_waits_for_the_trap() -> None:
    async def body(cluster: Cluster) -> None:
        hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /tmp/hook"]}}}
        script = "trap 'cat /tmp/hook; exit 0' TERM; while true; do sleep 0.01; done"
        cluster.api.create("pods", shell("pre", script, container={"lifecycle": hook}))
        await eventually(lambda: cluster.ready("pre"))
        worker = cluster.kubelet.worker("default", "pre")
        assert worker is not None
        log = worker.records[0].log
        assert log is not None
        cluster.api.delete("pods", "default", "pre")
        await eventually(lambda: not cluster.exists("pre"))
        assert [text for _, text in log.lines()] == ["hook"]
        final = cluster.api.statuses("pre")[-1]["containerStatuses"][0]["state"]["terminated"]
        assert (final["exitCode"], final["reason"]) == (0, "Completed")

    run(body)


def test_a_failing_post_start_hook_kills_the_container() -> None:
    async def body(cluster: Cluster) -> None:
        hook = {"postStart": {"exec": {"command": ["false"]}}}
        spec: Any = {"container": {"lifecycle": hook}, "terminationGracePeriodSeconds": 0}
        cluster.api.create("pods", shell("posthook", "sleep 1000", **spec))
        await eventually(lambda: cluster.container("posthook").get("restartCount", 0) >= 1)
        assert "FailedPostStartHook: PostStartHook failed" in cluster.messages("posthook")
        assert "Killing: FailedPostStartHook" in cluster.messages("posthook")
        await eventually(lambda: cluster.waiting("posthook") == "CrashLoopBackOff")
        assert cluster.container("posthook")["restartCount"] == 1

    run(body, backoff_scale=1.0)


def test_a_forced_deletion_ends_everything_at_once() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("slow", "trap '' TERM; sleep 1000"))
        await eventually(lambda: cluster.ready("slow"))
        ip = cluster.pod("slow")["status"]["podIP"]
        cluster.api.delete("pods", "default", "slow", DeleteOptions(grace_period_seconds=0))
        await eventually(lambda: not cluster.network.is_pod(ip))
        assert cluster.kubelet.worker("default", "slow") is None

    run(body)


def test_the_termination_message_reaches_the_status() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("msg", "echo why > /dev/termination-log; exit 2", restartPolicy="Never"))
        fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
        cluster.api.create("pods", shell("log", "echo last words; exit 2", restartPolicy="Never", container=fallback))
        await eventually(lambda: cluster.phase("msg") == "Failed" and cluster.phase("log") == "Failed")
        assert cluster.ended("msg")["message"] == "why\n"
        assert cluster.ended("log")["message"] == "last words\n"

    run(body)


def test_pods_of_other_nodes_are_left_alone() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("other", nodeName="k3s-w9"))
        cluster.api.create("pods", pod("mine"))
        await eventually(lambda: cluster.ready("mine"))
        assert cluster.kubelet.worker("default", "other") is None

    run(body)


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [("Bad:::x", "IfNotPresent", "InvalidImageName"), ("nosuch:1", "Never", "ErrImageNeverPull")],
)
def test_image_problems_have_their_own_reasons(image: str, policy: str, reason: str) -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("bad", image, container={"imagePullPolicy": policy}))
        await eventually(lambda: cluster.waiting("bad") == reason)

    run(body)


def test_many_pods_become_ready_quickly() -> None:
    async def body(cluster: Cluster) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(50):
            cluster.api.create("pods", pod(f"web-{number}"))
        await eventually(lambda: all(cluster.ready(f"web-{number}") for number in range(50)))
        assert loop.time() - started < 3

    run(body)


def test_a_changed_image_restarts_the_container_in_place() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web", "nginx:1.25"))
        await eventually(lambda: cluster.ready("web"))
        changed = copy.deepcopy(cluster.pod("web"))
        changed["spec"]["containers"][0]["image"] = "nginx:1.27"
        cluster.api.update("pods", changed)
        await eventually(lambda: cluster.container("web").get("image") == "docker.io/library/nginx:1.27")
        assert cluster.container("web")["restartCount"] == 1
        assert "Killing: Container c definition changed, will be restarted" in cluster.messages("web")
        assert "BackOff" not in " ".join(cluster.messages("web"))

    run(body)


def test_a_debug_container_joins_a_running_pod() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        changed = copy.deepcopy(cluster.pod("web"))
        changed["spec"]["ephemeralContainers"] = [{"name": "dbg", "image": "busybox", "command": ["sleep", "100"]}]
        cluster.api.update("pods", changed)
        await eventually(lambda: cluster.pod("web")["status"].get("ephemeralContainerStatuses"))
        status = cluster.container("web", 0, "ephemeralContainerStatuses")
        assert "running" in status["state"]
        assert status["ready"] is False
        assert cluster.ready("web")

    run(body)


def test_cordoning_a_node_is_an_event_of_its_kubelet() -> None:
    async def body(cluster: Cluster) -> None:
        node = copy.deepcopy(cluster.api.objects["nodes", "", "k3s-w1"])
        node["spec"]["unschedulable"] = True
        cluster.api.update("nodes", node)
        text = "NodeNotSchedulable: Node k3s-w1 status is now: NodeNotSchedulable"
        await eventually(lambda: text in cluster.messages("k3s-w1"))
        assert "Starting: Starting kubelet." in cluster.messages("k3s-w1")

    run(body)


def test_a_node_that_was_given_up_is_said_to_be_ready_again() -> None:
    async def body(cluster: Cluster) -> None:
        node = copy.deepcopy(cluster.api.objects["nodes", "", "k3s-w1"])
        node["status"]["conditions"][-1]["status"] = "Unknown"
        cluster.api.update("nodes", node, subresource="status")
        await eventually(
            lambda: cluster.api.objects["nodes", "", "k3s-w1"]["status"]["conditions"][-1]["status"] == "True"
        )

    run(body, heartbeat_interval=0.01)


def test_logs_that_a_restart_lost_are_regretted() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", shell("done", "echo hi", restartPolicy="Never"))
        await eventually(lambda: cluster.phase("done") == "Succeeded")
        container_id = cluster.container("done")["containerID"]
        again = cluster.new_kubelet()
        again.start()
        regret = f"unable to retrieve container logs for {container_id}\n"
        assert again.logs("default", "done", "c") == regret.encode()
        await again.stop()

    run(body)


def test_a_pace_lets_the_steps_of_a_pod_be_seen() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.waiting("web") == "ContainerCreating")
        await asyncio.sleep(0.05)
        assert cluster.waiting("web") == "ContainerCreating"
        await eventually(lambda: cluster.ready("web"))

    run(body, pace=0.1)
