from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from labctl.lab.certificate import certificate_of, is_usable, make_certificate, tls_secret
from labctl.model.actions import CertificateStep

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STEP = CertificateStep("certificate", "secret-https", "gyull.com", "gyull.com")


def test_the_certificate_is_the_studys() -> None:
    made = make_certificate(STEP, NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert certificate.subject.rfc4514_string() == "O=gyull.com,CN=gyull.com"
    assert [part.oid for part in certificate.subject] == [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME]
    assert certificate.subject == certificate.issuer
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gyull.com"]
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert certificate.not_valid_before_utc <= NOW
    hash_algorithm = certificate.signature_hash_algorithm
    assert hash_algorithm is not None
    key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), hash_algorithm)
    private = load_pem_private_key(made.key.reveal().encode(), None)
    assert private.public_key() == key
    assert "PRIVATE" not in repr(made)


def test_the_secret_is_what_kubectl_create_secret_tls_makes() -> None:
    made = make_certificate(STEP, NOW)
    secret = tls_secret("secret-https", "default", made)
    assert (secret["type"], sorted(secret["data"])) == ("kubernetes.io/tls", ["tls.crt", "tls.key"])
    assert certificate_of(secret) == made.certificate


def test_a_valid_certificate_is_used_again_and_another_is_not() -> None:
    secret = tls_secret("secret-https", "default", make_certificate(STEP, NOW))
    other = CertificateStep("certificate", "secret-https", "other.com", "gyull.com")
    assert is_usable(secret, STEP, NOW + timedelta(days=364))
    assert not is_usable(secret, STEP, NOW + timedelta(days=366))
    assert not is_usable(secret, other, NOW)
    assert not is_usable({"data": {"tls.crt": "bm9uc2Vuc2U="}}, STEP, NOW)
    assert not is_usable({}, STEP, NOW)
