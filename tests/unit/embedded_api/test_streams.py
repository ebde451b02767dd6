import asyncio
import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pytest

from labctl.embedded.api.kubelet import ExecError, Streams
from labctl.embedded.api.streams import spdy, websocket
from labctl.embedded.http.messages import Duplex, Response
from tests.unit.embedded_api.server import PODS, Server, pod

SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}
SOCKET = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


class Pipe:
    """One end of a connection in memory."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.sent = bytearray()
        self.closed = asyncio.Event()

    async def read(self) -> bytes:
        return await self.incoming.get()

    async def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed.set()
        self.incoming.put_nowait(b"")


class FakeKubelet:
    """Echoes, exits with what it is told, and connects port 80 to an echo."""

    def logs(self, namespace: str, pod: str, container: str, **options: Any) -> bytes:
        return f"{namespace}/{pod}/{container} {sorted(k for k, v in options.items() if v)}\n".encode()

    async def exec(self, namespace: str, pod: str, container: str, command: Sequence[str], streams: Streams) -> int:
        if command[0] == "nope":
            raise ExecError('exec: "nope": executable file not found in $PATH')
        while streams.stdin and (data := await streams.stdin.read()):
            assert streams.stdout is not None
            await streams.stdout.write(data.upper())
        return int(command[1]) if len(command) > 1 else 0

    async def attach(self, namespace: str, pod: str, container: str, streams: Streams) -> int:
        assert streams.stdout is not None
        await streams.stdout.write(b"attached")
        return 0

    async def port_forward(self, namespace: str, pod: str, port: int) -> Duplex:
        if port != 80:
            raise ConnectionRefusedError(111, "Connection refused")
        target = Pipe()
        target.incoming.put_nowait(b"hello")
        target.incoming.put_nowait(b"")
        return target


class SpdyClient:
    """The client's side, as kubectl does it."""

    def __init__(self) -> None:
        self.deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
        self.number = -1

    def open(self, **headers: str) -> bytes:
        self.number += 2
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            block += struct.pack(">I", len(name)) + name.encode() + struct.pack(">I", len(value)) + value.encode()
        data = self.deflate.compress(block) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">IIH", self.number, 0, 0) + data
        return struct.pack(">HHI", 0x8003, 1, len(payload)) + payload

    def data(self, number: int, data: bytes, *, fin: bool = False) -> bytes:
        return struct.pack(">II", number, (int(fin) << 24) | len(data)) + data


