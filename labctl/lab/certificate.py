"""The self-signed certificate of the https lab, as the study makes it with `openssl req -x509`."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from labctl.model.actions import CertificateStep
from labctl.objects.manifests import Obj
from labctl.secrets import Secret

if TYPE_CHECKING:
    from cryptography import x509

CLOCK_SKEW = timedelta(minutes=5)
"""How far a node's clock may be behind without the certificate being refused as not yet valid."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: Secret


def make_certificate(step: CertificateStep, now: datetime) -> Certificate:
    """Make the self-signed certificate that a step describes; it is its own authority, as openssl's is.

    Args:
        step: Common name (also the subjectAltName), organization, validity and key size.
        now: The time from which it is valid.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=step.rsa_bits)
    name = _name(step)
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=step.days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(step.common_name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(subject_key, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(certificate.public_bytes(pem), Secret(private.decode()))


def _name(step: CertificateStep) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.COMMON_NAME, step.common_name)]
    if step.organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, step.organization))
    return x509.Name(parts)


def tls_secret(name: str, namespace: str, certificate: Certificate) -> Obj:
    """The Secret that `kubectl create secret tls` makes of a certificate."""
    data = {"tls.crt": certificate.certificate, "tls.key": certificate.key.reveal().encode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def certificate_of(secret: Obj) -> bytes:
    """The PEM certificate of a TLS Secret: what `curl --cacert` needs to trust it; empty when there is none."""
    return base64.b64decode((secret.get("data") or {}).get("tls.crt", ""))


def is_usable(secret: Obj, step: CertificateStep, now: datetime) -> bool:
    """Whether a Secret holds a certificate that the step would make: a second run need not make another."""
    from cryptography import x509

    pem = certificate_of(secret)
    try:
        found = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    is_valid = found.not_valid_before_utc <= now < found.not_valid_after_utc
    return is_valid and found.subject == _name(step)
