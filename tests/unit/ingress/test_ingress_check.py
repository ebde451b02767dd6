from __future__ import annotations

from typing import Any

import pytest

from labctl.config.positions import parse
from labctl.errors import ConfigError, UsageError
from labctl.ingress.chart import HELM_ONLY, SPEC, VERSIONS, Leaf, Spec, defaults
from labctl.ingress.check import check_values, check_values_file, value_problems


def test_the_charts_own_defaults_are_accepted() -> None:
    for version in VERSIONS.values():
        assert value_problems(defaults(version)) == ()


def test_every_default_has_the_type_that_is_asked_of_a_value() -> None:
    def check(spec: Spec, path: str) -> None:
        for key, known in spec.items():
            if not isinstance(known, Leaf):
                check(known, f"{path}{key}.")
            elif known.default is not None:
                assert isinstance(known.default, known.kinds), f"{path}{key}"
                assert known.default in (*known.choices, "") or not known.choices, f"{path}{key}"

    check(SPEC, "")


@pytest.mark.parametrize(
    ("values", "path", "message", "hint"),
    [
        ({"controler": {}}, "controler", "the chart has no such value", "did you mean controller?"),
        ({"controller": {"replicas": 2}}, "controller.replicas", "no such value", ""),
        ({"controller": {"replicacount": 2}}, "controller.replicacount", "no such value", "controller.replicaCount?"),
        ({"nodeSelector": {"a": "b"}}, "nodeSelector", "no such value", "controller.nodeSelector?"),
        (
            {"controller": {"serviceMonitor": {"enabled": True}}},
            "controller.serviceMonitor",
            "no such value",
            "did you mean controller.metrics.serviceMonitor?",
        ),
        ({"controller": {"keda": {"enabled": True}}}, "controller.keda", "labctl does not render", "--via helm"),
        ({"controller": {"replicaCount": "2"}}, "controller.replicaCount", "must be a whole number, not text", ""),
        ({"controller": {"replicaCount": True}}, "controller.replicaCount", "must be a whole number, not a bool", ""),
        ({"controller": {"hostNetwork": "yes"}}, "controller.hostNetwork", "must be true or false, not text", ""),
        ({"controller": {"tolerations": {}}}, "controller.tolerations", "must be a list, not a mapping", ""),
        ({"controller": {"config": "x"}}, "controller.config", "must be a mapping, not text", ""),
        ({"controller": {"service": 1}}, "controller.service", "must be a mapping, not a number", ""),
        ({"controller": {"kind": "Daemonset"}}, "controller.kind", "is not one of Deployment, DaemonSet", "DaemonSet"),
        (
            {"controller": {"service": {"externalTrafficPolicy": "local"}}},
            "controller.service.externalTrafficPolicy",
            "'local' is not one of Local, Cluster",
            "'Local'",
        ),
        ({"controller": {"kind": None}}, "controller.kind", "cannot be removed with null", ""),
    ],
)
def test_a_value_that_cannot_be_rendered_is_named(values: dict[str, Any], path: str, message: str, hint: str) -> None:
    (problem,) = value_problems(values)
    assert ".".join(problem.path) == path
    assert message in problem.message
    assert hint in problem.hint


def test_what_is_switched_off_asks_for_nothing() -> None:
    values = {"controller": {"metrics": {"serviceMonitor": {"enabled": False}}, "keda": {}}, "dhParam": ""}
    assert value_problems(values) == ()


def test_a_null_may_remove_what_has_no_default_that_is_needed() -> None:
    assert value_problems({"controller": {"nodeSelector": None, "resources": None, "electionID": None}}) == ()


def test_one_mistake_is_a_line_and_several_are_a_list() -> None:
    with pytest.raises(UsageError) as one:
        check_values({"controler": {}})
    assert one.value.hint == "did you mean controller?"
    with pytest.raises(UsageError) as several:
        check_values({"controler": {}, "rback": {}})
    assert len(several.value.message.splitlines()) == 3


def test_mistakes_in_a_file_have_their_places() -> None:
    document = parse("controller:\n  replicaCount: two\n  kindd: DaemonSet\n", "values.yaml")
    with pytest.raises(ConfigError) as caught:
        check_values_file(document)
    assert [str(problem.position) for problem in caught.value.problems] == ["values.yaml:2:3", "values.yaml:3:3"]


def test_mistakes_in_a_cluster_file_have_their_places_too() -> None:
    document = parse("ingress:\n  values:\n    controler: {}\n", "cluster.yaml")
    with pytest.raises(ConfigError) as caught:
        check_values_file(document, ("ingress", "values"))
    assert str(caught.value.problems[0].position) == "cluster.yaml:3:5"


def test_a_file_without_values_is_fine_and_a_list_is_not() -> None:
    check_values_file(parse("# nothing\n", "values.yaml"))
    with pytest.raises(ConfigError, match=r"1 problem in values\.yaml"):
        check_values_file(parse("- a\n", "values.yaml"))


def test_what_only_helm_renders_is_nowhere_rendered() -> None:
    def paths(spec: Spec, path: str = "") -> set[str]:
        return {f"{path}{key}" for key in spec} | {
            found
            for key, known in spec.items()
            if not isinstance(known, Leaf)
            for found in paths(known, f"{path}{key}.")
        }

    assert not paths(SPEC) & set(HELM_ONLY)
