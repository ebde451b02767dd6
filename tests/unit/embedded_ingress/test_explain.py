from __future__ import annotations

import pytest

from labctl.conformance import world
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.explain import Snapshot, explain, routes, snapshot
from tests.conformance.memory import resource_of
from tests.unit.embedded_ingress.cluster import Json, ingress, path


def taken(*ingresses: Json) -> Snapshot:
    objects = [*world.standing_objects(), *ingresses]
    return snapshot(((resource_of(obj), obj) for obj in objects), Flags())


def test_the_server_the_location_and_the_ingress_are_named() -> None:
    made = taken(ingress("one", path("/foo", "svc-b3")), ingress("two", host="*.wild.test"))
    told = explain(made.configuration, "http://a.test/foo/x?y=1")
    assert (told.server, told.server_reason) == ("a.test", "exact name")
    assert (told.location, told.location_reason, told.ingress) == ("/foo/", "longest prefix", "default/one")
    assert told.path_to_pod == "/foo/x?y=1"
    assert told.next_pods == ("172.16.2.1:8080", "172.16.2.2:8080", "172.16.2.3:8080")
    assert explain(made.configuration, "http://x.wild.test/").server_reason == "wildcard *.wild.test"
    assert explain(made.configuration, "http://other.test/").server_reason == "default server"


def test_a_losing_rule_is_told_with_its_reason() -> None:
    old = ingress("old", path("/x"), created="2025-01-01T00:00:00Z")
    told = explain(taken(old, ingress("new", path("/x", "svc-b"))).configuration, "http://a.test/x")
    assert [(loser.ingress, loser.path) for loser in told.losers] == [("default/new", "/x")]
    assert "default/old" in told.losers[0].reason


def test_the_canary_decision_is_told() -> None:
    canary = ingress("canary", path("/", "svc-c"), canary="true", canary_by_header="X-Canary", canary_weight="0")
    made = taken(ingress("main"), canary)
    assert explain(made.configuration, "http://a.test/").canary == ""
    told = explain(made.configuration, "http://a.test/", headers=[("X-Canary", "always")])
    assert (told.canary, told.canary_reason) == ("default-svc-c-80", "header X-Canary is 'always'")


def test_what_nginx_answers_itself_is_told() -> None:
    secured = ingress("one")
    secured["spec"]["tls"] = [{"hosts": ["a.test"], "secretName": "none"}]
    told = explain(taken(secured).configuration, "http://a.test/x")
    assert (told.status, told.redirect) == (308, "https://a.test/x")
    assert explain(taken(ingress("b", path("/", "svc-none"))).configuration, "http://a.test/").status == 503


def test_a_request_that_nginx_refuses_is_an_error() -> None:
    with pytest.raises(ValueError, match="nginx answers 400"):
        explain(taken(ingress("one")).configuration, "http://a.test/", headers=[("Host", "a/b")])


def test_routes_list_every_location() -> None:
    table = [
        (route.host, route.path, route.match, route.ingress)
        for route in routes(taken(ingress("one", path("/x"))).configuration)
    ]
    assert ("a.test", "/x/", "prefix", "default/one") in table
    assert ("a.test", "/x", "exact", "default/one") in table
    assert ("_", "/", "prefix", "") in table
