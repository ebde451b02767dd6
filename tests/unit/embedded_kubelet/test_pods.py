from __future__ import annotations

import asyncio

from labctl.embedded.http.messages import Flow, Request, Response
from tests.unit.embedded_kubelet.cluster import Cluster, run
from tests.unit.embedded_kubelet.fakes import eventually, pod


def test_a_bound_pod_becomes_ready_with_the_recorded_status() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web", "nginx:alpine"))
        await eventually(lambda: cluster.ready("web"))
        status = cluster.api.objects["pods", "default", "web"]["status"]
        assert list(status) == [
            "observedGeneration",
            "phase",
            "conditions",
            "hostIP",
            "hostIPs",
            "podIP",
            "podIPs",
            "startTime",
            "containerStatuses",
            "qosClass",
        ]
        assert status["phase"] == "Running"
        assert [item["type"] for item in status["conditions"]] == [
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled",
        ]
        container = status["containerStatuses"][0]
        assert container["image"] == "docker.io/library/nginx:alpine"
        assert container["imageID"].startswith("docker.io/library/nginx@sha256:")
        assert container["containerID"].startswith("containerd://")
        assert container["started"] is True
        assert container["user"] == {"linux": {"uid": 0, "gid": 0, "supplementalGroups": [0]}}

    run(body)


def test_watchers_see_creating_before_running() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        states = [status["containerStatuses"][0]["state"] for status in cluster.api.statuses("web")[1:]]
        assert states[0] == {"waiting": {"reason": "ContainerCreating"}}
        assert "running" in states[1]
        assert len(states) == 2

    run(body)


def test_start_events_have_the_recorded_texts() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web", "nginx:alpine"))
        await eventually(lambda: len(cluster.api.events("web")) == 3)
        assert cluster.api.events("web") == [
            ("Normal", "Pulled", 'Container image "nginx:alpine" already present on machine', 1),
            ("Normal", "Created", "Created container: c", 1),
            ("Normal", "Started", "Started container c", 1),
        ]

    run(body)


def test_a_running_pod_answers_and_logs() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("guest", "gcr.io/google-samples/kubernetes-bootcamp:v1"))
        await eventually(lambda: cluster.ready("guest"))
        ip = cluster.api.objects["pods", "default", "guest"]["status"]["podIP"]
        port = cluster.network.port_at(ip, 8080)
        assert port is not None
        assert port.app is not None
        answer = port.app(Request("GET", "/", [("Host", "x")], b"", Flow(("127.0.0.1", 1), (ip, 8080))))
        assert isinstance(answer, Response)
        assert answer.body == b"Hello Kubernetes bootcamp! | Running on: guest | v=1\n"
        log = cluster.kubelet.logs("default", "guest", "c", tail_lines=1)
        assert isinstance(log, bytes)
        assert log.startswith(b"Running On: guest | Total Requests: 1 | App Uptime: ")

    run(body)


def test_a_deleted_pod_is_stopped_and_removed() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        ip = cluster.api.objects["pods", "default", "web"]["status"]["podIP"]
        cluster.api.delete("pods", "default", "web")
        await eventually(lambda: cluster.phase("web") == "gone")
        assert cluster.network.port_at(ip, 80) is None
        assert not cluster.network.is_pod(ip)
        await eventually(lambda: cluster.kubelet.worker("default", "web") is None)
        last = cluster.api.statuses("web")[-1]
        assert last["phase"] == "Succeeded"
        assert last["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        assert ("Normal", "Killing", "Stopping container c", 1) in cluster.api.events("web")

    run(body)


def test_an_unknown_image_ends_in_back_off_and_says_what_there_is() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("bad", "nosuch:1"))

        def reasons() -> list[str]:
            return [
                status["containerStatuses"][0]["state"]["waiting"]["reason"]
                for status in cluster.api.statuses("bad")
                if "containerStatuses" in status
            ]

        await eventually(lambda: "ImagePullBackOff" in reasons())
        assert reasons()[:3] == ["ContainerCreating", "ErrImagePull", "ImagePullBackOff"]
        messages = [message for _, _, message, _ in cluster.api.events("bad")]
        assert any("it has" in message and "nginx" in message for message in messages)
        assert "Error: ImagePullBackOff" in messages

    run(body)


def test_a_missing_image_shows_what_the_attempt_before_met() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("bad", "nosuch:1"))

        def reasons() -> list[str]:
            states = [status["containerStatuses"][0]["state"] for status in cluster.api.statuses("bad")[1:]]
            return [state["waiting"]["reason"] for state in states]

        await eventually(lambda: len(reasons()) >= 5)
        pulled, held = "ErrImagePull", "ImagePullBackOff"
        # A first pull, one after 10 s; after that 20 s are too long for the attempt that follows.
        assert reasons()[1:5] == [pulled, held, pulled, held]

    run(body, backoff_scale=0.02)


def test_the_node_is_registered_ready_with_a_lease() -> None:
    async def body(cluster: Cluster) -> None:
        node = cluster.api.get("nodes", "", "k3s-w1")
        assert node is not None
        assert node["spec"]["podCIDR"] == "127.16.1.0/24"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.34.4+k3s1"
        assert node["status"]["conditions"][-1]["type"] == "Ready"
        assert node["status"]["conditions"][-1]["status"] == "True"
        assert cluster.api.get("leases.coordination.k8s.io", "kube-node-lease", "k3s-w1") is not None

    run(body)


def test_a_restarted_daemon_runs_the_same_pods_again() -> None:
    async def main() -> None:
        cluster = Cluster()
        cluster.kubelet.start()
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        before = cluster.api.objects["pods", "default", "web"]
        await cluster.kubelet.stop()
        assert not cluster.network.ports
        again = cluster.new_kubelet()
        again.start()
        await eventually(lambda: _restarts(cluster) == 1)
        after = cluster.api.objects["pods", "default", "web"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["podIP"] == before["status"]["podIP"]
        ended = after["status"]["containerStatuses"][0]["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (255, "Unknown")
        await again.stop()

    asyncio.run(main())


def _restarts(cluster: Cluster) -> int:
    status = cluster.api.objects["pods", "default", "web"]["status"]["containerStatuses"][0]
    return int(status["restartCount"]) if "running" in status["state"] else 0
