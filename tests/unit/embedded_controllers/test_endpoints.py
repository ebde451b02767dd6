from __future__ import annotations

from labctl.embedded.clientset import Obj
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run, service


def _slices(cluster: Cluster, name: str) -> list[Obj]:
    return [
        entry
        for entry in cluster.api.list("endpointslices.discovery.k8s.io")
        if entry["metadata"]["labels"]["kubernetes.io/service-name"] == name
    ]


def _endpoints(cluster: Cluster, name: str) -> Obj:
    found = cluster.api.get("endpoints", "default", name)
    assert found is not None
    return found


def test_a_slice_looks_as_recorded() -> None:
    async def scenario(cluster: Cluster) -> None:
        made = cluster.api.create("services", service("svc1-web", "web"))
        cluster.api.create("deployments.apps", deployment("web", 1))
        await cluster.settle()
        pod = cluster.api.list("pods")[0]
        entry = _slices(cluster, "svc1-web")[0]
        metadata = entry["metadata"]
        assert metadata["generateName"] == "svc1-web-"
        assert metadata["name"].startswith("svc1-web-")
        assert metadata["labels"] == {
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": "svc1-web",
        }
        ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
        assert metadata["annotations"] == {
            "endpoints.kubernetes.io/last-change-trigger-time": ready["lastTransitionTime"]
        }
        assert metadata["ownerReferences"] == [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "name": "svc1-web",
                "uid": made["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        target = {"kind": "Pod", "namespace": "default", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        body = {field: entry[field] for field in ("addressType", "endpoints", "ports")}
        assert body == {
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [pod["status"]["podIP"]],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": target,
                    "nodeName": pod["spec"]["nodeName"],
                }
            ],
            "ports": [{"name": "web", "protocol": "TCP", "port": 80}],
        }
        legacy = _endpoints(cluster, "svc1-web")
        assert legacy["metadata"]["labels"] == {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
        address = {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": target}
        assert legacy["subsets"] == [
            {"addresses": [address], "ports": [{"name": "web", "protocol": "TCP", "port": 80}]}
        ]

    run(scenario)


def test_a_service_without_pods_has_an_empty_slice_and_endpoints_without_subsets() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", service("lonely", "nobody"))
        await cluster.settle()
        entry = _slices(cluster, "lonely")[0]
        assert (entry["endpoints"], entry["ports"]) == (None, None)
        assert "subsets" not in _endpoints(cluster, "lonely")

    run(scenario)


def test_pods_that_are_not_ready_or_terminating_stay_in_the_slice_but_do_not_serve() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", service("web", "web"))
        cluster.api.create("deployments.apps", deployment("web", 2))
        await cluster.settle()
        first = cluster.api.list("pods")[0]["metadata"]["name"]
        cluster.kubelet.holds = lambda pod: pod["metadata"]["name"] == first
        cluster.api.patch("pods", "default", first, lambda obj: obj["metadata"].update(labels={"app": "web"}))
        cluster.api.delete("pods", "default", first)
        await cluster.settle()
        conditions = {
            endpoint["targetRef"]["name"]: endpoint["conditions"]
            for endpoint in _slices(cluster, "web")[0]["endpoints"]
        }
        assert conditions[first] == {"ready": False, "serving": True, "terminating": True}
        ready = [address["targetRef"]["name"] for address in _endpoints(cluster, "web")["subsets"][0]["addresses"]]
        assert first not in ready
        # A deletion is no change of readiness, so nothing is left to date the next change of the slice by, until a
        # replacement becomes ready.
        trigger = "endpoints.kubernetes.io/last-change-trigger-time"
        seen = [
            trigger in change.object["metadata"].get("annotations", {})
            for change in cluster.api.log
            if change.resource == "endpointslices.discovery.k8s.io"
        ]
        assert False in seen
        assert seen[-1]

    run(scenario)


def test_only_ready_pods_count_unless_the_service_publishes_others() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.kubelet.healthy = lambda pod: False
        cluster.api.create("services", service("strict", "web"))
        cluster.api.create("services", service("open", "web", publishNotReadyAddresses=True))
        cluster.api.create("deployments.apps", deployment("web", 1))
        await cluster.settle()
        assert [e["conditions"]["ready"] for e in _slices(cluster, "strict")[0]["endpoints"]] == [False]
        assert [e["conditions"]["ready"] for e in _slices(cluster, "open")[0]["endpoints"]] == [True]
        assert set(_endpoints(cluster, "strict")["subsets"][0]) == {"notReadyAddresses", "ports"}
        assert set(_endpoints(cluster, "open")["subsets"][0]) == {"addresses", "ports"}

    run(scenario)


def test_a_headless_service_is_marked_and_knows_the_pods_hostnames() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", service("hl", "web", clusterIP="None"))
        pods = deployment("web", 1)
        pods["spec"]["template"]["spec"] |= {"hostname": "one", "subdomain": "hl"}
        cluster.api.create("deployments.apps", pods)
        await cluster.settle()
        entry = _slices(cluster, "hl")[0]
        assert entry["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
        assert entry["endpoints"][0]["hostname"] == "one"
        assert _endpoints(cluster, "hl")["subsets"][0]["addresses"][0]["hostname"] == "one"

    run(scenario)


def test_named_target_ports_are_looked_up_in_each_pod() -> None:
    async def scenario(cluster: Cluster) -> None:
        ports = [{"name": "web", "protocol": "TCP", "port": 80, "targetPort": "http"}]
        cluster.api.create("services", service("web", "web", ports=ports))
        pods = deployment("web", 1)
        pods["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 8080}]
        cluster.api.create("deployments.apps", pods)
        await cluster.settle()
        assert _slices(cluster, "web")[0]["ports"] == [{"name": "web", "protocol": "TCP", "port": 8080}]

    run(scenario)


def test_more_than_a_hundred_pods_need_a_second_slice_and_leave_it_again() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", service("web", "web"))
        cluster.api.create("deployments.apps", deployment("web", 120))
        await cluster.settle()
        assert sorted(len(entry["endpoints"]) for entry in _slices(cluster, "web")) == [20, 100]
        cluster.api.set_spec("deployments.apps", "default", "web", replicas=1)
        await cluster.settle()
        assert [len(entry["endpoints"]) for entry in _slices(cluster, "web")] == [1]

    run(scenario)


def test_going_to_zero_and_back_keeps_the_slice_of_the_service() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", service("web", "web"))
        cluster.api.create("deployments.apps", deployment("web", 2))
        await cluster.settle()
        name = _slices(cluster, "web")[0]["metadata"]["name"]
        for size in (0, 2):
            cluster.api.set_spec("deployments.apps", "default", "web", replicas=size)
            await cluster.settle()
            assert [entry["metadata"]["name"] for entry in _slices(cluster, "web")] == [name]
            assert len(_slices(cluster, "web")[0]["endpoints"] or []) == size

    run(scenario)


def test_a_service_without_selector_is_left_to_its_owner_and_its_endpoints_are_mirrored() -> None:
    async def scenario(cluster: Cluster) -> None:
        outside = service("outside", "x")
        del outside["spec"]["selector"]
        cluster.api.create("services", outside)
        await cluster.settle()
        assert cluster.api.get("endpoints", "default", "outside") is None
        subsets = [{"addresses": [{"ip": "203.0.113.7"}], "ports": [{"port": 5432, "protocol": "TCP"}]}]
        cluster.api.create("endpoints", {"metadata": {"name": "outside", "namespace": "default"}, "subsets": subsets})
        await cluster.settle()
        entry = _slices(cluster, "outside")[0]
        manager = entry["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
        assert manager == "endpointslicemirroring-controller.k8s.io"
        assert entry["endpoints"] == [{"addresses": ["203.0.113.7"], "conditions": {"ready": True}}]
        cluster.api.delete("endpoints", "default", "outside")
        await cluster.settle()
        assert _slices(cluster, "outside") == []

    run(scenario)


def test_deleting_a_service_removes_its_endpoints_and_slices() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", service("web", "web"))
        await cluster.settle()
        cluster.api.delete("services", "default", "web")
        await cluster.settle()
        assert _slices(cluster, "web") == []
        assert cluster.api.get("endpoints", "default", "web") is None

    run(scenario)
