from __future__ import annotations

import pytest

from labctl.conformance import world
from labctl.embedded.ingress.controller.equality import needs_reload, same_backends
from tests.unit.embedded_ingress.cluster import Cluster, Json, ingress, path


def test_new_endpoints_need_no_reload() -> None:
    cluster = Cluster(ingress("one", path("/", "svc-a3")))
    before = cluster.compile()
    cluster.clientset.apply(world.endpoint_slice("svc-a3", [("172.16.1.1", True)]))
    after = cluster.compile()
    assert not needs_reload(before, after)
    assert not same_backends(before.backends, after.backends)


@pytest.mark.parametrize(
    ("annotations", "reload"),
    [
        ({"affinity": "cookie"}, False),
        ({"upstream_hash_by": "$request_uri"}, False),
        ({"load_balance": "ewma"}, False),
        ({"proxy_read_timeout": "7"}, True),
        ({"enable_cors": "true"}, True),
        ({"rewrite_target": "/x"}, True),
    ],
)
def test_which_annotations_reload(annotations: Json, reload: bool) -> None:
    cluster = Cluster(ingress("one"))
    before = cluster.compile()
    cluster.clientset.apply(ingress("one", **annotations))
    assert needs_reload(before, cluster.compile()) is reload


def test_a_new_host_reloads() -> None:
    cluster = Cluster(ingress("one"))
    before = cluster.compile()
    cluster.clientset.apply(ingress("two", host="b.test"))
    assert needs_reload(before, cluster.compile())
