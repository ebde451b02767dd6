"""The client that sends a case's requests as the recording's did, and takes the answers apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

from cryptography import x509

from labctl.conformance import material, world
from labctl.conformance.echo import load_pair

Json = dict[str, Any]
Dial = Callable[[int], tuple[str, int]]
_TIMEOUT = 20.0
_LIMIT = 1 << 22


@dataclass(slots=True)
class Connection:
    """A client connection with what TLS settled on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    tls: Json | None = None


@dataclass(slots=True)
class Client:
    """Sends requests.

    Attributes:
        dial: From the controller's port to an address to connect to.
        addresses: How recorded addresses map to loopback ones.
        bind: Whether to connect from the client's mapped address.
    """

    dial: Dial
    addresses: world.Addresses
    bind: bool = True
    jars: dict[str, dict[str, str]] = field(default_factory=dict)
    kept: dict[str, Connection] = field(default_factory=dict)

    async def close(self) -> None:
        """Close kept connections."""
        for connection in self.kept.values():
            connection.writer.close()
        self.kept.clear()

    async def send(self, request: Json) -> Json:
        """Send one request; returns what was observed, in the corpus' schema."""
        began = time.monotonic()
        try:
            observed = await asyncio.wait_for(self._send(request), float(request.get("timeout", _TIMEOUT)))
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as error:
            observed = {"error": f"{type(error).__name__}: {error}"}
        except TimeoutError:
            observed = {"error": "TimeoutError: timed out"}
        elapsed = time.monotonic() - began
        if elapsed > 0.5:
            observed["elapsed"] = round(elapsed, 2)
        return observed

    async def _send(self, request: Json) -> Json:
        name = request.get("reuse")
        connection = self.kept.pop(name, None) if name else None
        if connection is not None and connection.reader.at_eof():
            connection.writer.close()
            connection = None
        if connection is None:
            connection = await self._connect(request)
        keep = False
        try:
            connection.writer.write(self._bytes(request))
            observed, keep = await _read_response(connection.reader, request)
            self._store_cookies(request, observed)
            if connection.tls is not None:
                observed["tls"] = connection.tls
            return observed
        finally:
            if name and keep:
                self.kept[name] = connection
            else:
                connection.writer.close()
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    await connection.writer.wait_closed()

    async def _connect(self, request: Json) -> Connection:
        secure = request.get("scheme") == "https"
        host, port = self.dial(int(request.get("port") or (443 if secure else 80)))
        source = (self.addresses.local(request.get("from", world.CLIENT)), 0) if self.bind else None
        if not secure:
            reader, writer = await asyncio.open_connection(host, port, local_addr=source, limit=_LIMIT)
            return Connection(reader, writer)
        name = "" if request.get("nosni") else str(request.get("sni") or str(request.get("host", "")).split(":")[0])
        if name.replace(".", "").isdigit():
            name = ""
        reader, writer = await asyncio.open_connection(
            host, port, local_addr=source, limit=_LIMIT, ssl=_context(request), server_hostname=name
        )
        return Connection(reader, writer, _tls_facts(writer, name))

    def _bytes(self, request: Json) -> bytes:
        if "raw" in request:
            return str(request["raw"]).encode("latin-1")
        body = request.get("body", b"")
        data = b"x" * body if isinstance(body, int) else str(body).encode() if body else b""
        lines = [f"{request.get('method', 'GET')} {request.get('path', '/')} HTTP/{request.get('http', '1.1')}"]
        given = request.get("headers") or {}
        pairs = list(given.items()) if isinstance(given, dict) else [tuple(pair) for pair in given]
        names = {str(name).lower() for name, _ in pairs}
        if "host" in request and "host" not in names:
            lines.append(f"Host: {request['host']}")
        for name, value in (("User-Agent", "lab/1"), ("Accept", "*/*")):
            if name.lower() not in names:
                lines.append(f"{name}: {value}")
        cookies = {**self.jars.get(request.get("jar", ""), {}), **(request.get("cookies") or {})}
        if cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items()))
        lines += [f"{name}: {value}" for name, value in pairs]
        if request.get("chunked"):
            lines.append("Transfer-Encoding: chunked")
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        elif "body" in request:
            lines.append(f"Content-Length: {len(data)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + data

    def _store_cookies(self, request: Json, observed: Json) -> None:
        jar = request.get("jar")
        if not jar:
            return
        cookies = self.jars.setdefault(jar, {})
        for name, value in observed.get("headers", ()):
            if name.lower() == "set-cookie":
                with contextlib.suppress(CookieError):
                    for key, morsel in SimpleCookie(value).items():
                        cookies[key] = morsel.value
        observed["jar_after"] = dict(cookies)


def _context(request: Json) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if request.get("tlsmax"):
        maximum = ssl.TLSVersion[str(request["tlsmax"])]
        context.minimum_version, context.maximum_version = min(maximum, context.minimum_version), maximum
    if request.get("alpn"):
        context.set_alpn_protocols(list(request["alpn"]))
    if request.get("client_cert"):
        load_pair(context, material.client_pair(str(request["client_cert"])))
    return context


def _tls_facts(writer: asyncio.StreamWriter, name: str) -> Json:
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True)
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        listed = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        listed = []
    cipher = tls.cipher()
    return {
        "version": tls.version(),
        "alpn": tls.selected_alpn_protocol(),
        "cipher": cipher[0] if cipher else None,
        "sni": name or None,
        "cert": {
            "subject": certificate.subject.rfc4514_string(),
            "issuer": certificate.issuer.rfc4514_string(),
            "dns_names": listed,
        },
    }


