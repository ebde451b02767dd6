"""What of the ingress-nginx chart labctl renders itself: its versions, and its values with types and defaults.

Source: the chart's own `values.yaml` and templates, version 4.11.2. Defaults are the chart's, so that the objects are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHART = "ingress-nginx"


@dataclass(frozen=True, slots=True)
class Version:
    """A chart version: the controller it installs, and the digests of its two images."""

    controller: str
    digest: str
    digest_chroot: str


VERSIONS: Mapping[str, Version] = {
    "4.11.0": Version(
        "1.11.0",
        "sha256:a886e56d532d1388c77c8340261149d974370edca1093af4c97a96fb1467cb39",
        "sha256:f16dfed1c94d216b65e5dcb7508ab46148641a99649c5a700749db6f01a7039e",
    ),
    "4.11.1": Version(
        "1.11.1",
        "sha256:e6439a12b52076965928e83b7b56aae6731231677b01e81818bce7fa5c60161a",
        "sha256:7cabe4bd7558bfdf5b707976d7be56fd15ffece735d7c90fc238b6eda290fd8d",
    ),
    "4.11.2": Version(
        "1.11.2",
        "sha256:d5f8217feeac4887cb1ed21f27c2674e58be06bd8f5184cacea2a69abaf78dce",
        "sha256:21b55a2f0213a18b91612a8c0850167e00a8e34391fd595139a708f9c047e7a8",
    ),
}
"""Versions whose objects labctl renders; others need Helm."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of the chart.

    Attributes:
        default: The chart's default.
        kinds: Python types that it may have.
        words: Those types in words, for messages.
        choices: The only values it may have; empty allows all.
    """

    default: Any
    kinds: tuple[type, ...]
    words: str
    choices: tuple[str, ...] = ()


def text(default: str = "", *choices: str) -> Leaf:
    """A text."""
    return Leaf(default, (str,), "text", choices)


def flag(default: bool) -> Leaf:
    """`true` or `false`."""
    return Leaf(default, (bool,), "true or false")


def number(default: int) -> Leaf:
    """A whole number."""
    return Leaf(default, (int,), "a whole number")


def either(default: Any) -> Leaf:
    """A number or a text: ports by number or name, percentages."""
    return Leaf(default, (int, str), "a number or text")


def items(*default: Any) -> Leaf:
    """A list that is passed on as it is."""
    return Leaf(list(default), (list,), "a list")


def free(default: Mapping[str, Any] | None = None) -> Leaf:
    """A mapping that is passed on as it is; the user's keys are laid over the default's."""
    return Leaf(dict(default or {}), (dict,), "a mapping")


Spec = Mapping[str, "Leaf | Spec"]

_SECCOMP = {"type": "RuntimeDefault"}
_LINUX = {"kubernetes.io/os": "linux"}
_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")


def _probe(failure_threshold: int) -> Leaf:
    return free(
        {
            "httpGet": {"path": "/healthz", "port": 10254, "scheme": "HTTP"},
            "initialDelaySeconds": 10,
            "periodSeconds": 10,
            "timeoutSeconds": 1,
            "successThreshold": 1,
            "failureThreshold": failure_threshold,
        }
    )


def _small_service(port: int) -> Spec:
    return {
        "annotations": free(),
        "clusterIP": text(),
        "externalIPs": items(),
        "loadBalancerIP": text(),
        "loadBalancerSourceRanges": items(),
        "servicePort": number(port),
        "type": text("ClusterIP", *_SERVICE_TYPES),
    }


def _image(tag: str, image: str, user: int, read_only: bool) -> dict[str, Leaf | Spec]:
    return {
        "repository": text(),
        "registry": text("registry.k8s.io"),
        "image": text(image),
        "tag": text(tag),
        "digest": text(),
        "pullPolicy": text("IfNotPresent", "IfNotPresent", "Always", "Never"),
        "runAsNonRoot": flag(True),
        "runAsUser": number(user),
        "allowPrivilegeEscalation": flag(False),
        "seccompProfile": free(_SECCOMP),
        "readOnlyRootFilesystem": flag(read_only),
    }


_SERVICE: Spec = {
    "enabled": flag(True),
    "external": {"enabled": flag(True)},
    "annotations": free(),
    "labels": free(),
    "type": text("LoadBalancer", *_SERVICE_TYPES),
    "clusterIP": text(),
    "externalIPs": items(),
    "loadBalancerIP": text(),
    "loadBalancerSourceRanges": items(),
    "loadBalancerClass": text(),
    "allocateLoadBalancerNodePorts": Leaf(None, (bool,), "true or false"),
    "externalTrafficPolicy": text("", "Local", "Cluster"),
    "sessionAffinity": text("", "None", "ClientIP"),
    "healthCheckNodePort": number(0),
    "ipFamilyPolicy": text("SingleStack", "SingleStack", "PreferDualStack", "RequireDualStack"),
    "ipFamilies": items("IPv4"),
    "enableHttp": flag(True),
    "enableHttps": flag(True),
    "ports": {"http": number(80), "https": number(443)},
    "targetPorts": {"http": either("http"), "https": either("https")},
    "appProtocol": flag(True),
    "nodePorts": {"http": either(""), "https": either(""), "tcp": free(), "udp": free()},
}

_WEBHOOKS: Spec = {
    "name": text("admission"),
    "annotations": free(),
    "enabled": flag(True),
    "failurePolicy": text("Fail", "Fail", "Ignore"),
    "timeoutSeconds": number(0),
    "port": number(8443),
    "certificate": text("/usr/local/certificates/cert"),
    "key": text("/usr/local/certificates/key"),
    "namespaceSelector": free(),
    "objectSelector": free(),
    "labels": free(),
    "service": _small_service(443),
}

_METRICS: Spec = {
    "port": number(10254),
    "portName": text("metrics"),
    "enabled": flag(False),
    "service": {
        **_small_service(10254),
        "labels": free(),
        "externalTrafficPolicy": text("", "Local", "Cluster"),
        "nodePort": either(""),
    },
}

_CONTROLLER: Spec = {
    "name": text("controller"),
    "kind": text("Deployment", "Deployment", "DaemonSet"),
    "enableAnnotationValidations": flag(False),
    "image": {**_image("", "ingress-nginx/controller", 101, False), "chroot": flag(False), "digestChroot": text()},
    "containerName": text("controller"),
    "containerPort": free({"http": 80, "https": 443}),
    "config": free(),
    "configAnnotations": free(),
    "proxySetHeaders": free(),
    "addHeaders": free(),
    "dnsConfig": free(),
    "hostAliases": items(),
    "hostname": text(),
    "dnsPolicy": text("ClusterFirst", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    "reportNodeInternalIp": flag(False),
    "watchIngressWithoutClass": flag(False),
    "ingressClassByName": flag(False),
    "enableTopologyAwareRouting": flag(False),
    "disableLeaderElection": flag(False),
    "electionTTL": text(),
    "electionID": text(),
    "allowSnippetAnnotations": flag(False),
    "hostNetwork": flag(False),
    "hostPort": {"enabled": flag(False), "ports": free({"http": 80, "https": 443})},
    "networkPolicy": {"enabled": flag(False)},
    "ingressClassResource": {
        "name": text("nginx"),
        "enabled": flag(True),
        "default": flag(False),
        "annotations": free(),
        "controllerValue": text("k8s.io/ingress-nginx"),
        "aliases": items(),
        "parameters": free(),
    },
    "ingressClass": text("nginx"),
    "podLabels": free(),
    "podSecurityContext": free(),
    "sysctls": free(),
    "containerSecurityContext": free(),
    "publishService": {"enabled": flag(True), "pathOverride": text()},
    "scope": {"enabled": flag(False), "namespace": text(), "namespaceSelector": text()},
    "configMapNamespace": text(),
    "tcp": {"configMapNamespace": text(), "annotations": free()},
    "udp": {"configMapNamespace": text(), "annotations": free()},
    "extraArgs": free(),
    "extraEnvs": items(),
    "annotations": free(),
    "labels": free(),
    "updateStrategy": free(),
    "minReadySeconds": number(0),
    "tolerations": items(),
    "affinity": free(),
    "topologySpreadConstraints": items(),
    "terminationGracePeriodSeconds": number(300),
    "nodeSelector": free(_LINUX),
    "startupProbe": free(),
    "livenessProbe": _probe(5),
    "readinessProbe": _probe(3),
    "healthCheckPath": text("/healthz"),
    "healthCheckHost": text(),
    "podAnnotations": free(),
    "replicaCount": number(1),
    "minAvailable": either(1),
    "maxUnavailable": either(""),
    "resources": free({"requests": {"cpu": "100m", "memory": "90Mi"}}),
    "autoscaling": {
        "enabled": flag(False),
        "annotations": free(),
        "minReplicas": number(1),
        "maxReplicas": number(11),
        "targetCPUUtilizationPercentage": number(50),
        "targetMemoryUtilizationPercentage": number(50),
        "behavior": free(),
    },
    "autoscalingTemplate": items(),
    "enableMimalloc": flag(True),
    "customTemplate": {"configMapName": text(), "configMapKey": text()},
    "service": _SERVICE,
    "shareProcessNamespace": flag(False),
    "extraContainers": items(),
    "extraVolumeMounts": items(),
    "extraVolumes": items(),
    "extraInitContainers": items(),
    "admissionWebhooks": _WEBHOOKS,
    "metrics": _METRICS,
    "lifecycle": free({"preStop": {"exec": {"command": ["/wait-shutdown"]}}}),
    "priorityClassName": text(),
}

_DEFAULT_BACKEND: Spec = {
    "enabled": flag(False),
    "name": text("defaultbackend"),
    "image": _image("1.5", "defaultbackend-amd64", 65534, True),
    "extraArgs": free(),
    "serviceAccount": {"create": flag(True), "name": text(), "automountServiceAccountToken": flag(True)},
    "extraEnvs": items(),
    "port": number(8080),
    "livenessProbe": free(
        {
            "failureThreshold": 3,
            "initialDelaySeconds": 30,
            "periodSeconds": 10,
            "successThreshold": 1,
            "timeoutSeconds": 5,
        }
    ),
    "readinessProbe": free(
        {
            "failureThreshold": 6,
            "initialDelaySeconds": 0,
            "periodSeconds": 5,
            "successThreshold": 1,
            "timeoutSeconds": 5,
        }
    ),
    "updateStrategy": free(),
    "minReadySeconds": number(0),
    "tolerations": items(),
    "affinity": free(),
    "topologySpreadConstraints": items(),
    "podSecurityContext": free(),
    "containerSecurityContext": free(),
    "podLabels": free(),
    "nodeSelector": free(_LINUX),
    "podAnnotations": free(),
    "replicaCount": number(1),
    "minAvailable": either(1),
    "resources": free(),
    "extraVolumeMounts": items(),
    "extraVolumes": items(),
    "service": _small_service(80),
    "priorityClassName": text(),
    "labels": free(),
}

SPEC: Spec = {
    "nameOverride": text(),
    "fullnameOverride": text(),
    "namespaceOverride": text(),
    "commonLabels": free(),
    "controller": _CONTROLLER,
    "revisionHistoryLimit": number(10),
    "defaultBackend": _DEFAULT_BACKEND,
    "rbac": {"create": flag(True), "scope": flag(False)},
    "serviceAccount": {
        "create": flag(True),
        "name": text(),
        "automountServiceAccountToken": flag(True),
        "annotations": free(),
    },
    "imagePullSecrets": items(),
    "tcp": free(),
    "udp": free(),
    "portNamePrefix": text(),
}
"""Every value that labctl renders."""

HELM_ONLY: Mapping[str, str] = {
    "controller.keda": "autoscaling by KEDA",
    "controller.opentelemetry": "the OpenTelemetry module",
    "controller.extraModules": "extra nginx modules",
    "controller.maxmindLicenseKey": "GeoIP data bases",
    "controller.existingPsp": "PodSecurityPolicy, removed in Kubernetes 1.25",
    "controller.service.internal": "a second, internal Service",
    "controller.metrics.serviceMonitor": "a ServiceMonitor of the Prometheus operator",
    "controller.metrics.prometheusRule": "a PrometheusRule of the Prometheus operator",
    "controller.admissionWebhooks.patch": "Jobs that make the webhook's certificate (labctl makes it itself)",
    "controller.admissionWebhooks.createSecretJob": "Jobs that make the webhook's certificate (labctl makes it itself)",
    "controller.admissionWebhooks.patchWebhookJob": "Jobs that make the webhook's certificate (labctl makes it itself)",
    "controller.admissionWebhooks.certManager": "certificates of cert-manager",
    "controller.admissionWebhooks.extraEnvs": "Jobs that make the webhook's certificate (labctl makes it itself)",
    "controller.admissionWebhooks.existingPsp": "PodSecurityPolicy, removed in Kubernetes 1.25",
    "defaultBackend.existingPsp": "PodSecurityPolicy, removed in Kubernetes 1.25",
    "defaultBackend.autoscaling": "autoscaling of the default backend",
    "defaultBackend.networkPolicy": "a NetworkPolicy for the default backend",
    "defaultBackend.extraConfigMaps": "ConfigMaps beside the default backend",
    "podSecurityPolicy": "PodSecurityPolicy, removed in Kubernetes 1.25",
    "dhParam": "Diffie-Hellman parameters",
}
"""Values that the chart has and only Helm renders, with what they are for."""


def defaults(version: Version) -> dict[str, Any]:
    """The chart's default values of one version."""
    values = _defaults(SPEC)
    image = values["controller"]["image"]
    image |= {"tag": f"v{version.controller}", "digest": version.digest, "digestChroot": version.digest_chroot}
    return values


def _defaults(spec: Spec) -> dict[str, Any]:
    return {key: known.default if isinstance(known, Leaf) else _defaults(known) for key, known in spec.items()}
