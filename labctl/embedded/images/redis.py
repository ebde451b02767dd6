"""A small redis: the commands that the study's counter and `redis-cli` use, over RESP2."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from labctl.embedded.cni import PodPort
from labctl.embedded.http.messages import Flow
from labctl.embedded.images.catalogue import Content, Entry
from labctl.embedded.images.container import CommandImage, Server
from labctl.embedded.images.filesystem import Executable
from labctl.embedded.images.process import Exit, Process
from labctl.embedded.images.programs.layers import debian_layer
from labctl.embedded.images.programs.resolving import ResolveError, addresses, first_answer

PORT = 6379
VERSION = "7.4.2"
MAX_REQUEST = 4 * 1024 * 1024

Reply = bytes


class CommandError(Exception):
    """A command that is refused."""


@dataclass(slots=True)
class Store:
    """The keys, with their values and when they expire (monotonic seconds)."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    expiry: dict[bytes, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    def get(self, key: bytes) -> bytes | None:
        """A value that has not expired."""
        if self.expiry.get(key, float("inf")) <= self.clock():
            self.values.pop(key, None)
            self.expiry.pop(key, None)
        return self.values.get(key)

    def set(self, key: bytes, value: bytes) -> None:
        """Set a value, without expiry."""
        self.values[key] = value
        self.expiry.pop(key, None)


def simple(text: str) -> Reply:
    """A simple string."""
    return f"+{text}\r\n".encode()


def integer(number: int) -> Reply:
    """An integer."""
    return f":{number}\r\n".encode()


def bulk(data: bytes | None) -> Reply:
    """A bulk string; None is nil."""
    return b"$-1\r\n" if data is None else b"$%d\r\n%s\r\n" % (len(data), data)


def array(items: Sequence[bytes]) -> Reply:
    """An array of bulk strings."""
    return b"*%d\r\n" % len(items) + b"".join(bulk(item) for item in items)


def execute(store: Store, command: Sequence[bytes]) -> Reply:
    """Run one command."""
    name = command[0].upper().decode("latin-1")
    arguments = command[1:]
    found = _COMMANDS.get(name)
    try:
        if found is None:
            shown = " ".join(f"'{argument.decode('latin-1')}'" for argument in arguments[:3])
            given = command[0].decode("latin-1")
            raise CommandError(f"ERR unknown command '{given}', with args beginning with: {shown}")
        least, most, run = found
        if not least <= len(arguments) <= most:
            raise CommandError(f"ERR wrong number of arguments for '{name.lower()}' command")
        return run(store, arguments)
    except CommandError as error:
        return f"-{error}\r\n".encode("latin-1")


def _ping(store: Store, arguments: Sequence[bytes]) -> Reply:
    return bulk(arguments[0]) if arguments else simple("PONG")


def _set(store: Store, arguments: Sequence[bytes]) -> Reply:
    key, value, *options = arguments
    words = [option.upper() for option in options]
    exists = store.get(key) is not None
    if (b"NX" in words and exists) or (b"XX" in words and not exists):
        return bulk(None)
    store.set(key, value)
    for unit, factor in ((b"EX", 1.0), (b"PX", 0.001)):
        if unit in words:
            at = words.index(unit) + 1
            if at >= len(options) or not options[at].isdigit():
                raise CommandError("ERR syntax error")
            store.expiry[key] = store.clock() + int(options[at]) * factor
    return simple("OK")


def _add(store: Store, key: bytes, amount: int) -> Reply:
    value = store.get(key) or b"0"
    if not re.fullmatch(rb"-?\d+", value):
        raise CommandError("ERR value is not an integer or out of range")
    total = int(value) + amount
    store.values[key] = str(total).encode()
    return integer(total)


def _amount(text: bytes) -> int:
    if not re.fullmatch(rb"-?\d+", text):
        raise CommandError("ERR value is not an integer or out of range")
    return int(text)


def _delete(store: Store, arguments: Sequence[bytes]) -> Reply:
    return integer(sum(store.values.pop(key, None) is not None for key in arguments))


