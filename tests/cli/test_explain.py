"""`labctl explain`, `labctl ingress routes`, `labctl ingress conf` and doctor's word on annotations, as their user runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import Shell
from tests.tools import tool

pytestmark = pytest.mark.skipif(tool("kubectl") is None, reason="the package that carries kubectl is not installed")
PREFIX = "nginx.ingress.kubernetes.io"


def ingress(name: str, host: str, **annotations: str) -> dict[str, Any]:
    backend = {"service": {"name": "nobody", "port": {"number": 80}}}
    given = {f"{PREFIX}/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": given},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [{"path": "/x", "pathType": "Prefix", "backend": backend}]}}],
        },
    }


@pytest.fixture(scope="module")
def explained(study: Shell) -> Iterator[Shell]:
    """A cluster with two Ingresses in a namespace of their own."""
    objects = [
        ingress("plain", "explained.test"),
        ingress("moved", "moved.test", permanent_redirect="https://there.test/", enable_modsecurity="true"),
    ]
    (study.home / "explained.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    assert study.kubectl("create", "namespace", "explained").code == 0
    assert study.kubectl("apply", "-n", "explained", "-f", "explained.json").code == 0
    yield study
    study.kubectl("delete", "namespace", "explained", "--timeout=30s")


def test_a_request_is_explained_without_being_sent(explained: Shell) -> None:
    done = explained.labctl("explain", "http://explained.test/x/y")
    assert done.code == 0, done.err
    assert "server      explained.test (exact name)" in done.out
    assert "written by  Ingress explained/plain" in done.out
    assert "answer      503 by nginx itself" in done.out
    assert "nothing was sent" in done.out


def test_the_explanation_as_json(explained: Shell) -> None:
    told = explained.labctl("explain", "http://127.0.66.10:30080/x", "-H", "Host: moved.test", "-o", "json").json
    assert (told["schema"], told["server"], told["status"]) == ("labctl.explanation/v1", "moved.test", 301)
    assert told["redirect"] == "https://there.test/"
    assert explained.labctl("explain", "http://nobody.test/", "-o", "json").json["server_reason"] == "default server"


def test_what_cannot_be_explained_is_a_usage_error(explained: Shell) -> None:
    assert explained.labctl("explain", "explained.test").code == 2
    done = explained.labctl("explain", "http://explained.test/", "-H", "Host: a/b")
    assert done.code == 2
    assert "nginx answers 400" in done.err


def test_all_routes_are_listed(explained: Shell) -> None:
    routes = explained.labctl("ingress", "routes", "-o", "json").json["routes"]
    found = {
        (route["host"], route["path"], route["match"]) for route in routes if route["ingress"] == "explained/plain"
    }
    assert found == {
        ("explained.test", path, match) for path, match in (("/x/", "prefix"), ("/x", "exact"), ("/", "prefix"))
    }
    assert "explained.test" in explained.labctl("ingress", "routes").out


def test_nginx_conf_is_the_controllers_own(explained: Shell) -> None:
    done = explained.labctl("ingress", "conf")
    assert done.code == 0, done.err
    assert "server_name explained.test ;" in done.out


def test_doctor_tells_what_has_no_effect(explained: Shell) -> None:
    done = explained.labctl("doctor")
    assert "Ingress explained/moved: " in done.out
    assert "enable-modsecurity" in done.out
