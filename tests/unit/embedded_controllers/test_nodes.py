from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from labctl.embedded.clientset import Change, ChangeType, Obj
from labctl.embedded.controllers import ControllerSettings
from labctl.embedded.controllers.meta import rfc3339, rfc3339_micro
from labctl.embedded.controllers.nodelifecycle import NodeLifecycleController
from labctl.embedded.controllers.tainteviction import TaintEvictionController
from labctl.embedded.controllers.view import Cache
from labctl.embedded.controllers.wanted import Delete, Recheck, Record, Update, Wanted
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run, template

NOW = 1_800_000_000.0
GRACE = 50.0


def _node(ready: str = "True", **spec: object) -> Obj:
    conditions = [
        {"type": kind, "status": "False", "reason": f"KubeletHas{kind}", "lastTransitionTime": rfc3339(0)}
        for kind in ("MemoryPressure", "DiskPressure")
    ]
    conditions.append({"type": "Ready", "status": ready, "lastTransitionTime": rfc3339(0)})
    metadata = {"name": "n1", "uid": "u1", "creationTimestamp": rfc3339(NOW - 1000), "resourceVersion": "1"}
    return {"kind": "Node", "metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


def _lease(renewed: float) -> Obj:
    metadata = {"name": "n1", "namespace": "kube-node-lease", "uid": "l1"}
    return {"metadata": metadata, "spec": {"renewTime": rfc3339_micro(renewed)}}


def _pod(**spec: object) -> Obj:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(0)}
    metadata = {"name": "p", "namespace": "default", "uid": "p1", "generation": 1, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"nodeName": "n1", **spec}, "status": {"conditions": [ready]}}


def _view(*objects: tuple[str, Obj]) -> Cache:
    view = Cache()
    for resource, obj in objects:
        view.observe(Change(ChangeType.ADDED, resource, obj))
    return view


def _judge(view: Cache) -> Sequence[Wanted]:
    return NodeLifecycleController(GRACE, since=NOW - 500).reconcile(view, ("", "n1"), NOW)


def test_a_node_with_a_fresh_lease_is_looked_at_again_when_that_runs_out() -> None:
    view = _view(("nodes", _node()), ("leases.coordination.k8s.io", _lease(NOW - 10)))
    assert list(_judge(view)) == [Recheck(NOW + 40)]


def test_a_silent_node_becomes_unknown_and_tainted_and_its_pods_not_ready() -> None:
    view = _view(("nodes", _node()), ("leases.coordination.k8s.io", _lease(NOW - 60)), ("pods", _pod()))
    status, taints, pod = _judge(view)
    assert isinstance(status, Update)
    assert isinstance(taints, Update)
    assert isinstance(pod, Update)
    assert {(c["status"], c["reason"], c["message"]) for c in status.object["status"]["conditions"]} == {
        ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    }
    assert status.then is not None
    assert status.then.note.message == "Node n1 status is now: NodeNotReady"
    stamp = rfc3339(NOW)
    assert taints.object["spec"]["taints"] == [
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": stamp},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule", "timeAdded": stamp},
    ]
    assert [c["status"] for c in pod.object["status"]["conditions"]] == ["False"]
    assert pod.then is not None
    assert (pod.then.note.reason, pod.then.note.message) == ("NodeNotReady", "Node is not ready")


def test_a_manager_that_just_started_gives_every_node_time_to_speak() -> None:
    view = _view(("nodes", _node()), ("leases.coordination.k8s.io", _lease(NOW - 5000)))
    plan = NodeLifecycleController(GRACE, since=NOW).reconcile(view, ("", "n1"), NOW)
    assert list(plan) == [Recheck(NOW + GRACE)]


def test_a_node_that_is_back_loses_those_taints_and_keeps_its_own() -> None:
    own = {"key": "gpu", "effect": "NoSchedule"}
    left_over = [{"key": "node.kubernetes.io/unreachable", "effect": effect} for effect in ("NoExecute", "NoSchedule")]
    view = _view(("nodes", _node(taints=[own, *left_over])), ("leases.coordination.k8s.io", _lease(NOW)))
    _, update = _judge(view)
    assert isinstance(update, Update)
    assert update.object["spec"]["taints"] == [own]


def test_cordoning_taints_and_uncordoning_clears() -> None:
    view = _view(("nodes", _node(unschedulable=True)), ("leases.coordination.k8s.io", _lease(NOW)))
    _, update = _judge(view)
    assert isinstance(update, Update)
    assert [taint["key"] for taint in update.object["spec"]["taints"]] == ["node.kubernetes.io/unschedulable"]
    tainted = _node(taints=update.object["spec"]["taints"])
    _, update = _judge(_view(("nodes", tainted), ("leases.coordination.k8s.io", _lease(NOW))))
    assert isinstance(update, Update)
    assert "taints" not in update.object["spec"]


