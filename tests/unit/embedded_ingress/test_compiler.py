from __future__ import annotations

import random

import pytest

from labctl.embedded.ingress.model import Configuration
from tests.unit.embedded_ingress.cluster import Cluster, ingress, path


def routes(configuration: Configuration, host: str) -> list[tuple[str, str, str]]:
    return [(entry.path_type, entry.path, entry.backend) for entry in configuration.servers[host].locations]


def test_prefix_paths_get_an_exact_twin_and_longest_paths_come_first() -> None:
    compiled = Cluster(ingress("one", path("/foo"), path("/foo/bar", "svc-b"))).compile()
    assert routes(compiled, "a.test") == [
        ("Prefix", "/foo/bar/", "default-svc-b-80"),
        ("Exact", "/foo/bar", "default-svc-b-80"),
        ("Prefix", "/foo/", "default-svc-a-80"),
        ("Exact", "/foo", "default-svc-a-80"),
        ("Prefix", "/", "upstream-default-backend"),
    ]


def test_the_oldest_ingress_keeps_a_path_and_the_other_one_is_remembered_with_the_reason() -> None:
    young = ingress("aaa", path("/x", "svc-b"), created="2026-01-02T00:00:00Z")
    old = ingress("zzz", path("/x", "svc-a"), created="2026-01-01T00:00:00Z")
    server = Cluster(young, old).compile().servers["a.test"]
    assert [entry.backend for entry in server.locations if entry.path == "/x/"] == ["default-svc-a-80"]
    assert [(str(lost.ingress), lost.backend) for lost in server.lost] == [("default/aaa", "default-svc-b-80")]
    assert "default/zzz" in server.lost[0].reason


def test_exact_and_prefix_share_a_path() -> None:
    compiled = Cluster(ingress("one", path("/x", "svc-a", "Exact"), path("/x", "svc-b"))).compile()
    assert ("Exact", "/x", "default-svc-a-80") in routes(compiled, "a.test")
    assert ("Prefix", "/x/", "default-svc-b-80") in routes(compiled, "a.test")


def test_a_canary_joins_the_backend_of_the_main_rule() -> None:
    canary = ingress("canary", path("/", "svc-c"), canary="true", canary_weight="30")
    compiled = Cluster(ingress("main"), canary).compile()
    assert compiled.backends["default-svc-a-80"].alternatives == ("default-svc-c-80",)
    assert compiled.backends["default-svc-c-80"].shaping.weight == 30
    assert compiled.backends["default-svc-c-80"].no_server


def test_a_canary_without_a_main_rule_routes_nothing_and_says_so() -> None:
    cluster = Cluster(ingress("main", host="b.test"), ingress("lonely", canary="true", canary_weight="10"))
    compiled = cluster.compile()
    assert "a.test" not in compiled.servers
    assert any("cannot merge alternative backend" in line.message for line in cluster.log)


def test_endpoints_that_are_not_ready_are_left_out() -> None:
    compiled = Cluster(ingress("one", path("/", "svc-notready"))).compile()
    assert [entry.address for entry in compiled.backends["default-svc-notready-80"].endpoints] == ["172.16.1.2"]


def test_a_missing_service_keeps_the_location_and_is_logged() -> None:
    cluster = Cluster(ingress("one", path("/", "svc-missing")))
    compiled = cluster.compile()
    assert compiled.servers["a.test"].locations[-1].backend == "default-svc-missing-80"
    assert not compiled.backends["default-svc-missing-80"].endpoints
    assert any("svc-missing" in line.message and line.severity == "W" for line in cluster.log)


@pytest.mark.parametrize("seed", range(6))
def test_recompiling_what_changed_gives_the_same_as_compiling_everything(seed: int) -> None:
    dice = random.Random(seed)
    cluster = Cluster()
    for step in range(25):
        name, host = f"i{dice.randrange(6)}", f"h{dice.randrange(3)}.test"
        service = dice.choice(["svc-a", "svc-b", "svc-c3", "svc-missing"])
        known = cluster.clientset.get("ingresses.networking.k8s.io", "default", name)
        if known is not None and dice.random() < 0.3:
            cluster.clientset.delete("ingresses.networking.k8s.io", "default", name)
        else:
            extra = dice.choice([{}, {"canary": "true", "canary_weight": "20"}, {"server_alias": "alias.test"}])
            made = ingress(name, path(dice.choice(["/", "/x"]), service), host=host, **extra)
            made["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{dice.randrange(60):02d}Z"
            cluster.clientset.apply(made)
        compiled, fresh = cluster.compile(), cluster.fresh()
        assert compiled.servers == fresh.servers, step
        assert compiled.backends == fresh.backends, step
