"""The controller's Deployment or DaemonSet, and what goes with it: autoscaler and disruption budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.ingress.arguments import arguments
from labctl.ingress.release import Release, given, go_text
from labctl.objects.manifests import Obj

COMPONENT = "controller"


def workload(release: Release) -> Obj:
    """The Deployment or DaemonSet."""
    controller = release.controller
    is_deployment = controller["kind"] == "Deployment"
    spec: Obj = {
        "selector": {"matchLabels": release.selector(COMPONENT)},
        "revisionHistoryLimit": release.values["revisionHistoryLimit"],
        "minReadySeconds": controller["minReadySeconds"],
        "template": {"metadata": _pod_metadata(release), "spec": _pod_spec(release)},
    }
    if is_deployment and not controller["autoscaling"]["enabled"]:
        spec["replicas"] = controller["replicaCount"]
    if controller.get("updateStrategy"):
        spec["strategy" if is_deployment else "updateStrategy"] = controller["updateStrategy"]
    metadata = release.metadata(
        release.controller_name, labels=controller.get("labels"), annotations=controller.get("annotations")
    )
    return {"apiVersion": "apps/v1", "kind": controller["kind"], "metadata": metadata, "spec": spec}


def _pod_metadata(release: Release) -> Obj:
    controller = release.controller
    metadata: Obj = {"labels": release.labels(COMPONENT, controller.get("labels"), controller.get("podLabels"))}
    annotations = controller.get("podAnnotations")
    if annotations:
        metadata["annotations"] = {key: go_text(value) for key, value in annotations.items()}
    return metadata


def _pod_spec(release: Release) -> Obj:
    controller = release.controller
    return {
        "dnsPolicy": controller["dnsPolicy"],
        "containers": [_container(release), *(controller.get("extraContainers") or [])],
        "serviceAccountName": release.service_account,
        "terminationGracePeriodSeconds": controller["terminationGracePeriodSeconds"],
        **given(
            dnsConfig=controller.get("dnsConfig"),
            hostAliases=controller.get("hostAliases"),
            hostname=controller.get("hostname"),
            imagePullSecrets=release.values.get("imagePullSecrets"),
            priorityClassName=controller.get("priorityClassName"),
            securityContext=_pod_security(controller),
            shareProcessNamespace=controller["shareProcessNamespace"],
            initContainers=controller.get("extraInitContainers"),
            hostNetwork=controller["hostNetwork"],
            nodeSelector=controller.get("nodeSelector"),
            tolerations=controller.get("tolerations"),
            affinity=controller.get("affinity"),
            topologySpreadConstraints=controller.get("topologySpreadConstraints"),
            volumes=_volumes(release),
        ),
    }


def _pod_security(controller: Mapping[str, Any]) -> Obj:
    sysctls = controller.get("sysctls") or {}
    listed = [{"name": name, "value": go_text(value)} for name, value in sorted(sysctls.items())]
    return {**(controller.get("podSecurityContext") or {}), **given(sysctls=listed)}


def _container(release: Release) -> Obj:
    controller = release.controller
    image = controller["image"]
    environment: list[Obj] = [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    if controller["enableMimalloc"]:
        environment.append({"name": "LD_PRELOAD", "value": "/usr/local/lib/libmimalloc.so"})
    return {
        "name": controller["containerName"],
        "image": image_reference(image),
        "imagePullPolicy": image["pullPolicy"],
        "args": arguments(release),
        "securityContext": controller.get("containerSecurityContext") or container_security(image, controller=True),
        "env": [*environment, *(controller.get("extraEnvs") or [])],
        "ports": list(_ports(release)),
        **given(
            lifecycle=controller.get("lifecycle"),
            startupProbe=controller.get("startupProbe"),
            livenessProbe=controller.get("livenessProbe"),
            readinessProbe=controller.get("readinessProbe"),
            volumeMounts=_mounts(release),
            resources=controller.get("resources"),
        ),
    }


def image_reference(image: Mapping[str, Any]) -> str:
    """`registry/name:tag@digest` of an image section; `repository` stands for registry and name."""
    is_chroot = bool(image.get("chroot"))
    suffix = "-chroot" if is_chroot and not image.get("repository") else ""
    name = image.get("repository") or f"{image['registry']}/{image['image']}{suffix}"
    digest = image.get("digestChroot") if is_chroot else image.get("digest")
    return f"{name}:{image['tag']}" + (f"@{digest}" if digest else "")


def container_security(image: Mapping[str, Any], *, controller: bool) -> Obj:
    """The container's securityContext; the controller may bind ports below 1024, and more in its chroot image."""
    is_chroot = bool(image.get("chroot"))
    added = ["NET_BIND_SERVICE"]
    if is_chroot:
        added += [*(["SYS_ADMIN"] if image.get("seccompProfile") else []), "SYS_CHROOT"]
    return {
        "runAsNonRoot": image["runAsNonRoot"],
        "runAsUser": image["runAsUser"],
        "allowPrivilegeEscalation": image["allowPrivilegeEscalation"] or is_chroot,
        **given(seccompProfile=image.get("seccompProfile")),
        "capabilities": {"drop": ["ALL"], **({"add": added} if controller else {})},
        "readOnlyRootFilesystem": image["readOnlyRootFilesystem"],
    }


