"""Steps of lab.yaml that look without requests of labctl's own: exec, log, object, refused."""

from __future__ import annotations

import re
from typing import Any

from labctl.config.decode import Fields, did_you_mean
from labctl.config.expectation import read_split
from labctl.config.lab_actions import check_file, named, read_during
from labctl.config.lab_probe import read_probe
from labctl.model.lab import (
    CheckStep,
    ExecStep,
    Lab,
    LogStep,
    ObjectStep,
    OutputExpectation,
    Place,
    PlaceKind,
    ProbeStep,
    RefusedStep,
)
from labctl.model.probe import CountBy, KeyKind

MAX_SECONDS = 3600


def pattern_problem(pattern: str) -> str:
    """What is wrong with a regular expression; empty when nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"{pattern!r} is not a regular expression: {error}"
    return ""


def read_exec(fields: Fields, name: str, title: str, lab: Lab) -> CheckStep:
    """Read an `exec:` step."""
    section = fields.section("exec")
    place = _place(section, tuple(PlaceKind))
    count = _pattern(section, "count")
    step = ExecStep(
        name=named(fields, name),
        place=place,
        command=section.texts("command"),
        expect=_output(fields.section("expect"), count, command=True),
        title=title,
        count=count,
        sudo=section.boolean("sudo", False),
        timeout=section.number("timeout", 30.0, above=0.0),
        changes=section.boolean("changes", False),
        during=_probe_during(fields, lab),
        save=section.text("save", ""),
    )
    if not step.command:
        section.note("command", "names no command", "for example `command: [cat, /etc/resolv.conf]`")
    if place.kind is not PlaceKind.NODE:
        for key in ("sudo", "save"):
            if key in section.data:
                section.note(key, f"`{key}:` is for nodes: `in: node/NAME`")
    section.done()
    return step


def _probe_during(fields: Fields, lab: Lab) -> ProbeStep | None:
    if not fields.has("during"):
        return None
    section = fields.section("during")
    section.has("name")
    probe = read_probe(section, fields.text("name", "") or "during", "", lab) if section.has("probe") else None
    if probe is None:
        section.note("", "while a command runs, requests can be sent: `during: {probe: …}`")
    section.done()
    return probe


def read_log(fields: Fields, name: str, title: str, lab: Lab) -> CheckStep:
    """Read a `log:` step."""
    section = fields.section("log")
    count = _pattern(section, "count", required=True)
    step = LogStep(
        name=named(fields, name),
        place=_place(section, (PlaceKind.POD, PlaceKind.SERVICE, PlaceKind.CONTROLLER)),
        count=count,
        expect=_output(fields.section("expect"), count, command=False),
        seconds=section.number("seconds", 3.5, above=0.0),
        title=title,
        during=read_during(fields, lab),
    )
    section.done()
    return step


def read_object(fields: Fields, name: str, title: str, lab: Lab) -> CheckStep:
    """Read an `object:` step."""
    section = fields.section("object")
    expect = fields.section("expect")
    wanted = expect.text_map("fields")
    for path, pattern in wanted.items():
        problem = pattern_problem(pattern)
        if problem:
            expect.problems.add((*expect.path, "fields", path), problem)
    if not wanted:
        expect.note("", "expects nothing of the object", "for example `fields: {spec.type: NodePort}`")
    step = ObjectStep(
        name=named(fields, name),
        kind=section.text("kind"),
        object_name=section.text("name"),
        fields=wanted,
        namespace=section.text("namespace", ""),
        title=title,
    )
    expect.done()
    section.done()
    return step


def read_refused(fields: Fields, name: str, title: str, lab: Lab) -> CheckStep:
    """Read a `refused:` step."""
    manifest = fields.text("refused")
    check_file(fields, ("refused",), manifest, lab)
    expect = fields.section("expect")
    step = RefusedStep(named(fields, name), manifest, _pattern(expect, "message"), title)
    expect.done()
    return step


def _place(fields: Fields, kinds: tuple[PlaceKind, ...]) -> Place:
    text = fields.text("in")
    kind, slash, name = text.partition("/")
    fits = kind in kinds and bool(name) == (kind != PlaceKind.CONTROLLER) and bool(slash) == bool(name)
    if fits:
        return Place(PlaceKind(kind), name)
    if text:
        near = did_you_mean(kind, [str(known) for known in kinds])
        forms = ", ".join(str(known) if known is PlaceKind.CONTROLLER else f"{known}/NAME" for known in kinds)
        fields.note("in", f"{text!r} is not one of {forms}", f"did you mean {near!r}?" if near else "")
    return Place(PlaceKind.CONTROLLER)


def _output(fields: Fields, count: str, *, command: bool) -> OutputExpectation:
    found = OutputExpectation(
        exit_code=_exit_code(fields) if command else None,
        output=_patterns(fields, "output") if command else (),
        absent=_patterns(fields, "absent") if command else (),
        matches=_matches(fields),
        split=read_split(fields, CountBy(KeyKind.POD), {}),
    )
    for key, value in (("matches", found.matches), ("split", found.split)):
        if value is not None and not count:
            fields.note(key, "nothing is counted", "say what with `count:`, a regular expression")
    fields.done()
    return found


def _exit_code(fields: Fields) -> int | None:
    codes = fields.integers("exitCode", (0,))
    return codes[0] if codes else None


def _matches(fields: Fields) -> tuple[int, int] | None:
    bounds = fields.integers("matches")
    if len(bounds) > 2 or list(bounds) != sorted(bounds) or any(bound < 0 for bound in bounds):
        fields.note("matches", "is a number, or the fewest and the most: `matches: [1, 3]`")
    return (bounds[0], bounds[-1]) if bounds else None


def _patterns(fields: Fields, key: str) -> tuple[str, ...]:
    found = fields.texts(key)
    for pattern in found:
        problem = pattern_problem(pattern)
        if problem:
            fields.note(key, problem)
    return found


def _pattern(fields: Fields, key: str, *, required: bool = False) -> str:
    pattern = fields.text(key) if required else fields.text(key, "")
    problem = pattern_problem(pattern)
    if problem:
        fields.note(key, problem)
    return pattern


READERS: dict[str, Any] = {"exec": read_exec, "log": read_log, "object": read_object, "refused": read_refused}
"""Key of a step → how it is read."""
