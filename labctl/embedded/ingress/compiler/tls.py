"""Which certificate a host gets, and whether a certificate is good for a host name, as Go's crypto/x509 says."""

from __future__ import annotations

import time

from labctl.embedded.ingress.compiler.parsed import ParsedIngress
from labctl.embedded.ingress.compiler.sources import Sources
from labctl.embedded.ingress.log import LogLine, quote
from labctl.embedded.ingress.model import Certificate

_TEN_DAYS = 240 * 3600.0


def matches_host(certificate: Certificate, host: str) -> bool:
    """Whether a certificate covers a host: by its DNS names, by its common name when it has none.

    `*` covers exactly one label, on the left.
    """
    wanted = host.lower().rstrip(".")
    names = certificate.dns_names or (certificate.common_name,)
    return any(_name_matches(name.lower().rstrip("."), wanted) for name in names)


def _name_matches(pattern: str, host: str) -> bool:
    if not pattern or not host:
        return False
    if pattern == host:
        return True
    left, _, rest = pattern.partition(".")
    label, _, host_rest = host.partition(".")
    return left == "*" and bool(rest) and rest == host_rest and bool(label)


def is_listed(host: str, names: tuple[str, ...]) -> bool:
    """Whether a host, or its wildcard, is among a certificate's names: how aliases and www redirects are checked."""
    candidate = ".".join(["*", *host.split(".")[1:]])
    return any(name.lower() in {host.lower(), candidate.lower()} for name in names)


def server_certificate(host: str, ingress: ParsedIngress, sources: Sources, log: list[LogLine]) -> Certificate:
    """The certificate that an Ingress's `tls` gives a host: the default one wherever its own cannot serve.

    Args:
        host: The server's name.
        ingress: An Ingress with `tls`.
        sources: Certificates.
        log: Gets the controller's warnings.
    """
    default = sources.default_certificate()
    name = _secret_name(host, ingress, sources, log)
    if not name:
        return default
    key = f"{ingress.ref.namespace}/{name}"
    certificate = sources.certificate(key)
    if certificate is None:
        missing = f"local SSL certificate {key} was not found. Using default certificate"
        log.append(LogLine("W", "controller.go:1438", f"Error getting SSL certificate {quote(key)}: {missing}"))
        return default
    if not matches_host(certificate, host):
        _log_mismatch(host, key, certificate, log)
        return default
    _log_expiry(host, certificate, log)
    return certificate


def _secret_name(host: str, ingress: ParsedIngress, sources: Sources, log: list[LogLine]) -> str:
    """Secret of the `tls` entry that lists the host; else of the first whose certificate covers it."""
    for hosts, name in ingress.tls:
        if host.lower() in {listed.lower() for listed in hosts}:
            return name
    for _, name in ingress.tls:
        if not name:
            continue
        key = f"{ingress.ref.namespace}/{name}"
        certificate = sources.certificate(key)
        if certificate is None:
            message = f"Error getting SSL certificate {quote(key)}: local SSL certificate {key} was not found"
            log.append(LogLine("W", "controller.go:1718", message))
        elif matches_host(certificate, host):
            return name
    return ""


def _log_mismatch(host: str, key: str, certificate: Certificate, log: list[LogLine]) -> None:
    names = ", ".join(certificate.dns_names or (certificate.common_name,))
    names_of = "a Common Name or Subject Alternative Name"
    error = f"x509: certificate is valid for {names}, not {host}"
    texts = (
        (
            "controller.go:1452",
            f"Unexpected error validating SSL certificate {quote(key)} for server {quote(host)}: {error}",
        ),
        ("controller.go:1453", "Validating certificate against DNS names. This will be deprecated in a future version"),
        (
            "controller.go:1458",
            f"SSL certificate {quote(key)} does not contain {names_of} for server {quote(host)}: {error}",
        ),
        ("controller.go:1459", "Using default certificate"),
    )
    log.extend(LogLine("W", source, text) for source, text in texts)


def _log_expiry(host: str, certificate: Certificate, log: list[LogLine]) -> None:
    left = certificate.not_after - time.time()
    if certificate.not_after and left < _TEN_DAYS:
        when = time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(certificate.not_after))
        what = "expired" if left < 0 else "is about to expire"
        log.append(LogLine("W", "controller.go:1468", f"SSL certificate for server {quote(host)} {what} ({when})"))
