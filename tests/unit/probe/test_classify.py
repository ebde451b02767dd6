from __future__ import annotations

import pytest

from labctl.model.probe import CountBy, KeyKind, ProbePlan, Request
from labctl.probe.classify import classifier, header_value, headers_of, pod_of

HEAD = b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "pod"),
    [
        (
            b"\n\n\nHostname: deploy3-adminsrv-7c8f8b8c87-76sjm\n\nPod Information:\n\t-no pod information available-\n",
            "deploy3-adminsrv-7c8f8b8c87-76sjm",
        ),
        (
            b"Hello Kubernetes bootcamp! | Running on: deploy2-guestsrv-649875f78b-w9s8q | v=1\n",
            "deploy2-guestsrv-649875f78b-w9s8q",
        ),
        (b"Hello, world!\nVersion: 1.0.0\nHostname: hello-app-5\n", "hello-app-5"),
        (b'{\n "path": "/", "host": "a.example", "namespace": "default",\n "pod": "echo-6b-x1"}', "echo-6b-x1"),
        (b'{"hostname": "podinfo-7f8", "version": "6.0.0"}', "podinfo-7f8"),
        (b'{"environment":{"PATH":"/bin","HOSTNAME":"echo-server-1"}}', "echo-server-1"),
        (b"serve-hostname-abcde\n", "serve-hostname-abcde"),
        (b"<!DOCTYPE html>\n<html>\n<title>Welcome to nginx!</title>", ""),
        (b"default backend - 404", ""),
        (b"ok\n", ""),
        (b"", ""),
        (b"X-Hostname: not-a-pod", ""),
    ],
)
def test_a_body_names_its_pod(body: bytes, pod: str) -> None:
    assert pod_of(HEAD, body) == pod


def test_a_header_names_the_pod_where_the_body_does_not() -> None:
    head = b"HTTP/1.1 200 OK\r\nx-POD:  web-1 \r\n\r\n"
    assert pod_of(head, b"<html>") == "web-1"
    assert pod_of(head, b"Hostname: body-1\n") == "body-1"


def test_header_values_are_found_in_any_case_and_only_by_their_whole_name() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Version-Old: 1\r\nx-version: 2\r\nX-Version: 3\r\nLast: z\r\n\r\n"
    assert header_value(head, "X-Version") == "2"
    assert header_value(head, "Version") == ""
    assert header_value(head, "last") == "z"


def test_headers_keep_order_case_and_doubles() -> None:
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX: caf\xe9:x\r\n\r\n"
    assert headers_of(head) == (("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X", "café:x"))


def test_the_plan_s_expressions_decide_the_version_in_their_order() -> None:
    plan = ProbePlan(
        "x", Request("http://a/"), versions={"v1": r"nginx: 1\.13\.0", "v2": r"nginx: 1\.13\.\d", "ü": "ü"}
    )
    keys = classifier(plan)
    assert keys(HEAD, b"server_version=nginx: 1.13.0 - lua: 10008")[1] == "v1"
    assert keys(HEAD, b"server_version=nginx: 1.13.1 - lua: 10008")[1] == "v2"
    assert keys(HEAD, "ü".encode())[1] == "ü"
    assert keys(HEAD, b"\xff nothing")[1] == ""


def test_the_counted_header_is_read() -> None:
    plan = ProbePlan("x", Request("http://a/"), by=CountBy(KeyKind.HEADER, "Server"))
    assert classifier(plan)(HEAD, b"") == ("", "", "nginx")
