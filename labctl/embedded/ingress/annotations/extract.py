"""From an Ingress to its annotations' values, with what the controller logs and refuses on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.annotations import declared_access, declared_routing, parse_access, parse_routing
from labctl.embedded.ingress.annotations.catalogue import Risk, Support, index
from labctl.embedded.ingress.annotations.reader import (
    AnnotationError,
    DeniedError,
    Reader,
    ReadOptions,
    RejectedError,
    Resolver,
)
from labctl.embedded.ingress.annotations.values import ClientCertificateAuth, IngressAnnotations
from labctl.embedded.ingress.log import LogLine, structured

CATALOGUE = index((*declared_routing.ALL, *declared_access.ALL))
"""All annotations of ingress-nginx 1.11.2, by name without prefix."""

_DEFAULT_OPTIONS = ReadOptions()
_ALIASES = {alias: annotation.name for annotation in CATALOGUE.values() for alias in annotation.aliases}

_PARSERS: tuple[tuple[str, str, Callable[[Reader, Resolver], Any]], ...] = (
    ("aliases", "Aliases", parse_routing.aliases),
    ("basic_auth", "BasicDigestAuth", parse_access.basic_auth),
    ("canary", "Canary", parse_routing.canary),
    ("certificate_auth", "CertificateAuth", parse_access.certificate_auth),
    ("client_body_buffer_size", "ClientBodyBufferSize", parse_routing.client_body_buffer_size),
    ("custom_headers", "CustomHeaders", parse_routing.custom_headers),
    ("configuration_snippet", "ConfigurationSnippet", parse_access.configuration_snippet),
    ("connection", "Connection", parse_routing.connection),
    ("cors", "CorsConfig", parse_access.cors),
    ("custom_http_errors", "CustomHTTPErrors", parse_routing.custom_http_errors),
    ("disable_proxy_intercept_errors", "DisableProxyInterceptErrors", parse_routing.disable_proxy_intercept_errors),
    ("default_backend", "DefaultBackend", parse_routing.default_backend),
    ("external_auth", "ExternalAuth", parse_access.external_auth),
    ("enable_global_auth", "EnableGlobalAuth", parse_access.enable_global_auth),
    ("proxy", "Proxy", parse_routing.proxy),
    ("proxy_ssl", "ProxySSL", parse_access.proxy_ssl),
    ("rate_limit", "RateLimit", parse_access.rate_limit),
    ("redirect", "Redirect", parse_routing.redirect),
    ("rewrite", "Rewrite", parse_routing.rewrite),
    ("satisfy", "Satisfy", parse_access.satisfy),
    ("server_snippet", "ServerSnippet", parse_access.server_snippet),
    ("service_upstream", "ServiceUpstream", parse_routing.service_upstream),
    ("session_affinity", "SessionAffinity", parse_routing.session_affinity),
    ("ssl_passthrough", "SSLPassthrough", parse_access.ssl_passthrough),
    ("use_port_in_redirects", "UsePortInRedirects", parse_routing.use_port_in_redirects),
    ("hash_by", "UpstreamHashBy", parse_routing.hash_by),
    ("load_balance", "LoadBalancing", parse_routing.load_balance),
    ("upstream_vhost", "UpstreamVhost", parse_routing.upstream_vhost),
    ("allowlist", "Allowlist", parse_access.allowlist),
    ("denylist", "Denylist", parse_access.denylist),
    ("x_forwarded_prefix", "XForwardedPrefix", parse_routing.x_forwarded_prefix),
    ("ssl_ciphers", "SSLCipher", parse_access.ssl_ciphers),
    ("ssl_prefer_server_ciphers", "SSLCipher", parse_access.ssl_prefer_server_ciphers),
    ("access_log", "Logs", parse_access.access_log),
    ("rewrite_log", "Logs", parse_access.rewrite_log),
    ("backend_protocol", "BackendProtocol", parse_routing.backend_protocol),
    ("mirror", "Mirror", parse_routing.mirror),
    ("stream_snippet", "StreamSnippet", parse_access.stream_snippet),
)


@dataclass(frozen=True, slots=True)
class Extracted:
    """Outcome of reading one Ingress's annotations.

    Attributes:
        annotations: Their values; None when the Ingress is refused.
        refused: Why the controller does not take this Ingress; empty when it does.
        log: What the controller logs meanwhile.
        warnings: Annotations that do not do here what they say.
    """

    annotations: IngressAnnotations | None
    refused: str = ""
    log: tuple[LogLine, ...] = ()
    warnings: tuple[str, ...] = ()


def extract(ingress: Obj, resolver: Resolver, options: ReadOptions = _DEFAULT_OPTIONS) -> Extracted:
    """Read the annotations of an Ingress.

    Args:
        ingress: The Ingress.
        resolver: Global configuration and referred objects.
        options: The controller's flags on annotations.
    """
    reader = Reader(ingress, CATALOGUE, options)
    risky = _too_risky(reader.names, Risk.named(resolver.settings.annotations_risk_level))
    if risky:
        reason = f"annotation group {risky} contains risky annotation based on ingress configuration"
        return Extracted(None, reason, ())
    values: dict[str, Any] = {}
    for field, group, parse in _PARSERS:
        try:
            values[field] = parse(reader, resolver)
        except RejectedError as error:
            message = structured("ingress contains invalid annotation value", err=str(error))
            return Extracted(None, str(error), (*reader.log, LogLine("E", "annotations.go:193", message)))
        except AnnotationError:
            continue
        except DeniedError as error:
            _deny(values, field, group, str(error), reader)
    return Extracted(IngressAnnotations(**values), "", tuple(reader.log), _without_effect(reader.names, resolver))


def _deny(values: dict[str, Any], field: str, group: str, reason: str, reader: Reader) -> None:
    if field == "certificate_auth":
        values[field] = ClientCertificateAuth(error=reason)
    if "denied" not in values:
        values["denied"] = reason
        message = structured("error reading Ingress annotation", err=reason, name=group, ingress=reader.key())
        reader.log.append(LogLine("E", "annotations.go:216", message))


def _too_risky(names: frozenset[str], accepted: Risk) -> str:
    """The group of an annotation above the accepted risk; empty when there is none."""
    if accepted is Risk.CRITICAL:
        return ""
    risky = (CATALOGUE[name] for name in sorted(names & CATALOGUE.keys()) if CATALOGUE[name].risk > accepted)
    return next((annotation.group for annotation in risky), "")


def _without_effect(names: frozenset[str], resolver: Resolver) -> tuple[str, ...]:
    warnings: list[str] = []
    for name in sorted(names):
        annotation = CATALOGUE.get(_ALIASES.get(name, name))
        if annotation is None:
            warnings.append(f"annotation {name} is not one of ingress-nginx 1.11.2 and has no effect")
        elif annotation.support is Support.WITHOUT_EFFECT:
            note = f": {annotation.note}" if annotation.note else ""
            warnings.append(f"annotation {name} has no effect in the embedded controller{note}")
        elif name.endswith("-snippet") and not resolver.settings.allow_snippet_annotations:
            warnings.append(f"annotation {name} is ignored: allow-snippet-annotations is not true in the ConfigMap")
    return tuple(warnings)
