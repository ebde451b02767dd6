from __future__ import annotations

from typing import Any

from labctl.embedded.clientset import Obj
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run, service

CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
EVERYWHERE = ["127.0.10.101", "127.0.10.102", "127.0.10.103", "127.0.10.10"]


def _balanced(name: str, port: int, **spec: Any) -> Obj:
    ports = [{"protocol": "TCP", "port": port, "targetPort": 80, "nodePort": 31000 + port % 1000}]
    options = {"clusterIPs": ["10.10.200.9"], "externalTrafficPolicy": "Cluster", "ports": ports, **spec}
    return service(name, "web", type="LoadBalancer", **options)


def _prepare(cluster: Cluster) -> None:
    cluster.api.create("namespaces", {"metadata": {"name": "kube-system"}})
    for name, address in zip(("k3s-w1", "k3s-w2", "k3s-w3", "k3s-s"), EVERYWHERE, strict=True):
        addresses = [{"type": "InternalIP", "address": address}]
        node = cluster.api.objects["nodes"]["", name]
        cluster.api.update(
            "nodes", {**node, "status": {**node["status"], "addresses": addresses}}, subresource="status"
        )


def _addresses(cluster: Cluster, name: str) -> list[str]:
    found = cluster.api.get("services", "default", name)
    assert found is not None
    return [entry["ip"] for entry in (found["status"].get("loadBalancer") or {}).get("ingress", [])]


def test_a_load_balancer_is_reached_on_every_node() -> None:
    async def scenario(cluster: Cluster) -> None:
        _prepare(cluster)
        made = cluster.api.create("services", _balanced("svc-lb", 9444))
        await cluster.settle()
        assert _addresses(cluster, "svc-lb") == sorted(EVERYWHERE)
        found = cluster.api.get("services", "default", "svc-lb")
        assert found is not None
        assert found["metadata"]["finalizers"] == [CLEANUP]
        assert {entry["ipMode"] for entry in found["status"]["loadBalancer"]["ingress"]} == {"VIP"}
        daemon = f"svclb-svc-lb-{made['metadata']['uid'][:8]}"
        told = cluster.events("Service")
        assert told[:2] == [
            "EnsuringLoadBalancer: Ensuring load balancer",
            f"AppliedDaemonSet: Applied LoadBalancer DaemonSet kube-system/{daemon}",
        ]
        assert told[2].startswith("UpdatedLoadBalancer: Updated LoadBalancer with new IPs: [] -> [127.0.10.1")
        pod = cluster.api.list("pods", "kube-system")[0]
        assert pod["spec"]["containers"][0]["name"] == "lb-tcp-9444"

    run(scenario)


def test_a_second_load_balancer_on_the_same_port_stays_pending_until_the_first_goes() -> None:
    async def scenario(cluster: Cluster) -> None:
        _prepare(cluster)
        cluster.api.create("services", _balanced("first", 80))
        await cluster.settle()
        cluster.api.create("services", _balanced("second", 80))
        await cluster.settle()
        assert _addresses(cluster, "first") == sorted(EVERYWHERE)
        assert _addresses(cluster, "second") == []
        told = [event for event in cluster.events("Pod") if event.startswith("FailedScheduling")]
        assert told[0] == (
            "FailedScheduling: 0/4 nodes are available: 1 node(s) didn't have free ports for the requested pod ports,"
            " 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. no new claims to deallocate, preemption: 0/4 nodes are"
            " available: 1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling."
        )
        cluster.api.delete("services", "default", "first")
        await cluster.settle()
        assert cluster.api.get("services", "default", "first") is None
        assert _addresses(cluster, "second") == sorted(EVERYWHERE)

    run(scenario)


def test_under_local_only_nodes_with_a_ready_endpoint_are_named() -> None:
    async def scenario(cluster: Cluster) -> None:
        _prepare(cluster)
        cluster.api.create("deployments.apps", deployment("web", 1))
        cluster.api.create("services", _balanced("svc", 80, externalTrafficPolicy="Local"))
        await cluster.settle()
        place = next(pod["spec"]["nodeName"] for pod in cluster.api.list("pods", "default"))
        node = cluster.api.get("nodes", "", place)
        assert node is not None
        assert _addresses(cluster, "svc") == [node["status"]["addresses"][0]["address"]]

    run(scenario)


def test_changing_the_type_takes_the_load_balancer_down() -> None:
    async def scenario(cluster: Cluster) -> None:
        _prepare(cluster)
        cluster.api.create("services", _balanced("svc", 80))
        await cluster.settle()
        cluster.api.set_spec("services", "default", "svc", type="ClusterIP")
        await cluster.settle()
        found = cluster.api.get("services", "default", "svc")
        assert found is not None
        assert "finalizers" not in found["metadata"]
        assert _addresses(cluster, "svc") == []
        assert cluster.api.list("daemonsets.apps") == []

    run(scenario)
