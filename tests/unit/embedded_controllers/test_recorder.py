from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import EventRecorder, Note
from tests.unit.embedded_controllers.cluster import MemoryClientset

NOW = 1_800_000_000.123456
WEB: Obj = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "lab", "uid": "u", "resourceVersion": "7"},
}


def _record(api: MemoryClientset, *messages: str, step: float = 1.0, reason: str = "R") -> list[Obj]:
    recorder = EventRecorder(api)
    for number, message in enumerate(messages):
        recorder.record(WEB, Note(reason, message), NOW + number * step, component="deployment-controller")
    return api.list("events")


def test_an_event_looks_as_recorded() -> None:
    api = MemoryClientset()
    (event,) = _record(api, "Scaled up")
    metadata = event["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (f"web.{int(NOW * 1e9):x}", "lab")
    assert {field: value for field, value in event.items() if field != "metadata"} == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "kind": "Deployment",
            "namespace": "lab",
            "name": "web",
            "uid": "u",
            "apiVersion": "apps/v1",
            "resourceVersion": "7",
        },
        "reason": "R",
        "message": "Scaled up",
        "source": {"component": "deployment-controller"},
        "firstTimestamp": "2027-01-15T08:00:00Z",
        "lastTimestamp": "2027-01-15T08:00:00Z",
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "deployment-controller",
        "reportingInstance": "",
    }


def test_equal_events_are_counted() -> None:
    (event,) = _record(MemoryClientset(), "a", "a", "a")
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
        3,
        "2027-01-15T08:00:00Z",
        "2027-01-15T08:00:02Z",
    )


def test_the_tenth_different_message_of_a_reason_begins_to_combine() -> None:
    events = _record(MemoryClientset(), *(f"m{number}" for number in range(12)))
    assert len(events) == 10
    combined = events[-1]
    assert combined["message"] == "(combined from similar events): m11"
    assert combined["count"] == 3


def test_after_ten_quiet_minutes_messages_are_told_apart_again() -> None:
    api = MemoryClientset()
    recorder = EventRecorder(api)
    for number in range(9):
        recorder.record(WEB, Note("R", f"m{number}"), NOW, component="c")
    recorder.record(WEB, Note("R", "later"), NOW + 601, component="c")
    assert sorted(event["message"] for event in api.list("events"))[0] == "later"


def test_a_chatty_source_is_held_back_after_twenty_five_events() -> None:
    api = MemoryClientset()
    recorder = EventRecorder(api)
    for number in range(40):
        recorder.record(WEB, Note(f"Reason{number}", "m"), NOW, component="c")
    assert len(api.list("events")) == 25
    recorder.record(WEB, Note("Later", "m"), NOW + 301, component="c")
    assert len(api.list("events")) == 26


def test_an_event_that_was_deleted_meanwhile_is_written_anew() -> None:
    api = MemoryClientset()
    recorder = EventRecorder(api)
    recorder.record(WEB, Note("R", "m"), NOW, component="c")
    first = api.list("events")[0]["metadata"]["name"]
    api.delete("events", "lab", first)
    recorder.record(WEB, Note("R", "m"), NOW + 1, component="c")
    (event,) = api.list("events")
    assert event["count"] == 1


def test_an_event_about_a_cluster_scoped_object_lies_in_default() -> None:
    api = MemoryClientset()
    node: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u"}}
    EventRecorder(api).record(node, Note("R", "m"), NOW, component="kubelet", host="n1", field_path="spec")
    (event,) = api.list("events")
    assert event["metadata"]["namespace"] == "default"
    assert event["source"] == {"component": "kubelet", "host": "n1"}
    assert event["involvedObject"]["fieldPath"] == "spec"
