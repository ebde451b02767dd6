"""TLS towards clients: the certificate by SNI, the protocol settings of the host, client certificates.

The ClientHello is read before OpenSSL sees it, because certificate, ciphers and client verification all depend on the
name in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from labctl.embedded.http.messages import Flow
from labctl.embedded.http.tls import VerifyingTls
from labctl.embedded.ingress.annotations.values import ClientCertificateAuth
from labctl.embedded.ingress.model import Certificate
from labctl.embedded.ingress.proxy.client import ClientConnection
from labctl.embedded.ingress.proxy.client_tls import OPTIONAL, verifying_context
from labctl.embedded.ingress.proxy.http2 import Http2Connection
from labctl.embedded.ingress.proxy.passthrough import Relay
from labctl.embedded.ingress.proxy.upstream_tls import load_key_pair

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.plane import DataPlane

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_MAX_HELLO = 64 * 1024


def server_name(data: bytes) -> str | None:
    """The SNI of a ClientHello; empty without one, None while the record is not complete.

    Raises:
        ValueError: This is no TLS handshake.
    """
    if data[:1] != b"\x16":
        raise ValueError("not a TLS handshake record")
    if len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
        return None
    hello = data[9 : 5 + int.from_bytes(data[3:5], "big")]
    try:
        return _extension_name(hello)
    except IndexError:
        return ""


def _extension_name(hello: bytes) -> str:
    position = 34
    position += 1 + hello[position]
    position += 2 + int.from_bytes(hello[position : position + 2], "big")
    position += 1 + hello[position]
    position += 2
    while position + 4 <= len(hello):
        kind = int.from_bytes(hello[position : position + 2], "big")
        length = int.from_bytes(hello[position + 2 : position + 4], "big")
        if kind == 0:
            name_length = int.from_bytes(hello[position + 7 : position + 9], "big")
            return hello[position + 9 : position + 9 + name_length].decode("latin-1")
        position += 4 + length
    return ""


class TlsSession:
    """What is known of a TLS connection."""

    __slots__ = ("auth", "cipher", "der", "problem", "protocol", "server_name")

    def __init__(
        self, name: str, tls: ssl.SSLObject | VerifyingTls, auth: ClientCertificateAuth | None, problem: str
    ) -> None:
        cipher = tls.cipher()
        self.server_name: str = name
        self.cipher: str = cipher[0] if cipher is not None else ""
        self.protocol: str = tls.version() or ""
        self.der = tls.getpeercert(binary_form=True) or b""
        self.auth = auth
        self.problem = problem

    @classmethod
    def assumed(cls, name: str) -> TlsSession:
        """A session that never took place, for asking what would happen."""
        session = cls.__new__(cls)
        session.server_name, session.cipher, session.protocol = name, "", "TLSv1.3"
        session.der, session.auth, session.problem = b"", None, ""
        return session

    def client_problem(self, mode: str) -> str:
        """Which 400 page a client gets for its certificate; empty when it is welcome."""
        if mode == "off":
            return ""
        if self.problem and not (mode == "optional_no_ca" and self.problem in OPTIONAL):
            return "certificate error"
        return "no certificate" if mode == "on" and not self.der else ""

    def client_variable(self, name: str) -> str | None:
        """`$ssl_client_…`."""
        if name == "ssl_client_verify":
            if not self.der:
                return "NONE"
            return f"FAILED:{self.problem}" if self.problem else "SUCCESS"
        return _certificate_variables(self.der).get(name) if self.der else ""


@functools.lru_cache(maxsize=64)
def _certificate_variables(der: bytes) -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate = x509.load_der_x509_certificate(der)
    pem = ssl.DER_cert_to_PEM_cert(der)
    return {
        "ssl_client_escaped_cert": quote(pem, safe="-._~"),
        "ssl_client_raw_cert": pem,
        "ssl_client_s_dn": certificate.subject.rfc4514_string(),
        "ssl_client_i_dn": certificate.issuer.rfc4514_string(),
        "ssl_client_serial": f"{certificate.serial_number:X}",
        "ssl_client_fingerprint": certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303 - as nginx defines it
    }


class TlsWire(asyncio.Protocol):
    """TLS on a client's connection: bytes in, a ClientConnection behind it."""

    def __init__(self, plane: DataPlane, flow: Flow, server_port: int) -> None:
        self._plane = plane
        self._flow = flow
        self._port = server_port
        self._transport: asyncio.Transport | None = None
        self._hello = b""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | VerifyingTls | None = None
        self._name = ""
        self._auth: ClientCertificateAuth | None = None
        self._client: ClientConnection | Http2Connection | None = None
        self._closing = False
        self._relay: Relay | None = None

    # asyncio.Protocol, towards the client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the ClientHello."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """TLS records."""
        if self._relay is not None:
            self._relay.feed(data)
            return
        if self._tls is None:
            data = self._hello + data
            self._hello = b""
            if not self._begin(data):
                return
        else:
            self._feed(data)
        if self._client is None and not self._handshake():
            return
        self._read()

    def eof_received(self) -> bool:
        """The client sends no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        if self._relay is not None:
            self._relay.stop()
        if self._client is not None:
            self._client.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self._client is not None:
            self._client.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._client is not None:
            self._client.resume_writing()

    # Handshake

    def _begin(self, data: bytes) -> bool:
        """Read the ClientHello and choose the settings. Returns whether the handshake can go on."""
        try:
            name = server_name(data)
        except ValueError:
            self._plain(data)
            return False
        if name is None:
            self._hello = data
            if len(data) > _MAX_HELLO:
                self.abort()
            return False
        self._name = name
        table = self._plane.passthrough
        if table is not None:
            target = table.targets.get(name.lower())
            if target is not None:
                self._relay = Relay(self, data)
                self._relay.start(table.dial, target)
                return False
            # The controller's own proxy stands before nginx then: it is nginx's client.
            self._flow = Flow(("127.0.0.1", self._flow.client[1]), self._flow.server)
        generation = self._plane.generation
        host = generation.hosts.find(name.lower().removesuffix(".")) if name else generation.hosts.default
        if generation.settings.ssl_reject_handshake and host is generation.hosts.default:
            self.write_raw(b"\x15\x03\x03\x00\x02\x02\x70")
            self.close()
            return False
        server = host.server
        auth = server.certificate_auth if server is not None and server.certificate_auth.certificate.ca else None
        self._auth = auth if auth is not None and auth.verify_client != "off" else None
        settings = generation.settings
        certificate = self._plane.certificate(name) or generation.configuration.default_certificate
        ciphers = (server.ssl_ciphers if server is not None else "") or settings.ssl_ciphers
        if self._auth is not None:
            self._tls = VerifyingTls(
                verifying_context(certificate, ciphers, settings.ssl_protocols, self._auth, http2=settings.use_http2)
            )
        else:
            context = server_context(certificate, ciphers, settings.ssl_protocols, http2=settings.use_http2)
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._feed(data)
        return True

    def _feed(self, data: bytes) -> None:
        if isinstance(self._tls, VerifyingTls):
            self._tls.feed(data)
        else:
            self._incoming.write(data)

    def _plain(self, data: bytes) -> None:
        """A client that does not speak TLS gets nginx's page, when it spoke HTTP at all."""
        client = ClientConnection(self._plane, self._flow, self._port)
        self._client = client
        client.attach(_RawWire(self))
        client.plain_http_to_tls()

    def _handshake(self) -> bool:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError:
            self._flush()
            self.close()
            return False
        self._flush()
        problem = self._tls.problem if isinstance(self._tls, VerifyingTls) else ""
        session = TlsSession(self._name, self._tls, self._auth, problem)
        flow = Flow(self._flow.client, self._flow.server, self._name, session.der, secure=True)
        http2 = self._tls.selected_alpn_protocol() == "h2"
        make = Http2Connection if http2 else ClientConnection
        self._client = make(self._plane, flow, self._port, session)
        self._client.attach(self)
        return True

    def _read(self) -> None:
        assert self._tls is not None
        while not self._closing:
            try:
                data = self._tls.read(65536)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError:
                self.abort()
                return
            if not data:
                self.close()
                return
            if self._client is not None:
                self._client.data_received(data)

    # Wire, towards the ClientConnection

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._tls is not None and not self._closing:
            self._tls.write(data)
            self._flush()

    def write_raw(self, data: bytes) -> None:
        """Send without encryption."""
        if self._transport is not None:
            self._transport.write(data)

    def _flush(self) -> None:
        data = self._tls.drain() if isinstance(self._tls, VerifyingTls) else self._outgoing.read()
        if data and self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Say goodbye and close."""
        if self._closing:
            return
        self._closing = True
        if self._tls is not None and self._client is not None:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Deliver nothing until resumed."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        if self._transport is not None:
            self._transport.resume_reading()


class _RawWire:
    """The bare connection under TLS, for the one page that is sent without it."""

    def __init__(self, wire: TlsWire) -> None:
        self._wire = wire
        self.close = wire.close
        self.abort = wire.abort
        self.pause_reading = wire.pause_reading
        self.resume_reading = wire.resume_reading

    def write(self, data: bytes) -> None:
        """Send without encryption."""
        self._wire.write_raw(data)


@functools.lru_cache(maxsize=512)
def server_context(certificate: Certificate, ciphers: str, protocols: str, *, http2: bool) -> ssl.SSLContext:
    """TLS settings for a handshake.

    Args:
        certificate: The certificate to show.
        ciphers: OpenSSL's list for versions up to 1.2.
        protocols: Allowed versions, as nginx writes them.
        http2: Whether HTTP/2 is offered.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    versions = [_VERSIONS[word] for word in protocols.split() if word in _VERSIONS] or [ssl.TLSVersion.TLSv1_2]
    context.minimum_version, context.maximum_version = min(versions), max(versions)
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        context.set_ciphers("DEFAULT")
    context.options |= ssl.OP_NO_TICKET
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    load_key_pair(context, certificate.pem)
    return context
