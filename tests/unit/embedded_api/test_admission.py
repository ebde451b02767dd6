"""Admission webhooks: who is asked, what they are told, and what their answers do."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from labctl.embedded.api.admission.caller import HookCaller
from labctl.embedded.api.admission.gate import Gate
from labctl.embedded.api.admission.hooks import Hook, Operation
from labctl.embedded.api.admission.review import HookFailedError
from labctl.embedded.http.messages import Response
from tests.unit.embedded_api.server import Server

Json = dict[str, Any]
MAPS = "/api/v1/namespaces/default/configmaps"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}


class Listener(HookCaller):
    """Stands for all webhooks: answers with what the test says, and remembers what it was asked."""

    def __init__(self, answer: Callable[[str, Json], Json]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Json]] = []

    async def ask(self, hook: Hook, review: Json) -> bytes:
        await asyncio.sleep(0)
        self.asked.append((hook.name, review["request"]))
        said = self.answer(hook.name, review["request"])
        if "fails" in said:
            raise HookFailedError(said["fails"])
        response = {"uid": review["request"]["uid"], "allowed": True, **said}
        return json.dumps(
            {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
        ).encode()


def hook(name: str = "check.example.com", **settings: Any) -> Json:
    return {
        "name": name,
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **settings,
    }


def register(server: Server, *hooks: Json, kind: str = "Validating") -> None:
    body = {"metadata": {"name": kind.lower()}, "webhooks": list(hooks)}
    assert server.post(f"{ADMISSION}/{kind.lower()}webhookconfigurations", body).status == 201


def listen(server: Server, answer: Callable[[str, Json], Json]) -> Listener:
    listener = Listener(answer)
    gate: Gate = server.api._gate
    gate.caller = listener
    return listener


def ask(server: Server, method: str, target: str, body: Any = None, **options: Any) -> tuple[int, Json, list[str]]:
    """Status, body and warnings of a request that may have to wait for webhooks."""
    answer = server.answer(method, target, body, **options)
    response = answer if isinstance(answer, Response) else asyncio.run(_result(answer))
    assert isinstance(response.body, bytes)
    warnings = [value.split('"')[1] for name, value in response.headers if name == "Warning"]
    return response.status, json.loads(response.body), warnings


async def _result(answer: Any) -> Response:
    return await answer  # type: ignore[no-any-return]  # the test's own helper


def config_map(name: str, **metadata: Any) -> Json:
    return {"metadata": {"name": name, **metadata}, "data": {"a": "1"}}


def test_a_refusal_is_the_answer_with_the_webhooks_name(server: Server) -> None:
    register(server, hook())
    listen(server, lambda name, request: {"allowed": False, "status": {"message": "not today", "code": 403}})
    status, body, _ = ask(server, "POST", MAPS, config_map("one"))
    assert (status, body["message"]) == (403, 'admission webhook "check.example.com" denied the request: not today')
    assert server.get(f"{MAPS}/one").status == 404


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ({}, 400, 'admission webhook "check.example.com" denied the request without explanation'),
        ({"reason": "Because"}, 400, 'admission webhook "check.example.com" denied the request: Because'),
        ({"code": 200, "message": "no"}, 400, 'admission webhook "check.example.com" denied the request: no'),
    ],
)
def test_what_a_refusal_leaves_out(server: Server, given: Json, status: int, message: str) -> None:
    register(server, hook())
    listen(server, lambda name, request: {"allowed": False, "status": given})
    found, body, _ = ask(server, "POST", MAPS, config_map("one"))
    assert (found, body["message"]) == (status, message)


def test_the_question_tells_everything(server: Server) -> None:
    register(server, hook())
    listener = listen(server, lambda name, request: {"warnings": ["look out"]})
    assert ask(server, "POST", f"{MAPS}?fieldManager=me", config_map("one"))[2] == ["look out"]
    assert ask(server, "PUT", f"{MAPS}/one", {**config_map("one"), "data": {"a": "2"}})[0] == 200
    assert ask(server, "DELETE", f"{MAPS}/one")[0] == 200
    created, updated, deleted = (request for _, request in listener.asked)
    assert created["operation"] == "CREATE"
    assert created["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert created["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (created["name"], created["namespace"], created["dryRun"]) == ("one", "default", False)
    assert created["object"]["data"] == {"a": "1"}
    assert created["oldObject"] is None
    assert created["userInfo"]["username"] == "system:admin"
    assert created["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"}
    assert (updated["operation"], updated["object"]["data"], updated["oldObject"]["data"]) == (
        "UPDATE",
        {"a": "2"},
        {"a": "1"},
    )
    assert (deleted["operation"], deleted["object"], deleted["oldObject"]["data"]) == ("DELETE", None, {"a": "2"})


def test_a_mutating_webhook_changes_what_is_stored_and_what_is_validated(server: Server) -> None:
    register(server, hook("change.example.com"), kind="Mutating")
    register(server, hook("check.example.com"))
    patch = base64.b64encode(json.dumps([{"op": "add", "path": "/data/b", "value": "2"}]).encode()).decode()

    def answer(name: str, request: Json) -> Json:
        return {"patchType": "JSONPatch", "patch": patch} if name.startswith("change") else {}

    listener = listen(server, answer)
    assert ask(server, "POST", MAPS, config_map("one"))[0] == 201
    assert server.get(f"{MAPS}/one").json["data"] == {"a": "1", "b": "2"}
    assert [(name, request["object"]["data"]) for name, request in listener.asked] == [
        ("change.example.com", {"a": "1"}),
        ("check.example.com", {"a": "1", "b": "2"}),
    ]


def test_a_webhook_that_cannot_be_asked(server: Server) -> None:
    register(server, hook("must.example.com"), hook("may.example.com", failurePolicy="Ignore"))
    broken = {"must.example.com", "may.example.com"}
    listen(server, lambda name, request: {"fails": "failed to call webhook: EOF"} if name in broken else {})
    status, body, _ = ask(server, "POST", MAPS, config_map("one"))
    words = 'Internal error occurred: failed calling webhook "must.example.com": failed to call webhook: EOF'
    assert (status, body["message"], body["reason"]) == (500, words, "InternalError")
    broken.remove("must.example.com")
    assert ask(server, "POST", MAPS, config_map("one"))[0] == 201


def test_a_dry_run_asks_only_those_without_side_effects(server: Server) -> None:
    register(server, hook("dry.example.com"))
    listener = listen(server, lambda name, request: {})
    assert ask(server, "POST", f"{MAPS}?dryRun=All", config_map("one"))[0] == 201
    assert listener.asked[0][1]["dryRun"] is True
    register(server, hook("wet.example.com"), kind="Mutating")
    # One from before such a configuration was refused.
    key = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
    stored = json.loads(json.dumps(server.registry.get(key, "", "mutating")))
    stored["webhooks"][0]["sideEffects"] = "Some"
    server.registry.store.put(key, stored)
    status, body, _ = ask(server, "POST", f"{MAPS}?dryRun=All", config_map("one"))
    assert (status, body["message"]) == (400, 'admission webhook "wet.example.com" does not support dry run')


def test_selectors_and_conditions_choose(server: Server) -> None:
    labelled = {"matchLabels": {"watch": "yes"}}
    register(
        server,
        hook("objects.example.com", objectSelector=labelled),
        hook("spaces.example.com", namespaceSelector=labelled),
        hook("conditions.example.com", matchConditions=[{"name": "a", "expression": "object.data.a == '7'"}]),
    )
    listener = listen(server, lambda name, request: {})
    assert ask(server, "POST", MAPS, config_map("none"))[0] == 201
    assert listener.asked == []
    assert ask(server, "POST", MAPS, {**config_map("all", labels={"watch": "yes"}), "data": {"a": "7"}})[0] == 201
    assert sorted(name for name, _ in listener.asked) == ["conditions.example.com", "objects.example.com"]


def test_webhooks_are_not_asked_about_webhooks(server: Server) -> None:
    rule = {**RULE, "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    register(server, hook(rules=[rule]))
    listen(server, lambda name, request: {"allowed": False})
    assert ask(server, "DELETE", f"{ADMISSION}/validatingwebhookconfigurations/validating")[0] == 200
    assert ask(server, "POST", MAPS, config_map("one"))[0] == 201


def test_deleting_many_asks_about_each(server: Server) -> None:
    for name in ("one", "two", "keep"):
        assert server.post(MAPS, config_map(name, labels={"app": "x"})).status == 201
    register(server, hook())
    listen(server, lambda name, request: {"allowed": request["name"] != "keep"})
    assert ask(server, "DELETE", f"{MAPS}?labelSelector=app%3Dx")[0] == 400
    assert server.get(f"{MAPS}/keep").status == 200


@pytest.mark.parametrize(
    ("item", "path", "subresource", "wanted"),
    [
        ("pods", "pods", "", True),
        ("pods", "pods", "status", False),
        ("pods/status", "pods", "status", True),
        ("pods/*", "pods", "status", True),
        ("*", "pods", "", True),
        ("*", "pods", "status", False),
        ("*/*", "pods", "status", True),
        ("*/*", "pods", "", True),
        ("*/status", "pods", "status", True),
        ("services", "pods", "", False),
    ],
)
def test_how_rules_name_resources(server: Server, item: str, path: str, subresource: str, wanted: bool) -> None:
    found = Hook(hook(rules=[{**RULE, "resources": [item]}]), mutating=False)
    operation = Operation("CREATE", server.api.registry.resource(path), "default", "x", subresource, {}, None)
    assert found.wants(operation, {"metadata": {}}) is wanted
