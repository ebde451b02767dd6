"""The echo pods that answered in the recording: what they saw, as JSON, steered by `x-echo-…` request headers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.conformance import material, world

_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(slots=True)
class _Pod:
    name: str
    delay: float = 0.0
    servers: list[asyncio.Server] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)


class EchoPods:
    """All echo pods of one world, on loopback sockets: 8080 plain, 8443 TLS (only a1)."""

    def __init__(self, addresses: world.Addresses, port: int = 8080, tls_port: int = 8443) -> None:
        self._addresses = addresses
        self._ports = (port, tls_port)
        self._pods = {name: _Pod(name) for name in world.pods()}
        self._black_holes: list[socket.socket] = []
        self._hits: list[str] = []
        self._tls = _server_context()

    async def start(self) -> None:
        """Listen."""
        for pod in self._pods.values():
            await self._open(pod)
        self._dig_black_hole()

    async def stop(self) -> None:
        """Close everything."""
        for pod in self._pods.values():
            await self._close(pod)
        for sock in self._black_holes:
            sock.close()

    async def control(self, path: str) -> str:
        """`/reset`, `/hits`, `/down/a1`, `/up/a1`, `/delay/a1/0.2`."""
        words = path.strip("/").split("/")
        if words[0] == "reset":
            self._hits.clear()
        elif words[0] == "hits":
            return json.dumps(self._hits)
        elif words[0] == "down":
            await self._close(self._pods[words[1]])
        elif words[0] == "up":
            await self._open(self._pods[words[1]])
        elif words[0] == "delay":
            self._pods[words[1]].delay = float(words[2])
        return "ok"

    async def _open(self, pod: _Pod) -> None:
        address = self._addresses.local(world.pod_address(pod.name))
        for port, context in zip(self._ports, (None, self._tls), strict=True):
            if context is not None and pod.name != "a1":
                continue

            async def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: bool = context is not None
            ) -> None:
                await self._serve(pod, reader, writer, tls=tls)

            pod.servers.append(await asyncio.start_server(serve, address, port, ssl=context, limit=1 << 20))

    async def _close(self, pod: _Pod) -> None:
        for server in pod.servers:
            server.close()
        pod.servers.clear()
        for writer in list(pod.writers):
            writer.transport.abort()

    def _dig_black_hole(self) -> None:
        """A listener with a full backlog: the kernel drops every further SYN."""
        address = (self._addresses.local(f"{world.BLACK_HOLE}1"), self._ports[0])
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(0)
        self._black_holes.append(listener)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(address)
            self._black_holes.append(filler)

    # One connection

    async def _serve(self, pod: _Pod, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, tls: bool) -> None:
        pod.writers.add(writer)
        try:
            while await self._request(pod, reader, writer, tls=tls):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            return
        finally:
            pod.writers.discard(writer)
            writer.close()

    async def _request(
        self, pod: _Pod, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, tls: bool
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head[:-4].split("\r\n")
        method, path, proto = line.split(" ", 2)
        headers = [[name, value.strip()] for name, _, value in (text.partition(":") for text in rest)]
        fields = {name.lower(): value for name, value in headers}
        body = await _body(reader, fields)
        self._hits.append(pod.name)
        seen = {
            "pod": pod.name,
            "path": path,
            "host": fields.get("host"),
            "method": method,
            "proto": proto,
            "tls": tls,
            "headers": headers,
            "client": self._addresses.recorded(writer.get_extra_info("peername")[0]),
            "body_len": len(body),
            "chunked_in": fields.get("transfer-encoding", "").lower() == "chunked",
        }
        if "x-echo-abort" in fields:
            writer.transport.abort()
            return False
        delay = pod.delay + float(fields.get("x-echo-delay") or 0)
        if delay:
            await asyncio.sleep(delay)
        if fields.get("upgrade", "").lower() == "websocket":
            await _websocket(pod, writer, headers, fields)
            return False
        await _respond(writer, method, headers, fields, seen)
        return proto == "HTTP/1.1" and fields.get("connection", "").lower() != "close"


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return body
    return await reader.readexactly(int(fields.get("content-length") or 0))


async def _respond(
    writer: asyncio.StreamWriter,
    method: str,
    headers: Sequence[Sequence[str]],
    fields: dict[str, str],
    seen: dict[str, Any],
) -> None:
    size = fields.get("x-echo-size")
    body = b"x" * int(size) if size is not None else json.dumps(seen).encode()
    extra = [value.partition(":") for name, value in headers if name.lower() == "x-echo-header"]
    kind = next((value.strip() for name, _, value in extra if name.lower() == "content-type"), "application/json")
    lines = [f"HTTP/1.1 {fields.get('x-echo-status', '200')} Echo", f"Content-Type: {kind}"]
    chunked = "x-echo-chunked" in fields
    lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
    lines.append(f"X-Pod: {seen['pod']}")
    lines += [f"{name}: {value.strip()}" for name, _, value in extra if name.lower() != "content-type"]
    if "x-echo-header-size" in fields:
        lines.append("X-Big: " + "y" * int(fields["x-echo-header-size"]))
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if method == "HEAD":
        body, chunked = b"", False
    half = len(body) // 2
    for piece, wait in ((body[:half], float(fields.get("x-echo-body-delay") or 0)), (body[half:], 0.0)):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked and piece else piece)
        if wait:
            await writer.drain()
            await asyncio.sleep(wait)
    if chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _websocket(
    pod: _Pod, writer: asyncio.StreamWriter, headers: Sequence[Sequence[str]], fields: dict[str, str]
) -> None:
    """Accept, and send what was seen as the first message."""
    key = fields.get("sec-websocket-key", "").encode()
    accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET, usedforsecurity=False).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
        f"X-Pod: {pod.name}",
        "\r\n",
    ]
    payload = json.dumps({"pod": pod.name, "headers": headers}).encode()
    length = len(payload).to_bytes(2, "big")
    writer.write("\r\n".join(lines).encode() + b"\x81\x7e" + length + payload)
    await writer.drain()


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_pair(context, material.key_pair("echo", "echo"))
    return context


def load_pair(context: ssl.SSLContext, pair: material.KeyPair) -> None:
    """Give a context a certificate that is not on disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(pair.certificate + pair.key)
        context.load_cert_chain(path)
