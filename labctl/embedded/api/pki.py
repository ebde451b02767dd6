"""The cluster's certificate authorities, certificates and keys, kept in the state directory.

As in k3s: one CA for the server's certificate, another for the clients'. All keys are ECDSA P-256.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labctl.errors import ClusterError, UsageError
from labctl.files import write_private

_CA_LIFETIME = timedelta(days=3650)
_LEAF_LIFETIME = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=90)
_RIGHTS = "check the state directory's rights"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM (SEC 1), unencrypted."""
        return _key_pem(self.key)


@dataclass(frozen=True, slots=True)
class Pki:
    """Everything the API server needs, and the administrator's credentials.

    Attributes:
        server_ca: Signs the serving certificate; its certificate is what clients trust.
        client_ca: Signs client certificates.
        serving: The API server's certificate and key.
        admin: `CN=system:admin, O=system:masters`.
        service_accounts: Signs service-account tokens.
        directory: Where the files are: `server-ca.crt`, `client-ca.crt`, `serving.crt`, `serving.key`, …
    """

    server_ca: KeyPair
    client_ca: KeyPair
    serving: KeyPair
    admin: KeyPair
    service_accounts: ec.EllipticCurvePrivateKey
    directory: Path


def load_or_create(directory: Path, names: Sequence[str], now: datetime | None = None) -> Pki:
    """Read the files, making those that are missing, about to expire or (for serving) lack a name.

    Args:
        directory: Made (0700) when missing; private files in it are 0600.
        names: DNS names and addresses of the serving certificate.
        now: The time; the system's by default.

    Raises:
        ClusterError: A file cannot be read or written.
    """
    moment = now or datetime.now(UTC)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        server_ca = _authority(directory / "server-ca", "k3s-server-ca", moment)
        client_ca = _authority(directory / "client-ca", "k3s-client-ca", moment)
        serving = _serving(directory / "serving", server_ca, names, moment)
        # With its CA, as k3s sends it: clients that do not trust it say so of the chain's end.
        (directory / "serving-chain.crt").write_bytes(serving.certificate_pem + server_ca.certificate_pem)
        admin = _admin(directory / "client-admin", client_ca, moment)
        key = _load_key(directory / "service.key") or _new_key(directory / "service.key")
    except OSError as error:
        raise ClusterError(f"{error.filename}: {error.strerror}", hint=_RIGHTS) from error
    except UsageError as error:
        raise ClusterError(str(error), hint=_RIGHTS) from error
    except ValueError as error:
        raise ClusterError(
            f"{directory}: a certificate or key cannot be read: {error}",
            hint="remove that directory; new credentials are made at the next start",
        ) from error
    return Pki(server_ca, client_ca, serving, admin, key, directory)


def sign_client(authority: KeyPair, request: bytes, lifetime: timedelta, now: datetime) -> bytes:
    """Sign a certificate request (PEM) for client authentication; returns PEM.

    Raises:
        ValueError: It is no certificate request, or not signed by its own key.
    """
    wanted = x509.load_pem_x509_csr(request)
    if not wanted.is_signature_valid:
        raise ValueError("the request's signature does not fit its key")
    builder = _builder(wanted.subject, authority.certificate.subject, now, lifetime)
    builder = builder.public_key(wanted.public_key())
    builder = _with_usage(builder, ExtendedKeyUsageOID.CLIENT_AUTH, authority)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _authority(path: Path, name: str, now: datetime) -> KeyPair:
    found = _load_pair(path, now)
    if found:
        return found
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}@{int(now.timestamp())}")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(subject, subject, now, _CA_LIFETIME)
        .public_key(key.public_key())
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _store(path, KeyPair(builder.sign(key, hashes.SHA256()), key))


def _serving(path: Path, authority: KeyPair, names: Sequence[str], now: datetime) -> KeyPair:
    wanted = [_general_name(name) for name in dict.fromkeys(names)]
    found = _load_pair(path, now)
    if found and _is_signed_by(found, authority) and set(wanted) <= set(_alternative_names(found.certificate)):
        return found
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "k3s"),
            x509.NameAttribute(NameOID.COMMON_NAME, "k3s"),
        ]
    )
    return _store(path, _issue(authority, subject, ExtendedKeyUsageOID.SERVER_AUTH, now, wanted))


def _admin(path: Path, authority: KeyPair, now: datetime) -> KeyPair:
    found = _load_pair(path, now)
    if found and _is_signed_by(found, authority):
        return found
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "system:admin"),
        ]
    )
    return _store(path, _issue(authority, subject, ExtendedKeyUsageOID.CLIENT_AUTH, now))


def _issue(
    authority: KeyPair,
    subject: x509.Name,
    usage: x509.ObjectIdentifier,
    now: datetime,
    names: Sequence[x509.GeneralName] = (),
) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, authority.certificate.subject, now, _LEAF_LIFETIME).public_key(key.public_key())
    builder = _with_usage(builder, usage, authority)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return KeyPair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    # A minute's grace for clients whose clock is behind.
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + lifetime)
    )


def _with_usage(
    builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier, authority: KeyPair
) -> x509.CertificateBuilder:
    key_usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return (
        builder.add_extension(key_usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(issuer_key, critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _is_signed_by(pair: KeyPair, authority: KeyPair) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _load_pair(path: Path, now: datetime) -> KeyPair | None:
    key = _load_key(path.with_suffix(".key"))
    certificate_path = path.with_suffix(".crt")
    if key is None or not certificate_path.exists():
        return None
    certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    if certificate.not_valid_after_utc < now + _RENEW_BEFORE:
        return None
    return KeyPair(certificate, key)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    if not path.exists():
        return None
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path.name} is not an ECDSA key")
    return key


def _new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(path, _key_pem(key).decode())
    return key


def _store(path: Path, pair: KeyPair) -> KeyPair:
    write_private(path.with_suffix(".key"), pair.key_pem.decode())
    path.with_suffix(".crt").write_bytes(pair.certificate_pem)
    return pair


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
