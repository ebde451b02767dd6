"""The chart's default backend: what answers when no rule matches, instead of the controller's own 404."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.ingress.release import Release, given, go_text
from labctl.ingress.workload import container_security, image_reference
from labctl.objects.manifests import Obj

COMPONENT = "default-backend"


def default_backend(release: Release) -> Iterator[Obj]:
    """The default backend's objects, where it is asked for."""
    values = release.values["defaultBackend"]
    if not values["enabled"]:
        return
    account = values["serviceAccount"]
    if account["create"]:
        yield {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": release.metadata(_account(release, values), COMPONENT, labels=values.get("labels")),
            "automountServiceAccountToken": account["automountServiceAccountToken"],
        }
    yield _service(release, values)
    yield _deployment(release, values)
    if values["replicaCount"] > 1:
        yield _disruption_budget(release, values)


def _account(release: Release, values: Mapping[str, Any]) -> str:
    account = values["serviceAccount"]
    return str(account.get("name") or (f"{release.fullname}-backend" if account["create"] else "default-backend"))


def _service(release: Release, values: Mapping[str, Any]) -> Obj:
    service = values["service"]
    port = {
        "name": "http",
        "port": service["servicePort"],
        "protocol": "TCP",
        "targetPort": "http",
        "appProtocol": "http",
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": release.metadata(
            release.default_backend_name, COMPONENT, labels=values.get("labels"), annotations=service.get("annotations")
        ),
        "spec": {
            "type": service["type"],
            **given(
                clusterIP=service.get("clusterIP"),
                externalIPs=service.get("externalIPs"),
                loadBalancerIP=service.get("loadBalancerIP"),
                loadBalancerSourceRanges=service.get("loadBalancerSourceRanges"),
            ),
            "ports": [port],
            "selector": release.selector(COMPONENT),
        },
    }


def _deployment(release: Release, values: Mapping[str, Any]) -> Obj:
    template_metadata: Obj = {"labels": release.labels(COMPONENT, values.get("labels"), values.get("podLabels"))}
    if values.get("podAnnotations"):
        template_metadata["annotations"] = dict(values["podAnnotations"])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": release.metadata(release.default_backend_name, COMPONENT, labels=values.get("labels")),
        "spec": {
            "selector": {"matchLabels": release.selector(COMPONENT)},
            "replicas": values["replicaCount"],
            "revisionHistoryLimit": release.values["revisionHistoryLimit"],
            "minReadySeconds": values["minReadySeconds"],
            **given(strategy=values.get("updateStrategy")),
            "template": {"metadata": template_metadata, "spec": _pod_spec(release, values)},
        },
    }


def _disruption_budget(release: Release, values: Mapping[str, Any]) -> Obj:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": release.metadata(release.default_backend_name, COMPONENT, labels=values.get("labels")),
        "spec": {
            "selector": {"matchLabels": release.selector(COMPONENT)},
            "minAvailable": values["minAvailable"],
        },
    }


def _pod_spec(release: Release, values: Mapping[str, Any]) -> Obj:
    return {
        "containers": [_container(release, values)],
        "serviceAccountName": _account(release, values),
        "terminationGracePeriodSeconds": 60,
        **given(
            imagePullSecrets=release.values.get("imagePullSecrets"),
            priorityClassName=values.get("priorityClassName"),
            securityContext=values.get("podSecurityContext"),
            nodeSelector=values.get("nodeSelector"),
            tolerations=values.get("tolerations"),
            affinity=values.get("affinity"),
            topologySpreadConstraints=values.get("topologySpreadConstraints"),
            volumes=values.get("extraVolumes"),
        ),
    }


def _container(release: Release, values: Mapping[str, Any]) -> Obj:
    extra = (values.get("extraArgs") or {}).items()
    arguments = [f"--{key}" if value in ("", None) else f"--{key}={go_text(value)}" for key, value in sorted(extra)]
    security = values.get("containerSecurityContext") or container_security(values["image"], controller=False)
    return {
        "name": f"{release.chart_name}-default-backend",
        "image": image_reference(values["image"]),
        "imagePullPolicy": values["image"]["pullPolicy"],
        "securityContext": security,
        "livenessProbe": _probe(values, "livenessProbe"),
        "readinessProbe": _probe(values, "readinessProbe"),
        "ports": [{"name": "http", "containerPort": values["port"], "protocol": "TCP"}],
        **given(
            args=arguments,
            env=values.get("extraEnvs"),
            volumeMounts=values.get("extraVolumeMounts"),
            resources=values.get("resources"),
        ),
    }


def _probe(values: Mapping[str, Any], name: str) -> Obj:
    return {"httpGet": {"path": "/healthz", "port": values["port"], "scheme": "HTTP"}, **values[name]}
