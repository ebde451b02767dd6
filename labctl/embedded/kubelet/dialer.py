"""How processes in pods reach others: Services, pods, and the world outside."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Awaitable, Callable

from labctl.embedded.cni import PodNetwork
from labctl.embedded.http.messages import Duplex, Flow
from labctl.embedded.images.connection import Connection

Place = tuple[str, int]

Translate = Callable[[Place, str], tuple[Place, str]]
"""(destination, source address) → where kube-proxy sends it, and the source seen there.

Raises ConnectionRefusedError where it refuses, TimeoutError where it drops.
"""

Exchange = Callable[[bytes], Awaitable[bytes]]
"""A DNS question in wire format → its answer."""

LOOPBACK = ipaddress.ip_network("127.0.0.0/24")
"""What a pod means by localhost; the rest of 127.0.0.0/8 is the embedded cluster."""


SYN_TIMEOUT = 127.0
"""Seconds until Linux gives up a connection that nobody answers (tcp_syn_retries = 6)."""


class PodDialer:
    """Implements `cri.NetworkClient` for all pods.

    Args:
        network: The pod network.
        translate: kube-proxy's decision.
        dns: The cluster's DNS; None while there is none.
    """

    def __init__(self, network: PodNetwork, translate: Translate, dns: Exchange | None = None) -> None:
        self._network = network
        self._translate = translate
        self._dns = dns

    async def connect(self, source: str, address: Place) -> Duplex:
        """See NetworkClient."""
        client = (source, 32768 + int.from_bytes(os.urandom(2), "big") % 28232)
        if ipaddress.ip_address(address[0]) in LOOPBACK:
            return self._to_pod(client, (source, address[1]), own=True)
        try:
            place, seen = self._translate(address, source)
        except TimeoutError:
            # Dropped packets: the client's kernel tries for as long as tcp_syn_retries says.
            await asyncio.sleep(SYN_TIMEOUT)
            raise
        if self._network.port_at(*place) is not None or self._network.is_pod(place[0]):
            return self._to_pod((seen, client[1]), place)
        reader, writer = await asyncio.open_connection(*place)
        return _Socket(reader, writer)

    async def query(self, message: bytes) -> bytes:
        """See NetworkClient."""
        if self._dns is None:
            raise TimeoutError("connection timed out; no servers could be reached")
        return await self._dns(message)

    def _to_pod(self, client: Place, place: Place, *, own: bool = False) -> Duplex:
        server = self._network.port_at(*place)
        if server is None:
            raise ConnectionRefusedError(111, "Connection refused")
        flow = Flow(("127.0.0.1", client[1]), ("127.0.0.1", place[1])) if own else Flow(client, place)
        return Connection(server, flow)


class _Socket:
    """A real TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        return await self._reader.read(65536)

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow."""
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """Close both directions."""
        self._writer.close()
