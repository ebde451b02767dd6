"""Cluster IPs and node ports."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import ApiError
from tests.unit.embedded_kinds.making import NAMESPACE, create, faults, service, update
from tests.unit.embedded_kinds.recorded import cluster


def _with(*services: dict[str, Any]) -> Any:
    state = cluster(NAMESPACE)
    for item in services:
        state.put("services", item)
    return state


def _refusal(obj: dict[str, Any], state: Any = None) -> str:
    with pytest.raises(ApiError) as caught:
        create(obj, state)
    assert caught.value.reason == "Invalid"
    return caught.value.message


def test_cluster_ip_is_given_from_the_range_and_to_one_service_only() -> None:
    first = create(service("one", clusterIP="10.10.200.9"))
    assert first["spec"]["clusterIPs"] == ["10.10.200.9"]
    text = _refusal(service("two", clusterIP="10.10.200.9"), _with(first))
    assert 'spec.clusterIPs: Invalid value: ["10.10.200.9"]: failed to allocate IP 10.10.200.9' in text
    assert "provided IP is already allocated" in text


def test_cluster_ip_outside_the_range_is_refused() -> None:
    text = _refusal(service(clusterIP="10.10.201.9"))
    assert text.endswith("failed to allocate IP 10.10.201.9: the provided network does not match the current range")


def test_headless_and_external_name_services_have_no_address() -> None:
    assert create(service(clusterIP="None"))["spec"]["clusterIPs"] == ["None"]
    named = create(service(type="ExternalName", externalName="example.com"))
    assert "clusterIP" not in named["spec"]


def test_node_port_is_given_within_the_range() -> None:
    port = create(service(type="NodePort"))["spec"]["ports"][0]
    assert 30000 <= port["nodePort"] <= 32767


def test_node_port_outside_the_range_is_refused() -> None:
    text = _refusal(service(type="NodePort", ports=[{"port": 80, "nodePort": 80}]))
    expected = "provided port is not in the valid range. The range of valid ports is 30000-32767"
    assert text == f'Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 80: {expected}'


def test_node_port_of_another_service_is_refused() -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    taken = create(service("one", type="NodePort", ports=ports))
    text = _refusal(service("two", type="NodePort", ports=ports), _with(taken))
    assert text.endswith("spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated")


def test_omitted_addresses_and_ports_are_kept_on_update() -> None:
    old = create(service(type="NodePort"))
    new = update(service(type="NodePort", ports=[{"port": 81}]), old)
    assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    changed = update(service(type="NodePort"), old)
    assert changed["spec"]["ports"][0]["nodePort"] == old["spec"]["ports"][0]["nodePort"]


def test_node_ports_go_when_the_type_has_none() -> None:
    old = create(service(type="NodePort"))
    new = update({**old, "spec": {**old["spec"], "type": "ClusterIP"}}, old)
    assert "nodePort" not in new["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in new["spec"]
    assert faults(new, old) == []


def test_cluster_ip_does_not_change() -> None:
    old = create(service(clusterIP="10.10.200.9"))
    new = {**old, "spec": {**old["spec"], "clusterIP": "10.10.200.8", "clusterIPs": ["10.10.200.8"]}}
    assert 'spec.clusterIPs[0]: Invalid value: ["10.10.200.8"]: may not change once set' in faults(new, old)


def test_local_traffic_policy_brings_a_health_check_port() -> None:
    made = create(service(type="LoadBalancer", externalTrafficPolicy="Local"))
    assert 30000 <= made["spec"]["healthCheckNodePort"] <= 32767
    assert faults(made) == []
