"""OpenAPI documents, the objects every cluster begins with, quantities and durations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import bootstrap, quantity, schema
from labctl.embedded.kinds.human import duration
from labctl.embedded.kinds.resources import BUILTIN, find
from tests.unit.embedded_kinds.making import create, faults
from tests.unit.embedded_kinds.recorded import SETTINGS, cluster, load


def _references(node: Any) -> Iterator[str]:
    return (match[1] for match in re.finditer(r'"\$ref":\s*"([^"]+)"', json.dumps(node)))


@pytest.mark.parametrize("group_version", ["v1", "apps/v1", "networking.k8s.io/v1"])
def test_openapi_v3_holds_every_schema_it_refers_to(group_version: str) -> None:
    document = schema.openapi_v3(group_version)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= known


def test_openapi_v3_offers_field_validation_to_writers() -> None:
    path = schema.openapi_v3("apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    for verb in ("put", "patch"):
        assert "fieldValidation" in [parameter.get("name") for parameter in path[verb]["parameters"]]


def test_openapi_tells_how_lists_merge() -> None:
    schemas = schema.openapi_v3("apps/v1")["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["description"].startswith("List of containers belonging to the pod.")


def test_openapi_v2_has_every_kind_once() -> None:
    document = schema.openapi_v2("v1.34.4+k3s1")
    kinds = [
        (item["group"], item["version"], item["kind"])
        for definition in document["definitions"].values()
        for item in definition.get("x-kubernetes-group-version-kind", ())
    ]
    assert ("apps", "v1", "Deployment") in kinds
    assert set(_references(document)) <= {f"#/definitions/{name}" for name in document["definitions"]}


def test_cluster_begins_with_objects_that_are_valid_and_in_order() -> None:
    state = cluster("kube-node-lease")
    for key, obj in bootstrap.objects(SETTINGS):
        resource = find(key)
        assert resource is not None
        assert (resource.api_version, resource.kind) == (obj["apiVersion"], obj["kind"])
        made = create(obj, state)
        assert faults(made) == [], key
        state.put(key, made)
        if resource.kind == "Namespace":
            account = {"metadata": {"name": "default", "namespace": made["metadata"]["name"]}}
            state.put("serviceaccounts", account)
    assert state.get("services", "default", "kubernetes")["spec"]["clusterIP"] == "10.10.200.1"


def test_cluster_roles_are_the_api_servers() -> None:
    key = "clusterroles.rbac.authorization.k8s.io"
    mine: dict[str, Obj] = {o["metadata"]["name"]: o for k, o in bootstrap.objects(SETTINGS) if k == key}
    # The recorded cluster had an add-on whose role is aggregated too.
    addon = next(
        role for role in load("clusterroles") if role["metadata"]["name"] == "system:aggregated-metrics-reader"
    )
    recorded = {role["metadata"]["name"]: role for role in load("clusterroles")}
    for name, role in mine.items():
        rules = [rule for rule in recorded[name]["rules"] if rule not in addon["rules"]]
        assert role["rules"] == rules, name
        assert role.get("aggregationRule") == recorded[name].get("aggregationRule")
        assert role["metadata"]["labels"] == recorded[name]["metadata"]["labels"]
    assert {"admin", "cluster-admin", "edit", "view", "system:node", "system:discovery"} <= set(mine)


def test_resources_are_found_by_their_key() -> None:
    for resource in BUILTIN:
        if resource.key not in ("horizontalpodautoscalers.autoscaling",):
            assert find(resource.key) is resource
    assert find("nosuch.example.com") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("100m", Fraction(1, 10)), ("1Gi", Fraction(2**30)), ("1.5", Fraction(3, 2)), ("2e3", Fraction(2000)), ("-1", -1)],
)
def test_quantities(text: str, value: Fraction) -> None:
    assert quantity.parse(text) == value


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (599, "9m59s"), (3 * 3600, "3h"), (9 * 3600, "9h"), (3 * 86400, "3d")],
)
def test_ages_are_printed_as_kubectl_prints_them(seconds: int, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
