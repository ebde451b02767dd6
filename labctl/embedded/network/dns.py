"""The cluster's DNS server: over UDP and TCP on the kube-dns address, and for callers in the process."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from labctl.embedded.clientset import Clientset
from labctl.embedded.network.dnsmessage import (
    Question,
    Rcode,
    Record,
    Reply,
    Type,
    read_question,
    udp_limit,
    write_error,
    write_reply,
)
from labctl.embedded.network.forwarder import Forwarder
from labctl.embedded.network.pods import LoopbackNetwork
from labctl.embedded.network.table import ServiceTable
from labctl.embedded.network.zone import ClusterZone


class ClusterDns:
    """Answers for Services, endpoints, pods and nodes; forwards everything else.

    Args:
        clientset: Where Services and EndpointSlices are read.
        network: The address plan and the sockets.
        forwarder: Asks the resolvers of this machine.
    """

    def __init__(self, clientset: Clientset, network: LoopbackNetwork, forwarder: Forwarder | None = None) -> None:
        settings = network.settings
        self._clientset = clientset
        self._network = network
        self._forwarder = forwarder or Forwarder()
        self._table = ServiceTable()
        self._serial = int(time.time())
        self._zone = ClusterZone(self._table, settings.nodes, settings.dns_address)
        self._place = settings.dns_place
        self._unsubscribe: Callable[[], None] | None = None
        self._udp: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Follow the API, and listen on the DNS service's address where that is possible."""
        self._unsubscribe = self._table.follow(self._clientset, self._changed)
        self._network.sockets.listen(self._place, "cluster DNS", lambda _: _Stream(self.exchange))
        bound = self._network.sockets.bind_datagram(self._place, "cluster DNS")
        if bound is not None:
            loop = asyncio.get_running_loop()
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.exchange), sock=bound)

    def stop(self) -> None:
        """Close the sockets."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        self._network.sockets.close(self._place)

    async def exchange(self, message: bytes, *, datagram: bool = False) -> bytes:
        """The reply to a query in wire format; empty for what deserves none.

        Args:
            message: The query.
            datagram: The reply has to fit what the client takes over UDP.
        """
        try:
            question = read_question(message)
        except ValueError:
            return write_error(message, Rcode.FORMERR)
        reply = self._local(question)
        if reply is None:
            return await self._forwarder.exchange(message) or write_error(message, Rcode.SERVFAIL)
        reply = await self._completed(question, reply)
        limit = udp_limit(question) if datagram else 65535
        return write_reply(message, question, _shuffled(reply), limit=limit)

    def _local(self, question: Question) -> Reply | None:
        if question.opcode:
            return Reply(Rcode.NOTIMP, authoritative=False)
        if question.klass != 1:
            return Reply(Rcode.REFUSED, authoritative=False)
        return self._zone.answer(question.name, question.type, self._serial)

    async def _completed(self, question: Question, reply: Reply) -> Reply:
        """With the addresses of an ExternalName, which only others know."""
        last = reply.answers[-1] if reply.answers else None
        if last is None or last.type is not Type.CNAME or question.type != Type.A:
            return reply
        addresses = await self._forwarder.addresses(last.data)
        found = (Record(last.data, Type.A, last.ttl, address) for address in addresses)
        return replace(reply, answers=(*reply.answers, *found))

    def _changed(self, _: str) -> None:
        self._serial = max(self._serial, int(time.time()))


def _shuffled(reply: Reply) -> Reply:
    """Addresses in random order, as the `loadbalance` plugin sends them."""
    addresses = [record for record in reply.answers if record.type in (Type.A, Type.AAAA)]
    if len(addresses) < 2:
        return reply
    others = [record for record in reply.answers if record.type not in (Type.A, Type.AAAA)]
    return replace(reply, answers=(*others, *random.sample(addresses, len(addresses))))


class _Datagrams(asyncio.DatagramProtocol):
    """DNS over UDP."""

    def __init__(self, exchange: Callable[..., Awaitable[bytes]]) -> None:
        self._exchange = exchange
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        if reply := await self._exchange(data, datagram=True):
            self._transport.sendto(reply, addr)


class _Stream(asyncio.Protocol):
    """DNS over TCP: messages with their length before them, answered in the order they came."""

    def __init__(self, exchange: Callable[..., Awaitable[bytes]]) -> None:
        self._exchange = exchange
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def _next(self) -> None:
        if len(self._buffer) < 2:
            return
        end = 2 + int(struct.unpack_from("!H", self._buffer)[0])
        if len(self._buffer) >= end:
            message, self._buffer = self._buffer[2:end], self._buffer[end:]
            self._task = asyncio.get_running_loop().create_task(self._answer(message))

    async def _answer(self, message: bytes) -> None:
        reply = await self._exchange(message)
        self._task = None
        if not reply:
            self._transport.close()
            return
        self._transport.write(struct.pack("!H", len(reply)) + reply)
        self._next()