def _ports(release: Release) -> Iterator[Obj]:
    controller = release.controller
    host_port = controller["hostPort"]
    for name, port in sorted(controller["containerPort"].items()):
        found: Obj = {"name": name, "containerPort": port, "protocol": "TCP"}
        if host_port["enabled"]:
            found["hostPort"] = host_port["ports"].get(name) or port
        yield found
    metrics, webhooks = controller["metrics"], controller["admissionWebhooks"]
    if metrics["enabled"]:
        yield {"name": metrics["portName"], "containerPort": metrics["port"], "protocol": "TCP"}
    if webhooks["enabled"]:
        yield {"name": "webhook", "containerPort": webhooks["port"], "protocol": "TCP"}
    for protocol in ("tcp", "udp"):
        for port in sorted(release.values.get(protocol) or {}):
            found = {
                "name": stream_port(release, port, protocol),
                "containerPort": int(port),
                "protocol": protocol.upper(),
            }
            if host_port["enabled"]:
                found["hostPort"] = int(port)
            yield found


def stream_port(release: Release, port: str, protocol: str) -> str:
    """Name of the port of a TCP or UDP service behind the controller."""
    prefix = release.values.get("portNamePrefix")
    return f"{prefix}-{port}-{protocol}" if prefix else f"{port}-{protocol}"


def _mounts(release: Release) -> list[Obj]:
    controller = release.controller
    mounts: list[Obj] = []
    if controller["customTemplate"].get("configMapName"):
        mounts.append({"mountPath": "/etc/nginx/template", "name": "nginx-template-volume", "readOnly": True})
    if controller["admissionWebhooks"]["enabled"]:
        mounts.append({"name": "webhook-cert", "mountPath": "/usr/local/certificates/", "readOnly": True})
    return [*mounts, *(controller.get("extraVolumeMounts") or [])]


def _volumes(release: Release) -> list[Obj]:
    controller = release.controller
    template = controller["customTemplate"]
    volumes: list[Obj] = []
    if template.get("configMapName"):
        items = [{"key": template["configMapKey"], "path": "nginx.tmpl"}]
        source = {"name": template["configMapName"], "items": items}
        volumes.append({"name": "nginx-template-volume", "configMap": source})
    if controller["admissionWebhooks"]["enabled"]:
        volumes.append({"name": "webhook-cert", "secret": {"secretName": release.webhook_name}})
    return [*volumes, *(controller.get("extraVolumes") or [])]


def autoscaler(release: Release) -> Iterator[Obj]:
    """The HorizontalPodAutoscaler, where one is asked for."""
    controller = release.controller
    scaling = controller["autoscaling"]
    if controller["kind"] != "Deployment" or not scaling["enabled"]:
        return
    targets = {"memory": "targetMemoryUtilizationPercentage", "cpu": "targetCPUUtilizationPercentage"}
    metrics: list[Obj] = [
        {
            "type": "Resource",
            "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": scaling[key]}},
        }
        for name, key in targets.items()
        if scaling.get(key)
    ]
    yield {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": release.metadata(
            release.controller_name, labels=controller.get("labels"), annotations=scaling.get("annotations")
        ),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": release.controller_name},
            "minReplicas": scaling["minReplicas"],
            "maxReplicas": scaling["maxReplicas"],
            "metrics": [*metrics, *(controller.get("autoscalingTemplate") or [])],
            **given(behavior=scaling.get("behavior")),
        },
    }


def disruption_budget(release: Release) -> Iterator[Obj]:
    """The PodDisruptionBudget that the chart makes as soon as there are two replicas."""
    controller = release.controller
    scaling = controller["autoscaling"]
    replicas = scaling["minReplicas"] if scaling["enabled"] else controller["replicaCount"]
    if controller["kind"] != "Deployment" or replicas <= 1:
        return
    at_most = controller.get("maxUnavailable")
    limit = {"maxUnavailable": at_most} if at_most else {"minAvailable": controller["minAvailable"]}
    yield {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": release.metadata(
            release.controller_name, labels=controller.get("labels"), annotations=controller.get("annotations")
        ),
        "spec": {"selector": {"matchLabels": release.selector(COMPONENT)}, **limit},
    }
