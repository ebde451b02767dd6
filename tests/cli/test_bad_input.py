"""What goes wrong is said clearly, with the right exit code, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

import pytest

from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "canry"), "did you mean 'canary'?"),
        (("run", "canary", "-n", "0"), "-n"),
        (("run",), "which lab?"),
        (("probe", "gyull.com"), "is no http or https URL"),
        (("probe", "http://127.0.0.1:1/", "--by", "pods"), "did you mean 'pod'?"),
        (("probe", "http://127.0.0.1:1/", "--expect", "roundrobin"), "is not understood"),
        (("nonsense",), "nonsense"),
        (("status", "-f", "nowhere.yaml"), "nowhere.yaml"),
        (("list", "-o", "junit"), "has no junit output"),
    ],
)
def test_usage_errors(fresh: Shell, arguments: tuple[str, ...], message: str) -> None:
    done = fresh.labctl(*arguments)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_every_mistake_in_cluster_yaml_is_reported_with_its_place(fresh: Shell) -> None:
    (fresh.home / "cluster.yaml").write_text(
        "apiVersion: labctl/v1\nkind: Cluster\nname: study\nprovidr: embedded\n"
        "nodes:\n- {name: a, role: server, address: 192.168.10.10}\n- {name: a, role: worker, address: 127.0.1.1}\n"
    )
    done = fresh.labctl("up")
    assert done.code == 2
    for place in ("cluster.yaml:4:1", "cluster.yaml:6:", "cluster.yaml:7:"):
        assert place in done.err
    assert "provider" in done.err


def test_nothing_is_up(fresh: Shell) -> None:
    for command in (["verify", "canary"], ["status"], ["kubeconfig"], ["clean", "canary"]):
        done = fresh.labctl(*command)
        assert done.code == 4, (command, done.err)
        assert "labctl up" in done.err
    assert "is not up" in fresh.labctl("down").err


def test_a_port_in_use_names_its_holder(fresh: Shell) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.76.10", 6443))
        holder.listen()
        done = fresh.labctl("up")
    assert done.code == 4
    assert "127.0.76.10:6443" in done.err
    assert f"process {os.getpid()}" in done.err


def test_a_state_directory_that_cannot_be_written(fresh: Shell) -> None:
    blocked = fresh.home / "file"
    blocked.write_text("")
    shell = Shell(fresh.home, {"LABCTL_STATE_DIR": str(blocked)})
    done = shell.labctl("up")
    assert done.code == 2
    assert "cannot" in done.err
    assert "LABCTL_STATE_DIR" in done.err


def test_kill_9_loses_no_acknowledged_object_and_up_continues(fresh: Shell) -> None:
    assert fresh.labctl("up").code == 0
    assert fresh.labctl("run", "--keep", "path").code == 0
    before = fresh.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}").out
    assert fresh.kubectl("create", "configmap", "last", "--from-literal=a=b").code == 0
    pid = fresh.pid
    os.kill(pid, signal.SIGKILL)
    _wait_for_end(pid)
    assert fresh.labctl("verify", "path").code == 4
    done = fresh.labctl("up")
    assert done.code == 0, done.err
    assert f"an earlier process ({pid}) ended without stopping" in done.err
    assert "ingress  http://127.0.76.10:30080" in done.out
    assert fresh.kubectl("get", "configmap", "last").code == 0
    assert fresh.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}").out == before
    assert fresh.labctl("verify", "path").code == 0


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} still runs")


def test_down_keeps_objects_only_when_asked(fresh: Shell) -> None:
    assert fresh.labctl("up").code == 0
    assert fresh.kubectl("create", "configmap", "kept").code == 0
    assert fresh.labctl("down", "--keep-data").code == 0
    assert fresh.labctl("up").code == 0
    assert fresh.kubectl("get", "configmap", "kept").code == 0
    assert fresh.labctl("down").code == 0
    assert not fresh.kubeconfig.exists()
    assert fresh.labctl("up").code == 0
    assert fresh.kubectl("get", "configmap", "kept").code == 1


def test_other_settings_than_the_running_clusters_are_refused(fresh: Shell) -> None:
    assert fresh.labctl("up").code == 0
    text = (fresh.home / "cluster.yaml").read_text()
    (fresh.home / "cluster.yaml").write_text(text.replace("127.0.76.103", "127.0.76.104"))
    done = fresh.labctl("up")
    assert done.code == 2
    assert "other settings" in done.err
    (fresh.home / "cluster.yaml").write_text(text)


def test_interrupting_up_leaves_nothing_half_done(fresh: Shell) -> None:
    process = fresh.start(sys.executable, "-m", "labctl", "up", "-v")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    done = fresh.labctl("up")
    assert done.code == 0, done.err
    assert fresh.labctl("run", "--keep", "path").code == 0


def test_the_kubeconfig_is_private_and_can_be_merged(fresh: Shell) -> None:
    assert fresh.labctl("up").code == 0
    assert fresh.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert fresh.labctl("kubeconfig", "--merge").code == 0
    merged = fresh.home / ".kube" / "config"
    assert merged.stat().st_mode & 0o777 == 0o600
    assert "study" in merged.read_text()
    assert fresh.labctl("kubeconfig", "--write", str(fresh.home / "k.yaml")).code == 0
    assert fresh.labctl("kubeconfig").out == (fresh.home / "k.yaml").read_text()


def test_run_after_a_crash_performs_the_lab(fresh: Shell) -> None:
    assert fresh.labctl("up").code == 0
    pid = fresh.pid
    os.kill(pid, signal.SIGKILL)
    _wait_for_end(pid)
    done = fresh.labctl("run", "path", "-o", "json")
    assert done.code == 0, done.out + done.err
    assert len(done.json["labs"][0]["checks"]) > 3


def test_a_node_port_in_use_names_its_holder(fresh: Shell) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.76.10", 30080))
        holder.listen()
        done = fresh.labctl("up")
        status = fresh.labctl("status")
    assert done.code == 4
    for text in (done.err, status.out):
        assert "127.0.76.10:30080, a NodePort of ingress/ingress-nginx-controller, is held by" in text
        assert f"process {os.getpid()}" in text


def test_clusters_that_share_addresses_do_not_run_together(fresh: Shell) -> None:
    assert fresh.labctl("up").code == 0
    second = fresh.home / "second.yaml"
    text = (fresh.home / "cluster.yaml").read_text()
    second.write_text(text.replace("name: study", "name: second").replace("127.0.76.", "127.0.78."))
    done = fresh.labctl("up", "-f", str(second))
    assert done.code == 2
    assert "cluster 'study' runs with the same addresses (127.76.0.0/16 and 127.76.0.0/16)" in done.err


def test_verifying_nothing_is_no_success(fresh: Shell) -> None:
    assert fresh.labctl("up").code == 0
    done = fresh.labctl("verify")
    assert done.code == 2
    assert "no lab is applied" in done.err


def test_a_result_that_cannot_be_written_is_found_out_first(fresh: Shell) -> None:
    done = fresh.labctl("run", "path", "--output-file", str(fresh.home / "none" / "report.json"))
    assert done.code == 2
    assert "its folder does not exist" in done.err
    assert fresh.labctl("status").code == 4  # nothing was started