def _received(sent: bytes) -> dict[int, bytes]:
    """The data frames, put together by stream."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(sent):
        first, second = struct.unpack_from(">II", sent, at)
        length = second & 0xFFFFFF
        if not first & 0x80000000:
            found[first] = found.get(first, b"") + sent[at + 8 : at + 8 + length]
        at += 8 + length
    return found


@pytest.fixture
def running(server: Server) -> Server:
    server.post(PODS, pod(nodeName="w1"))
    server.api.connect_kubelet(FakeKubelet())
    return server


def _serve(response: Response, pipe: Pipe) -> None:
    async def serve() -> None:
        assert response.status == 101
        assert response.upgrade is not None
        async with asyncio.timeout(3):
            await response.upgrade(pipe)

    asyncio.run(serve())


def _pipe(*pieces: bytes) -> Pipe:
    pipe = Pipe()
    for piece in pieces:
        pipe.incoming.put_nowait(piece)
    return pipe


def test_a_command_runs_over_spdy_with_its_exit_code(running: Server) -> None:
    response = running.respond("POST", f"{PODS}/p/exec?command=cat&command=7&stdin=1&stdout=1&stderr=1", headers=SPDY)
    assert dict(response.headers)["X-Stream-Protocol-Version"] == "v4.channel.k8s.io"
    client = SpdyClient()
    opened = [client.open(streamType=kind) for kind in ("error", "stdin", "stdout", "stderr")]
    # Frames may come in pieces of any size.
    whole = b"".join(opened) + client.data(3, b"he") + client.data(3, b"llo", fin=True)
    pipe = _pipe(*(whole[at : at + 7] for at in range(0, len(whole), 7)))
    _serve(response, pipe)
    found = _received(bytes(pipe.sent))
    assert found[5] == b"HELLO"
    status = json.loads(found[1])
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
    assert pipe.closed.is_set()


def test_a_command_that_cannot_start_says_so_on_the_error_stream(running: Server) -> None:
    response = running.respond("POST", f"{PODS}/p/exec?command=nope&stdout=1", headers=SPDY)
    client = SpdyClient()
    pipe = _pipe(client.open(streamType="error"), client.open(streamType="stdout"))
    _serve(response, pipe)
    status = json.loads(_received(bytes(pipe.sent))[1])
    assert 'error executing command in container: exec: "nope": executable file not found' in status["message"]


def test_a_client_that_leaves_ends_the_command(running: Server) -> None:
    response = running.respond("POST", f"{PODS}/p/exec?command=cat&stdin=1&stdout=1", headers=SPDY)
    client = SpdyClient()
    opened = b"".join(client.open(streamType=kind) for kind in ("error", "stdin", "stdout"))
    pipe = _pipe(opened, b"")
    _serve(response, pipe)
    assert pipe.closed.is_set()


def test_bytes_that_are_not_spdy_end_the_connection(running: Server) -> None:
    response = running.respond("POST", f"{PODS}/p/exec?command=cat&stdin=1&stdout=1", headers=SPDY)
    pipe = _pipe(b"\x80\x03\x00\x01\x00\x00\x00\x0cgarbage here")
    _serve(response, pipe)
    assert pipe.closed.is_set()


def _frame(data: bytes, kind: int = 2) -> bytes:
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    return bytes([0x80 | kind, 0x80 | len(data)]) + mask + masked


def _messages(sent: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(sent):
        length, start = sent[at + 1] & 0x7F, at + 2
        if length == 126:
            (length,) = struct.unpack_from(">H", sent, start)
            start += 2
        found.append(sent[start : start + length])
        at = start + length
    return found


def test_a_command_runs_over_a_websocket(running: Server) -> None:
    headers = SOCKET | {"Sec-WebSocket-Protocol": "v5.channel.k8s.io, v4.channel.k8s.io"}
    response = running.respond("GET", f"{PODS}/p/exec?command=cat&command=3&stdin=1&stdout=1&stderr=1", headers=headers)
    found = dict(response.headers)
    assert found["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert found["Sec-WebSocket-Protocol"] == "v5.channel.k8s.io"
    pipe = _pipe(_frame(b"\x00abc"), _frame(b"", 9), _frame(b"\xff\x00"))
    _serve(response, pipe)
    messages = _messages(bytes(pipe.sent))
    assert b"\x01ABC" in messages
    (status,) = [json.loads(message[1:]) for message in messages if message.startswith(b"\x03{")]
    assert status["details"]["causes"][0]["message"] == "3"


def test_a_container_is_attached_to(running: Server) -> None:
    headers = SOCKET | {"Sec-WebSocket-Protocol": "v4.channel.k8s.io"}
    response = running.respond("GET", f"{PODS}/p/attach?stdout=1", headers=headers)
    pipe = _pipe()
    _serve(response, pipe)
    messages = _messages(bytes(pipe.sent))
    assert messages[:2] == [b"\x01", b"\x01attached"]
    assert json.loads(messages[2][1:])["status"] == "Success"


def test_ports_are_forwarded_and_refusals_told(running: Server) -> None:
    headers = SPDY | {"X-Stream-Protocol-Version": "portforward.k8s.io"}
    response = running.respond("POST", f"{PODS}/p/portforward", headers=headers)
    client = SpdyClient()
    opened = [
        client.open(streamType=kind, port=port, requestID=number)
        for number, port in (("0", "80"), ("1", "81"))
        for kind in ("error", "data")
    ]
    pipe = _pipe(b"".join(opened))

    async def serve() -> None:
        assert response.upgrade is not None
        task = asyncio.ensure_future(response.upgrade(pipe))
        async with asyncio.timeout(3):
            while len(_received(bytes(pipe.sent))) < 4 or b"hello" not in pipe.sent:  # noqa: ASYNC110 - bounded above
                await asyncio.sleep(0)
            pipe.incoming.put_nowait(b"")
            await task

    asyncio.run(serve())
    found = _received(bytes(pipe.sent))
    assert found[3] == b"hello"
    assert found[5].startswith(b"error forwarding port 81 to pod p_default")
    assert found[5].endswith(b"Connection refused")


def test_logs_are_passed_on(running: Server) -> None:
    answer = running.get(f"{PODS}/p/log?tailLines=3&timestamps=true")
    assert answer.text == "default/p/c ['tail_lines', 'timestamps']\n"
    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{PODS}/p/log?container=nope", "container nope is not valid for pod p"),
        (f"{PODS}/p/log?tailLines=-2", "must be greater than or equal to 0"),
        (f"{PODS}/nope/log", 'pods "nope" not found'),
        (f"{PODS}/p/exec?stdout=1", "you must specify at least one command for the container"),
        (f"{PODS}/p/exec?command=ls", "you must specify at least 1 of stdin, stdout, stderr"),
        (f"{PODS}/p/exec?command=ls&stdout=1", "Upgrade request required"),
        (f"{PODS}/p/portforward", "Upgrade request required"),
    ],
)
def test_wrong_requests_about_a_pod_are_refused(running: Server, target: str, message: str) -> None:
    assert message in running.get(target).message


def test_a_pod_of_several_containers_wants_one_named(server: Server) -> None:
    containers = [{"name": name, "image": "nginx"} for name in ("a", "b")]
    server.post(PODS, pod("two", containers=containers, initContainers=[{"name": "i", "image": "nginx"}]))
    assert server.get(f"{PODS}/two/log").message == (
        "a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [i]"
    )


def test_the_header_dictionary_is_spdys() -> None:
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_websocket_messages_of_any_length_arrive() -> None:
    async def exchange(size: int) -> bytes | None:
        mask = b"\0\0\0\0"
        length = (
            bytes([0x80 | 126]) + struct.pack(">H", size) if size < 1 << 16 else bytes([0xFF]) + struct.pack(">Q", size)
        )
        socket = websocket.WebSocket(_pipe(b"\x82" + length + mask + b"x" * size))
        return await socket.receive()

    assert len(asyncio.run(exchange(300)) or b"") == 300
    assert len(asyncio.run(exchange(70000)) or b"") == 70000
    assert asyncio.run(exchange(5 << 20)) is None
