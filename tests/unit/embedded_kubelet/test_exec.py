from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from labctl.embedded.api.kubelet import ExecError, Streams
from labctl.embedded.clientset import ApiError
from labctl.embedded.images.streams import Buffer, Data, Pipe
from tests.unit.embedded_kubelet.cluster import Cluster, run
from tests.unit.embedded_kubelet.fakes import eventually, pod


async def execute(cluster: Cluster, name: str, *command: str, stdin: bytes = b"") -> tuple[int, str, str]:
    out, err = Buffer(), Buffer()
    streams = Streams(Data(stdin), out, err, tty=False)
    code = await asyncio.wait_for(cluster.kubelet.exec("default", name, "c", command, streams), 5)
    return code, out.data.decode(), err.data.decode()


def test_exec_runs_commands_with_streams_and_exit_codes() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        assert await execute(cluster, "web", "hostname") == (0, "web\n", "")
        assert await execute(cluster, "web", "cat", stdin=b"data\n") == (0, "data\n", "")
        assert await execute(cluster, "web", "sh", "-c", "echo o; echo e >&2; exit 3") == (3, "o\n", "e\n")
        assert await execute(cluster, "web", "sh", "-c", "kill -9 $$") == (137, "", "")
        assert (await execute(cluster, "web", "cat", "/etc/hostname"))[1] == "web\n"

    run(body)


def test_exec_sees_the_environment_and_files_of_the_pod() -> None:
    async def body(cluster: Cluster) -> None:
        service = {"clusterIP": "10.10.200.1", "ports": [{"name": "https", "port": 443}]}
        cluster.api.create("services", {"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": service})
        config = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "v", "file.txt": "content\n"}}
        cluster.api.create("configmaps", config)
        env = [
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}},
            {"name": "BOTH", "value": "$(POD)-$(K)-$$(K)-$(NONE)"},
        ]
        container = {"env": env, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        cluster.api.create(
            "pods", pod("web", volumes=[{"name": "v", "configMap": {"name": "cm"}}], container=container)
        )
        await eventually(lambda: cluster.ready("web"))
        ip = cluster.pod("web")["status"]["podIP"]
        lines = (await execute(cluster, "web", "env"))[1].splitlines()
        assert lines[:2] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=web"]
        assert {"POD=web", f"IP={ip}", "K=v", "BOTH=web-v-$(K)-$(NONE)"} <= set(lines)
        assert "KUBERNETES_PORT_443_TCP=tcp://10.10.200.1:443" in lines
        assert lines[-1] == "HOME=/root"
        assert (await execute(cluster, "web", "cat", "/v/file.txt"))[1] == "content\n"
        code, _, err = await execute(cluster, "web", "sh", "-c", "echo x > /v/file.txt")
        assert (code, err) == (1, "sh: can't create /v/file.txt: Read-only file system\n")
        resolv = (await execute(cluster, "web", "cat", "/etc/resolv.conf"))[1]
        assert resolv == (
            "search default.svc.cluster.local svc.cluster.local cluster.local\n"
            "nameserver 127.10.200.10\noptions ndots:5\n"
        )
        hosts = (await execute(cluster, "web", "cat", "/etc/hosts"))[1]
        assert hosts.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
        assert hosts.endswith(f"{ip}\tweb\n")

    run(body)


def test_a_changed_config_map_reaches_the_mounted_file() -> None:
    async def body(cluster: Cluster) -> None:
        meta = {"name": "cm", "namespace": "default"}
        cluster.api.create("configmaps", {"metadata": dict(meta), "data": {"k": "old"}})
        mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        cluster.api.create("pods", pod("web", volumes=[{"name": "v", "configMap": {"name": "cm"}}], container=mounts))
        await eventually(lambda: cluster.ready("web"))
        cluster.api.update("configmaps", {"metadata": dict(meta), "data": {"k": "new"}})
        await asyncio.sleep(0.01)
        assert (await execute(cluster, "web", "cat", "/v/k"))[1] == "new"

    run(body)


def test_an_unknown_command_is_the_runtimes_error() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        with pytest.raises(ExecError, match=r'exec: "nosuchcmd": executable file not found in \$PATH$'):
            await execute(cluster, "web", "nosuchcmd")
        with pytest.raises(ExecError, match=r'exec: "/nosuch/path": stat /nosuch/path: no such file or directory$'):
            await execute(cluster, "web", "/nosuch/path")

    run(body)


def test_exec_into_a_container_that_does_not_run_is_refused() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("bad", "nosuch:1"))
        await eventually(lambda: cluster.waiting("bad") == "ErrImagePull")
        with pytest.raises(ApiError, match='container not found \\("c"\\)'):
            await execute(cluster, "bad", "ls")

    run(body)


