"""The controller's Services: the one that users reach, the webhook's and the metrics'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.ingress.release import Release, given, go_text
from labctl.ingress.workload import COMPONENT, stream_port
from labctl.objects.manifests import Obj


def services(release: Release) -> Iterator[Obj]:
    """Every Service of the controller."""
    controller = release.controller
    service = controller["service"]
    if service["enabled"] and service["external"]["enabled"]:
        yield _external(release, service)
    if controller["admissionWebhooks"]["enabled"]:
        yield _admission(release)
    if controller["metrics"]["enabled"]:
        yield _metrics(release)


def _service(metadata: Obj, spec: Obj) -> Obj:
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _external(release: Release, service: Mapping[str, Any]) -> Obj:
    annotations = {key: go_text(value) for key, value in (service.get("annotations") or {}).items()}
    spec = {
        "type": service["type"],
        **given(
            clusterIP=service.get("clusterIP"),
            externalIPs=service.get("externalIPs"),
            loadBalancerIP=service.get("loadBalancerIP"),
            loadBalancerSourceRanges=service.get("loadBalancerSourceRanges"),
            loadBalancerClass=service.get("loadBalancerClass"),
            externalTrafficPolicy=service.get("externalTrafficPolicy"),
            sessionAffinity=service.get("sessionAffinity"),
            healthCheckNodePort=service.get("healthCheckNodePort"),
            ipFamilyPolicy=service.get("ipFamilyPolicy"),
            ipFamilies=service.get("ipFamilies"),
        ),
        "ports": [*_http_ports(service), *_stream_ports(release, service)],
        "selector": release.selector(COMPONENT),
    }
    if service.get("allocateLoadBalancerNodePorts") is not None:
        spec["allocateLoadBalancerNodePorts"] = service["allocateLoadBalancerNodePorts"]
    metadata = release.metadata(release.controller_name, labels=service.get("labels"), annotations=annotations)
    return _service(metadata, spec)


def _http_ports(service: Mapping[str, Any]) -> Iterator[Obj]:
    for name, switch in (("http", "enableHttp"), ("https", "enableHttps")):
        if not service[switch]:
            continue
        port: Obj = {
            "name": name,
            "port": service["ports"][name],
            "protocol": "TCP",
            "targetPort": service["targetPorts"][name],
        }
        if service["appProtocol"]:
            port["appProtocol"] = name
        if _takes_node_ports(service) and service["nodePorts"].get(name):
            port["nodePort"] = int(service["nodePorts"][name])
        yield port


def _stream_ports(release: Release, service: Mapping[str, Any]) -> Iterator[Obj]:
    for protocol in ("tcp", "udp"):
        node_ports = service["nodePorts"].get(protocol) or {}
        for key in sorted(release.values.get(protocol) or {}):
            name = stream_port(release, key, protocol)
            port: Obj = {"name": name, "port": int(key), "protocol": protocol.upper(), "targetPort": name}
            if node_ports.get(key):
                port["nodePort"] = int(node_ports[key])
            yield port


def _takes_node_ports(service: Mapping[str, Any]) -> bool:
    return service["type"] in ("NodePort", "LoadBalancer")


def _plain_spec(service: Mapping[str, Any]) -> Obj:
    return {
        "type": service["type"],
        **given(
            clusterIP=service.get("clusterIP"),
            externalIPs=service.get("externalIPs"),
            loadBalancerIP=service.get("loadBalancerIP"),
            loadBalancerSourceRanges=service.get("loadBalancerSourceRanges"),
            externalTrafficPolicy=service.get("externalTrafficPolicy"),
        ),
    }


def _admission(release: Release) -> Obj:
    service = release.controller["admissionWebhooks"]["service"]
    port = {"name": "https-webhook", "port": 443, "targetPort": "webhook", "appProtocol": "https"}
    metadata = release.metadata(
        f"{release.controller_name}-admission",
        labels=release.controller.get("labels"),
        annotations=service.get("annotations"),
    )
    return _service(metadata, {**_plain_spec(service), "ports": [port], "selector": release.selector(COMPONENT)})


def _metrics(release: Release) -> Obj:
    metrics = release.controller["metrics"]
    service = metrics["service"]
    port = {
        "name": metrics["portName"],
        "port": service["servicePort"],
        "protocol": "TCP",
        "targetPort": metrics["portName"],
    }
    if _takes_node_ports(service) and service.get("nodePort"):
        port["nodePort"] = int(service["nodePort"])
    metadata = release.metadata(
        f"{release.controller_name}-metrics", labels=service.get("labels"), annotations=service.get("annotations")
    )
    return _service(metadata, {**_plain_spec(service), "ports": [port], "selector": release.selector(COMPONENT)})
