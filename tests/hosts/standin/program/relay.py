"""The way from one host to pods on another, in the place of flannel: node ports of agents end in the server's process.

An agent connects to the server's TCP port 8472 (flannel's number, which is UDP), and sends one line before the bytes:
`<client address> <node address> <node port>`. Like VXLAN, this is neither encrypted nor authenticated.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from labctl.embedded.http.messages import Duplex
from labctl.embedded.images.connection import Connection
from labctl.embedded.kubelet.dialer import PodDialer

PORT = 8472


async def serve(address: str, dialer: PodDialer) -> asyncio.Server:
    """The server's end."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            client, node, port = (await reader.readline()).decode().split()
            pod = await dialer.connect(client, (node, int(port)))
            await _both(_copy(reader.read, pod.write, pod), _back(pod, writer))
        writer.close()

    return await asyncio.start_server(connected, address, PORT, backlog=512)


async def node_port(address: str, port: int, server: str) -> asyncio.Server:
    """The agent's end: one node port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(server, PORT)
            back.write(f"{writer.get_extra_info('peername')[0]} {address} {port}\n".encode())
            await _both(_stream(reader, back), _stream(there, writer))
            back.close()
        writer.close()

    return await asyncio.start_server(connected, address, port, backlog=512)


async def tcp(address: str, port: int, target: tuple[str, int]) -> asyncio.Server:
    """A plain relay: what connects here is connected there."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(*target)
            await _both(_stream(reader, back), _stream(there, writer))
            back.close()
        writer.close()

    return await asyncio.start_server(connected, address, port, backlog=512)


async def _both(one: Awaitable[None], other: Awaitable[None]) -> None:
    """Run both directions; the connection ends when the second one does."""
    await asyncio.gather(one, other, return_exceptions=True)


async def _stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _copy(
    read: Callable[[int], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]], pod: Duplex
) -> None:
    while data := await read(65536):
        await write(data)
    if isinstance(pod, Connection):
        pod.write_eof()
    else:
        pod.close()


async def _back(pod: Duplex, writer: asyncio.StreamWriter) -> None:
    while data := await pod.read():
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
