"""TLS passthrough: connections for some hosts go to their Service undecrypted, by the name in the ClientHello."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from labctl.embedded.http.messages import Duplex

Dial = Callable[[str, int], Awaitable[Duplex]]
"""Opens a connection to a Service's address; raises OSError."""


@dataclass(frozen=True, slots=True)
class PassthroughTable:
    """Where hosts go, by name.

    Attributes:
        targets: Cluster IP and port of each host's Service.
        dial: How to get there.
    """

    dial: Dial
    targets: Mapping[str, tuple[str, int]] = field(default_factory=dict)


class Client(Protocol):
    """The client's side."""

    def write_raw(self, data: bytes) -> None:
        """Send as it is."""

    def close(self) -> None:
        """Close."""


class Relay:
    """Carries bytes between a client and a Service until one of them ends.

    Args:
        client: The client's side.
        first: What the client has sent already.
    """

    def __init__(self, client: Client, first: bytes) -> None:
        self._client = client
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting.put_nowait(first)
        self._task: asyncio.Task[None] | None = None

    def start(self, dial: Dial, target: tuple[str, int]) -> None:
        """Connect and carry."""
        self._task = asyncio.get_running_loop().create_task(self._run(dial, target))

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        self._waiting.put_nowait(data)

    def stop(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, dial: Dial, target: tuple[str, int]) -> None:
        try:
            service = await dial(*target)
        except OSError:
            self._client.close()
            return
        upwards = asyncio.get_running_loop().create_task(self._upwards(service))
        try:
            while data := await service.read():
                self._client.write_raw(data)
        except OSError:
            pass
        finally:
            upwards.cancel()
            service.close()
            self._client.close()

    async def _upwards(self, service: Duplex) -> None:
        while True:
            await service.write(await self._waiting.get())


class _Streams:
    """A TCP connection as a Duplex."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(65536)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


async def dial_directly(host: str, port: int) -> Duplex:
    """Open a TCP connection of our own."""
    return _Streams(*await asyncio.wait_for(asyncio.open_connection(host, port), 5.0))
