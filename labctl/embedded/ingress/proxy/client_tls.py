"""TLS that goes on with clients whose certificate does not verify, as nginx does to answer them 400.

The standard library's ssl breaks such a handshake off; pyOpenSSL, on the same OpenSSL, lets a callback decide. It is
used for hosts with `auth-tls-secret` only, in the form of an `ssl.SSLObject` with its two memory BIOs.
"""

from __future__ import annotations

import functools
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL, crypto

from labctl.embedded.ingress.annotations.values import ClientCertificateAuth
from labctl.embedded.ingress.model import Certificate

_VERSIONS = {
    "TLSv1": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}
_PROBLEMS = {
    2: "unable to get issuer certificate",
    7: "certificate signature failure",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
    22: "certificate chain too long",
    23: "certificate revoked",
    24: "invalid CA certificate",
    26: "unsuitable certificate purpose",
}
"""What OpenSSL 3.0 says of a verification's result (X509_verify_cert_error_string)."""

OPTIONAL = frozenset({_PROBLEMS[number] for number in (2, 18, 19, 20, 21)})
"""What `optional_no_ca` lets pass (ngx_ssl_verify_error_optional)."""


class VerifyingTls:
    """The server's side of one connection, with the part of `ssl.SSLObject` and `ssl.MemoryBIO` that is needed.

    Attributes:
        problem: Why the client's certificate does not verify; empty when it does, or there is none.
    """

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self._connection.set_app_data(self)
        self.problem = ""

    # Memory BIOs

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        self._connection.bio_write(data)

    def drain(self) -> bytes:
        """Bytes for the client."""
        pieces = []
        while True:
            try:
                pieces.append(self._connection.bio_read(65536))
            except SSL.Error:
                return b"".join(pieces)

    # ssl.SSLObject

    def do_handshake(self) -> None:
        """Raises ssl.SSLWantReadError until it is done, ssl.SSLError when it fails."""
        _translated(self._connection.do_handshake)

    def read(self, size: int) -> bytes:
        """Decrypted bytes; empty at the end."""
        return bytes(_translated(self._connection.recv, size))

    def write(self, data: bytes) -> None:
        """Encrypt."""
        for start in range(0, len(data), 16384):
            _translated(self._connection.send, data[start : start + 16384])

    def unwrap(self) -> None:
        """Say goodbye."""
        _translated(self._connection.shutdown)

    def cipher(self) -> tuple[str, str, int] | None:
        """The cipher's name first."""
        name = self._connection.get_cipher_name()
        return (name, "", 0) if name else None

    def version(self) -> str:
        """`TLSv1.3`."""
        return str(self._connection.get_protocol_version_name())

    def getpeercert(self, *, binary_form: bool) -> bytes:
        """The client's certificate, DER; empty without one."""
        del binary_form
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        return certificate.public_bytes(Encoding.DER) if certificate is not None else b""

    def selected_alpn_protocol(self) -> str | None:
        """What ALPN has settled on."""
        return self._connection.get_alpn_proto_negotiated().decode() or None


def _translated(call: Any, *arguments: Any) -> Any:
    """Call pyOpenSSL, with the standard library's errors."""
    try:
        return call(*arguments)
    except SSL.WantReadError as error:
        raise ssl.SSLWantReadError from error
    except SSL.ZeroReturnError:
        return b""
    except SSL.Error as error:
        raise ssl.SSLError(str(error)) from error


@functools.lru_cache(maxsize=64)
def verifying_context(
    certificate: Certificate, ciphers: str, protocols: str, auth: ClientCertificateAuth, *, http2: bool
) -> SSL.Context:
    """TLS settings for a host that asks for client certificates; arguments as of `tls.server_context`."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    versions = [_VERSIONS[word] for word in protocols.split() if word in _VERSIONS] or [SSL.TLS1_2_VERSION]
    context.set_min_proto_version(min(versions))
    context.set_max_proto_version(max(versions))
    context.set_options(SSL.OP_NO_TICKET)
    context.set_cipher_list(ciphers.encode())
    chain = x509.load_pem_x509_certificates(certificate.pem)
    context.use_certificate(chain[0])
    for issuer in chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(load_pem_private_key(certificate.pem, None))  # type: ignore[arg-type]  # a TLS key
    _trust(context, auth)
    offered = [b"h2", b"http/1.1"] if http2 else [b"http/1.1"]
    context.set_alpn_select_callback(
        lambda _, wanted: next((name for name in offered if name in wanted), SSL.NO_OVERLAPPING_PROTOCOLS)
    )
    return context


def _trust(context: SSL.Context, auth: ClientCertificateAuth) -> None:
    store = context.get_cert_store()
    assert store is not None
    for authority in x509.load_pem_x509_certificates(auth.certificate.ca.encode()):
        store.add_cert(crypto.X509.from_cryptography(authority))
    if auth.certificate.crl:
        store.add_crl(x509.load_pem_x509_crl(auth.certificate.crl.encode()))
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    context.set_verify(SSL.VERIFY_PEER, _accept)
    context.set_verify_depth(auth.depth)


def _accept(connection: SSL.Connection, _: crypto.X509, error: int, depth: int, ok: int) -> bool:
    """Note the problem, and go on: nginx answers with a page (ngx_ssl_verify_callback)."""
    del depth
    tls = connection.get_app_data()
    if not ok and isinstance(tls, VerifyingTls):
        tls.problem = _PROBLEMS.get(error, f"error {error}")
    return True
