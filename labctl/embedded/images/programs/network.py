"""Programs that look at the network: nslookup, dig, host, getent, nc, ip, ping."""

from __future__ import annotations

import asyncio
import hashlib
import time

from labctl.embedded.http.messages import Duplex
from labctl.embedded.images import dns
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.options import parse_options
from labctl.embedded.images.programs.resolving import (
    ResolveError,
    addresses,
    ask,
    first_answer,
    hosts,
    resolv_conf,
    search,
)

NO_SERVERS = ";; connection timed out; no servers could be reached\n"


async def nslookup(process: Process) -> int:
    """`nslookup [-type=type] name [server]`, as BIND's tools print it."""
    return await _nslookup(process, "#53")


async def busybox_nslookup(process: Process) -> int:
    """`nslookup [-type=type] name [server]`, as busybox prints it."""
    return await _nslookup(process, ":53")


async def _nslookup(process: Process, port: str) -> int:
    kind, names = "A", []
    for argument in process.argv[1:]:
        if argument.startswith(("-type=", "-query=", "-q=")):
            kind = argument.partition("=")[2].upper()
        else:
            names.append(argument)
    if not names or kind not in dns.TYPES:
        raise Exit(1, "nslookup: usage: nslookup [-type=QUERY_TYPE] HOST [DNS_SERVER]\n")
    servers = resolv_conf(process).servers
    server = servers[0] if servers else "127.0.0.1"
    name = names[0]
    if name.replace(".", "").isdigit() and name.count(".") == 3:
        name, kind = dns.reverse_name(name) + ".", "PTR"
    try:
        asked, answer = await search(process, name, kind)
    except OSError:
        await process.print(NO_SERVERS + "\n")
        return 1
    await process.print(f"Server:\t\t{server}\nAddress:\t{server}{port}\n\n")
    if answer.rcode != "NOERROR":
        await process.print(f"** server can't find {asked if answer.rcode == 'NXDOMAIN' else name}: {answer.rcode}\n\n")
        return 1
    await process.print("".join(_lookup_line(record, asked) for record in answer.records) + "\n")
    return 0


def _lookup_line(record: dns.Record, asked: str) -> str:
    if record.type in ("A", "AAAA"):
        return f"Name:\t{record.name}\nAddress: {record.data}\n"
    words = {"CNAME": "canonical name", "PTR": "name", "SRV": "service", "TXT": "text", "NS": "nameserver"}
    return f"{record.name}\t{words.get(record.type, record.type)} = {record.data}\n"


async def dig(process: Process) -> int:
    """`dig [@server] [+short] [+search] [name] [type]`, `dig -x address`."""
    name, kind, flags = _dig_arguments(list(process.argv[1:]))
    asked = name.rstrip(".")
    try:
        if "+search" in flags:
            asked, answer = await search(process, asked, kind)
        else:
            answer = await ask(process, asked, kind)
    except OSError:
        await process.print(NO_SERVERS)
        return 9
    if "+short" in flags:
        await process.print("".join(f"{record.data}\n" for record in answer.records))
        return 0
    await process.print(_dig_text(process, asked, kind, answer))
    return 0


def _dig_arguments(arguments: list[str]) -> tuple[str, str, list[str]]:
    name, kind = "", "A"
    flags: list[str] = []
    while arguments:
        argument = arguments.pop(0)
        if argument == "-x" and arguments:
            name, kind = dns.reverse_name(arguments.pop(0)), "PTR"
        elif argument == "-t" and arguments:
            kind = arguments.pop(0).upper()
        elif argument.startswith("+"):
            flags.append(argument)
        elif argument.upper() in dns.TYPES:
            kind = argument.upper()
        elif not argument.startswith(("@", "-")):
            name = argument
    if not name or kind not in dns.TYPES:
        raise Exit(1, "dig: usage: dig [+short] [+search] NAME [TYPE]\n")
    return name, kind, flags


def _dig_text(process: Process, name: str, kind: str, answer: dns.Answer) -> str:
    server = (resolv_conf(process).servers or ("",))[0]
    flags = "qr" + (" aa" if answer.authoritative else "") + " rd" + (" ra" if answer.recursion else "")
    rows = "".join(f"{row.name + '.':<23} {row.ttl}\tIN\t{row.type}\t{row.data}\n" for row in answer.records)
    answers = f";; ANSWER SECTION:\n{rows}\n" if rows else ""
    return (
        f"\n; <<>> DiG 9.18.33 <<>> {' '.join(process.argv[1:])}\n;; global options: +cmd\n;; Got answer:\n"
        f";; ->>HEADER<<- opcode: QUERY, status: {answer.rcode}, id: {answer.id}\n"
        f";; flags: {flags}; QUERY: 1, ANSWER: {len(answer.records)}, AUTHORITY: 0, ADDITIONAL: 0\n\n"
        f";; QUESTION SECTION:\n;{name + '.':<23}\tIN\t{kind}\n\n{answers}"
        f";; Query time: 0 msec\n;; SERVER: {server}#53({server}) (UDP)\n"
        f";; WHEN: {time.strftime('%a %b %d %H:%M:%S UTC %Y', time.gmtime())}\n\n"
    )


