from __future__ import annotations

from labctl.embedded.ingress.controller.flags import Flags
from tests.unit.embedded_ingress.cluster import Cluster, ingress, path


def test_an_ingress_of_another_class_is_ignored() -> None:
    other = ingress("other")
    other["spec"]["ingressClassName"] = "traefik"
    assert Cluster(other).store.ingresses == {}


def test_the_old_annotation_counts_where_there_is_no_class_name() -> None:
    old = ingress("old")
    del old["spec"]["ingressClassName"]
    old["metadata"]["annotations"]["kubernetes.io/ingress.class"] = "nginx"
    assert list(Cluster(old).store.ingresses) == ["default/old"]


def test_without_a_class_only_when_asked() -> None:
    bare = ingress("bare")
    del bare["spec"]["ingressClassName"]
    assert Cluster(bare).store.ingresses == {}
    flags = Flags(configmap="a/b", watch_ingress_without_class=True)
    assert list(Cluster(bare, flags=flags).store.ingresses) == ["default/bare"]


def test_a_path_that_looks_into_the_controllers_files_is_not_taken() -> None:
    cluster = Cluster(ingress("bad", path("/etc/nginx")))
    assert cluster.store.ingresses == {}
    assert any("received invalid ingress" in line.message for line in cluster.log)


def test_an_annotation_without_effect_is_said() -> None:
    cluster = Cluster(ingress("one", enable_modsecurity="true", no_such_thing="1"))
    warnings = cluster.store.warnings["default/one"]
    assert any("enable-modsecurity" in text for text in warnings)
    assert any("no-such-thing" in text for text in warnings)


def test_a_refused_annotation_keeps_the_version_before() -> None:
    flags = Flags(configmap="a/b", enable_annotation_validation=True)
    cluster = Cluster(ingress("one", permanent_redirect="https://good.test"), flags=flags)
    cluster.clientset.apply(ingress("one", permanent_redirect="https://bad.test/$x"))
    assert cluster.store.ingresses["default/one"].annotations.redirect.url == "https://good.test"


def test_only_the_watched_namespace_counts() -> None:
    assert Cluster(ingress("one"), flags=Flags(configmap="a/b", watch_namespace="other")).store.ingresses == {}


def test_every_taken_ingress_gets_an_event() -> None:
    assert Cluster(ingress("one")).events == ["Sync: Scheduled for sync"]
