"""Rules of validation that no recording shows."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid, quote
from labctl.embedded.kinds.resources import find
from labctl.embedded.kinds.validation.definitions import definition, definition_name
from labctl.embedded.kinds.validation.endpoints import endpoint_ip
from labctl.embedded.kinds.validation.indexes import indexes_problem
from labctl.embedded.kinds.validation.schedules import schedule_problem, zone_problem
from tests.unit.embedded_kinds.making import create, deployment, faults, pod, service


def _kind(api_version: str, kind: str, **fields: Any) -> Obj:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **fields}


def test_several_faults_are_listed_once_each() -> None:
    resource = find("deployments.apps")
    assert resource is not None
    cause = Cause("FieldValueRequired", "spec.selector", "Required value")
    one, two = invalid(resource, "x", [cause, cause]), invalid(resource, "x", [cause, Cause("A", "b", "c")])
    assert one.message == 'Deployment.apps "x" is invalid: spec.selector: Required value'
    assert two.message == 'Deployment.apps "x" is invalid: [spec.selector: Required value, b: c]'
    assert two.details is not None
    assert two.details["causes"][1] == {"reason": "A", "message": "c", "field": "b"}


def test_values_are_quoted_as_go_does() -> None:
    assert quote({"a": "<b>"}) == '{"a":"\\u003cb\\u003e"}'
    assert quote(None) == "null"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            {"strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
    ],
)
def test_deployments(spec: Obj, expected: str) -> None:
    assert expected in faults(create(deployment(**spec)))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"ports": [{"port": 80}, {"port": 81}]}, "spec.ports[0].name: Required value"),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        (
            {"externalIPs": ["0.0.0.0"]},
            'spec.externalIPs[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
        ),
        (
            {"sessionAffinity": "X"},
            'spec.sessionAffinity: Unsupported value: "X": supported values: "ClientIP", "None"',
        ),
        (
            {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]},
            (
                'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
                '"NodePort":0}'
            ),
        ),
        (
            {"internalTrafficPolicy": "Near"},
            'spec.internalTrafficPolicy: Unsupported value: "Near": supported values: "Cluster", "Local"',
        ),
        (
            {"loadBalancerClass": "a/b"},
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
    ],
)
def test_services(spec: Obj, expected: str) -> None:
    assert expected in faults(create(service(**spec)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ({"pathType": "Prefix", "path": "a"}, 'path: Invalid value: "a": must be an absolute path'),
        ({"pathType": "Exact", "path": "/a//b"}, "path: Invalid value: \"/a//b\": must not contain '//'"),
        ({"pathType": "Exact", "path": "/a/.."}, "path: Invalid value: \"/a/..\": cannot end with '/..'"),
        ({"path": "/"}, "pathType: Required value: pathType must be specified"),
    ],
)
def test_ingress_paths(path: Obj, expected: str) -> None:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [{"http": {"paths": [{**path, "backend": backend}]}}]
    found = faults(create(_kind("networking.k8s.io/v1", "Ingress", spec={"rules": rules})))
    assert found == [f"spec.rules[0].http.paths[0].{expected}"]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        ({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, 'volumeMounts[0].name: Not found: "v"'),
        ({"envFrom": [{}]}, 'envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'),
        ({"ports": [{"containerPort": 0}]}, "ports[0].containerPort: Required value"),
    ],
)
def test_containers(container: Obj, expected: str) -> None:
    made = create(pod(containers=[{"name": "c", "image": "i", **container}]))
    assert any(text.startswith("spec.containers[0].") and text.endswith(expected) for text in faults(made)), faults(
        made
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("*/5 * * * *", ""),
        ("0 0 1 jan sun", ""),
        ("@hourly", ""),
        ("@every 1h30m", ""),
        ("every day", "expected exactly 5 fields, found 2: [every day]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("@every 5x", 'failed to parse duration 5x: time: unknown unit "x" in duration "5x"'),
    ],
)
def test_schedules(text: str, problem: str) -> None:
    assert schedule_problem(text) == problem


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("UTC", ""),
        ("No/Where", "unknown time zone No/Where"),
        ("../etc", "unknown time zone ../etc"),
        ("Local", "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
    ],
)
def test_time_zones(name: str, problem: str) -> None:
    assert zone_problem(name) == problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, "")),
        ("0,2-4", (4, "")),
        ("2,1", (0, "non-increasing order, previous: 2, current: 1")),
        ("9", (0, 'too large index: "9"')),
        ("x", (0, 'cannot convert string to integer for index: "x"')),
    ],
)
def test_lists_of_indexes(text: str, expected: tuple[int, str]) -> None:
    assert indexes_problem(text, 5) == expected


def test_indexed_job_needs_completions() -> None:
    template = {"spec": {**pod()["spec"], "restartPolicy": "Never"}}
    job = create(_kind("batch/v1", "Job", spec={"template": template, "completionMode": "Indexed", "parallelism": 2}))
    assert "spec.completions: Required value: when completion mode is Indexed" in faults(job)


def test_endpoints_may_be_the_labs_addresses_but_not_the_machines_own() -> None:
    assert endpoint_ip("ip", "127.16.1.4") == []
    assert [str(cause) for cause in endpoint_ip("ip", "127.0.0.1")] == [
        'ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'
    ]
    assert "link-local" in str(endpoint_ip("ip", "169.254.0.1")[0])


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ({"type": "kubernetes.io/tls"}, ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        (
            {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "W10="}},
            [
                (
                    'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array'
                    " into Go value of type map[string]interface {}"
                )
            ],
        ),
        ({"type": "kubernetes.io/ssh-auth"}, ["data[ssh-privatekey]: Required value"]),
        ({"stringData": {"a": "b"}}, []),
    ],
)
def test_secrets(secret: Obj, expected: list[str]) -> None:
    assert faults(create(_kind("v1", "Secret", **secret))) == expected


def _definition(**version: Any) -> Obj:
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    versions = [{"name": "v1", "served": True, "storage": True, **version}]
    spec = {"group": "lab.example.com", "scope": "Namespaced", "names": names, "versions": versions}
    status = {"storedVersions": ["v1"]}
    return {"metadata": {"name": "widgets.lab.example.com"}, "spec": spec, "status": status}


def _schema(**properties: Any) -> Obj:
    return {"schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}


def test_definition_is_named_after_what_it_defines() -> None:
    assert definition_name(_definition(), "widgets.lab.example.com") == []
    assert definition_name(_definition(), "other.lab.example.com") == ['must be spec.names.plural+"."+spec.group']


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (_schema(spec={"type": "object"}), []),
        ({}, ["spec.versions[0].schema.openAPIV3Schema: Required value"]),
        (
            _schema(spec={}),
            [
                (
                    "spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified"
                    " object fields"
                )
            ],
        ),
        (
            _schema(spec={"type": "array"}),
            ["spec.validation.openAPIV3Schema.properties[spec].items: Required value: must be specified"],
        ),
        (
            _schema(spec={"type": "text"}),
            [
                (
                    'spec.validation.openAPIV3Schema.properties[spec].type: Unsupported value: "text": supported values:'
                    ' "array", "boolean", "integer", "number", "object", "string"'
                )
            ],
        ),
        (
            {**_schema(), "additionalPrinterColumns": [{"name": "A", "type": "x", "jsonPath": "spec"}]},
            [
                (
                    'spec.additionalPrinterColumns[0].type: Invalid value: "x": must be one of'
                    " boolean,date,integer,number,string"
                ),
                (
                    'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting'
                    " with ."
                ),
            ],
        ),
    ],
)
def test_definitions(version: Obj, expected: list[str]) -> None:
    assert [str(cause) for cause in definition(_definition(**version), None)] == expected
