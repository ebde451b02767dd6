"""The admission webhook that checks Ingresses before they are stored, and the certificate it is reached with."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from labctl.ingress.release import Release, given
from labctl.objects.manifests import Obj
from labctl.secrets import Secret

VALIDITY = timedelta(days=36500)
"""As long as kube-webhook-certgen's, whose Jobs the chart uses: nobody renews this certificate."""


@dataclass(frozen=True, slots=True)
class WebhookCertificate:
    """A serving certificate and the authority that signed it, as PEM."""

    ca: bytes
    certificate: bytes
    key: Secret


def webhook_hosts(controller_name: str, namespace: str) -> tuple[str, ...]:
    """The names that the API server reaches the webhook by."""
    service = f"{controller_name}-admission"
    return service, f"{service}.{namespace}", f"{service}.{namespace}.svc"


def make_webhook_certificate(hosts: tuple[str, ...], now: datetime) -> WebhookCertificate:
    """Make an authority and a serving certificate signed by it (ECDSA P-256); the authority's key is thrown away."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "labctl webhook authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + VALIDITY)
        )

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = builder("labctl webhook authority", ca_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    serving = (
        builder("ingress-nginx-admission", key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return WebhookCertificate(
        ca=authority.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        certificate=serving.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        key=Secret(private.decode()),
    )


def webhook(release: Release, certificate: WebhookCertificate | None) -> Iterator[Obj]:
    """The webhook's configuration, and with a certificate also the Secret that the controller serves with."""
    if not release.controller["admissionWebhooks"]["enabled"]:
        return
    if certificate is not None:
        yield _secret(release, certificate)
    yield _configuration(release, certificate)


def _secret(release: Release, certificate: WebhookCertificate) -> Obj:
    data = {"ca": certificate.ca, "cert": certificate.certificate, "key": certificate.key.reveal().encode()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": release.metadata(release.webhook_name, "admission-webhook"),
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def _configuration(release: Release, certificate: WebhookCertificate | None) -> Obj:
    webhooks = release.controller["admissionWebhooks"]
    service = {
        "name": f"{release.controller_name}-admission",
        "namespace": release.namespace,
        "path": "/networking/v1/ingresses",
    }
    client: Obj = {"service": service}
    if certificate is not None:
        client["caBundle"] = base64.b64encode(certificate.ca).decode()
    rule = {
        "apiGroups": ["networking.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["ingresses"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": release.metadata(
            release.webhook_name,
            "admission-webhook",
            labels=webhooks.get("labels"),
            annotations=webhooks.get("annotations"),
            cluster_wide=True,
        ),
        "webhooks": [
            {
                "name": "validate.nginx.ingress.kubernetes.io",
                "matchPolicy": "Equivalent",
                "rules": [rule],
                "failurePolicy": webhooks["failurePolicy"],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "clientConfig": client,
                **given(
                    timeoutSeconds=webhooks.get("timeoutSeconds"),
                    namespaceSelector=webhooks.get("namespaceSelector"),
                    objectSelector=webhooks.get("objectSelector"),
                ),
            }
        ],
    }
