"""A plan carried out over scripted hosts: the order, partial failure, and that hosts are not waited for in turn."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.env import Clock
from labctl.events import StepDone, StepFailed
from labctl.k3s import layout
from labctl.k3s.apply import Builder
from labctl.k3s.artifacts import Artifact, Artifacts, file_sha256
from labctl.k3s.plan import Wishes, make_plan
from labctl.model.inventory import Inventory, Node, Role
from labctl.ssh.fleet import HostsError
from labctl.ssh.transport import Completed, HostError
from labctl.testing.clock import FakeClock
from labctl.testing.sink import RecordingSink
from labctl.testing.transport import ScriptedTransport
from tests.unit.k3s.world import SERVER, empty, inventory


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode()) + b"\n"


Journal = dict[str, tuple[str, bytes]]


class Bed:
    """Hosts that answer as k3s's do; a host's state and log can be set by name."""

    def __init__(self, cluster: Inventory, binary: Path, pause: float = 0.0) -> None:
        self.order: list[tuple[str, str]] = []
        self.states: Journal = {}
        self.version = b"k3s version v1.30.14+k3s1 (abc)\n"
        self.lock = threading.Lock()
        self.transports = {node.name: self._host(node, pause) for node in cluster.nodes}
        artifact = Artifact(binary, file_sha256(binary), binary.stat().st_size)
        self.wishes = Wishes(Artifacts({"amd64": artifact}))

    def _host(self, node: Node, pause: float) -> ScriptedTransport:
        def script(command: str, given: bytes) -> Completed:
            text = given.decode()
            for part, word in (
                (f"for f in {layout.NODE_TOKEN}", "ask"),
                ("systemctl restart", "start"),
                ("systemctl show", "look"),
                ("--version", "unpack"),
                (f"put 600 {layout.JOIN_TOKEN}", "token"),
                ("put 600 /etc/rancher/k3s/config.yaml", "write"),
            ):
                if part in text:
                    return self._answer(node.name, word)
            return Completed(0)

        def upload(command: str, given: bytes) -> Completed:
            return self._answer(node.name, "upload")

        transport = ScriptedTransport(node.name, {"labctl-partial": upload, "exec /bin/sh -s": script})
        if pause:
            transport.before = lambda: time.sleep(pause)
        return transport

    def _answer(self, host: str, word: str) -> Completed:
        with self.lock:
            self.order.append((host, word))
        active, journal = self.states.get(host, ("active", b""))
        outputs: dict[str, bytes] = {
            "ask": b64("K10abc::server:x\n") + b64("kind: Config\n"),
            "look": f"ActiveState={active}\nNRestarts=0\n".encode() + journal,
            "unpack": self.version,
            "start": b"2026-01-01 00:00:00\n",
        }
        return Completed(0, outputs.get(word, b""))

    def words(self, host: str) -> list[str]:
        return [word for name, word in self.order if name == host and word != "look"]


@pytest.fixture
def make_bed(tmp_path: Path) -> Callable[..., tuple[Bed, Builder, RecordingSink]]:
    def make(cluster: Inventory, clock: Clock | None = None, pause: float = 0.0) -> tuple[Bed, Builder, RecordingSink]:
        binary = tmp_path / "k3s"
        binary.write_bytes(b"binary")
        bed = Bed(cluster, binary, pause)
        plan = make_plan(cluster, {node.name: empty(node) for node in cluster.nodes}, bed.wishes)
        sink = RecordingSink()
        return bed, Builder(plan, bed.transports, clock or FakeClock().clock(), sink, timeout=60), sink

    return make


Make = Callable[..., tuple[Bed, Builder, RecordingSink]]


def test_agents_are_staged_before_and_started_after_the_server_answers(make_bed: Make) -> None:
    bed, builder, _ = make_bed(inventory())
    joined = builder.build()
    assert joined.token.reveal().strip() == "K10abc::server:x"
    assert bed.words("k3s-s") == ["write", "upload", "unpack", "start", "ask"]
    assert bed.words("k3s-w1") == ["write", "upload", "unpack", "token", "start"]
    asked = bed.order.index(("k3s-s", "ask"))
    assert all(bed.order.index((f"k3s-w{n}", "token")) > asked for n in (1, 2, 3))


def test_further_servers_join_one_after_another_before_the_agents(make_bed: Make) -> None:
    nodes = (
        *(Node(f"s{n}", Role.SERVER, f"10.0.0.{n}") for n in range(3)),
        Node("w", Role.AGENT, "10.0.0.9"),
    )
    bed, builder, _ = make_bed(inventory(nodes))
    builder.build()
    starts = [host for host, word in bed.order if word == "start"]
    assert starts == ["s0", "s1", "s2", "w"]
    assert bed.order.index(("s2", "start")) > bed.order.index(("s1", "look"))


def test_an_agent_that_is_refused_is_named_and_the_others_are_up(make_bed: Make) -> None:
    clock = FakeClock()
    bed, builder, sink = make_bed(inventory(), clock.clock())
    bed.states["k3s-w2"] = ("activating", b'level=error msg="Node password rejected, duplicate hostname"\n')
    with pytest.raises(HostsError) as caught:
        builder.build()
    assert list(caught.value.failed) == ["k3s-w2"]
    assert "k3s-w2: k3s-agent does not start: the server knows another node of this name" in caught.value.message
    assert "labctl node remove" in caught.value.hint
    assert clock.seconds < 10
    assert {event.id for event in sink.of(StepDone)} >= {"k3s-w1/start", "k3s-w3/start"}
    assert [event.id for event in sink.of(StepFailed)] == ["k3s-w2/start"]


def test_a_start_that_never_succeeds_ends_at_the_deadline_with_the_log(make_bed: Make) -> None:
    clock = FakeClock()
    bed, builder, _ = make_bed(inventory((SERVER,)), clock.clock())
    bed.states["k3s-s"] = (
        "activating",
        b'time="2026" level=info msg="Waiting; token K10deadbeefdeadbeefaa::server:pw"\n',
    )
    with pytest.raises(HostError) as caught:
        builder.build()
    assert "k3s is not up after 60 s (activating)" in caught.value.message
    assert "Waiting; token ***" in caught.value.message
    assert caught.value.exit_status == 5
    assert 60 <= clock.seconds < 62


def test_the_token_is_in_no_command(make_bed: Make) -> None:
    bed, builder, _ = make_bed(inventory())
    builder.build()
    assert not [ran for host in bed.transports.values() for ran in host.ran if "K10abc" in ran.command]


def test_sixteen_hosts_take_as_long_as_the_slowest_not_as_long_as_all(make_bed: Make) -> None:
    pause = 0.05
    agents = tuple(Node(f"w{n}", Role.AGENT, f"10.0.1.{n}") for n in range(15))
    bed, builder, _ = make_bed(inventory((SERVER, *agents)), Clock(), pause)
    begun = time.monotonic()
    builder.build()
    elapsed = time.monotonic() - begun
    trips = [len(host.ran) for host in bed.transports.values()]
    in_turn = sum(trips) * pause
    assert elapsed < in_turn / 3, f"{elapsed:.2f} s for {trips} round trips"


def test_a_build_without_a_release_is_k3s_and_anything_else_is_not(make_bed: Make) -> None:
    bed, builder, _ = make_bed(inventory((SERVER,)))
    bed.version = b"k3s version v1.34+unknown (HEAD)\n"
    builder.build()
    bed, builder, _ = make_bed(inventory((SERVER,)))
    bed.version = b"hello\n"
    with pytest.raises(HostError, match=r"k3s-s: /usr/local/bin/k3s does not say a version: 'hello'"):
        builder.build()
