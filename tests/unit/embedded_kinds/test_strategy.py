"""What the API server sets by itself."""

from __future__ import annotations

import copy

import pytest

from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds import features
from tests.unit.embedded_kinds.making import NAMESPACE, create, deployment, faults, pod, resource_of, strategy, update
from tests.unit.embedded_kinds.recorded import cluster


def test_generation_counts_changes_of_the_spec_only() -> None:
    old = create(deployment(replicas=1))
    assert old["metadata"]["generation"] == 1
    labelled = copy.deepcopy(old)
    labelled["metadata"]["labels"] = {"team": "a"}
    assert update(labelled, old)["metadata"]["generation"] == 1
    scaled = copy.deepcopy(old)
    scaled["spec"]["replicas"] = 2
    assert update(scaled, old)["metadata"]["generation"] == 2


def test_clients_cannot_write_status_or_generation_through_the_main_resource() -> None:
    old = create(deployment())
    old["status"] = {"replicas": 1}
    new = copy.deepcopy(old)
    new["status"] = {"replicas": 7}
    new["metadata"]["generation"] = 9
    kept = update(new, old)
    assert kept["status"] == {"replicas": 1}
    assert kept["metadata"]["generation"] == 1


def test_status_update_changes_nothing_else() -> None:
    old = create(deployment(replicas=1))
    new = copy.deepcopy(old)
    new["spec"]["replicas"] = 5
    new["metadata"]["annotations"] = {"note": "x"}
    new["status"] = {"replicas": 1}
    strategy().prepare_for_status_update(resource_of(new), new, old)
    assert new["spec"]["replicas"] == 1
    assert new["status"]["replicas"] == 1
    assert new["metadata"]["generation"] == 1


def test_pod_gets_token_volume_tolerations_and_quality_of_service() -> None:
    made = create(pod())
    volume = made["spec"]["volumes"][0]
    assert volume["name"].startswith("kube-api-access-")
    assert made["spec"]["containers"][0]["volumeMounts"][0]["name"] == volume["name"]
    assert [item["tolerationSeconds"] for item in made["spec"]["tolerations"]] == [300, 300]
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "100m"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service_follows_from_the_resources(resources: Obj, expected: str) -> None:
    made = create(pod(containers=[{"name": "c", "image": "i", "resources": resources}]))
    assert made["status"]["qosClass"] == expected


def test_pod_in_a_namespace_that_ends_is_refused() -> None:
    state = cluster(NAMESPACE)
    state.get("namespaces", "", NAMESPACE)["status"]["phase"] = "Terminating"
    state.get("namespaces", "", NAMESPACE)["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(ApiError) as caught:
        create(pod(), state)
    assert caught.value.code == 403
    assert (
        f"unable to create new content in namespace {NAMESPACE} because it is being terminated" in caught.value.message
    )


def test_selectors_take_in_the_labels_they_name() -> None:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["hash"]}
    anti = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    obj = pod(affinity=anti)
    obj["metadata"]["labels"] = {"hash": "x1"}
    made = create(obj)
    stored = made["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    assert stored["labelSelector"]["matchExpressions"] == [{"key": "hash", "operator": "In", "values": ["x1"]}]
    assert faults(made) == []


def test_fields_of_features_that_are_off_go_without_a_word() -> None:
    init = [
        {"name": "once", "image": "i", "restartPolicy": "Never"},
        {"name": "sidecar", "image": "i", "restartPolicy": "Always"},
    ]
    spec = create(pod(initContainers=init, hostnameOverride="other"))["spec"]
    assert "hostnameOverride" not in spec
    assert [item.get("restartPolicy") for item in spec["initContainers"]] == [None, "Always"]


def test_every_kind_with_pods_inside_has_its_pod_spec_found() -> None:
    spec: Obj = {"containers": []}
    template = {"spec": spec}
    job = {"spec": {"template": template}}
    assert features.pod_spec_of("Pod", template) is spec
    assert features.pod_spec_of("Job", job) is spec
    assert features.pod_spec_of("CronJob", {"spec": {"jobTemplate": job}}) is spec
    assert features.pod_spec_of("PodTemplate", {"template": template}) is spec
    assert features.pod_spec_of("Service", {"spec": {}}) is None


def test_job_selects_the_pods_with_its_own_uid() -> None:
    template = {"spec": {**pod()["spec"], "restartPolicy": "Never"}}
    job = create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}})
    selector = job["spec"]["selector"]["matchLabels"]
    assert selector == {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    assert job["spec"]["template"]["metadata"]["labels"]["job-name"] == "j"
    assert faults(job) == []


def test_default_storage_class_is_given_to_claims() -> None:
    state = cluster(NAMESPACE)
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    state.put("storageclasses.storage.k8s.io", {"metadata": {"name": "local-path", "annotations": annotations}})
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec}
    assert create(claim, state)["spec"]["storageClassName"] == "local-path"
