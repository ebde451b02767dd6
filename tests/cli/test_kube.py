"""labctl's own client against the API's streams: exec and logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl.errors import ClusterError, WaitTimeoutError
from labctl.kube.client import ApiRefusedError, KubeApi
from labctl.kube.exec import exec_in_pod
from labctl.kube.logs import LogOptions, follow_log, pod_log
from tests.cli.conftest import Shell

NAMESPACE = "ingress"


@pytest.fixture
def api(study: Shell) -> Iterator[KubeApi]:
    found = KubeApi(study.kubeconfig)
    yield found
    found.close()


@pytest.fixture
def pod(api: KubeApi) -> str:
    return str(api.list("v1", "Pod", NAMESPACE)[0]["metadata"]["name"])


def test_a_command_gives_its_streams_and_its_exit_code(api: KubeApi, pod: str) -> None:
    done = exec_in_pod(api, NAMESPACE, pod, ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_stdin_is_sent_whole_and_closed(api: KubeApi, pod: str) -> None:
    assert exec_in_pod(api, NAMESPACE, pod, ["wc", "-c"], stdin=b"x" * 100_000).text.strip() == "100000"


def test_what_cannot_be_executed_is_an_error(api: KubeApi, pod: str) -> None:
    with pytest.raises(ClusterError, match="executable file not found"):
        exec_in_pod(api, NAMESPACE, pod, ["no-such-program"])
    with pytest.raises(ApiRefusedError, match='pods "nobody" not found'):
        exec_in_pod(api, NAMESPACE, "nobody", ["true"])
    with pytest.raises(ApiRefusedError, match="container other is not valid"):
        exec_in_pod(api, NAMESPACE, pod, ["true"], container="other")


def test_a_deadline_tells_what_was_written(api: KubeApi, pod: str) -> None:
    with pytest.raises(WaitTimeoutError, match="it wrote: begun"):
        exec_in_pod(api, NAMESPACE, pod, ["sh", "-c", "echo begun; sleep 30"], timeout=0.5)


def test_a_log_is_read_and_followed(api: KubeApi, pod: str) -> None:
    whole = pod_log(api, NAMESPACE, pod).splitlines()
    assert pod_log(api, NAMESPACE, pod, LogOptions(tail=1)).splitlines() == whole[-1:]
    followed = follow_log(api, NAMESPACE, pod, LogOptions(tail=2), silence=0.3)
    assert list(followed)[:2] == whole[-2:]
    with pytest.raises(ApiRefusedError, match="not found"):
        list(follow_log(api, NAMESPACE, "nobody"))
