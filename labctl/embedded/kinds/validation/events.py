"""Events of both API groups.

Source: pkg/apis/core/validation/events.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid_value, required
from labctl.embedded.kinds.validation.formats import all_of, dns1123_subdomain, immutable, qualified_name

_LIMITS = {"reportingInstance": 128, "action": 128, "reason": 128}
_LONGEST_NOTE = 1024
_NAMESPACE_MISMATCH = "does not match event.namespace"
_FIXED = ("reason", "type", "eventTime", "action", "related", "reportingController", "reportingInstance")


def core_event(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An Event of the core group."""
    yield from _any_event(obj, obj["involvedObject"], "reportingComponent", "message")


def new_event(obj: Obj, old: Obj | None) -> Iterator[Cause]:
    """An Event of events.k8s.io."""
    yield from _any_event(obj, obj["regarding"], "reportingController", "note")
    if old is not None:
        yield from _update(obj, old)
        return
    yield from _series(obj)
    if not obj.get("eventTime"):
        yield required("eventTime")
    if obj.get("type") not in ("Normal", "Warning"):
        yield invalid_value("type", "", f"has invalid value: {obj.get('type', '')}")
    legacy = {
        "firstTimestamp": obj.get("deprecatedFirstTimestamp"),
        "lastTimestamp": obj.get("deprecatedLastTimestamp"),
        "count": obj.get("deprecatedCount"),
        "source": obj.get("deprecatedSource"),
    }
    for name, value in legacy.items():
        if value:
            yield invalid_value(name, "", "needs to be unset")


def _any_event(obj: Obj, about: Obj, reporter: str, note: str) -> Iterator[Cause]:
    namespace, of_object = obj["metadata"].get("namespace", ""), about.get("namespace", "")
    path = "involvedObject.namespace"
    if not obj.get("eventTime"):
        if namespace != of_object and (of_object or namespace not in ("", "default")):
            yield invalid_value(path, of_object, _NAMESPACE_MISMATCH)
    else:
        if not of_object and namespace not in ("default", "kube-system"):
            yield invalid_value(path, of_object, _NAMESPACE_MISMATCH)
        yield from _modern(obj, reporter, note)
    yield from all_of("namespace", namespace, dns1123_subdomain)


def _modern(obj: Obj, reporter: str, note: str) -> Iterator[Cause]:
    controller = obj.get(reporter, "")
    if not controller:
        yield required(reporter)
    yield from all_of(reporter, controller, qualified_name)
    for name, limit in _LIMITS.items():
        value = obj.get(name, "")
        if not value:
            yield required(name)
        if len(value.encode()) > limit:
            yield invalid_value(name, "", f"can have at most {limit} characters")
    if len(obj.get(note, "").encode()) > _LONGEST_NOTE:
        yield invalid_value("message", "", f"can have at most {_LONGEST_NOTE} characters")


def _series(obj: Obj) -> Iterator[Cause]:
    series = obj.get("series")
    if series is None:
        return
    if series["count"] < 2:
        yield invalid_value("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")


def _update(obj: Obj, old: Obj) -> Iterator[Cause]:
    if obj.get("series") != old.get("series"):
        yield from _series(obj)
    yield from immutable("involvedObject", obj["regarding"], old["regarding"])
    yield from immutable("message", obj.get("note"), old.get("note"))
    for name in _FIXED:
        yield from immutable(name, obj.get(name), old.get(name))
