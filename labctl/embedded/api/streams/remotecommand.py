"""exec and attach: a process's streams over SPDY or WebSocket.

Source: k8s.io/kubelet `pkg/cri/streaming/remotecommand`, protocols v2 to v5 of `channel.k8s.io`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labctl.embedded.api.errors import bad_request, internal
from labctl.embedded.api.kubelet import ExecError, Streams
from labctl.embedded.api.streams import websocket
from labctl.embedded.api.streams.spdy import SpdySession, SpdyStream
from labctl.embedded.api.streams.websocket import WebSocket
from labctl.embedded.clientset import ApiError, Obj
from labctl.embedded.http.messages import Duplex, Request, Response
from labctl.embedded.store import encode

Run = Callable[[Streams], Awaitable[int]]
"""Runs the process with the client's streams; returns its exit code."""

_SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
_SOCKET_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", "")
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_CREATION_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The streams that the client wants."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @property
    def types(self) -> set[str]:
        """The stream types it will open, besides `resize`."""
        found = {"error"}
        for name in ("stdin", "stdout", "stderr"):
            if getattr(self, name):
                found.add(name)
        return found - {"stderr"} if self.tty else found


def upgrade(request: Request, wanted: Wanted, run: Run) -> Response:
    """The answer that connects a client with a process.

    Raises:
        ApiError: 400, the client does not ask for an upgrade that is known here.
    """
    if websocket.is_upgrade(request):
        offered = websocket.offered_protocols(request)
        chosen = websocket.choose(offered or [""], _SOCKET_PROTOCOLS)
        if chosen is None:
            raise bad_request(f"unable to negotiate a WebSocket protocol from {', '.join(offered)}")
        serve = _SocketCommand(wanted, run, chosen)
        return Response(101, websocket.accept_headers(request, chosen), upgrade=serve)
    offered = [value.strip() for key, value in request.headers if key.lower() == "x-stream-protocol-version"]
    if not spdy_upgrade(request):
        raise bad_request("Upgrade request required")
    protocol = websocket.choose(offered or ["channel.k8s.io"], _SPDY_PROTOCOLS)
    if protocol is None:
        words = f"unable to negotiate protocol: client supports [{' '.join(offered)}], server accepts "
        raise ApiError(403, "Forbidden", f"{words}[{' '.join(_SPDY_PROTOCOLS)}]")
    headers = [("Upgrade", "SPDY/3.1"), ("Connection", "Upgrade"), ("X-Stream-Protocol-Version", protocol)]
    return Response(101, headers, upgrade=_SpdyCommand(wanted, run, protocol))


def spdy_upgrade(request: Request) -> bool:
    """Whether the client asks for SPDY."""
    connection = (request.header("Connection") or "").lower()
    return "upgrade" in connection and (request.header("Upgrade") or "").lower() == "spdy/3.1"


async def _outcome(run: Run, streams: Streams) -> Obj:
    """Run the process, and say how it ended as the error stream's Status."""
    try:
        code = await run(streams)
    except ExecError as error:
        # Said twice by the real one: the container runtime's answer is an internal error to the kubelet, too.
        return internal(internal(f"error executing command in container: {error}").message).status()
    except ApiError as error:
        return error.status()
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


async def until_gone(work: Awaitable[Obj], reading: asyncio.Task[None]) -> Obj | None:
    """The work's result; None when the client leaves first, which ends the work."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, reading], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        return task.result()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return None


class _SpdyCommand:
    """Serves one SPDY connection; called with it."""

    def __init__(self, wanted: Wanted, run: Run, protocol: str) -> None:
        self._wanted = wanted
        self._run = run
        self._protocol = protocol

    async def __call__(self, connection: Duplex) -> None:
        session = SpdySession(connection)
        reading = asyncio.ensure_future(session.run())
        try:
            async with asyncio.timeout(_CREATION_TIMEOUT):
                streams = await self._streams(session)
            if streams is None:
                return
            await session.flush()
            outcome = await until_gone(_outcome(self._run, _spdy_streams(streams, self._wanted)), reading)
            if outcome is not None:
                await self._finish(session, streams, outcome)
        except (TimeoutError, ConnectionError):
            # The client did not open its streams, or left before it heard the end.
            return
        finally:
            session.close()
            reading.cancel()

    async def _streams(self, session: SpdySession) -> dict[str, SpdyStream] | None:
        found: dict[str, SpdyStream] = {}
        while not self._wanted.types <= found.keys():
            stream = await session.accept()
            if stream is None:
                return None
            found[stream.headers.get("streamtype", "")] = stream
        return found

    async def _finish(self, session: SpdySession, streams: dict[str, SpdyStream], outcome: Obj) -> None:
        for name in ("stdout", "stderr"):
            if name in streams:
                streams[name].close()
        if self._protocol == _SPDY_PROTOCOLS[0]:
            await streams["error"].write(encode(outcome))
        elif outcome["status"] != "Success":
            await streams["error"].write(str(outcome.get("message", "")).encode())
        streams["error"].close()
        await session.flush()


def _spdy_streams(streams: dict[str, SpdyStream], wanted: Wanted) -> Streams:
    return Streams(streams.get("stdin"), streams.get("stdout"), streams.get("stderr"), wanted.tty)


class _Channel:
    """One channel of a WebSocket: messages with its number in front."""

    def __init__(self, socket: WebSocket, number: int) -> None:
        self._socket = socket
        self._number = bytes([number])
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._rest = b""
        self._ended = False

    def received(self, data: bytes) -> None:
        """Bytes from the client; empty at the end."""
        self._pieces.put_nowait(data)

    async def read(self, size: int = 65536) -> bytes:
        """At most `size` bytes; empty at the end."""
        if not self._rest and not self._ended:
            self._rest = await self._pieces.get()
            self._ended = not self._rest
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        await self._socket.send(self._number + data)

    def close(self) -> None:
        """Channels end with the connection."""


class _SocketCommand:
    """Serves one WebSocket; called with its connection."""

    def __init__(self, wanted: Wanted, run: Run, protocol: str) -> None:
        self._wanted = wanted
        self._run = run
        self._protocol = protocol

    async def __call__(self, connection: Duplex) -> None:
        socket = WebSocket(connection)
        channels = {number: _Channel(socket, number) for number in (_STDIN, _STDOUT, _STDERR, _ERROR)}
        reading = asyncio.ensure_future(_read(socket, channels[_STDIN]))
        wanted = self._wanted
        streams = Streams(
            channels[_STDIN] if wanted.stdin else None,
            channels[_STDOUT] if wanted.stdout else None,
            channels[_STDERR] if wanted.stderr and not wanted.tty else None,
            wanted.tty,
        )
        try:
            # Clients wait for a first message to know that the process is connected.
            await channels[_STDOUT if wanted.stdout else _ERROR].write(b"")
            outcome = await until_gone(_outcome(self._run, streams), reading)
            if outcome is not None:
                if self._protocol.startswith(("v4", "v5")):
                    await channels[_ERROR].write(encode(outcome))
                elif outcome["status"] != "Success":
                    await channels[_ERROR].write(str(outcome.get("message", "")).encode())
            await socket.close()
        except ConnectionError:
            # The client left before it heard the end.
            return
        finally:
            connection.close()
            reading.cancel()


async def _read(socket: WebSocket, stdin: _Channel) -> None:
    """Hand the client's messages to where they belong, until it is gone."""
    while (message := await socket.receive()) is not None:
        if message[:1] == bytes([_STDIN]) and len(message) > 1:
            stdin.received(message[1:])
        elif message == bytes([_CLOSE, _STDIN]):
            stdin.received(b"")
    stdin.received(b"")
