"""What kube-proxy makes of Services and EndpointSlices."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from labctl.embedded.network.plan import Kind, plan, plan_service
from tests.unit.embedded_network.fakes import NODES, endpoint, endpoint_slice, service, settings

S, W1, W2 = NODES.values()
IP = "127.77.200.9"
HTTP = {"name": "http", "port": 80, "targetPort": 8080}


def places(obj: Obj) -> dict[tuple[str, int], Kind]:
    return {(server.address, server.port): server.kind for server in plan_service(obj, [], settings())}


def endpoints(*slices: Obj, port: dict[str, Any] = HTTP) -> list[str]:
    (server,) = plan_service(service("web", IP, [port]), slices, settings())
    return [f"{found.address}:{found.port}@{found.node}" for found in server.endpoints]


def test_cluster_ip_service_has_one_address_per_port() -> None:
    assert places(service("web", IP, [HTTP, {"name": "s", "port": 443}])) == {
        (IP, 80): Kind.CLUSTER_IP,
        (IP, 443): Kind.CLUSTER_IP,
    }


def test_node_port_is_on_every_node() -> None:
    wanted = {(address, 31080): Kind.NODE_PORT for address in (S, W1, W2)}
    assert places(service("web", IP, [{"port": 80, "nodePort": 31080}], type="NodePort")) == {
        (IP, 80): Kind.CLUSTER_IP,
        **wanted,
    }


def test_load_balancer_answers_on_the_addresses_of_its_status() -> None:
    obj = service("web", IP, [{"port": 80, "nodePort": 31080}], type="LoadBalancer")
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": W1, "ipMode": "VIP"}, {"ip": W2, "ipMode": "Proxy"}]}}
    found = places(obj)
    assert found[W1, 80] is Kind.LOAD_BALANCER
    assert (W2, 80) not in found
    assert found[S, 31080] is Kind.NODE_PORT


def test_external_ips() -> None:
    assert places(service("web", IP, [HTTP], externalIPs=["127.77.50.1"]))["127.77.50.1", 80] is Kind.EXTERNAL_IP


@pytest.mark.parametrize(
    "obj",
    [
        service("web", "None", [HTTP]),
        service("web", "", [HTTP], type="ExternalName", externalName="example.test"),
        service("web", IP, [{"port": 53, "protocol": "UDP"}]),
        service("web", IP, []),
    ],
    ids=["headless", "ExternalName", "UDP", "no ports"],
)
def test_services_without_virtual_servers(obj: Obj) -> None:
    assert places(obj) == {}


def test_endpoints_come_from_the_slices_of_that_service_and_port() -> None:
    slices = [
        endpoint_slice(
            "web", [endpoint("127.78.1.3", "k3s-w1"), endpoint("127.78.1.2", "k3s-w1")], 8080, port_name="http"
        ),
        endpoint_slice("web", [endpoint("127.78.0.2", "k3s-s")], 9090, port_name="http", suffix="b"),
        endpoint_slice("web", [endpoint("127.78.0.9", "k3s-s")], 8080, port_name="other", suffix="c"),
        endpoint_slice("web", [endpoint("127.78.0.9", "k3s-s")], None, port_name="http", suffix="d"),
    ]
    assert endpoints(*slices) == ["127.78.0.2:9090@k3s-s", "127.78.1.2:8080@k3s-w1", "127.78.1.3:8080@k3s-w1"]


def test_an_endpoint_in_two_slices_counts_once() -> None:
    one = endpoint_slice("web", [endpoint("127.78.0.2")], 8080, port_name="http")
    two = endpoint_slice("web", [endpoint("127.78.0.2")], 8080, port_name="http", suffix="b")
    assert endpoints(one, two) == ["127.78.0.2:8080@"]


def test_only_ready_endpoints_serve_and_ending_ones_when_there_are_no_others() -> None:
    ending = endpoint("127.78.0.3", ready=False, serving=True, terminating=True)
    gone = endpoint("127.78.0.4", ready=False, serving=False, terminating=True)
    unready = endpoint("127.78.0.5", ready=False, serving=False, terminating=False)
    unsaid = {"addresses": ["127.78.0.6"]}
    assert endpoints(endpoint_slice("web", [ending, gone, unready, unsaid], 80, port_name="http")) == ["127.78.0.6:80@"]
    assert endpoints(endpoint_slice("web", [ending, gone, unready], 80, port_name="http")) == ["127.78.0.3:80@"]
    assert endpoints(endpoint_slice("web", [gone, unready], 80, port_name="http")) == []


def test_ipv6_slices_are_left_alone() -> None:
    entry = endpoint_slice("web", [endpoint("fd00::1")], 80, port_name="http") | {"addressType": "IPv6"}
    assert endpoints(entry) == []


def test_local_policies_limit_the_candidates_to_the_node() -> None:
    ports = [{"port": 80, "nodePort": 31080}]
    obj = service("web", IP, ports, type="NodePort", externalTrafficPolicy="Local", internalTrafficPolicy="Local")
    slices = [endpoint_slice("web", [endpoint("127.78.1.2", "k3s-w1"), endpoint("127.78.2.2", "k3s-w2")], 80)]
    servers = {(server.address, server.port): server for server in plan_service(obj, slices, settings())}
    node_port, inside = servers[W1, 31080], servers[IP, 80]
    assert [end.node for end in node_port.candidates("k3s-w1")] == ["k3s-w1"]
    assert node_port.candidates("k3s-s") == ()
    assert len(node_port.candidates("k3s-s", from_pod=True)) == 2
    assert [end.node for end in inside.candidates("k3s-w2", from_pod=True)] == ["k3s-w2"]
    assert inside.candidates("k3s-s", from_pod=True) == ()


def test_affinity_seconds() -> None:
    for config, seconds in (({}, 10800), ({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}, 60)):
        (server,) = plan_service(service("web", IP, [HTTP], sessionAffinity="ClientIP", **config), [], settings())
        assert server.affinity == seconds
    (server,) = plan_service(service("web", IP, [HTTP], sessionAffinity="None"), [], settings())
    assert server.affinity == 0


def test_source_ranges_admit_clients_of_load_balancers_only() -> None:
    ports = [{"port": 80, "nodePort": 31080}]
    obj = service("web", IP, ports, type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"])
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": W1}]}}
    servers = {server.kind: server for server in plan_service(obj, [], settings())}
    assert servers[Kind.LOAD_BALANCER].admits("10.2.3.4")
    assert not servers[Kind.LOAD_BALANCER].admits("127.0.0.1")
    assert servers[Kind.NODE_PORT].admits("127.0.0.1")


def test_whole_plan_gives_an_address_to_the_first_that_claims_it() -> None:
    first = service("a", IP, [HTTP], externalIPs=["127.77.50.1"])
    second = service("b", "127.77.200.10", [HTTP], externalIPs=["127.77.50.1"])
    slices = [endpoint_slice("b", [endpoint("127.78.0.2")], 8080, port_name="http")]
    planned = plan([first, second], slices, settings())
    assert planned["127.77.50.1", 80].service == "default/a"
    assert planned["127.77.200.10", 80].endpoints[0].address == "127.78.0.2"
