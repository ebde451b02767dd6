from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from labctl.config.data import data_dir
from labctl.errors import UsageError
from labctl.ingress.install import (
    STUDY_VALUES,
    ValueFlags,
    controller_objects,
    effective_values,
    install_objects,
    load_values,
)
from labctl.ingress.render import prepare, render
from labctl.ingress.values import merge_values
from labctl.ingress.webhook import make_webhook_certificate, webhook_hosts
from labctl.model.inventory import Ingress, Inventory, Node, Provider, Role, default_inventory
from labctl.objects.manifests import Obj

NOW = datetime(2026, 11, 21, tzinfo=UTC)
STUDY = load_values(data_dir("manifests") / STUDY_VALUES)


def rendered(values: dict[str, Any] | None = None, *, study: bool = True) -> dict[tuple[str, str], Obj]:
    merged = merge_values(STUDY if study else {}, values or {})
    objects = render(merged, "ingress-nginx", "ingress", "4.11.2")
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}


def controller(values: dict[str, Any] | None = None, kind: str = "Deployment") -> Obj:
    return rendered(values)[(kind, "ingress-nginx-controller")]


def container(values: dict[str, Any] | None = None) -> Obj:
    found: Obj = controller(values)["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_studys_release_has_the_objects_of_the_real_one() -> None:
    assert set(rendered({"controller": {"admissionWebhooks": {"enabled": False}}})) == {
        ("ServiceAccount", "ingress-nginx"),
        ("ConfigMap", "ingress-nginx-controller"),
        ("ClusterRole", "ingress-nginx"),
        ("ClusterRoleBinding", "ingress-nginx"),
        ("Role", "ingress-nginx"),
        ("RoleBinding", "ingress-nginx"),
        ("Service", "ingress-nginx-controller"),
        ("Service", "ingress-nginx-controller-metrics"),
        ("Deployment", "ingress-nginx-controller"),
        ("IngressClass", "nginx"),
    }


def test_the_service_is_the_recorded_one() -> None:
    service = rendered()[("Service", "ingress-nginx-controller")]
    selector = {
        "app.kubernetes.io/component": "controller",
        "app.kubernetes.io/instance": "ingress-nginx",
        "app.kubernetes.io/name": "ingress-nginx",
    }
    assert service["metadata"]["labels"] == {
        **selector,
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/part-of": "ingress-nginx",
        "app.kubernetes.io/version": "1.11.2",
        "helm.sh/chart": "ingress-nginx-4.11.2",
    }
    assert service["spec"] == {
        "type": "NodePort",
        "externalTrafficPolicy": "Local",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [
            {
                "name": "http",
                "port": 80,
                "protocol": "TCP",
                "targetPort": "http",
                "appProtocol": "http",
                "nodePort": 30080,
            },
            {
                "name": "https",
                "port": 443,
                "protocol": "TCP",
                "targetPort": "https",
                "appProtocol": "https",
                "nodePort": 30443,
            },
        ],
        "selector": selector,
    }


def test_the_command_line_at_level_3_is_the_recorded_one() -> None:
    values = {"controller": {"admissionWebhooks": {"enabled": False}, "extraArgs": {"v": 3}}}
    assert container(values)["args"] == [
        "/nginx-ingress-controller",
        "--publish-service=$(POD_NAMESPACE)/ingress-nginx-controller",
        "--election-id=ingress-nginx-leader",
        "--controller-class=k8s.io/ingress-nginx",
        "--ingress-class=nginx",
        "--configmap=$(POD_NAMESPACE)/ingress-nginx-controller",
        "--v=3",
    ]


def test_the_pod_is_pinned_to_the_studys_node_and_to_linux() -> None:
    selector = controller()["spec"]["template"]["spec"]["nodeSelector"]
    assert selector == {"kubernetes.io/os": "linux", "kubernetes.io/hostname": "k3s-s"}


def test_the_image_is_pinned_by_digest_unless_that_is_removed() -> None:
    assert container()["image"].startswith("registry.k8s.io/ingress-nginx/controller:v1.11.2@sha256:d5f8217feeac")
    bare = container({"controller": {"image": {"digest": ""}}})
    assert bare["image"] == "registry.k8s.io/ingress-nginx/controller:v1.11.2"


def test_the_roles_may_do_what_the_recorded_ones_may() -> None:
    def permissions(role: Obj) -> set[tuple[str, str, str]]:
        return {
            (resource, verb, ",".join(rule.get("resourceNames", [])))
            for rule in role["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    def expand(text: str) -> set[tuple[str, str, str]]:
        found = set()
        for line in text.strip().splitlines():
            resource, verbs, *name = line.split(":")
            found |= {(resource.strip(), verb, name[0] if name else "") for verb in verbs.split()}
        return found

    objects = rendered()
    assert permissions(objects[("ClusterRole", "ingress-nginx")]) == expand("""
        events: create patch
        services: get list watch
        ingressclasses: get list watch
        ingresses: get list watch
        nodes: list watch get
        endpointslices: list watch get
        configmaps: list watch
        endpoints: list watch
        namespaces: list watch
        pods: list watch
        secrets: list watch
        leases: list watch
        ingresses/status: update
    """)
    assert permissions(objects[("Role", "ingress-nginx")]) == expand("""
        events: create patch
        leases: create
        configmaps: get list watch
        endpoints: get list watch
        pods: get list watch
        secrets: get list watch
        services: get list watch
        ingressclasses: get list watch
        ingresses: get list watch
        leases: get update:ingress-nginx-leader
        namespaces: get
        endpointslices: list watch get
        ingresses/status: update
    """)


def test_replicas_bring_a_disruption_budget() -> None:
    objects = rendered({"controller": {"replicaCount": 2}})
    assert objects[("Deployment", "ingress-nginx-controller")]["spec"]["replicas"] == 2
    budget = objects[("PodDisruptionBudget", "ingress-nginx-controller")]
    assert budget["spec"]["minAvailable"] == 1


def test_a_daemon_set_has_no_replicas() -> None:
    spec = controller({"controller": {"kind": "DaemonSet", "replicaCount": 3}}, "DaemonSet")["spec"]
    assert "replicas" not in spec


def test_an_autoscaler_takes_over_the_replicas() -> None:
    objects = rendered({"controller": {"autoscaling": {"enabled": True, "minReplicas": 2}}})
    assert "replicas" not in objects[("Deployment", "ingress-nginx-controller")]["spec"]
    assert objects[("HorizontalPodAutoscaler", "ingress-nginx-controller")]["spec"]["minReplicas"] == 2


def test_node_ports_may_be_text_and_are_left_out_of_a_cluster_ip() -> None:
    ports = {"http": "31080", "https": 31443}
    service = {"controller": {"service": {"type": "LoadBalancer", "nodePorts": ports}}}
    spec = rendered(service)[("Service", "ingress-nginx-controller")]["spec"]
    assert [port["nodePort"] for port in spec["ports"]] == [31080, 31443]
    inside = rendered({"controller": {"service": {"type": "ClusterIP"}}})[("Service", "ingress-nginx-controller")]
    assert all("nodePort" not in port for port in inside["spec"]["ports"])


def test_configuration_becomes_text() -> None:
    config = {"use-forwarded-headers": True, "worker-processes": 2, "allow-snippet-annotations": "true"}
    data = rendered({"controller": {"config": config}})[("ConfigMap", "ingress-nginx-controller")]["data"]
    assert data == {"allow-snippet-annotations": "true", "use-forwarded-headers": "true", "worker-processes": "2"}


def test_tcp_services_reach_container_service_and_command_line() -> None:
    objects = rendered({"tcp": {"5432": "default/db:5432"}})
    assert objects[("ConfigMap", "ingress-nginx-tcp")]["data"] == {"5432": "default/db:5432"}
    ports = objects[("Service", "ingress-nginx-controller")]["spec"]["ports"]
    assert ports[-1] == {"name": "5432-tcp", "port": 5432, "protocol": "TCP", "targetPort": "5432-tcp"}
    pod = objects[("Deployment", "ingress-nginx-controller")]["spec"]["template"]["spec"]["containers"][0]
    assert pod["ports"][-1] == {"name": "5432-tcp", "containerPort": 5432, "protocol": "TCP"}
    assert "--tcp-services-configmap=$(POD_NAMESPACE)/ingress-nginx-tcp" in pod["args"]


def test_metrics_and_webhook_can_be_left_out() -> None:
    off = {"enabled": False}
    objects = rendered({"controller": {"metrics": off, "admissionWebhooks": off}})
    names = {name for _, name in objects}
    assert not names & {"ingress-nginx-controller-metrics", "ingress-nginx-controller-admission"}
    pod = objects[("Deployment", "ingress-nginx-controller")]["spec"]["template"]["spec"]
    assert "--enable-metrics=false" in pod["containers"][0]["args"]
    assert "volumes" not in pod


def test_a_scoped_controller_has_no_cluster_role() -> None:
    scope = {"rbac": {"scope": True}, "controller": {"scope": {"enabled": True, "namespace": "web"}}}
    objects = rendered(scope)
    assert ("ClusterRole", "ingress-nginx") not in objects
    assert "--watch-namespace=web" in container(scope)["args"]
    with pytest.raises(UsageError, match=r"rbac\.scope needs controller\.scope\.enabled"):
        rendered({"rbac": {"scope": True}})


def test_names_follow_release_and_overrides() -> None:
    release = prepare({}, "edge", "ingress", "4.11.2")
    assert (release.fullname, release.controller_name) == ("edge-ingress-nginx", "edge-ingress-nginx-controller")
    own = prepare({"fullnameOverride": "gate", "namespaceOverride": "web"}, "edge", "ingress", "4.11.2")
    assert (own.fullname, own.namespace, own.election_id) == ("gate", "web", "gate-leader")


def test_a_name_is_cut_to_what_a_dns_label_may_have() -> None:
    release = prepare({"fullnameOverride": "x" * 62 + "-y"}, "r", "n", "4.11.2")
    assert release.fullname == "x" * 62


def test_a_chart_version_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match=r"not 4\.12\.0") as caught:
        render({}, "ingress-nginx", "ingress", "4.12.0")
    assert "--via helm" in caught.value.hint


def test_an_installation_has_its_namespace_first_and_what_helm_adopts() -> None:
    objects = install_objects(STUDY, Ingress(), NOW)
    assert (objects[0]["kind"], objects[0]["metadata"]["name"]) == ("Namespace", "ingress")
    for obj in objects[1:]:
        assert obj["metadata"]["annotations"]["meta.helm.sh/release-name"] == "ingress-nginx"
        assert obj["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == "ingress"


def test_the_webhook_is_reached_with_a_certificate_that_its_authority_signed() -> None:
    objects = {obj["kind"]: obj for obj in install_objects(STUDY, Ingress(), NOW)}
    data = {key: base64.b64decode(value) for key, value in objects["Secret"]["data"].items()}
    assert set(data) == {"ca", "cert", "key"}
    webhook = objects["ValidatingWebhookConfiguration"]["webhooks"][0]
    assert base64.b64decode(webhook["clientConfig"]["caBundle"]) == data["ca"]
    authority, serving = x509.load_pem_x509_certificate(data["ca"]), x509.load_pem_x509_certificate(data["cert"])
    serving.verify_directly_issued_by(authority)
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "ingress-nginx-controller-admission.ingress.svc" in names.get_values_for_type(x509.DNSName)


def test_an_installed_webhook_certificate_is_kept() -> None:
    certificate = make_webhook_certificate(webhook_hosts("c", "n"), NOW)
    objects = {obj["kind"]: obj for obj in install_objects(STUDY, Ingress(), NOW, certificate)}
    assert base64.b64decode(objects["Secret"]["data"]["cert"]) == certificate.certificate


def test_the_controller_runs_on_the_first_server_of_the_cluster() -> None:
    def selector(inventory: Inventory) -> dict[str, str]:
        (found,) = [obj for obj in controller_objects(inventory, NOW) if obj["kind"] == "Deployment"]
        pinned: dict[str, str] = found["spec"]["template"]["spec"]["nodeSelector"]
        return pinned

    assert selector(default_inventory())["kubernetes.io/hostname"] == "k3s-s"
    other = Inventory("x", Provider.SSH, (Node("w", Role.AGENT, "10.0.0.2"), Node("srv", Role.SERVER, "10.0.0.1")))
    assert selector(other)["kubernetes.io/hostname"] == "srv"
    assert "kubernetes.io/hostname" not in selector(Inventory("x", Provider.KUBECONFIG, ()))


def test_layers_go_from_the_study_to_the_command_line() -> None:
    values = {"controller": {"replicaCount": 2, "service": {"nodePorts": {"http": 31080}}}}
    inventory = replace(default_inventory(), ingress=Ingress(values=values))
    found = effective_values(inventory, ValueFlags(sets=["controller.replicaCount=3"]))
    assert found.values["controller"]["replicaCount"] == 3
    assert found.values["controller"]["service"]["nodePorts"] == {"http": 31080, "https": 30443}
    assert found.origins["controller", "replicaCount"] == "--set controller.replicaCount=3"
    assert found.origins["controller", "service", "nodePorts", "http"] == "cluster.yaml"
    assert found.origins["controller", "service", "nodePorts", "https"] == "the study"
