"""Names outside the cluster: asked of this machine's own resolvers (CoreDNS's `forward . /etc/resolv.conf`)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import cast

from labctl.embedded.network.dnsmessage import Type, read_addresses, write_query

_TIMEOUT = 2.0
"""Seconds that one resolver is given."""


class Forwarder:
    """Sends queries on.

    Args:
        resolv_conf: Names the resolvers; read anew for each query, as it changes with the network.
        timeout: Seconds that each of them is given.
    """

    def __init__(self, resolv_conf: Path = Path("/etc/resolv.conf"), timeout: float = _TIMEOUT) -> None:
        self._resolv_conf = resolv_conf
        self._timeout = timeout

    async def exchange(self, message: bytes) -> bytes:
        """The reply of the first resolver that gives one; empty when none does."""
        for server in self._servers():
            with contextlib.suppress(OSError):  # TimeoutError is one
                async with asyncio.timeout(self._timeout):
                    return await _ask(server, message)
        return b""

    async def addresses(self, name: str) -> list[str]:
        """A name's IPv4 addresses; none when it has none or nobody answers."""
        reply = await self.exchange(write_query(name, Type.A))
        try:
            return read_addresses(reply)
        except ValueError:
            return []

    def _servers(self) -> list[str]:
        try:
            lines = self._resolv_conf.read_text().splitlines()
        except OSError:
            return []
        words = [line.split() for line in lines]
        return [fields[1] for fields in words if len(fields) > 1 and fields[0] == "nameserver"][:3]


async def _ask(server: str, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Reply, remote_addr=(server, 53))
    try:
        transport.sendto(message)
        while True:
            reply = await protocol.replies.get()
            if isinstance(reply, OSError):
                raise reply
            if reply[:2] == message[:2]:
                return reply
    finally:
        transport.close()


class _Reply(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.replies: asyncio.Queue[bytes | OSError] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.replies.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.replies.put_nowait(cast(OSError, exc))
