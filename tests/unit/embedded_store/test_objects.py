import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.embedded.clientset import ChangeType
from labctl.embedded.store import Commit, ConflictError, ExpiredError, Store, encode


def _obj(name: str, namespace: str = "default", **fields: object) -> dict[str, object]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, **fields}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "state.db")
    yield opened
    opened.close()


def test_every_change_takes_the_next_revision(store: Store) -> None:
    assert store.put("configmaps", _obj("a")).object["metadata"]["resourceVersion"] == "1"
    assert store.put("secrets", _obj("b")).object["metadata"]["resourceVersion"] == "2"
    assert store.remove("configmaps", _obj("a")).object["metadata"]["resourceVersion"] == "3"
    assert store.revision == 3


def test_revisions_and_objects_outlive_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.put("configmaps", _obj("a", data={"k": "é<>&"}))
    store.put("configmaps", _obj("b"))
    store.remove("configmaps", _obj("b"))
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.revision == 3
    entry = again.get("configmaps", "default", "a")
    assert entry is not None
    assert entry.object["data"] == {"k": "é<>&"}
    assert again.put("configmaps", _obj("c")).object["metadata"]["resourceVersion"] == "4"
    again.close()


def test_a_write_that_expects_another_state_is_refused(store: Store) -> None:
    store.put("configmaps", _obj("a"), "")
    with pytest.raises(ConflictError):
        store.put("configmaps", _obj("a"), "")
    with pytest.raises(ConflictError):
        store.put("configmaps", _obj("a"), "7")
    with pytest.raises(ConflictError):
        store.remove("configmaps", _obj("a"), "7")
    with pytest.raises(ConflictError):
        store.remove("configmaps", _obj("nope"))
    store.put("configmaps", _obj("a"), "1")
    assert store.revision == 2


def test_lists_are_in_the_order_of_etcds_keys(store: Store) -> None:
    for namespace, name in (("a", "x"), ("a-b", "x"), ("a", "b"), ("a", "a-1"), ("a", "a")):
        store.put("pods", _obj(name, namespace))
    found = [(e.object["metadata"]["namespace"], e.object["metadata"]["name"]) for e in store.entries("pods")]
    assert found == [("a-b", "x"), ("a", "a"), ("a", "a-1"), ("a", "b"), ("a", "x")]
    assert [e.object["metadata"]["name"] for e in store.entries("pods", "a")] == ["a", "a-1", "b", "x"]
    assert store.resources() == ["pods"]


def test_subscribers_hear_of_changes_in_order_with_both_states(store: Store) -> None:
    heard: list[Commit] = []
    stop = store.subscribe(heard.append)
    store.put("configmaps", _obj("a", data={"v": "1"}))
    store.put("configmaps", _obj("a", data={"v": "2"}))
    store.remove("configmaps", _obj("a", data={"v": "2"}))
    stop()
    store.put("configmaps", _obj("b"))
    assert [commit.change.type for commit in heard] == [ChangeType.ADDED, ChangeType.MODIFIED, ChangeType.DELETED]
    assert heard[0].change.previous is None
    assert heard[1].change.previous is heard[0].change.object
    assert heard[1].record.previous == encode(heard[0].change.object)
    assert [commit.record.revision for commit in heard] == [1, 2, 3]


def test_history_gives_what_came_after_a_revision(store: Store) -> None:
    for number in range(5):
        store.put("configmaps", _obj(f"c{number}", "a" if number % 2 else "b"))
    assert [record.revision for record in store.history.since(2, "configmaps")] == [3, 4, 5]
    assert [record.revision for record in store.history.since(0, "configmaps", "a")] == [2, 4]
    assert store.history.since(0, "secrets") == []


def test_history_is_bounded_and_says_where_it_begins(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db", max_records=3)
    for number in range(5):
        store.put("configmaps", _obj(f"c{number}"))
    assert store.history.floor == 2
    assert len(store.history.since(2, "configmaps")) == 3
    with pytest.raises(ExpiredError) as caught:
        store.history.since(1, "configmaps")
    assert caught.value.floor == 2
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.history.since(5, "configmaps") == []
    with pytest.raises(ExpiredError):
        again.history.since(4, "configmaps")
    again.close()


def test_history_is_bounded_in_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db", max_bytes=2000)
    for _ in range(20):
        store.put("configmaps", _obj("a", data={"v": "x" * 400}))
    assert 0 < len(store.history.since(store.history.floor, "configmaps")) < 6
    store.close()


def test_encoding_escapes_what_go_escapes() -> None:
    assert encode({"a": "<b>&é"}) == '{"a":"\\u003cb\\u003e\\u0026é"}'.encode()


def test_concurrent_writers_keep_revisions_in_commit_order(store: Store) -> None:
    heard: list[int] = []
    store.subscribe(lambda commit: heard.append(commit.record.revision))

    def write(writer: int) -> None:
        for number in range(30):
            store.put("configmaps", _obj(f"c{writer}-{number}"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == list(range(1, 121))
    assert store.count("configmaps") == 120


_OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from(["a", "b", "c"]), st.integers(0, 3)), max_size=30
)


@given(operations=_OPERATIONS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_stored_is_what_was_written_last(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "state.db"
    store = Store(path)
    model: dict[str, int] = {}
    for action, name, value in operations:
        if action == "put":
            store.put("configmaps", _obj(name, data=value))
            model[name] = value
        elif name in model:
            store.remove("configmaps", _obj(name))
            del model[name]
    revision = store.revision
    store.close()
    again = Store(path)
    assert {e.object["metadata"]["name"]: e.object["data"] for e in again.entries("configmaps")} == model
    assert again.revision == revision
    again.close()
