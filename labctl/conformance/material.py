"""Certificates in place of those that the recording left out: same subjects and names, keys of our own."""

from __future__ import annotations

import base64
import datetime
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_RECORDED = {
    "tls1": ("tls1.example.com", ("tls1.example.com",)),
    "tls-r": ("tls1.example.com", ("tls1.example.com",)),
    "other": ("other.example.com", ("other.example.com",)),
    "wild": ("*.wild.example.com", ("*.wild.example.com",)),
    "defcert": ("default-cert.example.com", ("default-cert.example.com",)),
}
_GARBAGE = 64  # base64 characters: what is shorter is no certificate


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _build(common_name: str, names: Sequence[str], *, authority: bool) -> KeyPair:
    now = datetime.datetime.now(datetime.UTC)
    # One key serves for everything: nothing here looks at who holds it, and making keys takes long.
    key = _key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name("lab-ca"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        listed = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(listed, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), private)


@functools.cache
def authority() -> KeyPair:
    """The CA `lab-ca`."""
    return _build("lab-ca", (), authority=True)


@functools.cache
def key_pair(common_name: str, *names: str) -> KeyPair:
    """A certificate of that CA."""
    return _build(common_name, names, authority=False)


def client_pair(name: str) -> KeyPair:
    """A client certificate by the name that requests give it."""
    if name in _RECORDED:
        common_name, names = _RECORDED[name]
        return key_pair(common_name, *names)
    return key_pair(f"{name}-user", name)


def with_material(obj: dict[str, Any]) -> dict[str, Any]:
    """The object with PEM of our own in a Secret; others as they are."""
    if obj.get("kind") != "Secret" or not obj.get("data"):
        return obj
    data = dict(obj["data"])
    if "tls.crt" in data:
        data.update(_pair_data(obj["metadata"]["name"], data["tls.crt"], data.get("tls.key", "")))
    if _is_certificate(data.get("ca.crt", "")):
        data["ca.crt"] = base64.b64encode(authority().certificate).decode()
    return {**obj, "data": data}


def _pair_data(name: str, certificate: str, key: str) -> dict[str, str]:
    if certificate.startswith("(pem"):
        if int(certificate.split()[1]) < _GARBAGE:
            garbage = base64.b64encode(b"garbage").decode()
            return {"tls.crt": garbage, "tls.key": garbage}
        common_name, names = _RECORDED.get(name, (f"{name}.example.com", (f"{name}.example.com",)))
        pair = key_pair(common_name, *names)
    elif _is_certificate(certificate):
        recorded = x509.load_pem_x509_certificate(base64.b64decode(certificate))
        pair = _like(recorded)
    else:
        return {"tls.crt": certificate, "tls.key": key}
    return {
        "tls.crt": base64.b64encode(pair.certificate).decode(),
        "tls.key": base64.b64encode(pair.key).decode(),
    }


def _like(recorded: x509.Certificate) -> KeyPair:
    common_name = str(recorded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    names = recorded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return key_pair(common_name, *names.get_values_for_type(x509.DNSName))


def _is_certificate(text: str) -> bool:
    try:
        return b"BEGIN CERTIFICATE" in base64.b64decode(text, validate=True)
    except ValueError:
        return False
