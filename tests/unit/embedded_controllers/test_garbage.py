from __future__ import annotations

import asyncio

import pytest

from labctl.embedded.clientset import DeleteOptions, Obj
from labctl.embedded.controllers import ControllerSettings
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run, service


def _count(cluster: Cluster) -> dict[str, int]:
    kinds = ("deployments.apps", "replicasets.apps", "pods")
    return {kind.partition(".")[0]: len(cluster.api.list(kind)) for kind in kinds}


def _config_map(name: str, owners: list[Obj] | None = None) -> Obj:
    metadata: Obj = {"name": name, "namespace": "default"}
    if owners:
        metadata["ownerReferences"] = owners
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _reference(owner: Obj) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_deleting_a_deployment_deletes_all_that_belongs_to_it(policy: str) -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web"))
        await cluster.settle()
        cluster.api.delete("deployments.apps", "default", "web", DeleteOptions(propagation_policy=policy))
        await cluster.settle()
        assert _count(cluster) == {"deployments": 0, "replicasets": 0, "pods": 0}
        gone = [
            change.resource
            for change in cluster.api.log
            if change.type == "DELETED" and change.resource in ("deployments.apps", "replicasets.apps", "pods")
        ]
        in_order = ["deployments.apps", "replicasets.apps", "pods", "pods"]
        assert gone == (in_order if policy == "Background" else in_order[::-1])

    run(scenario)


def test_orphaning_leaves_the_replicaset_and_its_pods_running() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("deployments.apps", deployment("web"))
        await cluster.settle()
        cluster.api.delete("deployments.apps", "default", "web", DeleteOptions(propagation_policy="Orphan"))
        await cluster.settle()
        assert _count(cluster) == {"deployments": 0, "replicasets": 1, "pods": 2}
        assert "ownerReferences" not in cluster.api.list("replicasets.apps")[0]["metadata"]

    run(scenario)


def test_what_has_another_owner_left_stays_and_forgets_the_one_that_is_gone() -> None:
    async def scenario(cluster: Cluster) -> None:
        one = cluster.api.create("configmaps", _config_map("one"))
        two = cluster.api.create("configmaps", _config_map("two"))
        cluster.api.create("configmaps", _config_map("child", [_reference(one), _reference(two)]))
        cluster.api.delete("configmaps", "default", "one")
        await cluster.settle()
        child = cluster.api.get("configmaps", "default", "child")
        assert child is not None
        assert child["metadata"]["ownerReferences"] == [_reference(two)]

    run(scenario)


def test_an_object_created_for_an_owner_that_does_not_exist_is_deleted() -> None:
    async def scenario(cluster: Cluster) -> None:
        ghost = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ghost", "uid": "no-such-uid"}
        cluster.api.create("configmaps", _config_map("child", [ghost]))
        await cluster.settle()
        assert cluster.api.get("configmaps", "default", "child") is None

    run(scenario)


def test_an_owner_of_a_kind_the_cluster_does_not_know_is_taken_to_exist() -> None:
    async def scenario(cluster: Cluster) -> None:
        foreign = {"apiVersion": "example.com/v1", "kind": "Gadget", "name": "g", "uid": "no-such-uid"}
        cluster.api.create("configmaps", _config_map("child", [foreign]))
        await cluster.settle()
        assert cluster.api.get("configmaps", "default", "child") is not None

    run(scenario)


def test_custom_resources_own_like_any_other() -> None:
    async def scenario(cluster: Cluster) -> None:
        definition = {"group": "example.com", "names": {"kind": "Gadget", "plural": "gadgets"}}
        crd = {"metadata": {"name": "gadgets.example.com"}, "spec": definition}
        cluster.api.create("customresourcedefinitions.apiextensions.k8s.io", crd)
        gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g", "namespace": "default"}}
        made = cluster.api.create("gadgets.example.com", gadget)
        owner = {"apiVersion": "example.com/v1", "kind": "Gadget", "name": "g", "uid": made["metadata"]["uid"]}
        cluster.api.create("configmaps", _config_map("child", [owner]))
        await cluster.settle()
        assert cluster.api.get("configmaps", "default", "child") is not None
        cluster.api.delete("gadgets.example.com", "default", "g")
        await cluster.settle()
        assert cluster.api.get("configmaps", "default", "child") is None

    run(scenario)


def test_what_one_client_deletes_together_goes_before_what_depended_on_it() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("services", service("web", "web"))
        cluster.api.create("deployments.apps", deployment("web"))
        await cluster.settle()
        start = len(cluster.api.log)
        cluster.api.delete("deployments.apps", "default", "web")
        for _ in range(10):
            await asyncio.sleep(0)
        cluster.api.delete("services", "default", "web")
        await cluster.settle()
        seen = [change for change in cluster.api.log[start:] if change.resource in ("endpoints", "pods")]
        assert (seen[0].resource, seen[0].type) == ("endpoints", "DELETED")
        assert "subsets" in seen[0].object
        assert cluster.api.list("pods") == []

    run(scenario, settings=ControllerSettings(root_ca="CA", seed=1, garbage_delay=0.05))
