"""What the API server says about webhook configurations."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from tests.unit.embedded_kinds.making import create, faults

RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
HOOK = {
    "name": "a.b.c",
    "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/validate/pods"}},
    "rules": [RULE],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}


def judged(*hooks: Obj, kind: str = "Validating") -> list[str]:
    api_version = "admissionregistration.k8s.io/v1"
    obj = {"apiVersion": api_version, "kind": f"{kind}WebhookConfiguration", "metadata": {"name": "x"}}
    return faults(create({**obj, "webhooks": list(hooks)}))


def hook(**fields: Any) -> Obj:
    return {**HOOK, **fields}


@pytest.mark.parametrize("kind", ["Validating", "Mutating"])
def test_good_ones_pass(kind: str) -> None:
    assert judged(HOOK, hook(name="d.b.c", clientConfig={"url": "https://host:1/x"}), kind=kind) == []
    assert judged(hook(rules=[{**RULE, "resources": ["*", "pods/*", "*/scale"]}]), kind=kind) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"name": "short"},
            'name: Invalid value: "short": should be a domain with at least three segments separated by dots',
        ),
        ({"failurePolicy": "X"}, 'failurePolicy: Unsupported value: "X": supported values: "Fail", "Ignore"'),
        ({"matchPolicy": "X"}, 'matchPolicy: Unsupported value: "X": supported values: "Equivalent", "Exact"'),
        ({"sideEffects": None}, "sideEffects: Required value: must specify one of None, NoneOnDryRun"),
        ({"sideEffects": "Some"}, 'sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
        (
            {"timeoutSeconds": 31},
            "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        ({"clientConfig": {}}, "clientConfig: Required value: exactly one of url or service is required"),
        (
            {"clientConfig": {"url": "http://h/"}},
            (
                "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
                "desired format: https://host[/path]"
            ),
        ),
        (
            {"clientConfig": {"url": "https://u@h/"}},
            'clientConfig.url: Invalid value: "u": user information is not permitted in the URL',
        ),
        (
            {"clientConfig": {"service": {"name": "s"}}},
            "clientConfig.service.namespace: Required value: service namespace is required",
        ),
        (
            {"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/a//b"}}},
            'clientConfig.service.path: Invalid value: "/a//b": segment[1] may not be empty',
        ),
        ({"rules": [{**RULE, "operations": []}]}, "rules[0].operations: Required value"),
        (
            {"rules": [{**RULE, "operations": ["PATCH"]}]},
            (
                'rules[0].operations[0]: Unsupported value: "PATCH": '
                'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
            ),
        ),
        (
            {"rules": [{**RULE, "apiGroups": ["*", "apps"]}]},
            'rules[0].apiGroups: Invalid value: ["*","apps"]: if \'*\' is present, must not specify other API groups',
        ),
        (
            {"rules": [{**RULE, "resources": ["pods/*", "pods/log"]}]},
            "rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
        ),
        (
            {"rules": [{**RULE, "scope": "X"}]},
            'rules[0].scope: Unsupported value: "X": supported values: "*", "Cluster", "Namespaced"',
        ),
        ({"admissionReviewVersions": []}, "admissionReviewVersions: Required value: must specify one of v1, v1beta1"),
        (
            {"admissionReviewVersions": ["v2"]},
            'admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1',
        ),
        ({"matchConditions": [{"name": "", "expression": "true"}]}, "matchConditions[0].name: Required value"),
    ],
)
def test_faults_in_the_api_servers_words(fields: Obj, expected: str) -> None:
    assert judged(hook(**fields)) == [f"webhooks[0].{expected}"]


def test_names_are_unique() -> None:
    assert judged(HOOK, HOOK) == ['webhooks[1].name: Duplicate value: "a.b.c"']


def test_reinvocation() -> None:
    expected = 'webhooks[0].reinvocationPolicy: Unsupported value: "X": supported values: "IfNeeded", "Never"'
    assert judged(hook(reinvocationPolicy="X"), kind="Mutating") == [expected]


def test_side_effects_that_were_stored_may_stay() -> None:
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    stored, changed = (
        create({**kind, "metadata": {"name": "x"}, "webhooks": [hook(sideEffects="Some", timeoutSeconds=seconds)]})
        for seconds in (5, 6)
    )
    for obj in (stored, changed):
        obj["metadata"]["resourceVersion"] = "1"
    assert faults(changed, stored) == []
    assert len(faults(changed, create({**kind, "metadata": {"name": "x"}, "webhooks": [HOOK]}))) == 1


def test_expressions_are_not_compiled() -> None:
    assert judged(hook(matchConditions=[{"name": "a", "expression": "1 +"}])) == []
    assert judged(hook(matchConditions=[{"name": "a", "expression": " "}])) == [
        "webhooks[0].matchConditions[0].expression: Required value"
    ]
