"""lab.yaml → Lab, every default filled in and every mistake named."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labctl.config.decode import Fields, did_you_mean, one_of, open_document
from labctl.config.expectation import read_expectation
from labctl.config.inventory import NAME_MEANING, NAME_PATTERN
from labctl.config.positions import parse, read_text
from labctl.errors import UsageError
from labctl.model.inventory import Provider
from labctl.model.lab import ApplyStep, CertificateStep, Lab, PatchStep, ProbeStep, Step, Target, TargetKind, TlsMode
from labctl.model.probe import Connection, CountBy, KeyKind

LAB_FILE = "lab.yaml"
MAX_COUNT = 10_000_000
MAX_CONCURRENCY = 10_000
_HOST = r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\.?"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def load_lab(directory: Path) -> Lab:
    """Read a lab from its folder; the folder's name is the lab's.

    Raises:
        UsageError: There is no lab.yaml in it, or it cannot be read.
        ConfigError: It has mistakes; carries all of them.
    """
    if not (directory / LAB_FILE).is_file():
        raise UsageError(f"{directory}: no lab here", hint=f"a lab is a folder with a {LAB_FILE}")
    path = directory / LAB_FILE
    return parse_lab(read_text(path), str(path), directory)


def parse_lab(text: str, source: str, directory: Path) -> Lab:
    """Read the text of a lab.yaml.

    Args:
        text: The YAML.
        source: Its name in messages.
        directory: The lab's folder; its manifests must be there.

    Raises:
        ConfigError: It has mistakes; carries all of them.
    """
    fields = open_document(parse(text, source), "Lab")
    if not re.fullmatch(NAME_PATTERN, directory.name):
        fields.note("", f"the folder's name {directory.name!r} is the lab's and must be {NAME_MEANING}")
    lab = Lab(
        name=directory.name,
        title=fields.text("title"),
        teaches=fields.text("teaches", "").strip(),
        directory=directory,
        steps=(),
        namespace=fields.text("namespace", "default", pattern=NAME_PATTERN, meaning=NAME_MEANING),
        versions=fields.text_map("versions"),
        unsupported=_unsupported(fields),
        needs_ingress=fields.boolean("needsIngress", True),
    )
    _check_patterns(fields, "versions", lab.versions)
    steps = tuple(_step(item, lab) for item in fields.sections("steps", required=True))
    fields.done()
    _check_steps(fields, steps)
    fields.problems.check()
    return Lab(
        lab.name,
        lab.title,
        lab.teaches,
        directory,
        tuple(step for step in steps if step is not None),
        lab.namespace,
        lab.versions,
        lab.unsupported,
        lab.needs_ingress,
    )


def _unsupported(fields: Fields) -> dict[str, str]:
    found = fields.text_map("unsupported")
    for name in found:
        if name not in set(Provider):
            near = did_you_mean(name, list(Provider))
            hint = f"did you mean {near!r}?" if near else ""
            fields.problems.add(("unsupported", name), f"{name!r} is not one of {one_of(Provider)}", hint, key=True)
    return found


def _check_patterns(fields: Fields, key: str, patterns: dict[str, str] | Any) -> None:
    for name, pattern in patterns.items():
        problem = pattern_problem(pattern)
        if problem:
            fields.problems.add((*fields.path, key, name), problem)


def pattern_problem(pattern: str) -> str:
    """What is wrong with a regular expression; empty when nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"{pattern!r} is not a regular expression: {error}"
    return ""


def _step(fields: Fields, lab: Lab) -> Step | None:
    kinds = [kind for kind in _READERS if fields.has(kind)]
    name = fields.text("name", "", pattern=NAME_PATTERN, meaning=NAME_MEANING)
    title = fields.text("title", "")
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else _unknown_kind(fields)
        fields.note("", f"a step does one thing: {', '.join(_READERS)}", f"this one has {found}")
        return None
    step = _READERS[kinds[0]](fields, name, title, lab)
    fields.done()
    return step


def _unknown_kind(fields: Fields) -> str:
    others = [key for key in fields.data if key not in ("name", "title", "expect")]
    near = did_you_mean(others[0], _READERS) if others else ""
    fields.asked.extend(others)
    return f"{others[0]!r}; did you mean {near!r}?" if near else "none of them"


