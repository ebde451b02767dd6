from __future__ import annotations

import base64

from labctl.objects.kubeconfig import build, merge, without

NEW = build("study", "https://127.0.10.10:6443", b"CA", b"CERT", b"KEY")
OLD = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "work", "cluster": {"server": "https://default.example"}}],
    "users": [{"name": "work", "user": {"token": "t"}}],
    "contexts": [{"name": "default", "context": {"cluster": "work", "user": "work"}}],
    "current-context": "default",
    "extensions": [{"name": "kept"}],
}


def test_a_built_kubeconfig_is_complete() -> None:
    assert NEW["current-context"] == "study"
    data = NEW["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(data) == b"CA"


def test_merging_keeps_everything_of_the_users() -> None:
    merged = merge(OLD, NEW)
    assert [entry["name"] for entry in merged["clusters"]] == ["work", "study"]
    assert merged["clusters"][0]["cluster"]["server"] == "https://default.example"
    assert merged["extensions"] == [{"name": "kept"}]
    assert merged["current-context"] == "study"
    assert merge(OLD, NEW, switch=False)["current-context"] == "default"


def test_merging_twice_changes_nothing_and_replaces_in_place() -> None:
    once = merge(OLD, NEW)
    assert merge(once, NEW) == once
    moved = build("study", "https://127.0.10.11:6443", b"CA", b"CERT", b"KEY")
    assert [c["cluster"]["server"] for c in merge(once, moved)["clusters"]] == [
        "https://default.example",
        "https://127.0.10.11:6443",
    ]


def test_merging_into_nothing() -> None:
    merged = merge({}, NEW)
    assert {**NEW, **merged} == NEW


def test_removing_gives_back_what_was_there() -> None:
    back = without(merge(OLD, NEW, switch=False), "study")
    assert back == OLD
    assert without(merge(OLD, NEW), "study")["current-context"] == ""
