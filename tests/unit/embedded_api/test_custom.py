import asyncio
import copy
from typing import Any

import pytest

from labctl.embedded.api.custom.cel import compile_rule
from labctl.embedded.api.custom.celvalues import CelError
from labctl.embedded.api.custom.jsonpath import JsonPathError, find
from labctl.embedded.api.custom.kinds import version_priority
from labctl.embedded.api.custom.schemas import prune, set_defaults, validate
from tests.unit.embedded_api.server import Server
from tests.unit.embedded_api.test_requests import TABLE

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/lab.example.com/v1/namespaces/default/widgets"

SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10, "description": "Size of it."},
        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "replicas": {"type": "integer"},
    },
    "x-kubernetes-validations": [{"rule": "self.size != 4", "message": "size must not be 4"}],
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": SPEC,
        "status": {"type": "object", "properties": {"phase": {"type": "string"}, "replicas": {"type": "integer"}}},
    },
}
DEFINITION: dict[str, Any] = {
    "metadata": {"name": "widgets.lab.example.com"},
    "spec": {
        "group": "lab.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                ],
                "schema": {"openAPIV3Schema": SCHEMA},
            }
        ],
    },
}


def _widget(object_name: str = "w", /, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lab.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": object_name},
        "spec": {"size": 3, **spec},
    }


@pytest.fixture
def defined(server: Server) -> Server:
    assert server.post(DEFINITIONS, DEFINITION).status == 201
    server.api._definitions.settle()
    return server


def test_a_definition_is_established_and_served(defined: Server) -> None:
    status = defined.get(f"{DEFINITIONS}/widgets.lab.example.com").json["status"]
    assert [(item["type"], item["status"]) for item in status["conditions"]] == [
        ("NamesAccepted", "True"),
        ("Established", "True"),
    ]
    assert status["storedVersions"] == ["v1"]
    (resource, *_) = defined.get("/apis/lab.example.com/v1").json["resources"]
    assert (resource["name"], resource["kind"], resource["shortNames"]) == ("widgets", "Widget", ["wd"])
    document = defined.get("/openapi/v3/apis/lab.example.com/v1").json
    assert document["components"]["schemas"]["com.example.lab.v1.Widget"]["properties"]["spec"]["type"] == "object"


def test_custom_objects_are_defaulted_counted_and_shown(defined: Server) -> None:
    created = defined.post(WIDGETS, _widget() | {"status": {"phase": "Mine"}}).json
    assert created["spec"] == {"color": "red", "size": 3}
    assert created["metadata"]["generation"] == 1
    assert "status" not in created
    reported = defined.patch(f"{WIDGETS}/w/status", {"status": {"phase": "Ready"}}, "merge-patch+json").json
    assert (reported["status"], reported["metadata"]["generation"]) == ({"phase": "Ready"}, 1)
    changed = defined.patch(f"{WIDGETS}/w", {"spec": {"size": 7}}, "merge-patch+json").json
    assert changed["metadata"]["generation"] == 2
    table = defined.get(WIDGETS, headers=TABLE).json
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size", "Phase"]
    assert table["rows"][0]["cells"] == ["w", 7, "Ready"]
    scaled = defined.patch(f"{WIDGETS}/w/scale", {"spec": {"replicas": 3}}, "merge-patch+json").json
    assert scaled["spec"] == {"replicas": 3}
    assert defined.get(WIDGETS).json["kind"] == "WidgetList"


def test_custom_objects_are_applied_on_the_server_side(defined: Server) -> None:
    defined.apply(f"{WIDGETS}/w", _widget(), "t")
    conflict = defined.apply(f"{WIDGETS}/w", _widget(size=5), "u")
    assert conflict.message == 'Apply failed with 1 conflict: conflict with "t": .spec.size'


_UNCHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_COLOR = 'spec.color: Unsupported value: "green": supported values: "red", "blue"'
_NAME = "spec.name: Too long: may not be more than 5 bytes"
_TYPE = 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ({"size": 30}, ["spec.size: Invalid value: 30: spec.size in body should be less than or equal to 10"]),
        ({"size": 4}, ['spec: Invalid value: "object": size must not be 4']),
        ({"color": "green", "name": "TOOLONG"}, [_COLOR, _NAME, _UNCHECKED]),
        ({"size": "x"}, [_TYPE, _UNCHECKED]),
    ],
)
def test_the_schema_and_its_rules_are_enforced(defined: Server, spec: dict[str, Any], problems: list[str]) -> None:
    answer = defined.post(WIDGETS, _widget(**spec))
    assert answer.status == 422
    causes = answer.json["details"]["causes"]
    assert [f"{cause['field']}: {cause['message']}" for cause in causes] == problems


def test_unknown_fields_are_pruned_or_refused(defined: Server) -> None:
    strict = defined.post(f"{WIDGETS}?fieldValidation=Strict", _widget(foo="bar"))
    assert 'strict decoding error: unknown field "spec.foo"' in strict.message
    pruned = defined.post(WIDGETS, _widget(foo="bar"))
    assert pruned.json["spec"] == {"color": "red", "size": 3}
    assert pruned.headers["Warning"] == '299 - "unknown field \\"spec.foo\\""'


