from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.ingress.controllers import CONTROLLERS, ControllerName, unsupported
from labctl.ingress.versions import support_warning
from labctl.model.inventory import Ingress, default_inventory


@pytest.mark.parametrize(
    ("chart", "server", "words"),
    [
        ("4.11.2", "v1.30.4+k3s1", ""),
        ("4.11.2", "v1.34.4+k3s1", ""),
        ("4.11.2", "v1.33.0", "1.26 to 1.30"),
        ("4.11.3", "v1.34.4+k3s1", "charts 4.15, 4.14 were"),
        ("4.15.1", "v1.34.4+k3s1", ""),
        ("4.15.1", "v1.30.0", "charts 4.14, 4.13, 4.12, 4.11, 4.10 were"),
        ("5.0.0", "v1.30.0", ""),
    ],
)
def test_a_chart_that_was_not_tested_with_the_cluster_is_said(chart: str, server: str, words: str) -> None:
    warning = support_warning(chart, server)
    assert words in warning
    assert bool(warning) is bool(words)


def test_traefik_gets_the_study_s_ports_and_a_class_of_its_own() -> None:
    traefik = CONTROLLERS[ControllerName.TRAEFIK]
    assert traefik.study is not None
    values = traefik.study(replace(default_inventory(), ingress=Ingress(ingress_class="edge"))).values
    assert values["ports"] == {"web": {"nodePort": 30080}, "websecure": {"nodePort": 30443}}
    assert values["nodeSelector"] == {"kubernetes.io/hostname": "k3s-s"}
    assert values["providers"]["kubernetesIngressNGINX"] == {"enabled": True, "ingressClass": "edge"}
    assert [obj["metadata"]["name"] for obj in values["extraObjects"]] == ["edge"]


def test_what_a_controller_does_not_support_is_named() -> None:
    prefix = "nginx.ingress.kubernetes.io/"
    annotations = {f"{prefix}satisfy": "any", f"{prefix}canary": "true", "other/satisfy": "x"}
    ingress = {"metadata": {"namespace": "default", "name": "a", "annotations": annotations}}
    assert unsupported(CONTROLLERS[ControllerName.TRAEFIK], [ingress]) == {"default/a": ["satisfy"]}
    assert unsupported(CONTROLLERS[ControllerName.NGINX], [ingress]) == {}
