from __future__ import annotations

from labctl.embedded.clientset import Obj
from tests.unit.embedded_controllers.cluster import Cluster, deployment, run


def test_every_namespace_gets_a_service_account_and_the_root_certificate() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("namespaces", {"metadata": {"name": "lab"}})
        await cluster.settle()
        assert cluster.api.get("serviceaccounts", "lab", "default") is not None
        published = cluster.api.get("configmaps", "lab", "kube-root-ca.crt")
        assert published is not None
        assert published["data"] == {"ca.crt": "CA"}
        assert "kubernetes.io/description" in published["metadata"]["annotations"]

    run(scenario)


def test_what_is_taken_away_or_changed_comes_back() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.delete("serviceaccounts", "default", "default")
        cluster.api.patch("configmaps", "default", "kube-root-ca.crt", lambda obj: obj.update(data={"x": "y"}))
        await cluster.settle()
        assert cluster.api.get("serviceaccounts", "default", "default") is not None
        published = cluster.api.get("configmaps", "default", "kube-root-ca.crt")
        assert published is not None
        assert published["data"] == {"ca.crt": "CA"}

    run(scenario)


def test_a_deleted_namespace_is_emptied_and_then_gone() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("namespaces", {"metadata": {"name": "lab"}})
        web = deployment("web")
        web["metadata"]["namespace"] = "lab"
        cluster.api.create("deployments.apps", web)
        await cluster.settle()
        cluster.api.delete("namespaces", "", "lab")
        await cluster.settle()
        assert cluster.api.get("namespaces", "", "lab") is None
        left = [place for members in cluster.api.objects.values() for place in members if place[0] == "lab"]
        assert left == []

    run(scenario)


def test_a_finalizer_inside_holds_the_namespace_which_says_so() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.api.create("namespaces", {"metadata": {"name": "lab"}})
        held: Obj = {"metadata": {"name": "held", "namespace": "lab", "finalizers": ["example.com/keep"]}}
        cluster.api.create("secrets", held)
        await cluster.settle()
        cluster.api.delete("namespaces", "", "lab")
        await cluster.settle()
        namespace = cluster.api.get("namespaces", "", "lab")
        assert namespace is not None
        verdicts = {c["type"]: (c["status"], c["reason"], c["message"]) for c in namespace["status"]["conditions"]}
        assert verdicts["NamespaceContentRemaining"] == (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: secrets. has 1 resource instances",
        )
        assert verdicts["NamespaceFinalizersRemaining"] == (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances",
        )
        assert verdicts["NamespaceDeletionContentFailure"][0] == "False"
        cluster.api.patch("secrets", "lab", "held", lambda obj: obj["metadata"].pop("finalizers"))
        await cluster.settle()
        assert cluster.api.get("namespaces", "", "lab") is None

    run(scenario)
