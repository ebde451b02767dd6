"""Recorded sessions that need no time to pass; `python -m tests.sessions` replays them all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.sessions.matching import agrees
from tests.sessions.place import Place
from tests.sessions.recording import BUNDLED, Session, load
from tests.sessions.runner import FIRST_PLACE, Replay
from tests.tools import tool

QUICK = {"crd", "create-dryrun-client", "valid-deploy-create", "valid-misc-create", "valid-pod-create"}
SESSIONS = [session for session in load(BUNDLED) if session.name in QUICK]
needs_tools = pytest.mark.skipif(tool("kubectl") is None, reason="the package that carries kubectl is not installed")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"), FIRST_PLACE - 2)
    made.up(pace=0.0, ingress=False)
    try:
        yield made
    finally:
        made.down()


@needs_tools
@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_the_recorded_steps(place: Place, session: Session) -> None:
    result = asyncio.run(Replay(session, place, 0.0).run())
    assert result.compared
    assert [(failure.step.command, failure.got) for failure in result.failures] == []


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ("pod/<pod:web:1> created", "pod/web-7d9c5f6b8-abcde created"),
        ("<ip:pod:1> <ip:svc:1> <nodeport:1> <age>", "172.16.3.7 10.10.200.9 31234 3m2s"),
        ("a   b", "a     b"),
        ("<pod:a:1> x\n<pod:a:2> y", "a-1-bbbbb y\na-1-ccccc x"),
        ("<pod:a:1>  <ip:pod:1>  k3s-w1", "a-1-bbbbb  172.16.1.2  k3s-w2"),
        ("uid: <uid:1>\nuid: <uid:1>", "\n".join(["uid: 0badba00-f34a-46bc-bea8-438b908452a7"] * 2)),
    ],
)
def test_what_agrees(expected: str, got: str) -> None:
    assert agrees(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ("pod/<pod:web:1> created", "pod/other-7d9c5f6b8-abcde created"),
        ("<age>", "soon"),
        ("a\nb", "b\na"),
        ("k3s-w1  Ready", "k3s-w2  Ready"),
        ("<pod:a:1>\n<pod:a:2>", "a-1-bbbbb"),
        ("uid: <uid:1>", "uid: no"),
        ("Error from server", ""),
    ],
)
def test_what_does_not(expected: str, got: str) -> None:
    assert not agrees(expected, got)
