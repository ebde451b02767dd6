from __future__ import annotations

from labctl.embedded.controllers import ControllerSettings
from labctl.embedded.kinds.bootstrap import kubernetes_service
from labctl.embedded.kinds.settings import ClusterSettings
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run

KEPT = tuple(kubernetes_service(ClusterSettings()))


def test_the_api_servers_own_service_comes_back() -> None:
    async def scenario(cluster: Cluster) -> None:
        for resource, obj in KEPT:
            cluster.api.create(resource, obj)
        cluster.api.create("deployments.apps", deployment("kubernetes", 1))
        await cluster.settle()
        before = cluster.api.get("services", "default", "kubernetes")
        assert before is not None
        cluster.api.delete("services", "default", "kubernetes")
        cluster.api.delete("deployments.apps", "default", "kubernetes")
        await cluster.settle()
        after = cluster.api.get("services", "default", "kubernetes")
        assert after is not None
        assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert cluster.api.get("endpointslices.discovery.k8s.io", "default", "kubernetes") is not None
        assert cluster.api.get("deployments.apps", "default", "kubernetes") is None

    run(scenario, settings=ControllerSettings(root_ca="CA", seed=1, time_scale=1e-4, kept=KEPT))