async def _read_response(reader: asyncio.StreamReader, request: Json) -> tuple[Json, bool]:
    """One response, and whether the connection can be used again."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return _without_head(error.partial), False
    if not head.startswith(b"HTTP/"):
        return _without_head(head + await reader.read()), False
    while head.startswith(b"HTTP/1.1 100"):
        head = await reader.readuntil(b"\r\n\r\n")
    line, *rest = head[:-4].decode("latin-1").split("\r\n")
    version, status, *reason = line.split(" ", 2)
    headers = [[name, value.strip()] for name, _, value in (text.partition(":") for text in rest)]
    fields = {name.lower(): value for name, value in headers}
    observed: Json = {
        "status": int(status),
        "reason": reason[0] if reason else "",
        "http_version": version,
        "headers": [pair for pair in headers if pair[0] != "Date"],
    }
    body, framing = await _read_body(reader, request, int(status), fields)
    observed["body_framing"] = framing
    if framing == "upgrade":
        observed["first_ws_message"] = json.loads(body)
    _note_body(observed, body, fields)
    keep = fields.get("connection", "").lower() != "close" and framing not in {"close", "upgrade"}
    return observed, keep


def _without_head(data: bytes) -> Json:
    if not data:
        return {"error": "closed without a response"}
    return {
        "status": "http/0.9 body",
        "reason": "",
        "http_version": "",
        "headers": [],
        "body_framing": None,
        "body_len": len(data),
        "body": data.decode("latin-1"),
    }


async def _read_body(
    reader: asyncio.StreamReader, request: Json, status: int, fields: Mapping[str, str]
) -> tuple[bytes, str | None]:
    raw = str(request.get("raw", ""))
    method = raw.split(" ", 1)[0] if raw else request.get("method", "GET")
    if status == 101:
        header = await reader.readexactly(4)
        return await reader.readexactly(int.from_bytes(header[2:], "big")), "upgrade"
    if method == "HEAD" or status in {204, 304}:
        return b"", "none"
    if "chunked" in fields.get("transfer-encoding", ""):
        return await _read_chunks(reader)
    if "content-length" in fields:
        length = int(fields["content-length"])
        try:
            return await reader.readexactly(length), "content-length"
        except asyncio.IncompleteReadError as error:
            return error.partial, "content-length (truncated)"
    return await reader.read(), "close"


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    body = b""
    try:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return body, "chunked (truncated)"
    return body, "chunked"


def _note_body(observed: Json, body: bytes, fields: Mapping[str, str]) -> None:
    """What the echo pod saw, or the body of anything else."""
    if "x-pod" in fields:
        observed["pod"] = fields["x-pod"]
        try:
            seen = json.loads(body)
        except ValueError:
            seen = None
        if isinstance(seen, dict) and "path" in seen:
            kept: Sequence[str] = (
                "method",
                "path",
                "proto",
                "host",
                "client",
                "tls",
                "headers",
                "body_len",
                "chunked_in",
            )
            observed["backend_saw"] = {name: seen.get(name) for name in kept}
            return
    if observed["body_framing"] != "upgrade" or body:
        observed["body_len"] = len(body)
        observed["body"] = body.decode("latin-1")
