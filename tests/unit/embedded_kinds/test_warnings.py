"""Warnings about valid objects."""

from __future__ import annotations

from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.warnings import warnings
from tests.unit.embedded_kinds.making import create, deployment, pod, resource_of, service


def _warnings(obj: Obj) -> list[str]:
    return warnings(resource_of(obj), create(obj))


def _deployment_of(**spec: Any) -> Obj:
    obj = deployment()
    obj["spec"]["template"]["spec"] |= spec
    return obj


def test_usual_objects_bring_no_warning() -> None:
    assert _warnings(pod()) == []
    assert _warnings(deployment()) == []
    assert _warnings(service()) == []


def test_class_of_an_ingress_as_annotation_is_deprecated() -> None:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    obj = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "i", "annotations": {"kubernetes.io/ingress.class": "nginx"}},
        "spec": {"defaultBackend": backend},
    }
    text = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    assert _warnings(obj) == [text]
    obj["spec"] = {"defaultBackend": backend, "ingressClassName": "nginx"}
    assert _warnings(obj) == []


def test_repeated_variables_and_ports_of_a_template_are_named_with_their_path() -> None:
    path = "spec.template.spec.containers[0]"
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    ports = [{"name": "a", "containerPort": 80}, {"name": "b", "containerPort": 80}]
    obj = _deployment_of(containers=[{"name": "c", "image": "i", "env": env, "ports": ports}])
    assert _warnings(obj) == [
        f'{path}.env[1]: hides previous definition of "A", which may be dropped when using apply',
        f"{path}.ports[1]: duplicate port definition with {path}.ports[0]",
    ]


def test_variable_that_extends_itself_is_fine() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]
    assert _warnings(pod(containers=[{"name": "c", "image": "i", "env": env}])) == []


def test_old_labels_of_nodes_are_deprecated() -> None:
    text = 'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'
    assert _warnings(pod(nodeSelector={"beta.kubernetes.io/os": "linux"})) == [text]


def test_parts_of_a_service_without_effect_are_named() -> None:
    assert _warnings(service(externalName="example.com")) == [
        'spec.externalName is ignored when spec.type is not "ExternalName"'
    ]
    assert _warnings(service(clusterIP="None", sessionAffinity="ClientIP")) == [
        "spec.SessionAffinity is ignored for headless services"
    ]