async def host(process: Process) -> int:
    """`host name`."""
    if len(process.argv) < 2:
        raise Exit(1, "host: usage: host NAME\n")
    name = process.argv[-1]
    try:
        _, answer = await search(process, name, "A")
    except OSError:
        await process.print(NO_SERVERS)
        return 1
    if not answer.records:
        await process.print(f"Host {name} not found: 3({answer.rcode})\n")
        return 1
    await process.print("".join(f"{row.name} has address {row.data}\n" for row in answer.records if row.type == "A"))
    return 0


async def getent(process: Process) -> int:
    """`getent hosts name`."""
    if len(process.argv) < 3 or process.argv[1] not in ("hosts", "ahosts", "ahostsv4"):
        raise Exit(1, "getent: only `getent hosts NAME` is known in the embedded cluster\n")
    try:
        found = await hosts(process, process.argv[2])
    except ResolveError:
        return 2
    await process.print("".join(f"{address:<15} {name}\n" for address, name in found))
    return 0


async def nc(process: Process) -> int:
    """`nc [-z] [-v] [-w seconds] host port`."""
    options = parse_options(process, "zvnw:l:u", permute=True)
    if options.any("l", "u") or len(options.operands) != 2 or not options.operands[1].isdigit():
        raise Exit(1, "nc: only `nc [-z] [-v] [-w SECS] HOST PORT` is known in the embedded cluster\n")
    name, port = options.operands[0], int(options.operands[1])
    try:
        found = await addresses(process, name)
        opening = first_answer(process, found, port)
        connection = await asyncio.wait_for(opening, float(options.number("w", 30)))
    except ResolveError as error:
        raise Exit(1, f"nc: bad address '{name}'\n") from error
    except OSError as error:
        why = "timed out" if isinstance(error, TimeoutError) else "Connection refused"
        raise Exit(1, f"nc: {name} ({port}): {why}\n" if "v" in options or "z" not in options else "") from error
    if "v" in options:
        await process.stderr.write(f"{name} ({found[0]}:{port}) open\n".encode())
    if "z" not in options:
        await _converse(process, connection)
    connection.close()
    return 0


async def _converse(process: Process, connection: Duplex) -> None:
    """Standard input to the connection, the connection to standard output, until the other side closes."""

    async def send() -> None:
        while piece := await process.stdin.read():
            await connection.write(piece)

    sending = asyncio.get_running_loop().create_task(send())
    try:
        while piece := await _read_or_idle(connection, sending):
            await process.stdout.write(piece)
    finally:
        sending.cancel()


async def _read_or_idle(connection: Duplex, sending: asyncio.Task[None]) -> bytes:
    # After the input's end a server that keeps the connection open is given a moment, as `nc -q 1` does.
    reading = asyncio.ensure_future(connection.read())
    while True:
        done, _ = await asyncio.wait({reading}, timeout=1.0 if sending.done() else 0.2)
        if done:
            return reading.result()
        if sending.done():
            reading.cancel()
            return b""


async def ip(process: Process) -> int:
    """`ip addr` and `ip route`."""
    words = [word for word in process.argv[1:] if not word.startswith("-")]
    what = words[0] if words else ""
    own = process.system.context.pod_ip
    network = own.rpartition(".")[0]
    if what in ("a", "ad", "addr", "address"):
        await process.print(_ip_addr(own))
    elif what in ("r", "ro", "route"):
        wide = ".".join(own.split(".")[:2]) + ".0.0/16"
        lines = [f"default via {network}.1 dev eth0 ", f"{wide} via {network}.1 dev eth0 "]
        await process.print("\n".join([*lines, f"{network}.0/24 dev eth0 scope link  src {own} ", ""]))
    else:
        raise Exit(1, "ip: only `ip addr` and `ip route` are known in the embedded cluster\n")
    return 0


def _link_local(mac: list[int]) -> str:
    """The address that a network card makes itself from its hardware address (EUI-64)."""
    parts = [mac[0] ^ 0x02, *mac[1:3], 0xFF, 0xFE, *mac[3:]]
    return "fe80::" + ":".join(f"{parts[at] << 8 | parts[at + 1]:x}" for at in range(0, 8, 2))


def _ip_addr(own: str) -> str:
    digest = hashlib.sha256(own.encode()).digest()
    mac = [digest[0] & 0xFE | 0x02, *digest[1:6]]
    hardware = ":".join(f"{byte:02x}" for byte in mac)
    network = own.rpartition(".")[0]
    return (
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000\n"
        "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"
        "    inet 127.0.0.1/8 scope host lo\n"
        "       valid_lft forever preferred_lft forever\n"
        "    inet6 ::1/128 scope host \n"
        "       valid_lft forever preferred_lft forever\n"
        f"2: eth0@if{2 + digest[6]}: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1450 qdisc noqueue qlen 1000\n"
        f"    link/ether {hardware} brd ff:ff:ff:ff:ff:ff\n"
        f"    inet {own}/24 brd {network}.255 scope global eth0\n"
        "       valid_lft forever preferred_lft forever\n"
        f"    inet6 {_link_local(mac)}/64 scope link \n"
        "       valid_lft forever preferred_lft forever\n"
    )


async def unavailable(process: Process) -> int:
    """A program that needs what a process on loopback does not have."""
    name = process.argv[0].rpartition("/")[2]
    raise Exit(1, f"{name}: the embedded cluster has no packets, only connections; try nc -z or curl\n")
