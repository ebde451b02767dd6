from typing import Any

import pytest

from labctl.embedded.clientset import ApiError, Change, ChangeType, DeleteOptions
from tests.unit.embedded_api.server import Server, deployment, pod


def _config_map(name: str = "c", namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, **metadata}, "data": {"a": "1"}}


def _scheduled(server: Server, name: str = "p", **metadata: Any) -> dict[str, Any]:
    obj = pod(name, nodeName="k3s-w1")
    obj["metadata"] |= {"namespace": "default", **metadata}
    return server.registry.create("pods", obj)


def test_a_created_object_has_what_only_the_server_sets(server: Server) -> None:
    given = _config_map() | {"metadata": {"name": "c", "uid": "mine", "resourceVersion": "7", "generation": 9}}
    created = server.registry.create("configmaps", given)
    metadata = created["metadata"]
    assert metadata["namespace"] == "default"
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"] == "2026-11-21T03:00:00Z"
    assert metadata["resourceVersion"] == str(server.registry.store.revision)
    assert "generation" not in metadata
    assert given["metadata"]["uid"] == "mine"


def test_generated_names_have_five_letters_that_spell_nothing(server: Server) -> None:
    created = server.registry.create("configmaps", {"metadata": {"generateName": "g-", "namespace": "default"}})
    name = created["metadata"]["name"]
    assert name.startswith("g-")
    assert len(name) == 7
    assert not set(name[2:]) & set("aeiou013")


def test_a_second_object_of_a_name_is_refused(server: Server) -> None:
    server.registry.create("configmaps", _config_map())
    with pytest.raises(ApiError, match='configmaps "c" already exists') as caught:
        server.registry.create("configmaps", _config_map())
    assert caught.value.status()["details"] == {"name": "c", "kind": "configmaps"}


def test_objects_need_their_namespace(server: Server) -> None:
    with pytest.raises(ApiError, match='namespaces "nope" not found'):
        server.registry.create("configmaps", _config_map(namespace="nope"))


def test_nothing_is_created_in_a_namespace_that_ends(server: Server) -> None:
    server.registry.create("namespaces", {"metadata": {"name": "n"}})
    server.registry.delete("namespaces", "", "n")
    with pytest.raises(ApiError, match="because it is being terminated") as caught:
        server.registry.create("configmaps", _config_map(namespace="n"))
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"


def test_a_namespace_goes_once_it_is_finalized(server: Server) -> None:
    server.registry.create("namespaces", {"metadata": {"name": "n"}})
    ending = server.registry.delete("namespaces", "", "n")
    assert ending["status"]["phase"] == "Terminating"
    assert "deletionGracePeriodSeconds" not in ending["metadata"]
    server.registry.update("namespaces", ending | {"spec": {}}, subresource="finalize")
    assert server.registry.get("namespaces", "", "n") is None
    with pytest.raises(ApiError, match="this namespace may not be deleted"):
        server.registry.delete("namespaces", "", "default")


def test_updates_compare_the_resource_version(server: Server) -> None:
    first = server.registry.create("configmaps", _config_map())
    second = server.registry.update("configmaps", first | {"data": {"a": "2"}})
    with pytest.raises(ApiError, match="the object has been modified"):
        server.registry.update("configmaps", first | {"data": {"a": "3"}})
    unconditional = {"metadata": {"name": "c", "namespace": "default"}, "data": {"a": "4"}}
    assert server.registry.update("configmaps", unconditional)["data"] == {"a": "4"}
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


def test_an_update_of_another_object_of_the_name_is_refused(server: Server) -> None:
    server.registry.create("configmaps", _config_map())
    with pytest.raises(ApiError, match="Precondition failed: UID in precondition: other"):
        server.registry.update("configmaps", _config_map(uid="other"))


def test_an_update_that_changes_nothing_is_not_committed(server: Server) -> None:
    created = server.registry.create("deployments.apps", deployment() | {"apiVersion": "apps/v1"})
    changes: list[Change] = []
    server.registry.subscribe(changes.append)
    revision = server.registry.store.revision
    server.time.pass_(60)
    assert server.registry.update("deployments.apps", created) is server.registry.get(
        "deployments.apps", "default", "web"
    )
    assert changes == []
    assert server.registry.store.revision == revision


def test_the_generation_counts_changes_of_the_spec_only(server: Server) -> None:
    created = server.registry.create("deployments.apps", deployment())
    labelled = server.registry.update(
        "deployments.apps", created | {"metadata": {**created["metadata"], "labels": {"a": "b"}}}
    )
    assert labelled["metadata"]["generation"] == 1
    scaled = server.registry.update("deployments.apps", labelled | {"spec": {**labelled["spec"], "replicas": 5}})
    assert scaled["metadata"]["generation"] == 2
    reported = server.registry.update("deployments.apps", scaled | {"status": {"replicas": 5}}, subresource="status")
    assert reported["metadata"]["generation"] == 2


