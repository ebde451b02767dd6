"""Everything here is compared with what a real API server answered."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.kinds import defaulting, schema, tables, validation
from labctl.embedded.kinds.resources import BUILTIN, find
from labctl.embedded.kinds.strategy import Strategy
from tests.unit.embedded_kinds.making import resource_of
from tests.unit.embedded_kinds.recorded import SETTINGS, cluster, load

# What is drawn by lot; the rest must be the same text, byte by byte.
_RANDOM = re.compile(r'kube-api-access-\w{5}|"nodePort":\d+|"healthCheckNodePort":\d+|10\.10\.200\.\d+')
_SERVER_SET = ("uid", "creationTimestamp", "namespace", "resourceVersion", "name")


def _text(obj: Any) -> str:
    return _RANDOM.sub("<random>", json.dumps(obj, separators=(",", ":")))


@pytest.mark.parametrize("recording", load("created"), ids=lambda item: item["name"])
def test_created_object_is_the_api_servers_response(recording: Obj) -> None:
    made, answer = copy.deepcopy(recording["request"]), recording["response"]
    resource = resource_of(answer)
    defaulting.apply_defaults(resource, made)
    given = {name: answer["metadata"][name] for name in _SERVER_SET if name in answer["metadata"]}
    made["metadata"].update(given)
    Strategy(SETTINGS).prepare_for_create(resource, made, cluster(given.get("namespace", "default")))
    assert validation.validate(resource, made, None) == []
    assert _text(made) == _text(answer)


def test_defaulting_leaves_stored_objects_as_they_are() -> None:
    for stored in load("stored"):
        again = copy.deepcopy(stored)
        defaulting.apply_defaults(resource_of(stored), again)
        assert json.dumps(again) == json.dumps(stored)


def test_stored_objects_are_valid_and_stay_so_when_their_status_changes() -> None:
    for stored in load("stored"):
        resource = resource_of(stored)
        if resource.key == "events.events.k8s.io":
            continue  # Written through the older API, whose rules are fewer.
        assert validation.validate(resource, stored, None) == [], stored["metadata"]["name"]
        assert validation.validate(resource, stored, stored) == []


@pytest.mark.parametrize("recording", load("tables"), ids=lambda item: item["name"])
def test_tables_have_the_api_servers_columns_and_cells(recording: Obj) -> None:
    resource = find(recording["resource"])
    assert resource is not None
    if recording["columns"] is not None:
        assert tables.columns(resource) == recording["columns"]
    now = datetime.fromtimestamp(recording["now"], UTC)
    # A Date header has whole seconds, and a watch goes on after it was sent.
    seconds = (0.0, 0.999, 1.0, *(float(n) for n in range(2, 12) if "watch" in recording["name"]))
    for row in recording["rows"]:
        printed = [tables.cells(resource, row["object"], now + timedelta(seconds=n)) for n in seconds]
        assert row["cells"] in printed
        assert tables.row_conditions(resource, row["object"]) == row["conditions"]


def test_discovery_lists_the_same_resources() -> None:
    for recording in load("discovery"):
        group, _, version = recording["groupVersion"].rpartition("/")
        served = {r.plural: r for r in BUILTIN if (r.group, r.version) == (group, version)}
        for item in recording["resources"]:
            plural, _, subresource = item["name"].partition("/")
            resource = served[plural]
            if subresource:
                assert subresource in resource.subresources
                continue
            assert (resource.kind, resource.singular, resource.namespaced) == (
                item["kind"],
                item["singularName"],
                item["namespaced"],
            )
            assert list(resource.short_names) == item.get("shortNames", [])
            assert list(resource.categories) == item.get("categories", [])
            assert list(resource.verbs) == item["verbs"]
            assert resource.storage_version_hash == item.get("storageVersionHash", "")


def _refusal(recording: Obj) -> Obj:
    """What the rules say about a request: nothing, or the key of the recording that has the text."""
    obj: Obj = copy.deepcopy(recording["object"])
    resource = resource_of(obj)
    wrong = schema.type_errors(resource, obj)
    unknown = schema.unknown_fields(resource, obj)
    if wrong:
        return {"undecodable": wrong[0]}
    if unknown:
        listed = ", ".join(f'unknown field "{name}"' for name in unknown)
        return {"undecodable": f"strict decoding error: {listed}"}
    state = cluster(recording["namespace"], "default")
    kubernetes = {"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": {"clusterIPs": ["10.10.200.1"]}}
    state.put("services", kubernetes)
    defaulting.apply_defaults(resource, obj)
    metadata = obj["metadata"]
    if resource.namespaced:
        metadata.setdefault("namespace", recording["namespace"])
    if "generateName" in metadata:
        metadata.setdefault("name", f"{metadata['generateName']}x7k2p")
    metadata.update(uid="7f2c", creationTimestamp="2026-01-01T00:00:00Z")
    try:
        Strategy(SETTINGS).prepare_for_create(resource, obj, state)
        causes = validation.validate(resource, obj, None)
        if causes:
            raise validation.invalid(resource, metadata.get("name", ""), causes)
    except ApiError as error:
        if error.reason != "Invalid":
            return {"refused": error.message}
        found = (error.details or {})["causes"]
        return {"invalid": list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in found))}
    return {}


@pytest.mark.parametrize("recording", load("validation"), ids=lambda item: item["name"])
def test_requests_are_refused_in_the_api_servers_words(recording: Obj) -> None:
    expected = {name: recording[name] for name in ("undecodable", "invalid", "refused") if name in recording}
    assert _refusal(recording) == expected
