"""TLS that goes on with clients whose certificate does not verify: nginx answers them 400, the API server 401.

The standard library's ssl breaks such a handshake off; pyOpenSSL, on the same OpenSSL, lets a callback decide. It has
the form of an `ssl.SSLObject` with its two memory BIOs.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL, crypto

PROBLEMS = {
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


def verifying_context(pem: bytes, authorities: bytes, protocols: Sequence[bytes]) -> SSL.Context:
    """TLS settings of a server that asks for client certificates; TLS 1.2 and newer.

    Args:
        pem: The server's certificate, its issuers, and its key.
        authorities: PEM of those whose certificates verify.
        protocols: What is offered by ALPN, the best first.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # every connection shows its certificate anew
    chain = x509.load_pem_x509_certificates(pem)
    context.use_certificate(chain[0])
    for issuer in chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(load_pem_private_key(pem, None))  # type: ignore[arg-type]  # a TLS key
    store = context.get_cert_store()
    assert store is not None
    for authority in x509.load_pem_x509_certificates(authorities):
        store.add_cert(crypto.X509.from_cryptography(authority))
    context.set_verify(SSL.VERIFY_PEER, _accept)
    context.set_alpn_select_callback(
        lambda _, wanted: next((name for name in protocols if name in wanted), SSL.NO_OVERLAPPING_PROTOCOLS)
    )
    return context


def _accept(connection: SSL.Connection, _: crypto.X509, error: int, depth: int, ok: int) -> bool:
    """Note the problem, and go on (as nginx's ngx_ssl_verify_callback)."""
    del depth
    tls = connection.get_app_data()
    if not ok and isinstance(tls, VerifyingTls):
        tls.problem = PROBLEMS.get(error, f"error {error}")
    return True
