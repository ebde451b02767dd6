"""The controller's local copies of TLS Secrets, and which Ingress refers to which Secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.annotations.values import AuthCertificate
from labctl.embedded.ingress.controller.certificates import SecretError, read_secret
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import Certificate

_ANNOTATIONS = ("auth-secret", "auth-tls-secret", "proxy-ssl-secret", "secure-verify-ca-secret")
Log = Callable[[LogLine], None]


@dataclass(frozen=True, slots=True)
class LocalCertificate:
    """What a Secret holds: a key pair, a CA, or both."""

    pair: Certificate | None
    authority: AuthCertificate


class CertificateStore:
    """Good certificates by Secret.

    One that turns bad keeps its last good version until the Secret is deleted, as in the real controller.

    Args:
        secrets: All Secrets by `namespace/name`.
        log: The controller's log.
    """

    def __init__(self, secrets: Mapping[str, Obj], log: Log) -> None:
        self._secrets = secrets
        self._log = log
        self._known: dict[str, LocalCertificate] = {}

    def get(self, key: str) -> LocalCertificate | None:
        """The local copy."""
        return self._known.get(key)

    def sync(self, key: str) -> bool:
        """Read a Secret again; whether the local copy changed."""
        secret = self._secrets.get(key)
        try:
            if secret is None:
                raise SecretError(f"no object matching key {quote(key)} in local store")
            found = LocalCertificate(*read_secret(key, secret))
        except SecretError as error:
            if secret is None or "auth" not in (secret.get("data") or {}) or "no keypair" not in str(error):
                self._log(LogLine("W", "backend_ssl.go:47", f"Error obtaining X.509 certificate: {error}"))
            return False
        known = self._known.get(key)
        if known == found:
            return False
        if known is None:
            self._log(LogLine("I", "backend_ssl.go:67", f'"Adding secret to local store" name={quote(key)}'))
        else:
            self._log(LogLine("I", "backend_ssl.go:59", f'"Updating secret in local store" name={quote(key)}'))
        self._known[key] = found
        return True

    def forget(self, key: str) -> bool:
        """The Secret was deleted; whether there was a local copy."""
        return self._known.pop(key, None) is not None


class References:
    """Which Secrets an Ingress refers to."""

    def __init__(self) -> None:
        self._by_ingress: dict[str, list[str]] = {}

    def update(self, key: str, ingress: Obj, prefix: str, *, cross_namespace: bool) -> list[LogLine]:
        """Note an Ingress's references; returns what to log."""
        namespace = ingress["metadata"].get("namespace", "")
        found = [
            f"{namespace}/{tls['secretName']}"
            for tls in (ingress.get("spec") or {}).get("tls") or ()
            if tls.get("secretName")
        ]
        annotations: Mapping[str, str] = ingress["metadata"].get("annotations") or {}
        lines: list[LogLine] = []
        for name in _ANNOTATIONS:
            value = annotations.get(f"{prefix}/{name}", "").strip()
            head, slash, tail = value.partition("/")
            if not value or (slash and (not tail or "/" in tail)):
                continue
            if slash and head != namespace and not cross_namespace:
                message = f"error reading secret reference in annotation {quote(name)}: cross namespace secret is not"
                lines.append(LogLine("E", "store.go:984", f"{message} supported"))
                continue
            found.append(value if slash else f"{namespace}/{value}")
        self._by_ingress[key] = list(dict.fromkeys(found))
        return lines

    def remove(self, key: str) -> None:
        """An Ingress is gone."""
        self._by_ingress.pop(key, None)

    def of(self, key: str) -> list[str]:
        """Secrets of an Ingress."""
        return self._by_ingress.get(key, [])

    def to(self, secret: str) -> list[str]:
        """Ingresses that refer to a Secret."""
        return [key for key, secrets in self._by_ingress.items() if secret in secrets]
