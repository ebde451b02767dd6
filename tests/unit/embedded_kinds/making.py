"""Requests taken through decoding, defaulting, strategy and validation, as the registry does."""

from __future__ import annotations

import copy
import random
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds import defaulting, validation
from labctl.embedded.kinds.field import Cause
from labctl.embedded.kinds.resources import Resource, find_kind
from labctl.embedded.kinds.strategy import Strategy
from tests.unit.embedded_kinds.recorded import SETTINGS, cluster

NAMESPACE = "apps"
META = {"uid": "7f2c", "creationTimestamp": "2026-01-01T00:00:00Z"}


def resource_of(obj: Obj) -> Resource:
    found = find_kind(obj["apiVersion"], obj["kind"])
    assert found is not None, obj["kind"]
    return found


def strategy(seed: int = 1) -> Strategy:
    return Strategy(SETTINGS, random.Random(seed))


def create(obj: Obj, state: Any = None) -> Obj:
    """The object as it would be stored."""
    resource, made = resource_of(obj), copy.deepcopy(obj)
    defaulting.apply_defaults(resource, made)
    if resource.namespaced:
        made["metadata"].setdefault("namespace", NAMESPACE)
    made["metadata"].update(META)
    strategy().prepare_for_create(resource, made, state or cluster(NAMESPACE))
    return made


def update(new: Obj, old: Obj, state: Any = None) -> Obj:
    """What would be stored for `new` in place of `old`."""
    resource, made = resource_of(new), copy.deepcopy(new)
    defaulting.apply_defaults(resource, made)
    strategy().prepare_for_update(resource, made, old, state or cluster(NAMESPACE))
    return made


def faults(obj: Obj, old: Obj | None = None) -> list[str]:
    """The causes of a prepared object, as text."""
    return [str(cause) for cause in causes(obj, old)]


def causes(obj: Obj, old: Obj | None = None) -> list[Cause]:
    return validation.validate(resource_of(obj), obj, old)


def pod(**spec: Any) -> Obj:
    containers = [{"name": "web", "image": "nginx:alpine"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": containers, **spec},
    }


def deployment(**spec: Any) -> Obj:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def service(name: str = "web", **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }
