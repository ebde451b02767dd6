"""What may change in objects that exist."""

from __future__ import annotations

import copy
from typing import Any

from labctl.embedded.clientset import Obj
from tests.unit.embedded_kinds.making import create, deployment, faults, pod, update

_TEMPLATE: Obj = {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]}


def _changed(old: Obj, *path: str | int, value: Any) -> Obj:
    new = copy.deepcopy(old)
    holder: Any = new
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return update(new, old)


def test_image_of_a_pod_may_change_and_its_environment_may_not() -> None:
    old = create(pod())
    assert faults(_changed(old, "spec", "containers", 0, "image", value="nginx:1.27"), old) == []
    text = faults(_changed(old, "spec", "containers", 0, "env", value=[{"name": "A", "value": "b"}]), old)[0]
    assert text.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`")
    assert '+     "Name": "A",\n' in text


def test_selectors_of_workloads_are_immutable() -> None:
    old = create(deployment())
    new = _changed(old, "spec", "selector", value={"matchLabels": {"app": "web", "tier": "x"}})
    assert any(
        text == 'spec.selector: Invalid value: {"matchLabels":{"app":"web","tier":"x"}}: field is immutable'
        for text in faults(new, old)
    )


def test_stateful_sets_change_replicas_but_not_service_names() -> None:
    spec = {"selector": {"matchLabels": {"app": "web"}}, "serviceName": "web", "template": _TEMPLATE}
    old = create({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": spec})
    assert faults(_changed(old, "spec", "replicas", value=3), old) == []
    (text,) = faults(_changed(old, "spec", "serviceName", value="other"), old)
    assert text.startswith("spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals',")


def test_template_of_a_job_is_immutable() -> None:
    template = {"spec": {**pod()["spec"], "restartPolicy": "Never"}}
    old = create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}})
    assert faults(_changed(old, "spec", "suspend", value=True), old) == []
    new = _changed(old, "spec", "template", "spec", "containers", 0, "image", value="other")
    (text,) = [text for text in faults(new, old) if text.startswith("spec.template: Invalid value: ")]
    assert '"Spec":{"Volumes":' in text
    assert text.endswith(": field is immutable")


def test_suspended_job_takes_other_nodes_until_it_starts() -> None:
    template = {"spec": {**pod()["spec"], "restartPolicy": "Never"}}
    spec = {"template": template, "suspend": True}
    old = create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": spec})
    selector = ("spec", "template", "spec", "nodeSelector")
    assert faults(_changed(old, *selector, value={"disk": "ssd"}), old) == []
    old["status"]["startTime"] = "2026-01-01T00:00:00Z"
    assert faults(_changed(old, *selector, value={"disk": "ssd"}), old) != []


def test_frozen_config_map_stays_as_it_is() -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}, "immutable": True}
    old = create(body)
    assert faults(_changed(old, "data", "a", value="2"), old) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]


def test_binding_keeps_its_role() -> None:
    group = "rbac.authorization.k8s.io"
    reference = {"apiGroup": group, "kind": "Role", "name": "a"}
    old = create({"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": "b"}, "roleRef": reference})
    assert faults(_changed(old, "roleRef", "name", value="other"), old) == [
        f'roleRef: Invalid value: {{"APIGroup":"{group}","Kind":"Role","Name":"other"}}: cannot change roleRef'
    ]


def test_name_and_uid_do_not_change_and_no_finalizer_joins_a_deleted_object() -> None:
    old = create(pod())
    renamed = _changed(old, "metadata", "name", value="other")
    assert 'metadata.name: Invalid value: "other": field is immutable' in faults(renamed, old)
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a.b/c"]}
    late = _changed(old, "metadata", "finalizers", value=["a.b/c", "a.b/d"])
    text = "no new finalizers can be added if the object is being deleted, found new finalizers"
    assert faults(late, old) == [f'metadata.finalizers: Forbidden: {text} []string{{"a.b/d"}}']
