import json
import random
from typing import Any

import pytest

from tests.unit.embedded_api.server import CONFIG_MAPS, DEPLOYMENTS, PODS, Server, deployment, pod

SERVICES = "/api/v1/namespaces/default/services"
_JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", "x", "a/b", [], {}, [None], {"a": None}, [[]], ["x"], {"": ""}, {"name": 5},
)  # fmt: skip
_KINDS = ("strategic-merge-patch+json", "merge-patch+json", "json-patch+json", "apply-patch+yaml")
_SUBJECTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (PODS, pod()),
    (DEPLOYMENTS, deployment()),
    (CONFIG_MAPS, {"metadata": {"name": "c", "labels": {"a": "b"}}, "data": {"k": "v"}}),
    (SERVICES, {"metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "name": "p"}]}}),
)
_QUERIES = (
    "",
    "?limit=-1",
    "?limit=2",
    "?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
    "?fieldSelector=x",
    "/%2e%2e/x",
    "?watch=x",
)
_ACCEPTS = (
    "application/json",
    "application/yaml",
    "x/y",
    ";;,",
    "*/*;q=x",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
)


def _mutated(source: random.Random, value: Any, chance: float = 0.12) -> Any:
    if source.random() < chance:
        return source.choice(_JUNK)
    if isinstance(value, dict):
        result = {key: _mutated(source, item, chance * 0.8) for key, item in value.items() if source.random() > 0.03}
        if source.random() < 0.08:
            result[source.choice(("foo", "metadata", "spec", "$patch", "ports", ""))] = source.choice(_JUNK)
        return result
    if isinstance(value, list):
        return [_mutated(source, item, chance * 0.8) for item in value] * source.choice((0, 1, 1, 1, 2))
    return value


def _one(server: Server, source: random.Random) -> int:
    path, subject = source.choice(_SUBJECTS)
    body = json.dumps(_mutated(source, subject)).encode()
    target = f"{path}/{source.choice(('p', 'web', 'c', 's', 'nope'))}{source.choice(('', '', '/status', '/scale'))}"
    match source.randrange(5):
        case 0 | 1:
            return server.respond("POST", path, body).status
        case 2:
            return server.respond("PUT", target, body).status
        case 3:
            kind = {"Content-Type": f"application/{source.choice(_KINDS)}"}
            return server.respond("PATCH", f"{target}?fieldManager=a&force=true", body, headers=kind).status
    return server.respond("GET", path + source.choice(_QUERIES), headers={"Accept": source.choice(_ACCEPTS)}).status


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_sent_the_answer_is_never_a_fault_of_the_server(server: Server, seed: int) -> None:
    source = random.Random(seed)
    for path, subject in _SUBJECTS:
        assert server.post(path, subject).status == 201
    statuses = {_one(server, source) for _ in range(250)}
    assert max(statuses) < 500
    assert {200, 400, 404, 409} <= statuses
