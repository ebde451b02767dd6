"""LimitRanges and ResourceQuotas: what they fill in and what they refuse, in the API server's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.embedded_api.server import Server

Json = dict[str, Any]
CORE = "/api/v1/namespaces/default"


def pod(name: str, **resources: Json) -> Json:
    container = {"name": "c", "image": "nginx", "resources": resources}
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


def limit(server: Server, **item: Any) -> None:
    body = {"metadata": {"name": "lr"}, "spec": {"limits": [{"type": "Container", **item}]}}
    assert server.post(f"{CORE}/limitranges", body).status == 201


def quota(server: Server, **hard: str) -> None:
    names = {name.replace("_", "."): amount for name, amount in hard.items()}
    assert server.post(f"{CORE}/resourcequotas", {"metadata": {"name": "rq"}, "spec": {"hard": names}}).status == 201


def test_defaults_are_filled_in_and_told(server: Server) -> None:
    limit(server, default={"cpu": "200m", "memory": "128Mi"}, defaultRequest={"cpu": "10m"})
    made = server.post(f"{CORE}/pods", pod("one", requests={"memory": "1Mi"})).json
    assert made["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "200m", "memory": "128Mi"},
        "requests": {"cpu": "10m", "memory": "1Mi"},
    }
    told = "LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c"
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == told


@pytest.mark.parametrize(
    ("item", "resources", "reason"),
    [
        (
            {"max": {"cpu": "500m"}},
            {"limits": {"cpu": "1"}},
            "maximum cpu usage per Container is 500m, but limit is 1",
        ),
        (
            {"min": {"cpu": "100m"}},
            {"requests": {"cpu": "10m"}},
            "minimum cpu usage per Container is 100m, but request is 10m",
        ),
        (
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {},
            "maximum memory usage per Pod is 1Gi.  No limit is specified",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
    ],
)
def test_what_limits_refuse(server: Server, item: Json, resources: Json, reason: str) -> None:
    limit(server, **item)
    answer = server.post(f"{CORE}/pods", pod("one", **resources))
    assert (answer.status, answer.json["message"]) == (403, f'pods "one" is forbidden: {reason}')


def test_a_quota_counts_what_is_there(server: Server) -> None:
    quota(server, pods="1", requests_cpu="1")
    big = {"requests": {"cpu": "600m"}}
    assert server.post(f"{CORE}/pods", pod("one", **big)).status == 201
    answer = server.post(f"{CORE}/pods", pod("two", **big))
    words = (
        'pods "two" is forbidden: exceeded quota: rq, requested: pods=1,requests.cpu=600m, '
        "used: pods=1,requests.cpu=600m, limited: pods=1,requests.cpu=1"
    )
    assert (answer.status, answer.json["message"]) == (403, words)


def test_a_quota_on_computing_asks_everyone(server: Server) -> None:
    quota(server, limits_memory="1Gi", requests_cpu="1")
    answer = server.post(f"{CORE}/pods", pod("one"))
    words = 'pods "one" is forbidden: failed quota: rq: must specify limits.memory for: c; requests.cpu for: c'
    assert (answer.status, answer.json["message"]) == (403, words)


def test_a_quota_counts_other_objects(server: Server) -> None:
    quota(server, configmaps="1", services_nodeports="1")
    assert server.post(f"{CORE}/configmaps", {"metadata": {"name": "one"}}).status == 201
    answer = server.post(f"{CORE}/configmaps", {"metadata": {"name": "two"}})
    words = 'configmaps "two" is forbidden: exceeded quota: rq, requested: configmaps=1, used: configmaps=1, '
    assert answer.json["message"] == words + "limited: configmaps=1"
    spec = {"type": "NodePort", "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}
    answer = server.post(f"{CORE}/services", {"metadata": {"name": "s"}, "spec": spec})
    assert 'services "s" is forbidden: exceeded quota: rq, requested: services.nodeports=2' in answer.json["message"]