def _toleration(seconds: int | None) -> Obj:
    limit = {} if seconds is None else {"tolerationSeconds": seconds}
    return {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", **limit}


@pytest.mark.parametrize(
    ("tolerations", "since", "expected"),
    [
        ([], 0.0, "evicted"),
        ([_toleration(None)], 1e6, "stays"),
        ([_toleration(300)], 299.0, "waits"),
        ([_toleration(300)], 300.0, "evicted"),
    ],
)
def test_a_pod_leaves_a_tainted_node_when_its_toleration_runs_out(
    tolerations: list[Obj], since: float, expected: str
) -> None:
    taint = {
        "key": "node.kubernetes.io/unreachable",
        "effect": "NoExecute",
        "timeAdded": rfc3339(NOW - since),
    }
    view = _view(("nodes", _node(taints=[taint])), ("pods", _pod(tolerations=tolerations)))
    plan = list(TaintEvictionController(1.0).reconcile(view, ("default", "p"), NOW))
    outcomes: dict[tuple[type, ...], str] = {
        (): "stays",
        (Recheck,): "waits",
        (Record, Update, Delete): "evicted",
    }
    assert outcomes[tuple(type(step) for step in plan)] == expected
    if expected == "evicted":
        _, mark, _ = plan
        assert isinstance(mark, Update)
        assert mark.object["status"]["conditions"][-1]["reason"] == "DeletionByTaintManager"


def test_a_no_execute_taint_moves_the_pods_of_a_deployment_elsewhere() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web", 4))
        await cluster.settle()
        taint = {"key": "evict", "value": "1", "effect": "NoExecute"}
        cluster.api.set_spec("nodes", "", "k3s-w3", taints=[taint])
        await cluster.settle()
        places = [pod["spec"]["nodeName"] for pod in cluster.api.list("pods")]
        assert len(places) == 4
        assert "k3s-w3" not in places

    run(scenario)


def test_a_deleted_node_is_let_go() -> None:
    async def scenario(cluster: Cluster) -> None:
        held = ["wrangler.cattle.io/node"]
        cluster.api.patch("nodes", "", "k3s-w3", lambda obj: obj["metadata"].update(finalizers=held))
        await cluster.settle()
        cluster.api.delete("nodes", "", "k3s-w3")
        await cluster.settle()
        assert cluster.api.get("nodes", "", "k3s-w3") is None

    run(scenario)


def test_every_node_is_registered_in_an_event() -> None:
    async def scenario(cluster: Cluster) -> None:
        assert "RegisteredNode: Node k3s-w1 event: Registered Node k3s-w1 in Controller" in cluster.events("Node")

    run(scenario)


def test_a_dead_node_loses_its_pods_a_deployment_replaces_them_and_a_statefulset_waits() -> None:
    fast = ControllerSettings(root_ca="CA", seed=1, time_scale=1e-4)
    past = "2020-01-01T00:00:00.000000Z"

    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.holds = lambda pod: "deletionTimestamp" in pod["metadata"]
        for pod in (web := deployment("web", 4), sets := _stateful_set()):
            pod["spec"]["template"]["spec"]["tolerations"] = [_toleration(300)]
        cluster.api.create("deployments.apps", web)
        cluster.api.create("statefulsets.apps", sets)
        await cluster.settle()
        # Only now: a node that dies before the pods are placed gets none.
        cluster.api.set_spec("leases.coordination.k8s.io", "kube-node-lease", "k3s-w3", renewTime=past)
        for _ in range(200):
            await cluster.settle()
            await asyncio.sleep(0.005)
            terminating = [pod for pod in cluster.api.list("pods") if "deletionTimestamp" in pod["metadata"]]
            if len(terminating) == 2:
                break
        await cluster.settle()
        assert {pod["spec"]["nodeName"] for pod in terminating} == {"k3s-w3"}
        running = [pod for pod in cluster.api.list("pods") if pod not in terminating]
        owners = sorted(pod["metadata"]["ownerReferences"][0]["kind"] for pod in running)
        assert owners == ["ReplicaSet"] * 4
        assert cluster.events("Node").count("NodeNotReady: Node k3s-w3 status is now: NodeNotReady") == 1
        assert "TaintManagerEviction: Marking for deletion Pod default/sts-0" in cluster.events("Pod")

    run(scenario, settings=fast)


def _stateful_set() -> Obj:
    """One pod that wants to be on k3s-w3."""
    preference = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["k3s-w3"]}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": preference}]}
    pods = template("sts")
    pods["spec"]["affinity"] = {"nodeAffinity": preferred}
    return {
        "metadata": {"name": "sts", "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "sts"}}, "template": pods},
    }