def _ttl(store: Store, arguments: Sequence[bytes]) -> Reply:
    if store.get(arguments[0]) is None:
        return integer(-2)
    until = store.expiry.get(arguments[0])
    return integer(-1 if until is None else max(round(until - store.clock()), 0))


def _expire(store: Store, arguments: Sequence[bytes]) -> Reply:
    if store.get(arguments[0]) is None:
        return integer(0)
    store.expiry[arguments[0]] = store.clock() + _amount(arguments[1])
    return integer(1)


def _keys(store: Store, arguments: Sequence[bytes]) -> Reply:
    pattern = arguments[0].decode("latin-1")
    alive = [key for key in list(store.values) if store.get(key) is not None]
    return array([key for key in alive if fnmatchcase(key.decode("latin-1"), pattern)])


def _info(store: Store, arguments: Sequence[bytes]) -> Reply:
    section = arguments[0].lower() if arguments else b"all"
    text = ""
    if section in (b"all", b"default", b"everything", b"server"):
        text += f"# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nos:Linux\r\ntcp_port:{PORT}\r\n\r\n"
    if section in (b"all", b"default", b"everything", b"keyspace"):
        text += f"# Keyspace\r\ndb0:keys={len(store.values)},expires={len(store.expiry)}\r\n"
    return bulk(text.encode())


def _flush(store: Store, arguments: Sequence[bytes]) -> Reply:
    store.values.clear()
    store.expiry.clear()
    return simple("OK")


_MANY = 1000
_COMMANDS: Mapping[str, tuple[int, int, Callable[[Store, Sequence[bytes]], Reply]]] = {
    "PING": (0, 1, _ping),
    "ECHO": (1, 1, lambda store, arguments: bulk(arguments[0])),
    "GET": (1, 1, lambda store, arguments: bulk(store.get(arguments[0]))),
    "SET": (2, 5, _set),
    "INCR": (1, 1, lambda store, arguments: _add(store, arguments[0], 1)),
    "DECR": (1, 1, lambda store, arguments: _add(store, arguments[0], -1)),
    "INCRBY": (2, 2, lambda store, arguments: _add(store, arguments[0], _amount(arguments[1]))),
    "DECRBY": (2, 2, lambda store, arguments: _add(store, arguments[0], -_amount(arguments[1]))),
    "DEL": (1, _MANY, _delete),
    "EXISTS": (1, _MANY, lambda store, arguments: integer(sum(store.get(key) is not None for key in arguments))),
    "KEYS": (1, 1, _keys),
    "TTL": (1, 1, _ttl),
    "EXPIRE": (2, 2, _expire),
    "DBSIZE": (0, 0, lambda store, arguments: integer(len(store.values))),
    "FLUSHALL": (0, 1, _flush),
    "FLUSHDB": (0, 1, _flush),
    "INFO": (0, 1, _info),
    "SELECT": (1, 1, lambda store, arguments: simple("OK")),
    "CLIENT": (1, _MANY, lambda store, arguments: simple("OK")),
    "COMMAND": (0, _MANY, lambda store, arguments: array([])),
    "QUIT": (0, 0, lambda store, arguments: simple("OK")),
}


