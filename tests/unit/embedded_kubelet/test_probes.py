from __future__ import annotations

import asyncio

from tests.unit.embedded_kubelet.cluster import Cluster, run
from tests.unit.embedded_kubelet.fakes import eventually, pod

FAST = {"periodSeconds": 0.01, "failureThreshold": 1}


def test_a_passing_readiness_probe_makes_the_pod_ready_at_once() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 60}
        cluster.api.create("pods", pod("ok", container={"readinessProbe": probe}))
        await eventually(lambda: cluster.ready("ok"))

    run(body)


def test_a_failing_readiness_probe_keeps_the_pod_out() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/nope", "port": 80}, **FAST}
        cluster.api.create("pods", pod("notready", container={"readinessProbe": probe}))
        text = "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404"
        await eventually(lambda: text in cluster.messages("notready"))
        assert cluster.phase("notready") == "Running"
        assert not cluster.ready("notready")
        assert cluster.container("notready")["started"] is True

    run(body)


def test_readiness_follows_what_the_container_answers() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"exec": {"command": ["cat", "/tmp/ready"]}, **FAST}
        command = ["sh", "-c", "sleep 0.05; touch /tmp/ready; sleep 0.1; rm /tmp/ready; sleep 1000"]
        cluster.api.create("pods", pod("flip", "busybox", container={"readinessProbe": probe, "command": command}))
        await eventually(lambda: cluster.ready("flip"))
        await eventually(lambda: not cluster.ready("flip"))

    run(body)


def test_tcp_and_exec_probes_say_what_they_saw() -> None:
    async def body(cluster: Cluster) -> None:
        tcp = {"tcpSocket": {"port": 81}, **FAST}
        exec_ = {"exec": {"command": ["sh", "-c", "echo no; exit 1"]}, **FAST}
        cluster.api.create("pods", pod("tcpbad", container={"readinessProbe": tcp}))
        cluster.api.create("pods", pod("execbad", container={"readinessProbe": exec_}))
        await eventually(lambda: any("Unhealthy" in text for text in cluster.messages("tcpbad")))
        await eventually(lambda: any("Unhealthy" in text for text in cluster.messages("execbad")))
        ip = cluster.pod("tcpbad")["status"]["podIP"]
        refused = f"Unhealthy: Readiness probe failed: dial tcp {ip}:81: connect: connection refused"
        assert refused in cluster.messages("tcpbad")
        assert "Unhealthy: Readiness probe failed: no\n" in cluster.messages("execbad")

    run(body)


def test_a_failing_liveness_probe_restarts_the_container() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/nope", "port": 80}, "periodSeconds": 0.01, "failureThreshold": 2}
        cluster.api.create("pods", pod("live", container={"livenessProbe": probe}))
        await eventually(lambda: cluster.container("live").get("restartCount", 0) >= 2)
        assert "Killing: Container c failed liveness probe, will be restarted" in cluster.messages("live")
        last = cluster.container("live")["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (0, "Completed")

    run(body)


def test_a_container_that_its_probe_ends_is_held_back_by_the_end_before_and_at_once() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/nope", "port": 80}, **FAST}
        cluster.api.create("pods", pod("live", container={"livenessProbe": probe}))
        await eventually(lambda: cluster.waiting("live") == "CrashLoopBackOff")
        assert cluster.container("live")["restartCount"] == 2
        assert [count for _, reason, _, count in cluster.api.events("live") if reason == "BackOff"] == [2]

    run(body, backoff_scale=1.0)


def test_a_container_that_its_probe_ends_starts_again_also_when_it_ends_well() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/nope", "port": 80}, **FAST}
        cluster.api.create("pods", pod("live", restartPolicy="OnFailure", container={"livenessProbe": probe}))
        await eventually(lambda: cluster.container("live").get("restartCount") == 1)
        assert cluster.container("live")["lastState"]["terminated"]["exitCode"] == 0

    run(body)


def test_a_startup_probe_holds_the_others_back() -> None:
    async def body(cluster: Cluster) -> None:
        startup = {"exec": {"command": ["cat", "/tmp/up"]}, "periodSeconds": 0.01, "failureThreshold": 1000}
        liveness = {"exec": {"command": ["false"]}, **FAST, "failureThreshold": 1000}
        command = ["sh", "-c", "sleep 0.1; touch /tmp/up; sleep 1000"]
        container = {"startupProbe": startup, "livenessProbe": liveness, "command": command}
        cluster.api.create("pods", pod("up", "busybox", container=container))
        await eventually(lambda: any("Startup probe failed" in text for text in cluster.messages("up")))
        assert cluster.container("up")["started"] is False
        assert not any("Liveness" in text for text in cluster.messages("up"))
        await eventually(lambda: cluster.ready("up"))
        await eventually(lambda: any("Liveness" in text for text in cluster.messages("up")))

    run(body)


def test_a_slow_probe_is_cut_off() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"exec": {"command": ["sleep", "5"]}, "timeoutSeconds": 0.02, **FAST}
        cluster.api.create("pods", pod("slow", "nginx", container={"readinessProbe": probe}))
        text = 'Unhealthy: Readiness probe failed: command timed out: "sleep 5" timed out after 0.02s'
        await eventually(lambda: text in cluster.messages("slow"))

    run(body)


def test_a_named_port_is_found() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 60}
        ports = [{"name": "http", "containerPort": 80}]
        cluster.api.create("pods", pod("named", container={"readinessProbe": probe, "ports": ports}))
        await eventually(lambda: cluster.ready("named"))

    run(body)


def test_repeated_failures_are_counted_on_one_event() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/nope", "port": 80}, "periodSeconds": 0.005, "failureThreshold": 1}
        cluster.api.create("pods", pod("count", container={"readinessProbe": probe}))

        def counts() -> list[int]:
            return [count for _, reason, _, count in cluster.api.events("count") if reason == "Unhealthy"]

        await eventually(lambda: counts() and counts()[0] >= 5)
        assert len(counts()) == 1

    run(body)


def test_eager_probes_end_the_initial_delay_with_the_first_good_answer() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 600}
        cluster.api.create("pods", pod("eager", container={"readinessProbe": probe}))
        await eventually(lambda: cluster.ready("eager"))

    run(body, eager_probes=True)


def test_the_initial_delay_is_kept_otherwise() -> None:
    async def body(cluster: Cluster) -> None:
        probe = {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 0.2}
        cluster.api.create("pods", pod("patient", container={"readinessProbe": probe}))
        await eventually(lambda: cluster.phase("patient") == "Running")
        await asyncio.sleep(0.1)
        assert not cluster.ready("patient")
        await eventually(lambda: cluster.ready("patient"))

    run(body)