def test_an_update_of_the_status_leaves_the_spec_and_the_other_way_round(server: Server) -> None:
    created = server.registry.create("deployments.apps", deployment())
    both = created | {"spec": {**created["spec"], "replicas": 7}, "status": {"replicas": 3}}
    status = server.registry.update("deployments.apps", both, subresource="status")
    assert (status["spec"]["replicas"], status["status"]["replicas"]) == (2, 3)
    del both["metadata"]
    both["metadata"] = {"name": "web", "namespace": "default"}
    spec = server.registry.update("deployments.apps", both | {"status": {"replicas": 9}})
    assert (spec["spec"]["replicas"], spec["status"]["replicas"]) == (7, 3)


def test_the_scale_subresource_changes_replicas(server: Server) -> None:
    server.registry.create("deployments.apps", deployment())
    scale = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 4}}
    assert server.registry.update("deployments.apps", scale, subresource="scale")["spec"]["replicas"] == 4


def test_a_pod_is_bound_once(server: Server) -> None:
    obj = pod()
    obj["metadata"]["namespace"] = "default"
    created = server.registry.create("pods", obj)
    bound = server.registry.update(
        "pods", created | {"spec": {**created["spec"], "nodeName": "w1"}}, subresource="binding"
    )
    assert bound["spec"]["nodeName"] == "w1"
    assert bound["status"]["conditions"][-1]["type"] == "PodScheduled"
    with pytest.raises(ApiError, match='pod p is already assigned to node "w1"'):
        server.registry.update("pods", bound, subresource="binding")


def test_a_running_pod_gets_its_grace_period_and_goes_when_the_kubelet_says_so(server: Server) -> None:
    _scheduled(server)
    changes: list[Change] = []
    server.registry.subscribe(changes.append)
    ending = server.registry.delete("pods", "default", "p")
    assert ending["metadata"]["deletionGracePeriodSeconds"] == 30
    assert ending["metadata"]["deletionTimestamp"] == "2026-11-21T03:00:30Z"
    assert ending["metadata"]["generation"] == 2
    server.registry.delete("pods", "default", "p", DeleteOptions(grace_period_seconds=60))
    shorter = server.registry.delete("pods", "default", "p", DeleteOptions(grace_period_seconds=5))
    assert shorter["metadata"]["deletionTimestamp"] == "2026-11-21T03:00:05Z"
    server.registry.delete("pods", "default", "p", DeleteOptions(grace_period_seconds=0))
    assert server.registry.get("pods", "default", "p") is None
    types = [change.type for change in changes]
    assert types == [ChangeType.MODIFIED, ChangeType.MODIFIED, ChangeType.MODIFIED, ChangeType.DELETED]


def test_a_pod_without_a_node_goes_at_once(server: Server) -> None:
    obj = pod()
    obj["metadata"]["namespace"] = "default"
    server.registry.create("pods", obj)
    server.registry.delete("pods", "default", "p")
    assert server.registry.get("pods", "default", "p") is None


def test_finalizers_hold_an_object_until_the_last_is_gone(server: Server) -> None:
    server.registry.create("configmaps", _config_map(finalizers=["example.com/a"]))
    held = server.registry.delete("configmaps", "default", "c")
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    with pytest.raises(ApiError, match="object is being deleted: configmaps"):
        server.registry.create("configmaps", _config_map())
    freed = held | {"metadata": {**held["metadata"], "finalizers": []}}
    server.registry.update("configmaps", freed)
    assert server.registry.get("configmaps", "default", "c") is None


@pytest.mark.parametrize(
    ("policy", "finalizers"), [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", None)]
)
def test_propagation_policies_set_the_garbage_collectors_finalizers(
    server: Server, policy: str, finalizers: list[str] | None
) -> None:
    server.registry.create("deployments.apps", deployment())
    last = server.registry.delete("deployments.apps", "default", "web", DeleteOptions(propagation_policy=policy))
    stored = server.registry.get("deployments.apps", "default", "web")
    if finalizers is None:
        assert stored is None
    else:
        assert stored is last
        assert last["metadata"]["finalizers"] == finalizers
        assert last["metadata"]["generation"] == 2


def test_preconditions_guard_a_delete(server: Server) -> None:
    created = server.registry.create("configmaps", _config_map())
    with pytest.raises(ApiError, match="The object might have been deleted and then recreated"):
        server.registry.delete("configmaps", "default", "c", DeleteOptions(preconditions={"uid": "other"}))
    with pytest.raises(ApiError, match="The object might have been modified"):
        server.registry.delete("configmaps", "default", "c", DeleteOptions(preconditions={"resourceVersion": "0"}))
    server.registry.delete(
        "configmaps", "default", "c", DeleteOptions(preconditions={"uid": created["metadata"]["uid"]})
    )


def test_a_lost_write_is_not_acknowledged(server: Server) -> None:
    server.registry.store._disk._connection.execute("PRAGMA query_only=1")
    with pytest.raises(ApiError, match="readonly") as caught:
        server.registry.create("configmaps", _config_map())
    assert caught.value.code == 500
    assert server.registry.get("configmaps", "default", "c") is None
    server.registry.store._disk._connection.execute("PRAGMA query_only=0")


def test_unknown_resources_and_objects_are_told_apart(server: Server) -> None:
    with pytest.raises(ApiError, match="could not find the requested resource"):
        server.registry.list("nopes")
    with pytest.raises(ApiError, match='configmaps "nope" not found'):
        server.registry.delete("configmaps", "default", "nope")
    assert server.registry.get("configmaps", "default", "nope") is None