class RedisProtocol(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are no subclasses

    def data_received(self, data: bytes) -> None:
        """Answer every complete command."""
        assert self._transport is not None
        self._data += data
        try:
            while (parsed := parse_command(self._data)) is not None:
                command, self._data = parsed
                if command:
                    self._transport.write(execute(self._store, command))
                    if command[0].upper() == b"QUIT":
                        self._transport.close()
        except ValueError as error:
            self._transport.write(f"-ERR Protocol error: {error}\r\n".encode())
            self._transport.close()


def parse_command(data: bytes) -> tuple[list[bytes], bytes] | None:
    """The first complete command and what follows it; None while it is incomplete.

    Raises:
        ValueError: It is no RESP.
    """
    if len(data) > MAX_REQUEST:
        raise ValueError("too big request")
    line, newline, rest = data.partition(b"\r\n")
    if not data.startswith(b"*"):
        line, newline, rest = data.partition(b"\n")
        return (line.split(), rest) if newline else None
    if not newline:
        return None
    command: list[bytes] = []
    for _ in range(_length(line[1:], "invalid multibulk length")):
        head, newline, rest = rest.partition(b"\r\n")
        if not newline:
            return None
        if not head.startswith(b"$"):
            raise ValueError(f"expected '$', got '{head[:1].decode('latin-1')}'")
        size = _length(head[1:], "invalid bulk length")
        if len(rest) < size + 2:
            return None
        command.append(rest[:size])
        rest = rest[size + 2 :]
    return command, rest


def _length(text: bytes, problem: str) -> int:
    if not text.isdigit() or int(text) > MAX_REQUEST:
        raise ValueError(problem)
    return int(text)


def _ports(process: Process) -> Mapping[int, PodPort]:
    log = process.system.context.log
    arguments = list(process.argv[1:])
    port = PORT
    if "--port" in arguments[:-1]:
        port = int(arguments[arguments.index("--port") + 1])
    store = Store()
    stamp = time.strftime("%d %b %Y %H:%M:%S.000", time.gmtime())
    log(f"1:M {stamp} * Server initialized")
    log(f"1:M {stamp} * Ready to accept connections tcp")

    def connected(flow: Flow) -> asyncio.BaseProtocol:
        return RedisProtocol(store)

    return {port: PodPort(connected)}


async def redis_cli(process: Process) -> int:
    """`redis-cli [-h host] [-p port] command…`."""
    arguments = list(process.argv[1:])
    host, port = "127.0.0.1", PORT
    while len(arguments) > 1 and arguments[0] in ("-h", "-p"):
        option, value = arguments.pop(0), arguments.pop(0)
        host, port = (value, port) if option == "-h" else (host, int(value))
    if not arguments:
        raise Exit(1, "redis-cli: give a command; the prompt is not known in the embedded cluster\n")
    try:
        connection = await first_answer(process, await addresses(process, host), port)
    except ResolveError as error:
        raise Exit(1, f"Could not connect to Redis at {host}:{port}: Name or service not known\n") from error
    except OSError as error:
        why = error.strerror or "Connection refused"
        raise Exit(1, f"Could not connect to Redis at {host}:{port}: {why}\n") from error
    await connection.write(array([argument.encode() for argument in arguments]))
    data = b""
    while not _complete(data):
        piece = await connection.read()
        if not piece:
            break
        data += piece
    connection.close()
    await process.print(_shown(data, tty=process.tty))
    return 0


def _complete(data: bytes) -> bool:
    if data[:1] in (b"+", b"-", b":"):
        return data.endswith(b"\r\n")
    if data.startswith(b"*"):
        try:
            return parse_command(data) is not None
        except ValueError:
            return True
    head, newline, rest = data.partition(b"\r\n")
    return bool(newline) and (head == b"$-1" or len(rest) >= int(head[1:] or b"0") + 2)


def _shown(data: bytes, *, tty: bool) -> str:
    kind, text = data[:1], data[1:].decode("utf-8", "replace")
    if kind == b"+":
        return text.replace("\r\n", "\n")
    if kind == b":":
        return ("(integer) " if tty else "") + text.replace("\r\n", "\n")
    if kind == b"-":
        return ("(error) " if tty else "") + text.replace("\r\n", "\n")
    if kind == b"*":
        parsed = parse_command(data)
        return "".join(f"{item.decode('utf-8', 'replace')}\n" for item in (parsed[0] if parsed else []))
    if data.startswith(b"$-1"):
        return "(nil)\n" if tty else "\n"
    body = data.partition(b"\r\n")[2][:-2].decode("utf-8", "replace")
    return f'"{body}"\n' if tty else f"{body}\n"


def redis_images() -> list[Entry]:
    """The entry of redis."""

    def build(tag: str) -> Content:
        rootfs = debian_layer(
            {
                "/usr/local/bin/redis-server": Executable(Server(_ports)),
                "/usr/local/bin/redis-cli": Executable(redis_cli),
            }
        )
        return Content(CommandImage(cmd=("redis-server",)), rootfs)

    return [Entry(("docker.io/library/redis", "docker.io/bitnami/redis"), build, size_bytes=45_000_000)]