def test_a_client_that_leaves_ends_its_process() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        leaving = asyncio.create_task(execute(cluster, "web", "sleep", "1000"))
        await asyncio.sleep(0.01)
        assert "sleep 1000" in (await execute(cluster, "web", "ps"))[1]
        leaving.cancel()
        await asyncio.sleep(0.01)
        assert "sleep 1000" not in (await execute(cluster, "web", "ps"))[1]

    run(body)


def test_a_terminal_echoes_and_interrupts() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("web"))
        await eventually(lambda: cluster.ready("web"))
        keys, screen = Pipe(), Buffer()
        session = asyncio.create_task(
            cluster.kubelet.exec("default", "web", "c", ["sh"], Streams(keys, screen, None, tty=True))
        )
        await keys.write(b"echo hj\x7fi\r")
        await eventually(lambda: b"\r\nhi\r\n" in screen.data)
        await keys.write(b"sleep 1000\r")
        await eventually(lambda: b"sleep 1000\r\n" in screen.data)
        await asyncio.sleep(0.02)
        await keys.write(b"\x03")
        await keys.write(b"exit 4\r")
        assert await asyncio.wait_for(session, 5) == 4
        assert screen.data.startswith(b"/ # echo hj\b \bi\r\nhi\r\n/ # ")

    run(body)


def test_attach_shows_what_comes_and_feeds_standard_input() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("cat", "busybox", container={"command": ["cat"], "stdin": True}))
        await eventually(lambda: cluster.ready("cat"))
        out = Buffer()
        streams = Streams(Data(b"hello\n"), out, None, tty=False)
        assert await asyncio.wait_for(cluster.kubelet.attach("default", "cat", "c", streams), 5) == 0
        assert out.data == b"hello\n"
        assert cluster.kubelet.logs("default", "cat", "c") == b"hello\n"
        assert cluster.ready("cat")

    run(body)


def test_logs_follow_and_choose_lines() -> None:
    async def body(cluster: Cluster) -> None:
        command = ["sh", "-c", "echo start; i=0; while [ $i -lt 5 ]; do sleep 0.02; echo tick; i=$((i+1)); done"]
        cluster.api.create("pods", pod("tick", "busybox", restartPolicy="Never", container={"command": command}))
        await eventually(lambda: cluster.ready("tick"))
        following = cluster.kubelet.logs("default", "tick", "c", follow=True)
        assert isinstance(following, AsyncIterator)
        pieces = [piece async for piece in following]
        assert b"".join(pieces) == b"start\n" + b"tick\n" * 5
        logs = cluster.kubelet.logs
        assert logs("default", "tick", "c", tail_lines=1) == b"tick\n"
        assert logs("default", "tick", "c", tail_lines=0) == b""
        assert logs("default", "tick", "c", limit_bytes=5) == b"start"
        assert logs("default", "tick", "c", since_seconds=3600 * 24 * 365 * 100) == b"start\n" + b"tick\n" * 5
        stamped = logs("default", "tick", "c", tail_lines=1, timestamps=True)
        assert isinstance(stamped, bytes)
        assert stamped.endswith(b"Z tick\n")

    run(body)


@pytest.mark.parametrize(
    ("name", "container", "previous", "message"),
    [
        ("ini", "c", False, 'container "c" in pod "ini" is waiting to start: PodInitializing'),
        ("bad", "c", False, 'container "c" in pod "bad" is waiting to start: image can\'t be pulled'),
        ("ok", "c", True, 'previous terminated container "c" in pod "ok" not found'),
        ("ok", "nope", False, "container nope is not valid for pod ok"),
        ("gone", "c", False, 'pods "gone" not found'),
    ],
)
def test_logs_that_cannot_be_had_are_refused_in_the_kubelets_words(
    name: str, container: str, previous: bool, message: str
) -> None:
    async def body(cluster: Cluster) -> None:
        init = {"name": "i", "image": "busybox", "command": ["sleep", "1000"]}
        cluster.api.create("pods", pod("ini", initContainers=[init]))
        cluster.api.create("pods", pod("bad", "nosuch:1"))
        cluster.api.create("pods", pod("ok"))
        await eventually(lambda: cluster.ready("ok") and cluster.waiting("bad") == "ErrImagePull")
        with pytest.raises(ApiError) as refused:
            cluster.kubelet.logs("default", name, container, previous=previous)
        assert refused.value.message == message

    run(body, backoff_scale=10.0)


def test_port_forward_reaches_a_port_of_the_pod() -> None:
    async def body(cluster: Cluster) -> None:
        cluster.api.create("pods", pod("db", "redis"))
        await eventually(lambda: cluster.ready("db"))
        connection = await cluster.kubelet.port_forward("default", "db", 6379)
        await connection.write(b"*1\r\n$4\r\nPING\r\n")
        assert await connection.read() == b"+PONG\r\n"
        connection.close()
        with pytest.raises(ConnectionRefusedError):
            await cluster.kubelet.port_forward("default", "db", 81)

    run(body)