def _apply(fields: Fields, name: str, title: str, lab: Lab) -> Step:
    manifests = fields.texts("apply")
    if not manifests:
        fields.note("apply", "names no manifest")
    for index, manifest in enumerate(manifests):
        _check_file(fields, ("apply", index) if isinstance(fields.data["apply"], list) else ("apply",), manifest, lab)
    return ApplyStep(name or "apply", manifests, title)


def _check_file(fields: Fields, path: tuple[str | int, ...], name: str, lab: Lab) -> None:
    target = (lab.directory / name).resolve()
    if not target.is_relative_to(lab.directory.resolve()):
        fields.problems.add(
            (*fields.path, *path), f"{name} lies outside the lab's folder", "a lab holds its own manifests"
        )
    elif not target.is_file():
        there = [file.name for file in lab.directory.glob("*.y*ml") if file.name != LAB_FILE]
        near = did_you_mean(name, there)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(sorted(there))}" if there else ""
        fields.problems.add((*fields.path, *path), f"there is no {name} in {lab.directory}", hint)


def _patch(fields: Fields, name: str, title: str, lab: Lab) -> Step:
    section = fields.section("patch")
    step = PatchStep(
        name=_named(fields, name),
        kind=section.text("kind"),
        object_name=section.text("name"),
        patch=section.mapping("merge"),
        namespace=section.text("namespace", ""),
        title=title,
    )
    if not step.patch:
        section.note("", "has no `merge:`, so it changes nothing", "write the JSON merge patch as YAML under `merge:`")
    section.done()
    return step


def _certificate(fields: Fields, name: str, title: str, lab: Lab) -> Step:
    section = fields.section("certificate")
    step = CertificateStep(
        name=name or "certificate",
        secret=section.text("secret", pattern=NAME_PATTERN, meaning=NAME_MEANING),
        common_name=section.text("commonName", pattern=_HOST, meaning="a host name"),
        organization=section.text("organization", ""),
        days=section.integer("days", 365, minimum=1, maximum=3650),
        rsa_bits=section.integer("rsaBits", 2048, minimum=2048, maximum=8192),
        title=title,
    )
    section.done()
    return step


def _named(fields: Fields, name: str) -> str:
    if not name and "name" not in fields.data:
        fields.note("", "the key 'name' is missing (text)", "reports call the step by its name")
    return name


def _probe(fields: Fields, name: str, title: str, lab: Lab) -> Step:
    section = fields.section("probe")
    by = _count_by(section)
    step = ProbeStep(
        name=_named(fields, name),
        expect=read_expectation(fields.section("expect"), by, lab.versions),
        title=title,
        scheme=_one(section, "scheme", "http", ("http", "https")),
        host=section.text("host", "", pattern=_HOST, meaning="a host name"),
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
    needs_service = target.kind is not TargetKind.INGRESS
    if needs_service and not target.service:
        section.note("", f"`kind: {target.kind}` needs `service:`", "name the Service that is to be asked")
    for key in ("service", "port"):
        if key in section.data and not needs_service:
            section.note(key, f"an ingress target has no {key}", "the Ingress's rules choose the Service")
    if target.node and target.kind is TargetKind.LOAD_BALANCER:
        section.note("node", "a load balancer has an address of its own, no node's")
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
    if step.scheme == "https" and step.tls is TlsMode.VERIFY and not step.ca_secret:
        hint = "name the TLS Secret to trust with `caSecret:`, or take `tls: insecure` or `tls: system`"
        fields.note("", "`tls: verify` has no certificate to verify with", hint)
    if step.ca_secret and step.tls is not TlsMode.VERIFY:
        fields.note("caSecret", f"is not used with `tls: {step.tls}`")


def _check_steps(fields: Fields, steps: Sequence[Step | None]) -> None:
    seen: set[str] = set()
    for index, step in enumerate(steps):
        if isinstance(step, (ProbeStep, PatchStep)) and step.name:
            if step.name in seen:
                fields.problems.add(("steps", index, "name"), f"there are two steps named {step.name!r}")
            seen.add(step.name)
    if fields.data.get("steps") == []:
        fields.problems.add(("steps",), "a lab needs at least one step")
    elif steps and None not in steps and not any(isinstance(step, ProbeStep) for step in steps):
        fields.problems.add(("steps",), "no step probes anything, so nothing could be verified", "add a `probe:` step")


_READERS: dict[str, Callable[[Fields, str, str, Lab], Step]] = {
    "apply": _apply,
    "certificate": _certificate,
    "patch": _patch,
    "probe": _probe,
}
"""Key of a step → how it is read."""
