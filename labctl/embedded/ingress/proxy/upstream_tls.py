"""TLS towards pods."""

from __future__ import annotations

import functools
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from labctl.embedded.ingress.annotations.values import ProxySSL

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How to speak TLS to pods.

    Attributes:
        settings: The annotations.
        only_for_https: Whether pods are spoken to as the client speaks to us (`AUTO_HTTP`).
    """

    settings: ProxySSL
    only_for_https: bool = False

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS settings as OpenSSL has them."""
        return _context(self.settings)

    @property
    def server_name(self) -> str | None:
        """SNI, when it is to be sent; nginx's own name for the upstream where none is given."""
        return (self.settings.name or "upstream_balancer") if self.settings.server_name == "on" else None

    @property
    def verified_name(self) -> str:
        """The name that a pod's certificate must have; empty without verification."""
        if self.settings.verify != "on" or not self.settings.certificate.ca:
            return ""
        return self.settings.name or "upstream_balancer"


def upstream_tls(settings: ProxySSL, *, only_for_https: bool) -> UpstreamTls:
    """TLS for locations with `backend-protocol: HTTPS` or `AUTO_HTTP`."""
    return UpstreamTls(settings, only_for_https)


@functools.lru_cache(maxsize=64)
def _context(settings: ProxySSL) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settings.verify == "on" and settings.certificate.ca:
        context.load_verify_locations(cadata=settings.certificate.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if settings.ciphers and settings.ciphers != "DEFAULT":
        context.set_ciphers(settings.ciphers)
    versions = [_VERSIONS[word] for word in settings.protocols.split() if word in _VERSIONS]
    if versions:
        context.minimum_version, context.maximum_version = min(versions), max(versions)
    if settings.certificate.key_pair:
        load_key_pair(context, settings.certificate.key_pair.encode())
    return context


def load_key_pair(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a certificate chain and key from one PEM text; OpenSSL takes them only from a file."""
    with tempfile.TemporaryDirectory(prefix="labctl-") as directory:
        path = Path(directory) / "pair.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        context.load_cert_chain(path)
