from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.ingress.controller.flags import FlagError, Flags, parse_flags
from labctl.embedded.ingress.controller.identity import Identity
from labctl.embedded.ingress.controller.status import StatusWriter
from tests.conformance.memory import MemoryClientset

Json = dict[str, Any]


def addresses(flags: Flags, *objects: Json) -> list[Json]:
    clientset = MemoryClientset(lambda: "2026-01-01T00:00:00Z")
    for obj in objects:
        clientset.apply(obj)
    identity = Identity("ingress-nginx", "c", labels={"app": "c"})
    return list(StatusWriter(clientset, flags, identity, lambda _: None).addresses())


def service(**spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "ingress-nginx"},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "ClusterIP", "clusterIP": "10.0.0.9"}, [{"ip": "10.0.0.9"}]),
        ({"type": "NodePort", "clusterIP": "10.0.0.9"}, [{"ip": "10.0.0.9"}]),
        ({"type": "NodePort", "clusterIP": "10.0.0.9", "externalIPs": ["1.2.3.4"]}, [{"ip": "1.2.3.4"}]),
        ({"type": "ExternalName", "externalName": "x.test"}, [{"hostname": "x.test"}]),
        ({"type": "LoadBalancer", "externalIPs": ["1.2.3.4"]}, [{"ip": "1.2.3.4"}]),
    ],
)
def test_the_publish_service_decides(spec: Json, expected: list[Json]) -> None:
    assert addresses(Flags(publish_service="ingress-nginx/s"), service(**spec)) == expected


def test_given_addresses_are_sorted_and_names_are_names() -> None:
    assert addresses(Flags(publish_status_address="9.9.9.9, lb.test, 1.1.1.1")) == [
        {"ip": "1.1.1.1"},
        {"ip": "9.9.9.9"},
        {"hostname": "lb.test"},
    ]


def test_without_either_the_nodes_of_ready_pods_count() -> None:
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "c", "namespace": "ingress-nginx", "labels": {"app": "c"}},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    node: Json = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}]},
    }
    assert addresses(Flags(), pod, node) == [{"ip": "192.168.0.1"}]


def test_flags_are_read_as_pflag_reads_them() -> None:
    flags = parse_flags(["/nginx-ingress-controller", "--http-port", "8080", "--v=3", "--watch-ingress-without-class"])
    assert (flags.http_port, flags.v, flags.watch_ingress_without_class) == (8080, 3, True)


@pytest.mark.parametrize("args", [["--nosuch"], ["--http-port=x"], ["--configmap"]])
def test_wrong_flags_are_refused(args: list[str]) -> None:
    with pytest.raises(FlagError):
        parse_flags(args)