def test_strategic_patches_are_not_for_custom_kinds(defined: Server) -> None:
    defined.post(WIDGETS, _widget())
    answer = defined.patch(f"{WIDGETS}/w", {"spec": {"size": 8}})
    assert answer.status == 415
    assert answer.message.endswith(
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


def test_with_the_definition_its_objects_go(defined: Server) -> None:
    defined.post(WIDGETS, _widget())
    ending = defined.delete(f"{DEFINITIONS}/widgets.lab.example.com").json
    assert ending["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert defined.post(WIDGETS, _widget("late")).status == 405
    defined.api._definitions.settle()
    assert defined.get(f"{DEFINITIONS}/widgets.lab.example.com").status == 404
    assert defined.get(WIDGETS).status == 404
    assert defined.registry.store.count("widgets.lab.example.com") == 0


def test_names_that_are_taken_are_not_accepted(defined: Server) -> None:
    other = copy.deepcopy(DEFINITION)
    other["metadata"]["name"] = "gadgets.lab.example.com"
    other["spec"]["names"] = {"plural": "gadgets", "singular": "gadget", "kind": "Widget"}
    defined.time.pass_(1)
    defined.post(DEFINITIONS, other)
    defined.api._definitions.settle()
    conditions = defined.get(f"{DEFINITIONS}/gadgets.lab.example.com").json["status"]["conditions"]
    assert (conditions[0]["reason"], conditions[0]["message"]) == ("KindConflict", '"Widget" is already in use')
    assert defined.get("/apis/lab.example.com/v1/namespaces/default/gadgets").status == 404


def test_a_rule_that_cannot_be_evaluated_is_warned_of(server: Server) -> None:
    definition = copy.deepcopy(DEFINITION)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["x-kubernetes-validations"] = [{"rule": "isQuantity(self.name)", "message": "no"}]
    answer = server.post(DEFINITIONS, definition)
    assert "will not be enforced: isQuantity(self.name)" in answer.headers["Warning"]


def test_definitions_follow_each_other_on_the_event_loop(server: Server) -> None:
    async def define() -> None:
        server.post(DEFINITIONS, DEFINITION)
        await asyncio.sleep(0)

    asyncio.run(define())
    assert server.get(f"{DEFINITIONS}/widgets.lab.example.com").json["status"]["conditions"]


@pytest.mark.parametrize(
    ("rule", "value", "result"),
    [
        ("self.a == 1 && self.b != 'x'", {"a": 1, "b": "y"}, True),
        ("has(self.c) || self.a > 0", {"a": 1}, True),
        ("!has(self.a.b)", {"a": {}}, True),
        ("self.items.all(i, i.n < 3)", {"items": [{"n": 1}, {"n": 2}]}, True),
        ("self.items.exists(i, i == 2)", {"items": [1, 2]}, True),
        ("self.items.exists_one(i, i == 2)", {"items": [2, 2]}, False),
        ("self.items.map(i, i * 2) == [2, 4]", {"items": [1, 2]}, True),
        ("self.items.filter(i, i > 1).size() == 1", {"items": [1, 2]}, True),
        ("size(self.s) <= 3 ? self.s.startsWith('a') : false", {"s": "abc"}, True),
        ("self.s.matches('^[a-c]+$') && 'b' in ['a', 'b']", {"s": "abc"}, True),
        ("-7 / 2 == -3 && -7 % 2 == -1", {}, True),
        ("'k' in self && self['k'] == {'a': 1}", {"k": {"a": 1}}, True),
        ("self.x__dash__y == 1.5", {"x-y": 1.5}, True),
        ("true == 1", {}, False),
        ("false && self.missing", {}, False),
        ("self.missing || true", {}, True),
        ("string(5) + r'\\d' == '5\\\\d'", {}, True),
    ],
)
def test_expressions_are_evaluated(rule: str, value: Any, result: bool) -> None:
    assert compile_rule(rule)({"self": value}) is result


@pytest.mark.parametrize("rule", ["", "self.", "self ==", "(1", "self.nope()", "1 +", "quantity('1')", "a b", "$"])
def test_expressions_that_are_not_understood_are_refused(rule: str) -> None:
    with pytest.raises(CelError):
        compile_rule(rule)


def test_paths_lead_into_objects() -> None:
    obj = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}, "a.b": [1, 2], "m": {"x-y": 3}}
    assert find('.status.conditions[?(@.type=="Ready")].status', obj) == ["True"]
    assert find("['a.b'][-1]", obj) == [2]
    assert find(r".a\.b[*]", obj) == [1, 2]
    assert find("{.m.x-y}", obj) == [3]
    assert find(".nope.more", obj) == []
    with pytest.raises(JsonPathError):
        find(".a[", obj)


def test_schemas_prune_and_default_below_lists_and_maps() -> None:
    item = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": item},
            "map": {"type": "object", "additionalProperties": item},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    value: dict[str, Any] = {"list": [{"x": 1}], "map": {"k": {"a": None}}, "free": {"any": {"thing": 1}}, "no": 1}
    assert sorted(prune(value, schema)) == ["list[0].x", "no"]
    set_defaults(value, schema)
    assert value == {"list": [{"a": 1}], "map": {"k": {"a": 1}}, "free": {"any": {"thing": 1}}}


def test_compositions_are_checked() -> None:
    either = {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert validate({"a": 1}, either) == []
    assert "must validate one and only one schema (oneOf)" in str(validate({"a": 1, "b": 1}, either)[0])
    assert "must not validate the schema (not)" in str(validate({"a": 1}, {"not": {"required": ["a"]}}, "spec")[0])
    assert "at least one schema (anyOf)" in str(validate({}, {"anyOf": [{"required": ["a"]}]})[0])
    duplicates = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    assert str(validate(["x", "x"], duplicates, "l")[0]) == 'l[1]: Duplicate value: "x"'


def test_versions_are_preferred_as_kubernetes_does() -> None:
    names = ["foo1", "v1beta2", "v10", "v1alpha1", "v2", "v1", "v11beta2", "v1beta1", "foo10"]
    assert sorted(names, key=version_priority) == [
        "v10", "v2", "v1", "v11beta2", "v1beta2", "v1beta1", "v1alpha1", "foo1", "foo10",
    ]  # fmt: skip
