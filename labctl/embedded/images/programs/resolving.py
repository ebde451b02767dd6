"""Name resolution as a container's libc does it: /etc/hosts, then resolv.conf's servers with search list and ndots."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.embedded.http.messages import Duplex
from labctl.embedded.images import dns
from labctl.embedded.images.process import Process

DNS_TIMEOUT = 5.0
"""Seconds until a server that does not answer is given up (resolv.conf's default)."""


class ResolveError(Exception):
    """A name has no address; the text says why."""


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """/etc/resolv.conf."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1


def resolv_conf(process: Process) -> ResolvConf:
    """The container's /etc/resolv.conf as it is now."""
    try:
        text = process.files.read("/etc/resolv.conf").decode("utf-8", "replace")
    except OSError:
        return ResolvConf()
    servers: list[str] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver":
            servers += values[:1]
        elif key == "search":
            search = tuple(values)
        elif key == "options":
            for value in values:
                if value.startswith("ndots:") and value[6:].isdigit():
                    ndots = int(value[6:])
    return ResolvConf(tuple(servers), search, ndots)


def candidates(name: str, conf: ResolvConf) -> list[str]:
    """The names to try, in the order of the resolver."""
    if name.endswith("."):
        return [name.rstrip(".")]
    searched = [f"{name}.{domain}" for domain in conf.search]
    return [name, *searched] if name.count(".") >= conf.ndots else [*searched, name]


async def ask(process: Process, name: str, kind: str) -> dns.Answer:
    """One question to the container's name server.

    Raises:
        OSError: There is none, or it does not answer.
    """
    client = process.system.context.client
    if client is None or not resolv_conf(process).servers:
        raise TimeoutError("connection timed out; no servers could be reached")
    try:
        message = await asyncio.wait_for(client.query(dns.query(name, kind)), DNS_TIMEOUT)
        return dns.decode(message)
    except ValueError as error:
        raise TimeoutError(str(error)) from error


async def search(process: Process, name: str, kind: str) -> tuple[str, dns.Answer]:
    """Ask for a name with the search list; the name that answered (or the last one tried), and its answer."""
    tried = candidates(name, resolv_conf(process))
    answer, asked = dns.Answer("NXDOMAIN"), name
    for asked in tried:
        answer = await ask(process, asked, kind)
        if any(record.type == kind for record in answer.records):
            break
    return asked, answer


def from_hosts(process: Process, name: str) -> tuple[str, str]:
    """An address from /etc/hosts with its first, canonical name; empty for none."""
    try:
        text = process.files.read("/etc/hosts").decode("utf-8", "replace")
    except OSError:
        return "", ""
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if name in names and "." in address:
            return address, names[0]
    return "", ""


async def addresses(process: Process, name: str) -> list[str]:
    """A host's IPv4 addresses.

    Raises:
        ResolveError: It has none.
    """
    try:
        return [str(ipaddress.IPv4Address(name))]
    except ValueError:
        pass
    return [address for address, _ in await hosts(process, name)]


async def hosts(process: Process, name: str) -> list[tuple[str, str]]:
    """A host's IPv4 addresses, each with its canonical name.

    Raises:
        ResolveError: It has none.
    """
    address, canonical = ("127.0.0.1", name) if name == "localhost" else from_hosts(process, name)
    if address:
        return [(address, canonical)]
    try:
        _, answer = await search(process, name, "A")
    except OSError as error:
        raise ResolveError("name server does not answer") from error
    found = [(record.data, record.name.rstrip(".")) for record in answer.records if record.type == "A"]
    if not found:
        raise ResolveError(answer.rcode)
    return found


async def connect(process: Process, address: str, port: int) -> Duplex:
    """A TCP connection from the pod.

    Raises:
        OSError: As connect(2).
    """
    client = process.system.context.client
    if client is None:
        raise ConnectionRefusedError
    return await client.connect(process.system.context.pod_ip, (address, port))


async def first_answer(process: Process, found: Sequence[str], port: int) -> Duplex:
    """A connection to the first address that takes it.

    Raises:
        OSError: None did; the last one's error.
    """
    problem: OSError = ConnectionRefusedError()
    for address in found:
        try:
            return await connect(process, address, port)
        except OSError as error:
            problem = error
    raise problem
