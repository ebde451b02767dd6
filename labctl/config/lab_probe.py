"""The `probe:` of a step: equal requests, and where they are sent."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labctl.config.decode import Fields, did_you_mean
from labctl.config.expectation import read_expectation
from labctl.config.lab_actions import HOST, named, read_during
from labctl.model.lab import Lab, ProbeStep, Target, TargetKind, TlsMode
from labctl.model.probe import Connection, CountBy, KeyKind

MAX_COUNT = 10_000_000
MAX_CONCURRENCY = 10_000
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def read_probe(fields: Fields, name: str, title: str, lab: Lab) -> ProbeStep:
    """Read a `probe:` step with its `during:` and `expect:`."""
    section = fields.section("probe")
    by = _count_by(section)
    step = ProbeStep(
        name=named(fields, name),
        expect=read_expectation(fields.section("expect"), by, lab.versions),
        title=title,
        scheme=_one(section, "scheme", "http", ("http", "https")),
        host=section.text("host", "", pattern=HOST, meaning="a host name"),
        path=section.text("path", "/", pattern=r"/\S*", meaning="a path: it begins with / and has no spaces"),
        method=_one(section, "method", "GET", _METHODS),
        headers=_headers(section),
        cookie_jar=section.boolean("cookieJar", False),
        count=section.integer("count", 100, minimum=1, maximum=MAX_COUNT),
        concurrency=section.integer("concurrency", 16, minimum=1, maximum=MAX_CONCURRENCY),
        connection=section.choice("connection", Connection, Connection.NEW),
        by=by,
        tls=section.choice("tls", TlsMode, TlsMode.VERIFY),
        ca_secret=section.text("caSecret", ""),
        target=_target(section),
        timeout=section.number("timeout", 0.0, above=0.0),
        token_of=section.text("tokenOf", ""),
        during=read_during(fields, lab),
    )
    _check_tls(section, step)
    section.done()
    return step


def _one(fields: Fields, key: str, default: str, choices: Sequence[str]) -> str:
    value = fields.text(key, default)
    if value and value not in choices:
        near = did_you_mean(value, choices)
        hint = f"did you mean {near!r}?" if near else ""
        fields.note(key, f"{value!r} is not one of {', '.join(choices)}", hint)
    return value


def _count_by(fields: Fields) -> CountBy:
    text = fields.text("by", str(KeyKind.POD))
    kind, colon, header = text.partition(":")
    if kind == KeyKind.HEADER and header:
        return CountBy(KeyKind.HEADER, header.strip())
    if kind in set(KeyKind) - {KeyKind.HEADER} and not colon:
        return CountBy(KeyKind(kind))
    near = did_you_mean(kind, list(KeyKind))
    hint = (
        "name the header: `by: header:Server`" if near == KeyKind.HEADER else f"did you mean {near!r}?" if near else ""
    )
    fields.note("by", f"{text!r} is not one of pod, version, node, status, header:NAME", hint)
    return CountBy(KeyKind.POD)


def _target(fields: Fields) -> Target:
    if not fields.has("target"):
        return Target()
    section = fields.section("target")
    port = section.data.get("port")
    target = Target(
        kind=section.choice("kind", TargetKind, TargetKind.INGRESS),
        service=section.text("service", ""),
        port=str(section.integer("port")) if isinstance(port, int) else section.text("port", ""),
        node=section.text("node", ""),
    )
    needs_service = target.kind not in (TargetKind.INGRESS, TargetKind.API)
    if needs_service and not target.service:
        section.note("", f"`kind: {target.kind}` needs `service:`", "name the Service that is to be asked")
    for key in ("service", "port"):
        if key in section.data and not needs_service:
            section.note(key, f"a target of `kind: {target.kind}` has no {key}")
    if target.node and target.kind in (TargetKind.LOAD_BALANCER, TargetKind.API):
        section.note("node", f"`kind: {target.kind}` has an address of its own, no node's")
    section.done()
    return target


def _headers(fields: Fields) -> tuple[tuple[str, str], ...]:
    found = fields.text_map("headers")
    for name in found:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            fields.problems.add((*fields.path, "headers", name), f"{name!r} is not a header name", key=True)
    return tuple(found.items())


def _check_tls(fields: Fields, step: ProbeStep) -> None:
    for key in ("tls", "caSecret"):
        if key in fields.data and step.scheme != "https":
            fields.problems.add((*fields.path, key), f"{key} needs `scheme: https`", key=True)
    is_api = step.target.kind is TargetKind.API  # its authority is in the kubeconfig
    if step.scheme == "https" and step.tls is TlsMode.VERIFY and not step.ca_secret and not is_api:
        hint = "name the TLS Secret to trust with `caSecret:`, or take `tls: insecure` or `tls: system`"
        fields.note("", "`tls: verify` has no certificate to verify with", hint)
    if step.ca_secret and step.tls is not TlsMode.VERIFY:
        fields.note("caSecret", f"is not used with `tls: {step.tls}`")
