"""labctl's objects against the chart's own, rendered by the real Helm.

The chart is not part of labctl: LABCTL_CHART names a folder or .tgz of ingress-nginx 4.11.2, without it these are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.config.data import data_dir
from labctl.ingress.install import STUDY_VALUES, load_values
from labctl.ingress.render import render
from labctl.ingress.values import merge_values
from labctl.objects.manifests import Obj
from tests.tools import tool

CHART = os.environ.get("LABCTL_CHART", "")
STUDY = load_values(data_dir("manifests") / STUDY_VALUES)
SERVICE_PORTS = {"tcp": {"8080": "default/a:9000", "9090": "default/b:1"}, "udp": {"53": "kube-system/kube-dns:53"}}
CASES: dict[str, dict[str, Any]] = {
    "study": {},
    "log-level": {"controller": {"extraArgs": {"v": "3", "update-status": "false", "enable-ssl-passthrough": ""}}},
    "replicas": {"controller": {"replicaCount": 3, "maxUnavailable": "25%"}},
    "daemon-set": {"controller": {"kind": "DaemonSet", "updateStrategy": {"type": "RollingUpdate"}}},
    "host-network": {
        "controller": {
            "hostNetwork": True,
            "dnsPolicy": "ClusterFirstWithHostNet",
            "reportNodeInternalIp": True,
            "hostPort": {"enabled": True},
        }
    },
    "load-balancer": {
        "controller": {
            "service": {
                "type": "LoadBalancer",
                "loadBalancerIP": "1.2.3.4",
                "annotations": {"a/b": "true", "number": 5},
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "allocateLoadBalancerNodePorts": False,
                "healthCheckNodePort": 30001,
                "sessionAffinity": "ClientIP",
            }
        }
    },
    "node-ports": {"controller": {"service": {"nodePorts": {"http": 31080, "https": "31443"}}}},
    "config": {
        "controller": {
            "config": {"use-forwarded-headers": "true", "worker-processes": 2, "x": True},
            "addHeaders": {"X-A": "b"},
            "proxySetHeaders": {"X-B": "c"},
            "configAnnotations": {"q": "r"},
        }
    },
    "class": {
        "controller": {
            "ingressClass": "other",
            "ingressClassResource": {
                "name": "other",
                "default": True,
                "controllerValue": "k8s.io/other",
                "aliases": ["another"],
                "annotations": {"z": "w"},
            },
        }
    },
    "no-webhook": {"controller": {"admissionWebhooks": {"enabled": False}}},
    "webhook": {
        "controller": {
            "admissionWebhooks": {
                "timeoutSeconds": 10,
                "failurePolicy": "Ignore",
                "namespaceSelector": {"matchLabels": {"a": "b"}},
                "labels": {"k": "v"},
            }
        }
    },
    "no-metrics": {"controller": {"metrics": {"enabled": False}}},
    "scheduling": {
        "controller": {
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "x", "whenUnsatisfiable": "DoNotSchedule"}],
        }
    },
    "autoscaler": {"controller": {"autoscaling": {"enabled": True, "minReplicas": 2}}},
    "streams": {
        **SERVICE_PORTS,
        "portNamePrefix": "px",
        "controller": {"service": {"nodePorts": {"tcp": {"8080": 32080}}}},
    },
    "default-backend": {"defaultBackend": {"enabled": True, "extraArgs": {"a": "b"}, "replicaCount": 2}},
    "scope": {"rbac": {"scope": True}, "controller": {"scope": {"enabled": True, "namespace": "web"}}},
    "labels": {
        "commonLabels": {"team": "x"},
        "imagePullSecrets": [{"name": "reg"}],
        "controller": {
            "labels": {"l": "m"},
            "podLabels": {"p": "q"},
            "podAnnotations": {"a": 1},
            "annotations": {"b": "c"},
        },
    },
    "names": {"fullnameOverride": "edge", "namespaceOverride": "edge-ns"},
    "chroot": {"controller": {"image": {"registry": "mirror.local", "digest": "", "chroot": True}}},
    "image": {"controller": {"image": {"repository": "mirror.local/ctl", "tag": "v9", "digest": ""}}},
    "security": {
        "controller": {
            "podSecurityContext": {"fsGroup": 1},
            "sysctls": {"net.core.somaxconn": "1"},
            "containerSecurityContext": {"runAsUser": 5},
            "priorityClassName": "system",
            "enableMimalloc": False,
            "extraEnvs": [{"name": "A", "value": "b"}],
        }
    },
    "network-policy": {"controller": {"networkPolicy": {"enabled": True}}},
    "own-account": {"serviceAccount": {"create": False, "name": "mine"}},
    "no-rbac": {"rbac": {"create": False}},
    "no-service": {"controller": {"service": {"external": {"enabled": False}}}},
    "volumes": {
        "controller": {
            "customTemplate": {"configMapName": "t", "configMapKey": "k"},
            "extraVolumes": [{"name": "v", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
            "extraContainers": [{"name": "c", "image": "i"}],
            "extraInitContainers": [{"name": "d", "image": "i"}],
        }
    },
    "nulls": {"controller": {"nodeSelector": None, "resources": None, "livenessProbe": None, "lifecycle": None}},
}

TABLE = {
    name: CASES[name]
    for name in (
        *("study", "replicas", "daemon-set", "host-network", "load-balancer", "node-ports", "config", "log-level"),
        *("class", "no-webhook", "no-metrics", "scheduling"),
    )
}
"""What docs/ingress-chart.md shows."""


def by_helm(helm: Path, values: dict[str, Any], folder: Path) -> list[Obj]:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [str(helm), "template", "ingress-nginx", CHART, "-n", "ingress", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj and not is_hook(obj)]


def is_hook(obj: Obj) -> bool:
    return "helm.sh/hook" in (obj["metadata"].get("annotations") or {})


def normal(value: Any) -> Any:
    """Without what says nothing: nulls and empty mappings; rules as the permissions they grant."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "rules" in value and "metadata" in value:
        value = {**value, "rules": sorted(set(permissions(value["rules"])))}
    return {key: normal(item) for key, item in value.items() if item not in (None, {})}


def permissions(rules: list[Obj]) -> Iterator[tuple[str, str, str, str]]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb, ",".join(rule.get("resourceNames", []))


def keyed(objects: list[Obj]) -> dict[str, Any]:
    return {
        f"{obj['kind']} {obj['metadata'].get('namespace')}/{obj['metadata']['name']}": normal(obj) for obj in objects
    }


@pytest.mark.parametrize("case", CASES)
def test_the_objects_are_the_charts(case: str, tmp_path: Path) -> None:
    found = tool("helm") or shutil.which("helm")
    helm = Path(found) if CHART and found else None
    if helm is None:
        pytest.skip("LABCTL_CHART does not name a chart, or there is no helm")
    values = merge_values(STUDY, CASES[case])
    ours = keyed(render(values, "ingress-nginx", "ingress", "4.11.2"))
    assert ours == keyed(by_helm(helm, values, tmp_path))


def test_the_document_is_what_the_comparison_gives() -> None:
    from tests.chart_table import DOCUMENT, document

    if not CHART or tool("helm") is None:
        pytest.skip("LABCTL_CHART does not name a chart, or there is no helm")
    assert DOCUMENT.read_text(encoding="utf-8") == document(CHART, TABLE, STUDY)
