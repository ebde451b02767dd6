"""The official Python client works on the embedded cluster: list, watch, dynamic client, leader election, exec."""

from __future__ import annotations

import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

from tests.cli.conftest import Shell

NAMESPACE = "python"


@pytest.fixture(scope="module")
def api(study: Shell) -> Iterator[Any]:
    config.load_kube_config(str(study.kubeconfig))
    made = client.ApiClient()
    core: Any = client.CoreV1Api(made)
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    yield made
    core.delete_namespace(NAMESPACE)
    made.rest_client.pool_manager.clear()
    made.close()


@pytest.fixture
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


def config_map(name: str, **labels: str) -> Any:
    return {"metadata": {"name": name, "labels": labels}, "data": {"a": "1"}}


def test_lists_come_in_pages_that_do_not_move(core: Any) -> None:
    for number in range(7):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"page-{number}", list="pages"))
    page = core.list_namespaced_config_map(NAMESPACE, label_selector="list=pages", limit=3)
    names = [item.metadata.name for item in page.items]
    core.create_namespaced_config_map(NAMESPACE, config_map("page-00", list="pages"))
    core.delete_namespaced_config_map("page-6", NAMESPACE)
    while page.metadata._continue:
        token = page.metadata._continue
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="list=pages", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
    assert names == [f"page-{number}" for number in range(7)]


def test_a_watch_begins_again_where_it_ended(core: Any) -> None:
    watcher = watch.Watch()
    begun = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, config_map("seen", watched="yes"))
    seen = []
    settings = {"label_selector": "watched=yes", "timeout_seconds": 1}
    for event in watcher.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=begun, **settings):
        seen.append((event["type"], event["object"].metadata.name))
        version = event["object"].metadata.resource_version
    core.patch_namespaced_config_map("seen", NAMESPACE, {"data": {"a": "2"}})
    core.delete_namespaced_config_map("seen", NAMESPACE)
    later = watcher.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=version, **settings)
    seen += [(event["type"], event["object"].metadata.name) for event in later]
    assert seen == [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")]


def test_a_version_that_is_too_old_is_gone(core: Any) -> None:
    with pytest.raises(ApiException) as caught:
        for _ in watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version="1", timeout_seconds=2
        ):
            pass
    assert caught.value.status == 410
    with pytest.raises(ApiException) as caught:
        core.list_namespaced_config_map(NAMESPACE, resource_version="1", resource_version_match="Exact")
    assert caught.value.status == 410


def test_the_dynamic_client(api: Any) -> None:
    found = dynamic.DynamicClient(api).resources.get(api_version="apps/v1", kind="Deployment")
    template = {"metadata": {"labels": {"app": "dyn"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "dyn"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "dyn"}, "spec": spec}
    applied = found.server_side_apply(body=body, namespace=NAMESPACE, name="dyn", field_manager="tests")
    assert applied.metadata.managedFields[0].manager == "tests"
    patched = found.patch(
        body={"spec": {"replicas": 1}}, name="dyn", namespace=NAMESPACE, content_type="application/merge-patch+json"
    )
    assert patched.spec.replicas == 1
    assert found.get(name="dyn", namespace=NAMESPACE).metadata.generation == 2
    found.delete(name="dyn", namespace=NAMESPACE)


def test_commands_in_pods(core: Any) -> None:
    container = {"name": "c", "image": "busybox", "command": ["sleep", "1000"]}
    pod = {"metadata": {"name": "shell"}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    core.create_namespaced_pod(NAMESPACE, pod)
    deadline = time.monotonic() + 20
    while core.read_namespaced_pod("shell", NAMESPACE).status.phase != "Running":
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    connection = stream(
        core.connect_get_namespaced_pod_exec,
        "shell",
        NAMESPACE,
        command=["sh", "-c", "read line; echo got $line; echo bad >&2; exit 3"],
        stdin=True,
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    connection.write_stdin("this\n")
    connection.run_forever(timeout=20)
    assert (connection.read_stdout(), connection.read_stderr()) == ("got this\n", "bad\n")
    assert connection.returncode == 3
    connection.sock.shutdown()  # the client itself leaves its socket open


ELECTION = """
import sys
from kubernetes import config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

kubeconfig, namespace, name = sys.argv[1:]
config.load_kube_config(kubeconfig)
times = {"lease_duration": 17, "renew_deadline": 15, "retry_period": 1}
lock = ConfigMapLock("leader", namespace, name)
say = lambda: print("leads", flush=True)
leaderelection.LeaderElection(electionconfig.Config(lock, onstarted_leading=say, onstopped_leading=None, **times)).run()
"""


def test_one_leader_at_a_time(study: Shell, core: Any) -> None:
    def candidate(name: str) -> Any:
        return study.start(sys.executable, "-c", ELECTION, str(study.kubeconfig), NAMESPACE, name)

    with candidate("first") as first, candidate("second") as second:
        try:
            begun, _, _ = select.select([first.stdout, second.stdout], [], [], 20)
            assert len(begun) == 1
            assert begun[0].readline() == "leads\n"
            leader = "first" if begun[0] is first.stdout else "second"
            record = core.read_namespaced_config_map("leader", NAMESPACE).metadata.annotations
            assert f'"{leader}"' in record["control-plane.alpha.kubernetes.io/leader"]
            assert select.select([{first.stdout, second.stdout}.difference(begun).pop()], [], [], 2)[0] == []
        finally:
            first.kill()
            second.kill()
