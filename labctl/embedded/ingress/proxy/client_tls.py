"""Client certificates as `auth-tls-secret` asks for them; a client whose own does not verify is answered 400."""

from __future__ import annotations

import functools

from cryptography import x509
from OpenSSL import SSL, crypto

from labctl.embedded.http import tls
from labctl.embedded.ingress.annotations.values import ClientCertificateAuth
from labctl.embedded.ingress.model import Certificate

_VERSIONS = {
    "TLSv1": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}
OPTIONAL = frozenset({tls.PROBLEMS[number] for number in (2, 18, 19, 20, 21)})
"""What `optional_no_ca` lets pass (ngx_ssl_verify_error_optional)."""


@functools.lru_cache(maxsize=64)
def verifying_context(
    certificate: Certificate, ciphers: str, protocols: str, auth: ClientCertificateAuth, *, http2: bool
) -> SSL.Context:
    """TLS settings for a host that asks for client certificates; arguments as of `tls.server_context`."""
    offered = [b"h2", b"http/1.1"] if http2 else [b"http/1.1"]
    context = tls.verifying_context(certificate.pem, auth.certificate.ca.encode(), offered)
    versions = [_VERSIONS[word] for word in protocols.split() if word in _VERSIONS] or [SSL.TLS1_2_VERSION]
    context.set_min_proto_version(min(versions))
    context.set_max_proto_version(max(versions))
    context.set_cipher_list(ciphers.encode())
    context.set_verify_depth(auth.depth)
    if auth.certificate.crl:
        store = context.get_cert_store()
        assert store is not None
        store.add_crl(x509.load_pem_x509_crl(auth.certificate.crl.encode()))
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    return context
