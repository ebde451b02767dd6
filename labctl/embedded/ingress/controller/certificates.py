"""TLS Secrets: reading key pairs and CA certificates, and the fake certificate."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.annotations.values import AuthCertificate
from labctl.embedded.ingress.model import Certificate

FAKE_UID = "00000000-0000-0000-0000-000000000000"


class SecretError(Exception):
    """A Secret that holds no usable certificate; the message is the controller's."""


def secret_data(secret: Obj) -> dict[str, bytes]:
    """A Secret's data, decoded; entries that are no base64 are empty."""
    decoded: dict[str, bytes] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            decoded[key] = base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError):
            decoded[key] = b""
    return decoded


def read_secret(key: str, secret: Obj) -> tuple[Certificate | None, AuthCertificate]:
    """The key pair and the CA of a Secret.

    Args:
        key: `namespace/name`.
        secret: The Secret.

    Returns:
        The key pair (None when it has only a CA), and the CA with the key pair as PEM.

    Raises:
        SecretError: It has neither, or they are broken.
    """
    data = secret_data(secret)
    ca, crl = data.get("ca.crt", b""), data.get("ca.crl", b"")
    if "tls.crt" in data and "tls.key" in data:
        try:
            certificate = key_pair(key, data["tls.crt"], data["tls.key"], secret["metadata"].get("uid", ""))
        except (ValueError, TypeError) as error:
            raise SecretError(f"unexpected error creating SSL Cert: {error}") from error
        pem = certificate.pem.decode("latin-1") if ca else ""
        return certificate, AuthCertificate(key, _checked_ca(ca), crl.decode("latin-1"), pem)
    if ca:
        return None, AuthCertificate(key, _checked_ca(ca), crl.decode("latin-1"))
    raise SecretError(f'secret "{key}" contains no keypair or CA certificate')


def _checked_ca(ca: bytes) -> str:
    if not ca:
        return ""
    try:
        x509.load_pem_x509_certificates(ca)
    except ValueError as error:
        raise SecretError("unexpected error creating SSL Cert: error decoding CA certificate/s") from error
    return ca.decode("latin-1")


def key_pair(name: str, certificate: bytes, key: bytes, uid: str) -> Certificate:
    """A certificate chain with its key.

    Raises:
        ValueError: They cannot be read, or do not belong together.
    """
    if b"-----BEGIN" not in certificate:
        raise ValueError("no valid PEM formatted block found")
    if not certificate.lstrip().startswith(b"-----BEGIN CERTIFICATE-----"):
        raise ValueError("no certificate PEM data found, make sure certificate content starts with 'BEGIN CERTIFICATE'")
    leaf = x509.load_pem_x509_certificates(certificate)[0]
    private = serialization.load_pem_private_key(key, None)
    if _public(leaf.public_key()) != _public(private.public_key()):
        error = "tls: private key does not match public key"
        raise ValueError(f"certificate and private key does not have a matching public key: {error}")
    pem = certificate + b"\n" + key
    return Certificate(
        name=name,
        pem=pem,
        common_name=_attribute(leaf.subject, NameOID.COMMON_NAME),
        dns_names=_dns_names(leaf),
        uid=uid + hashlib.sha256(pem).hexdigest(),
        not_after=leaf.not_valid_after_utc.timestamp(),
        serial_number=str(leaf.serial_number),
        issuer_common_name=_attribute(leaf.issuer, NameOID.COMMON_NAME),
        issuer_organization=_attribute(leaf.issuer, NameOID.ORGANIZATION_NAME),
    )


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _public(key: object) -> bytes:
    encoded = key.public_bytes(  # type: ignore[attr-defined]  # every kind of public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return bytes(encoded)


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def fake_certificate() -> Certificate:
    """The certificate that hosts without a good one of their own show; made anew at every start."""
    key: rsa.RSAPrivateKey = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme Co"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Kubernetes Ingress Controller Fake Certificate"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_encipherment=True,
                content_commitment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("ingress.local")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return key_pair("", encoded, private, FAKE_UID)
