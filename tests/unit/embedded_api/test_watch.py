import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from tests.unit.embedded_api.server import CONFIG_MAPS, PODS, Server, events, pod
from tests.unit.embedded_api.test_requests import TABLE


def running(test: Callable[[Server], Coroutine[Any, Any, None]]) -> Callable[[Server], None]:
    """Run a test inside an event loop."""

    @functools.wraps(test)
    def run(server: Server) -> None:
        asyncio.run(test(server))

    return run


def _watch(server: Server, query: str, target: str = CONFIG_MAPS, **options: Any) -> AsyncIterator[bytes]:
    response = server.respond("GET", f"{target}?watch=1&{query}", **options)
    assert response.status == 200
    assert not isinstance(response.body, bytes)
    return response.body


def _create(server: Server, name: str, **labels: str) -> str:
    created = server.post(CONFIG_MAPS, {"metadata": {"name": name, "labels": labels}}).json
    return str(created["metadata"]["resourceVersion"])


def _seen(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in found]


@running
async def test_a_watch_begins_with_the_state_and_goes_on_with_changes(server: Server) -> None:
    _create(server, "a")
    stream = _watch(server, "")
    assert _seen(await events(stream, 1)) == [("ADDED", "a")]
    _create(server, "b")
    server.patch(f"{CONFIG_MAPS}/b", {"data": {"x": "1"}})
    server.delete(f"{CONFIG_MAPS}/a")
    assert _seen(await events(stream, 3)) == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")]
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert server.api._broadcaster.count() == 0


@running
async def test_a_watch_from_a_revision_gets_what_came_after_it(server: Server) -> None:
    revision = _create(server, "a")
    _create(server, "b")
    deleted = server.delete(f"{CONFIG_MAPS}/a")
    assert deleted.status == 200
    found = await events(_watch(server, f"resourceVersion={revision}"), 2)
    assert _seen(found) == [("ADDED", "b"), ("DELETED", "a")]
    assert int(found[1]["object"]["metadata"]["resourceVersion"]) == server.registry.store.revision


@running
async def test_a_revision_that_is_forgotten_gives_an_error_event(server: Server) -> None:
    server.registry.store.history._floor = 50
    (event,) = await events(_watch(server, "resourceVersion=7"), 1)
    assert event["type"] == "ERROR"
    assert event["object"]["message"] == "too old resource version: 7 (50)"
    assert event["object"]["code"] == 410


@running
async def test_objects_enter_and_leave_a_selected_watch(server: Server) -> None:
    _create(server, "a")
    stream = _watch(server, "labelSelector=x%3Dz&resourceVersion=" + str(server.registry.store.revision))
    server.patch(f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"x": "z"}}})
    server.patch(f"{CONFIG_MAPS}/a", {"data": {"k": "v"}})
    left = server.patch(f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"x": None}}}).json
    found = await events(stream, 3)
    assert _seen(found) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert found[2]["object"]["metadata"]["labels"] == {"x": "z"}
    assert found[2]["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


@running
async def test_a_watch_of_one_name_sees_only_that(server: Server) -> None:
    stream = _watch(server, "fieldSelector=metadata.name%3Db&resourceVersion=" + str(server.registry.store.revision))
    _create(server, "a")
    _create(server, "b")
    assert _seen(await events(stream, 1)) == [("ADDED", "b")]


@running
async def test_a_watch_as_a_table_says_its_columns_once(server: Server) -> None:
    stream = _watch(server, "", PODS, headers=TABLE)
    server.post(PODS, pod("a"))
    server.post(PODS, pod("b"))
    found = await events(stream, 2)
    assert [event["object"]["rows"][0]["cells"][0] for event in found] == ["a", "b"]
    assert found[0]["object"]["columnDefinitions"]
    assert found[1]["object"]["columnDefinitions"] is None


@running
async def test_initial_events_end_with_a_marked_bookmark(server: Server) -> None:
    _create(server, "a")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    found = await events(_watch(server, query), 2)
    assert _seen(found) == [("ADDED", "a"), ("BOOKMARK", "")]
    assert found[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert found[1]["object"]["kind"] == "ConfigMap"


@running
async def test_a_watch_ends_after_its_timeout(server: Server) -> None:
    stream = _watch(server, "timeoutSeconds=1&resourceVersion=" + str(server.registry.store.revision))
    async with asyncio.timeout(3):
        assert [piece async for piece in stream if piece] == []
    assert server.api._broadcaster.count() == 0


@running
async def test_a_watcher_that_does_not_read_is_cut_off(server: Server) -> None:
    stream = _watch(server, "resourceVersion=" + str(server.registry.store.revision))
    for number in range(1100):
        server.registry.create("configmaps", {"metadata": {"name": f"c{number}", "namespace": "default"}})
    async with asyncio.timeout(3):
        pieces = [piece async for piece in stream]
    assert sum(piece.count(b"\n") for piece in pieces) < 1000


@running
async def test_every_watcher_hears_of_a_change(server: Server) -> None:
    revision = server.registry.store.revision
    streams = [_watch(server, f"resourceVersion={revision}") for _ in range(200)]
    waiting = [asyncio.ensure_future(events(stream, 1)) for stream in streams]
    await asyncio.sleep(0)
    _create(server, "a")
    assert all(_seen(found) == [("ADDED", "a")] for found in await asyncio.gather(*waiting))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "resourceVersionMatch=Exact",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        ("sendInitialEvents=true", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
    ],
)
def test_wrong_watch_options_are_refused(server: Server, query: str, message: str) -> None:
    answer = server.get(f"{CONFIG_MAPS}?watch=1&{query}")
    assert answer.status == 422
    assert message in answer.message
